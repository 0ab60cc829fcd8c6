"""tap_events: everything is told, in order and in time, and nothing is changed."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import weakref
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase
from reactivex.disposable import SingleAssignmentDisposable

from rxorch_operators import flat_map_bounded, from_iterable, retry_backoff, to_async_iterable
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage
from rxorch_operators.guard import guard
from rxorch_operators.tap_events import StreamEvent, tap_events
from tests.operators.support import (
    AtOnce,
    Boom,
    Counting,
    Manual,
    MarbleStage,
    Recorder,
    Time,
    Window,
    events,
)


def told(recording: list[StreamEvent]) -> list[tuple[Any, ...]]:
    """Kind, time, index and what it holds."""
    return [
        (event.kind, round(event.at, 6), event.index, *(it for it in (event.value, event.error) if it))
        for event in recording
    ]


# What is told


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_elements_and_the_end_with_their_times(kind: str) -> None:
    time, recording = Time(), list[StreamEvent]()
    time.advance(3)
    marbles = time.marbles("--a-b|")
    source: Any = marbles if kind == "stock" else MarbleStage(marbles)
    time.run(source.pipe(tap_events(recording.append)))
    assert told(recording) == [
        ("subscribed", 3.0, 0),
        ("next", 5.0, 0, "a"),
        ("next", 7.0, 1, "b"),
        ("completed", 8.0, 2),
    ]
    assert {event.subscription for event in recording} == {1}
    assert {event.name for event in recording} == {None}


def test_an_error() -> None:
    time, boom, recording = Time(), Boom(), list[StreamEvent]()
    time.run(time.marbles("a-#", error=boom).pipe(tap_events(recording.append)))
    assert told(recording) == [("subscribed", 0.0, 0), ("next", 0.0, 0, "a"), ("error", 2.0, 1, boom)]
    assert recording[-1].error is boom


def test_a_disposal() -> None:
    time, recording = Time(), list[StreamEvent]()
    time.run(time.marbles("a-b--|").pipe(tap_events(recording.append)), dispose=3)
    assert told(recording)[-1] == ("disposed", 3.0, 2)
    assert [event.kind for event in recording] == ["subscribed", "next", "next", "disposed"]


@pytest.mark.parametrize("text", ["a|", "a#"])
def test_after_the_end_a_disposal_is_no_news(text: str) -> None:
    time, recording = Time(), list[StreamEvent]()
    time.run(time.marbles(text).pipe(tap_events(recording.append)), dispose=5)
    assert [event.kind for event in recording].count("disposed") == 0


def test_a_source_that_does_everything_while_it_is_being_attached() -> None:
    recording, recorder = list[StreamEvent](), Recorder()
    AtOnce("a", "b").pipe(tap_events(recording.append)).subscribe(recorder)
    assert [event.kind for event in recording] == ["subscribed", "next", "next", "completed"]
    assert recorder.values == ["a", "b"] and recorder.completed


def test_a_source_that_cannot_be_subscribed_is_an_error_that_is_told() -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            raise Boom

    recording, recorder = list[StreamEvent](), Recorder()
    Broken().pipe(tap_events(recording.append)).subscribe(recorder)
    assert [event.kind for event in recording] == ["subscribed", "error"]
    assert isinstance(recorder.error, Boom) and recording[1].error is recorder.error


def test_a_source_that_raises_after_its_end_is_not_told_as_ended_twice() -> None:
    class Odd(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            sink.on_completed()
            raise Boom

    recording, recorder = list[StreamEvent](), Recorder()
    with pytest.raises(Boom):
        Odd().pipe(tap_events(recording.append)).subscribe(recorder)
    assert [event.kind for event in recording] == ["subscribed", "completed"]
    assert recorder.completed


def test_it_is_told_before_it_goes_on() -> None:
    order: list[Any] = []
    source = Manual()
    subscription = source.pipe(tap_events(lambda event: order.append(event.kind))).subscribe(order.append)
    source.send(1)
    source._release = lambda: order.append("released")  # type: ignore[method-assign]
    assert order == ["subscribed", "next", 1]
    subscription.dispose()
    assert order[3] == "disposed"


def test_subscriptions_are_numbered_over_all_that_one_tap_is_used_for() -> None:
    recording: list[StreamEvent] = []
    tap = tap_events(recording.append)
    for source in (reactivex.of("a"), reactivex.of("b")):
        tapped = source.pipe(tap)
        tapped.subscribe()
        tapped.subscribe()
    assert [(event.subscription, event.value) for event in recording if event.kind == "next"] == [
        (1, "a"),
        (2, "a"),
        (3, "b"),
        (4, "b"),
    ]
    assert [event.index for event in recording if event.kind == "next"] == [0, 0, 0, 0]
    other: list[StreamEvent] = []
    reactivex.of("a").pipe(tap_events(other.append)).subscribe()
    assert other[0].subscription == 1


def test_two_subscriptions_at_the_same_time_keep_their_own_count() -> None:
    time, recording = Time(), list[StreamEvent]()
    tapped = time.marbles("a--b|").pipe(tap_events(recording.append))
    time.record(tapped)
    time.advance(1)
    time.record(tapped)
    time.advance(9)
    of_second = [event for event in recording if event.subscription == 2]
    assert told(of_second) == [
        ("subscribed", 1.0, 0),
        ("next", 1.0, 0, "a"),
        ("next", 4.0, 1, "b"),
        ("completed", 5.0, 2),
    ]


def test_retries_seen_from_inside_and_from_outside() -> None:
    time, recording = Time(), list[StreamEvent]()
    time.run(
        time.marbles("-#", "-a|").pipe(
            tap_events(recording.append, name="attempt"),
            retry_backoff(base=2.0, jitter="none"),
            tap_events(recording.append, name="call"),
        )
    )
    assert [(event.name, event.subscription, event.kind, event.at) for event in recording] == [
        ("call", 1, "subscribed", 0.0),
        ("attempt", 1, "subscribed", 0.0),
        ("attempt", 1, "error", 1.0),
        ("attempt", 2, "subscribed", 3.0),
        ("attempt", 2, "next", 4.0),
        ("call", 1, "next", 4.0),
        ("attempt", 2, "completed", 5.0),
        ("call", 1, "completed", 5.0),
    ]


def test_secrets_are_left_out() -> None:
    secret, recording = object(), list[StreamEvent]()
    recorder = Recorder()
    AtOnce(secret).pipe(tap_events(recording.append, values=False)).subscribe(recorder)
    assert [(event.kind, event.index) for event in recording] == [
        ("subscribed", 0),
        ("next", 0),
        ("completed", 1),
    ]
    assert [event.value for event in recording] == [None] * 3
    assert recorder.values == [secret]


def test_its_own_scheduler_is_the_time() -> None:
    time, recording = Time(), list[StreamEvent]()
    time.advance(7)
    reactivex.of("a").pipe(tap_events(recording.append, scheduler=time.scheduler)).subscribe()
    assert {event.at for event in recording} == {7.0}


# The record


def test_a_record_cannot_be_changed_but_compared_copied_and_pickled() -> None:
    recording: list[StreamEvent] = []
    reactivex.of("a").pipe(tap_events(recording.append, name="tap")).subscribe()
    event = recording[1]
    with pytest.raises(FrozenInstanceError):
        event.value = "b"  # type: ignore[misc]
    assert event == StreamEvent("next", event.at, 1, 0, "a", name="tap")
    assert replace(event, at=0.0) == StreamEvent("next", 0.0, 1, 0, "a", None, "tap")
    assert pickle.loads(pickle.dumps(event)) == event
    assert hash(event) == hash(replace(event))
    assert not hasattr(event, "__dict__")


# Nothing is changed


@pytest.mark.parametrize("text", ["a-b-|", "a-#", "|", "#", "-(ab)", "--"])
def test_marbles_pass_as_they_are(text: str) -> None:
    time, boom = Time(), Boom()
    recorder = time.run(time.marbles(text, error=boom).pipe(tap_events(lambda _: None)))
    assert recorder.events == events(text, **{"#": boom})
    assert time.idle


texts = st.builds(str.__add__, st.text("ab-", max_size=8), st.sampled_from(["", "#", "|"]))


@given(texts, st.one_of(st.none(), st.integers(1, 9)))
def test_with_and_without_it_a_stream_is_the_same(text: str, dispose: int | None) -> None:
    def run(*tap: Any) -> tuple[Any, ...]:
        time = Time()
        marbles = time.marbles(text, error=boom)
        recorder = time.run(marbles.pipe(*tap), dispose=dispose)
        return recorder.events, marbles.subscribed, marbles.released

    boom, recording = Boom(), list[StreamEvent]()
    assert run(tap_events(recording.append)) == run()
    assert len([event for event in recording if event.kind in ("error", "completed", "disposed")]) <= 1


def test_elements_keep_their_identity() -> None:
    element, recorder, recording = object(), Recorder(), list[StreamEvent]()
    AtOnce(element).pipe(tap_events(recording.append)).subscribe(recorder)
    assert recorder.values[0] is element and recording[1].value is element


def test_the_demand_of_downstream_is_the_demand_upstream() -> None:
    time, source, recorder = Time(), Manual(), Recorder()
    window = Window(recorder, room=2)
    scheduler = DemandScheduler.of(time.scheduler).with_demand(window.demand)
    window.connect(as_stage(source.pipe(tap_events(lambda _: None))), scheduler)
    assert source.scheduler is scheduler
    source.send("a")
    assert source.credit == 1
    window.dispose()
    assert source.disposed == 1


async def test_a_source_is_read_no_further_with_it_than_without() -> None:
    numbers, recording = Counting(), list[StreamEvent]()
    stream = from_iterable(numbers).pipe(
        tap_events(recording.append, name="source"),
        flat_map_bounded(lambda n: AtOnce(n), max_concurrent=2),
        tap_events(recording.append, name="results"),
    )
    async for number in to_async_iterable(stream, buffer=1):
        if number == 3:
            break
    assert numbers.read <= 7
    assert [event.name for event in recording if event.kind == "disposed"] == ["results", "source"]


def test_a_cancelled_source_passes() -> None:
    source, recorder, recording = Manual(), Recorder(), list[StreamEvent]()
    source.pipe(tap_events(recording.append)).subscribe(recorder)
    cancelled = asyncio.CancelledError()
    source.fail(cancelled)
    assert recorder.error is cancelled and recording[-1].error is cancelled


def test_the_end_lets_go_of_everything_without_the_garbage_collector() -> None:
    class Observer:
        """Something that can be watched."""

        def __call__(self, event: StreamEvent) -> None: ...

    source, observer = Manual(), Observer()
    watched = weakref.ref(observer)
    source.pipe(tap_events(observer)).subscribe(Recorder())
    del observer
    gc.disable()
    try:
        source.complete()
        assert source.disposed == 1
        source.sink = None
        assert watched() is None
    finally:
        gc.enable()


def test_after_a_disposal_nothing_passes_and_nothing_is_told() -> None:
    source, recorder, recording = Manual(), Recorder(), list[StreamEvent]()
    link = as_stage(source.pipe(tap_events(recording.append))).attach(recorder, DemandScheduler.of(None))
    link.dispose()
    link.dispose()
    source.send("a")
    source.complete()
    assert source.disposed == 1
    assert recorder.events == [] and [event.kind for event in recording] == ["subscribed", "disposed"]


def test_disposal_from_inside_on_next() -> None:
    source, recorder, recording = Manual(), Recorder(), list[StreamEvent]()
    source.pipe(tap_events(recording.append), ops.take(2)).subscribe(recorder)
    source.send(*"abc")
    assert recorder.values == ["a", "b"] and recorder.completed
    assert [event.kind for event in recording] == ["subscribed", "next", "next", "disposed"]


def test_a_consumer_that_raises_gets_its_error_and_the_tap_a_disposal() -> None:
    source, errors, recording = Manual(), list[Exception](), list[StreamEvent]()

    def fail(_: Any) -> None:
        raise Boom

    source.pipe(tap_events(recording.append)).subscribe(fail, errors.append)
    source.send("a")
    assert isinstance(errors[0], Boom) and source.disposed == 1
    assert [event.kind for event in recording] == ["subscribed", "next", "disposed"]


# Observers that fail, or do something


@pytest.mark.parametrize("error", [Boom(), asyncio.CancelledError()])
def test_an_observer_that_fails_is_logged_and_breaks_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: StreamEvent) -> None:
        raise error

    recorder, source = Recorder(), Manual()
    with caplog.at_level(logging.ERROR, logger="rxorch_operators"):
        subscription = source.pipe(tap_events(fail)).subscribe(recorder)
        source.send("a")
        subscription.dispose()
    assert recorder.values == ["a"] and source.disposed == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the observer of tap_events failed; the stream goes on"
    ] * 3
    assert caplog.records[0].exc_info and caplog.records[0].exc_info[1] is error


@pytest.mark.parametrize("at", ["next", "completed", "error"])
def test_an_observer_that_disposes(at: str) -> None:
    subscription, recorder, source = SingleAssignmentDisposable(), Recorder(), Manual()
    kinds: list[str] = []

    def stop(event: StreamEvent) -> None:
        kinds.append(event.kind)
        if event.kind == at:
            subscription.dispose()

    link = as_stage(source.pipe(tap_events(stop))).attach(recorder, DemandScheduler.of(None))
    subscription.disposable = link
    source.send("a")
    source.fail(Boom()) if at == "error" else source.complete()
    assert recorder.values == ([] if at == "next" else ["a"])
    assert not recorder.ended, "nothing comes after the disposal"
    assert kinds == ["subscribed", "next", "disposed" if at == "next" else at]
    assert source.disposed == 1


@pytest.mark.parametrize("wrong", [None, 5, "async"])
def test_what_cannot_be_told_anything_is_refused(wrong: Any) -> None:
    async def later(_: StreamEvent) -> None: ...

    with pytest.raises(TypeError, match="plain function of one StreamEvent"):
        tap_events(later if wrong == "async" else wrong)


# Around calls


async def test_around_a_function_each_call_is_a_subscription() -> None:
    recording: list[StreamEvent] = []

    @guard(tap_events(recording.append, name="double"))
    async def double(number: int) -> int:
        return 2 * number

    assert [await double(1), await double(2)] == [2, 4]
    assert [(event.subscription, event.kind, event.value) for event in recording] == [
        (1, "subscribed", None),
        (1, "next", 2),
        (1, "completed", None),
        (2, "subscribed", None),
        (2, "next", 4),
        (2, "completed", None),
    ]


async def test_a_call_that_is_awaited_fails_or_is_cancelled() -> None:
    recording: list[StreamEvent] = []
    tapped = guard(tap_events(recording.append))

    async def fail() -> None:
        raise Boom

    with pytest.raises(Boom):
        await tapped.call(fail)
    assert [event.kind for event in recording] == ["subscribed", "error"]
    task = asyncio.create_task(tapped.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert [event.kind for event in recording[2:]] == ["subscribed", "disposed"]


async def test_the_time_is_that_of_the_loop() -> None:
    recording: list[StreamEvent] = []
    before = asyncio.get_running_loop().time()
    reactivex.of(1).pipe(tap_events(recording.append)).subscribe()
    after = asyncio.get_running_loop().time()
    times = [before, *(event.at for event in recording), after]
    assert times == sorted(times)
