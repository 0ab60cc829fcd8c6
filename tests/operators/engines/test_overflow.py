"""The bounded buffer: what it drops, what it counts, and a model to hold it against."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxorch_operators.engines.overflow import (
    Dropped,
    OverflowBuffer,
    OverflowCounter,
    OverflowPolicy,
    OverflowStatistics,
)

POLICIES: list[OverflowPolicy] = ["error", "drop_oldest", "drop_newest", "latest"]


def filled(policy: OverflowPolicy, buffer: int | None, values: Any) -> tuple[OverflowBuffer[Any], list[Any]]:
    """A buffer after these elements, and what it dropped."""
    engine = OverflowBuffer[Any](policy, buffer)
    drops = [engine.put(value) for value in values]
    return engine, [drop.value for drop in drops if drop is not None]


def rest(engine: OverflowBuffer[Any]) -> list[Any]:
    """All that waits, in order."""
    return [engine.take() for _ in range(engine.waiting)]


@pytest.mark.parametrize(
    ("policy", "buffer", "dropped", "left"),
    [
        ("drop_oldest", 3, [0, 1], [2, 3, 4]),
        ("drop_newest", 3, [3, 4], [0, 1, 2]),
        ("latest", None, [0, 1, 2, 3], [4]),
        ("error", 3, [3, 4], [0, 1, 2]),
        ("drop_oldest", 5, [], [0, 1, 2, 3, 4]),
        ("drop_oldest", 1, [0, 1, 2, 3], [4]),
    ],
)
def test_who_is_dropped(policy: OverflowPolicy, buffer: int | None, dropped: Any, left: Any) -> None:
    engine, drops = filled(policy, buffer, range(5))
    assert drops == dropped
    assert engine.dropped == len(dropped)
    assert rest(engine) == left


def test_only_the_policy_error_is_fatal() -> None:
    assert OverflowBuffer[int]("error", 1).put(1) is None
    for policy in POLICIES:
        engine = OverflowBuffer[int](policy, None if policy == "latest" else 1)
        engine.put(1)
        drop = engine.put(2)
        assert drop is not None
        assert (drop.so_far, drop.fatal) == (1, policy == "error")


def test_drops_are_numbered() -> None:
    engine = OverflowBuffer[str]("drop_newest", 1)
    engine.put("kept")
    assert [engine.put("a"), engine.put("b")] == [Dropped("a", 1, False), Dropped("b", 2, False)]


def test_none_is_an_element_like_any_other() -> None:
    engine = OverflowBuffer[None]("drop_oldest", 1)
    assert engine.put(None) is None
    assert engine.put(None) == Dropped(None, 1, False)
    assert engine.take() is None


def test_an_element_may_go_straight_on_only_when_none_waits() -> None:
    counter = OverflowCounter()
    engine = OverflowBuffer[int]("latest", counter=counter)
    assert engine.pass_by()
    engine.put(1)
    assert not engine.pass_by()
    engine.take()
    assert engine.pass_by()
    assert counter.statistics() == OverflowStatistics(arrived=3, dropped=0, waiting=0, peak=1)


def test_the_buffer_holds_256_by_default() -> None:
    engine, drops = filled("error", None, range(257))
    assert (engine.waiting, engine.buffer, drops) == (256, 256, [256])


def test_what_is_forgotten_is_not_dropped() -> None:
    counter = OverflowCounter()
    engine = OverflowBuffer[int]("drop_oldest", 2, counter)
    for number in range(3):
        engine.put(number)
    engine.clear()
    assert (engine.waiting, engine.dropped) == (0, 1)
    assert counter.statistics() == OverflowStatistics(arrived=3, dropped=1, waiting=0, peak=2)


def test_a_counter_counts_for_all_who_share_it() -> None:
    counter = OverflowCounter()
    one, other = (OverflowBuffer[int]("drop_newest", 2, counter) for _ in range(2))
    for number in range(3):
        one.put(number)
        other.put(number)
    assert (one.dropped, other.dropped) == (1, 1)
    assert counter.statistics() == OverflowStatistics(arrived=6, dropped=2, waiting=4, peak=4)
    assert repr(counter) == "<OverflowCounter: 2 of 6 dropped, 4 waiting>"


@given(st.sampled_from(POLICIES), st.integers(1, 5), st.lists(st.integers(), max_size=30))
def test_what_is_left_and_what_was_dropped_is_what_came(
    policy: OverflowPolicy, buffer: int, values: list[int]
) -> None:
    engine, drops = filled(policy, None if policy == "latest" else buffer, values)
    assert sorted(drops + rest(engine)) == sorted(values)


class Model(RuleBasedStateMachine):
    """The buffer against a plain list."""

    @initialize(policy=st.sampled_from(POLICIES), buffer=st.integers(1, 4))
    def make(self, policy: OverflowPolicy, buffer: int) -> None:
        self.policy = policy
        self.size = 1 if policy == "latest" else buffer
        self.counter = OverflowCounter()
        self.engine = OverflowBuffer[int](policy, None if policy == "latest" else buffer, self.counter)
        self.model: list[int] = []
        self.came = self.dropped = self.peak = 0

    @rule(value=st.integers())
    def put(self, value: int) -> None:
        self.came += 1
        self.model.append(value)
        expected = None
        if len(self.model) > self.size:
            self.dropped += 1
            gone = self.model.pop(0 if self.policy in ("drop_oldest", "latest") else -1)
            expected = Dropped(gone, self.dropped, self.policy == "error")
        self.peak = max(self.peak, len(self.model))
        assert self.engine.put(value) == expected

    @rule()
    def pass_by(self) -> None:
        self.came += not self.model
        assert self.engine.pass_by() == (not self.model)

    @precondition(lambda self: self.model)
    @rule()
    def take(self) -> None:
        assert self.engine.take() == self.model.pop(0)

    @rule()
    def clear(self) -> None:
        self.engine.clear()
        self.model.clear()

    @invariant()
    def counted(self) -> None:
        if hasattr(self, "engine"):
            assert self.engine.waiting == len(self.model)
            assert self.counter.statistics() == OverflowStatistics(
                arrived=self.came, dropped=self.dropped, waiting=len(self.model), peak=self.peak
            )


TestModel = Model.TestCase


@pytest.mark.parametrize(
    ("policy", "buffer", "words"),
    [
        ("drop", 1, "policy='drop': give one of 'error', 'drop_oldest', 'drop_newest', 'latest'"),
        (None, 1, "policy=None"),
        ("latest", 1, "buffer=1: leave it out"),
        ("error", 0, "buffer=0: give a whole number, 1 or more"),
        ("error", True, "buffer=True"),
        ("error", 1.5, "buffer=1.5"),
    ],
)
def test_what_cannot_work_is_refused(policy: Any, buffer: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OverflowBuffer(policy, buffer)
