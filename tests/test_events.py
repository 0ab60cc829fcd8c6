"""The event records and the bus."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch import events
from rxorch.events import CallFinished, CallStarted, Event, EventBus, StepFinished


def event(name: str = "user") -> CallStarted:
    return CallStarted(1.0, None, name)


@pytest.mark.parametrize(
    "cls", [cls for name in events.__all__ if issubclass(cls := getattr(events, name), Event)]
)
def test_records_are_frozen_slotted_and_begin_alike(cls: type[Event]) -> None:
    names = [field.name for field in dataclasses.fields(cls)]
    assert names[:3] == ["at", "run", "endpoint"]
    assert "call" in names
    assert cls.__doc__
    record = cls(*[0.5] * sum(field.default is dataclasses.MISSING for field in dataclasses.fields(cls)))
    assert not hasattr(record, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.at = 2.0  # type: ignore[misc]


def test_a_record_of_ones_own_is_made_like_any_other() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Priced(CallFinished):
        price: float = 0.0

    class Plain(CallFinished):
        pass

    facts = (1.0, "run", "user", "ok", 0.5)
    assert Priced(*facts, call=3, price=2.0).price == 2.0
    for kind in (Priced, Plain):
        record = kind(*facts, call=3)
        assert type(record) is kind
        assert (record.run, record.status, record.attempts, record.call) == ("run", "ok", 0, 3)
    assert type(CallFinished(*facts)) is CallFinished
    with pytest.raises(TypeError, match="missing 5 required"):
        CallFinished()  # type: ignore[call-arg]


def test_a_value_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(StepFinished(0.0, None, "login", "ok", 0.1, value="hunter2"))


def test_active_follows_the_subscriptions() -> None:
    bus = EventBus()
    assert not bus.active
    first, second = bus.subscribe(print), bus.observable.subscribe(print)
    assert bus.active
    first.dispose()
    assert bus.active
    second.dispose()
    second.dispose()
    assert not bus.active


def test_who_asks_for_kinds_gets_those_and_makes_no_others_be_built() -> None:
    bus = EventBus()
    ends: list[Event] = []
    everything: list[Event] = []
    started, finished = event(), CallFinished(2.0, None, "user", "ok", 1.0)
    some = bus.subscribe(ends.append, kinds=[CallFinished])
    assert (bus.active, bus.kinds) == (False, {CallFinished})
    bus.emit(started)
    bus.emit(finished)
    assert ends == [finished]
    every = bus.subscribe(everything.append)
    assert (bus.active, bus.kinds) == (True, {CallFinished})
    bus.emit(started)
    bus.emit(finished)
    assert (ends, everything) == ([finished] * 2, [started, finished])
    every.dispose()
    assert (bus.active, bus.kinds) == (False, {CallFinished})
    some.dispose()
    assert (bus.active, bus.kinds) == (False, set())
    bus.emit(finished)
    assert len(ends) == 2


def test_all_subscribers_get_each_event_in_order() -> None:
    bus = EventBus()
    seen: list[tuple[str, Event]] = []
    bus.subscribe(lambda e: seen.append(("a", e)))
    bus.observable.subscribe(lambda e: seen.append(("b", e)))
    one, two = event("one"), event("two")
    bus.emit(one)
    bus.emit(two)
    assert seen == [("a", one), ("b", one), ("a", two), ("b", two)]


def test_the_observable_is_hot_and_takes_operators() -> None:
    bus = EventBus()
    names: list[str] = []
    bus.emit(event("before"))
    bus.observable.pipe(ops.map(lambda e: e.endpoint), ops.filter(lambda n: n != "b"), ops.take(2)).subscribe(
        names.append
    )
    for name in "abcd":
        bus.emit(event(name))
    assert names == ["a", "c"]
    assert not bus.active  # take(2) has left


@pytest.mark.parametrize("error", [ValueError("mine"), asyncio.CancelledError()])
@pytest.mark.parametrize("rx", [True, False])
def test_a_failing_subscriber_is_logged_once_and_dropped(
    caplog: pytest.LogCaptureFixture, error: BaseException, rx: bool
) -> None:
    bus = EventBus()
    seen: list[Event] = []
    calls = []

    def fail(e: Event) -> None:
        calls.append(e)
        raise error

    if rx:
        bus.observable.subscribe(fail)
    else:
        bus.subscribe(fail)
    bus.subscribe(seen.append)
    with caplog.at_level(logging.ERROR, logger="rxorch"):
        bus.emit(event())
        bus.emit(event())
    assert (len(calls), len(seen)) == (1, 2)
    assert [(r.name, r.levelname) for r in caplog.records] == [("rxorch", "ERROR")]


def test_an_operator_that_fails_ends_only_its_own_subscription() -> None:
    bus = EventBus()
    failures: list[Exception] = []
    seen: list[Event] = []
    bus.observable.pipe(ops.map(lambda e: 1 / 0)).subscribe(on_error=failures.append)
    bus.subscribe(seen.append)
    bus.emit(event())
    bus.emit(event())
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    assert len(seen) == 2


def test_who_is_disposed_during_an_event_does_not_get_it_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = EventBus()
    seen: list[Event] = []
    late: list[DisposableBase] = []
    bus.subscribe(lambda e: late[0].dispose())
    late.append(bus.subscribe(seen.append))
    bus.emit(event())
    assert seen == []
    assert not caplog.records


def test_who_subscribes_during_an_event_gets_the_next_one() -> None:
    bus = EventBus()
    seen: list[str] = []
    once: list[Any] = []

    def join(e: Event) -> None:
        if not once:
            once.append(bus.subscribe(lambda e: seen.append(e.endpoint)))

    bus.subscribe(join)
    bus.emit(event("first"))
    bus.emit(event("second"))
    assert seen == ["second"]


def test_an_event_emitted_by_a_subscriber_comes_after_the_one_under_way() -> None:
    bus = EventBus()
    seen: list[str] = []

    def echo(e: Event) -> None:
        if isinstance(e, CallStarted):
            bus.emit(CallFinished(2.0, None, e.endpoint, "ok", 1.0))

    bus.subscribe(echo)
    bus.subscribe(lambda e: seen.append(type(e).__name__))
    bus.emit(event())
    assert seen == ["CallStarted", "CallFinished"]


def test_an_interrupt_in_a_subscriber_comes_through_and_leaves_the_bus_working() -> None:
    bus = EventBus()
    seen: list[Event] = []
    interrupts = [KeyboardInterrupt()]

    def interrupt(e: Event) -> None:
        if interrupts:
            raise interrupts.pop()
        seen.append(e)

    bus.subscribe(interrupt)
    with pytest.raises(KeyboardInterrupt):
        bus.emit(event())
    bus.emit(event())
    assert len(seen) == 1


def test_close_completes_the_observers_and_silences_the_bus() -> None:
    bus = EventBus()
    ends: list[str] = []
    seen: list[Event] = []
    bus.observable.subscribe(seen.append, on_completed=lambda: ends.append("first"))
    bus.subscribe(seen.append)
    bus.close()
    bus.close()
    assert ends == ["first"]
    assert not bus.active
    bus.emit(event())
    bus.observable.subscribe(seen.append, on_completed=lambda: ends.append("late"))
    bus.subscribe(seen.append)
    assert ends == ["first", "late"]
    assert not bus.active
    assert seen == []


def test_an_observer_that_fails_at_the_end_does_not_keep_the_others_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = EventBus()
    ends: list[str] = []
    bus.observable.subscribe(on_completed=lambda: 1 / 0)
    bus.observable.subscribe(on_completed=lambda: ends.append("second"))
    bus.close()
    assert ends == ["second"]
    assert "failed at its end" in caplog.text
