"""flat_map_bounded(key=): order within a key, concurrency between them, and a look-ahead with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase
from reactivex.disposable import Disposable

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_iterable import from_iterable
from tests.operators.support import AtOnce, Boom, Manual, Recorder, Time, Window, events, turns

Work = tuple[int, str, int]
"""Its number, its key and its seconds."""


def key_of(work: Work) -> str:
    return work[1]


@dataclass
class Lanes:
    """Inner observables in virtual time that notice when two of one key run at once."""

    time: Time
    running: list[str] = field(default_factory=list)
    started: list[Work] = field(default_factory=list)
    peak: int = 0

    def call(self, work: Work) -> Observable[Any]:
        def subscribe(observer: ObserverBase[Work], _: Any = None) -> DisposableBase:
            assert key_of(work) not in self.running
            self.running.append(key_of(work))
            self.started.append(work)
            self.peak = max(self.peak, len(self.running))

            def done() -> None:
                self.running.remove(key_of(work))
                observer.on_next(work)
                observer.on_completed()

            timer = self.time.after(work[2], done)
            return Disposable(timer.dispose)

        return Observable(subscribe)


class Reading(Iterator[Work]):
    """The work to do, and how much of it was read."""

    def __init__(self, work: list[Work]) -> None:
        self.work = work
        self.read = 0

    def __next__(self) -> Work:
        if self.read == len(self.work):
            raise StopIteration
        self.read += 1
        return self.work[self.read - 1]


works = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 4)), max_size=30).map(
    lambda pairs: [(number, key, seconds) for number, (key, seconds) in enumerate(pairs)]
)


@settings(deadline=None)
@given(works, st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_equal_keys_keep_their_order_and_nothing_is_lost(
    work: list[Work], cap: int, buffer: int, pushed: bool
) -> None:
    time = Time()
    lanes = Lanes(time)
    source = AtOnce(*work) if pushed else as_stage(from_iterable(work))
    recorder = time.run(
        source.pipe(flat_map_bounded(lanes.call, max_concurrent=cap, key=key_of, buffer=buffer))
    )
    assert recorder.completed
    assert sorted(recorder.values) == work
    for key in "abcd":
        assert [one for one in recorder.values if key_of(one) == key] == [
            one for one in work if key_of(one) == key
        ]
    assert lanes.peak <= cap
    assert lanes.running == []
    assert time.idle


@settings(deadline=None)
@given(works, st.integers(1, 4), st.integers(1, 4))
def test_it_reads_what_it_can_use_or_hold_and_no_more(work: list[Work], cap: int, buffer: int) -> None:
    time, reading = Time(), Reading(work)
    lanes = Lanes(time)
    stream = from_iterable(reading).pipe(
        flat_map_bounded(lanes.call, max_concurrent=cap, key=key_of, buffer=buffer)
    )
    recorder, _ = time.record(stream)
    while not recorder.completed:
        time.advance(0.5)
        waiting = reading.read - len(lanes.started)
        assert waiting <= buffer
        assert len(lanes.running) <= cap
        assert len(lanes.running) == cap or waiting == buffer or reading.read == len(work)


def test_different_keys_do_not_wait_for_each_other() -> None:
    time = Time()
    work = [(0, "a", 10), (1, "a", 1), (2, "b", 1), (3, "b", 1), (4, "c", 1)]
    stream = from_iterable(work).pipe(flat_map_bounded(Lanes(time).call, max_concurrent=3, key=key_of))
    ended = [(at, value[0]) for at, value in time.run(stream).events[:-1]]
    assert ended == [(1.0, 2), (1.0, 4), (2.0, 3), (10.0, 0), (11.0, 1)]


def test_the_head_of_the_line_holds_up_the_others_when_the_buffer_is_full() -> None:
    time = Time()
    lanes = Lanes(time)
    work = [(number, "slow", 10) for number in range(4)] + [(4, "quick", 1)]
    stream = from_iterable(work).pipe(flat_map_bounded(lanes.call, max_concurrent=4, key=key_of, buffer=2))
    recorder, _ = time.record(stream)
    time.advance(9)
    assert [one[0] for one in lanes.started] == [0]  # three slots are free, but two wait already
    time.advance(100)
    ended = [(at, value[0]) for at, value in recorder.events[:3]]
    assert ended == [(10.0, 0), (20.0, 1), (21.0, 4)]


def test_the_look_ahead_is_as_much_as_the_cap_by_default() -> None:
    time = Time()
    lanes, reading = Lanes(time), Reading([(number, "a", 1) for number in range(10)])
    stream = from_iterable(reading).pipe(flat_map_bounded(lanes.call, max_concurrent=3, key=key_of))
    time.record(stream)
    time.advance(0.5)
    assert reading.read == 1 + 3


def test_between_source_and_consumer_there_is_one_bound() -> None:
    """An operator before this one gives what it has though nobody asked; it holds as much of its own back."""
    time = Time()
    first, second = Lanes(time), Lanes(time)
    reading = Reading([(number, str(number), 1) for number in range(1000)])

    def harder(work: Work) -> Work:
        return work[0], str(work[0] % 3), 100

    stream = from_iterable(reading).pipe(
        flat_map_bounded(first.call, max_concurrent=5),
        ops.map(harder),
        flat_map_bounded(second.call, max_concurrent=2, key=key_of, buffer=3),
    )
    time.record(stream)
    time.advance(50)
    assert len(second.running) == 2
    assert reading.read <= 5 + 2 + 3 + 1


def test_room_downstream_is_asked_for_too() -> None:
    time, recorder = Time(), Recorder()
    reading = Reading([(number, "ab"[number % 2], 0) for number in range(100)])
    window = Window(recorder, room=0)
    stage = from_iterable(reading).pipe(flat_map_bounded(AtOnce, max_concurrent=3, key=key_of))
    window.connect(as_stage(stage), DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1)
    assert reading.read == 3  # as much beyond the room as it has slots, as without a key
    window.open(10)
    assert reading.read == 13
    window.dispose()


def test_pushed_elements_whose_key_is_free_start_in_the_order_of_arrival() -> None:
    gates = {name: Manual() for name in ("a1", "a2", "b1", "c1")}
    source, started = Manual(), []

    def project(name: str) -> Stage[Any]:
        started.append(name)
        return gates[name]

    source.pipe(flat_map_bounded(project, max_concurrent=1, key=lambda name: name[0])).subscribe(Recorder())
    source.send("a1", "a2", "b1", "c1")
    assert (started, source.credit) == (["a1"], -2)
    gates["a1"].complete()
    gates["b1"].complete()
    gates["c1"].complete()
    assert started == ["a1", "b1", "c1", "a2"]


def test_ten_thousand_of_one_key_that_end_at_once_do_not_nest() -> None:
    gate, recorder, source = Manual(), Recorder(), Manual()

    def project(number: int) -> Stage[int]:
        return gate if number == 0 else AtOnce(number)

    source.pipe(flat_map_bounded(project, max_concurrent=2, key=lambda _: "all")).subscribe(recorder)
    source.send(*range(10_001))
    source.complete()
    gate.complete()
    assert recorder.values == list(range(1, 10_001))
    assert recorder.completed


def test_keys_are_forgotten_with_their_last_element() -> None:
    source, looked_up = Manual(), []

    class Watched:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            looked_up.append(self.number)
            return hash(self.number)

        def __eq__(self, other: object) -> bool:
            raise AssertionError("another key was still known")

    source.pipe(flat_map_bounded(AtOnce, max_concurrent=2, key=lambda _: Watched(7))).subscribe(Recorder())
    source.send(1, 2, 3)
    assert looked_up  # and none met an older one


@pytest.mark.parametrize("bad", ["raises", "unhashable"])
def test_a_key_that_cannot_be_had_is_an_error(bad: str) -> None:
    def key(value: int) -> Hashable:
        if value == 2 and bad == "raises":
            raise Boom
        return [] if value == 2 else value  # type: ignore[return-value]

    source, recorder, inner = Manual(), Recorder(), Manual()
    source.pipe(flat_map_bounded(lambda _: inner, max_concurrent=5, key=key)).subscribe(recorder)
    source.send(1, 2, 3)
    assert isinstance(recorder.error, Boom if bad == "raises" else TypeError)
    assert (source.disposed, inner.attached, inner.disposed) == (1, 1, 1)


@pytest.mark.parametrize("raises", [False, True])
def test_a_key_that_disposes_the_stream_starts_nothing_more(raises: bool) -> None:
    source, recorder, started = Manual(), Recorder(), []

    def key(value: int) -> int:
        subscription.dispose()
        if raises:
            raise Boom
        return value

    def project(value: int) -> Stage[int]:
        started.append(value)
        return AtOnce(value)

    subscription = source.pipe(flat_map_bounded(project, max_concurrent=5, key=key)).subscribe(recorder)
    if raises:
        with pytest.raises(Boom):  # nobody listens any more, and a bug is not to vanish
            source.send(1)
    else:
        source.send(1)
    assert (started, recorder.events) == ([], [])


@pytest.mark.parametrize("after", range(12))
async def test_disposal_at_every_step_ends_everything(after: int) -> None:
    running = 0

    async def call(number: int) -> int:
        nonlocal running
        running += 1
        try:
            await turns(number % 4)
            return number
        finally:
            running -= 1

    recorder = Recorder()
    subscription = (
        from_iterable(range(10**6))
        .pipe(flat_map_bounded(call, max_concurrent=3, key=lambda number: number % 2))
        .subscribe(recorder)
    )
    await turns(after)
    subscription.dispose()
    seen = list(recorder.events)
    await turns(8)
    assert recorder.events == seen
    assert running == 0


def test_disposal_from_inside_an_element_forgets_those_that_wait() -> None:
    source, recorder, gate, started = Manual(), Recorder(), Manual(), []

    def project(value: str) -> Stage[Any]:
        started.append(value)
        return gate

    source.pipe(flat_map_bounded(project, max_concurrent=2, key=lambda _: 1), ops.take(1)).subscribe(recorder)
    source.send("a", "b", "c")
    gate.send("x")
    assert gate.sink is not None
    gate.sink.on_completed()  # a source that does not know yet that it was disposed
    assert started == ["a"]
    assert recorder.values == ["x"]
    assert recorder.completed


def test_two_subscriptions_share_no_keys() -> None:
    time = Time()
    stream = from_iterable("aa").pipe(
        flat_map_bounded(lambda _: time.marbles("--x|"), max_concurrent=2, key=lambda name: name)
    )
    first, _ = time.record(stream)
    second, subscription = time.record(stream)
    time.after(1, subscription.dispose)
    time.advance(100)
    assert first.events == events("--x--x|")
    assert second.events == []
    assert time.idle


def test_the_documented_marbles() -> None:
    time = Time()
    inners = {"a": time.marbles("--1|"), "A": time.marbles("--2|"), "b": time.marbles("-3|")}
    stream = time.marbles("aAb|").pipe(
        flat_map_bounded(inners.__getitem__, max_concurrent=2, key=lambda letter: letter.lower())
    )
    assert time.run(stream).events == events("--13-2|")


async def test_async_functions_of_one_key_never_overlap() -> None:
    busy: set[int] = set()

    async def call(number: int) -> int:
        key = number % 3
        assert key not in busy
        busy.add(key)
        await asyncio.sleep(0)
        busy.remove(key)
        return number

    recorder = Recorder()
    from_iterable(range(60)).pipe(
        flat_map_bounded(call, max_concurrent=10, key=lambda number: number % 3)
    ).subscribe(recorder)
    await turns(100)
    assert sorted(recorder.values) == list(range(60))
    assert recorder.completed


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"key": "id"}, "key='id': give a function"),
        ({"key": len, "ordered": True}, "leave out ordered=True"),
        ({"key": len, "buffer": 0}, "buffer=0: give a whole number, 1 or more"),
        ({"key": len, "buffer": True}, "buffer=True"),
        ({"key": len, "buffer": 1.5}, "buffer=1.5"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        flat_map_bounded(reactivex.just, max_concurrent=1, **options)
