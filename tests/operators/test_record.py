"""record: what passed, when, and what could be taken, within bounds; and nothing is changed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops

from rxorch_operators import (
    RecordedLane,
    Recording,
    flat_map_bounded,
    from_iterable,
    guard,
    record,
    retry_backoff,
    to_async_iterable,
)
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.testing import run_virtual, virtual_time
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


def told(lane: RecordedLane) -> list[tuple[Any, ...]]:
    """Kind, time and what it holds."""
    return [(event.kind, event.at, *(it for it in (event.value, event.error) if it)) for event in lane.events]


def kinds(recording: Recording) -> dict[str, list[list[str]]]:
    """Kinds of the events of each subscription, by the name of the place."""
    found: dict[str, list[list[str]]] = {}
    for lane in recording.lanes:
        found.setdefault(lane.point.name, []).append([event.kind for event in lane.events])
    return found


# What is recorded


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_elements_and_the_end_with_their_virtual_times(kind: str) -> None:
    time, recording = Time(), Recording()
    time.advance(3)
    marbles = time.marbles("--a-b|")
    source: Any = marbles if kind == "stock" else MarbleStage(marbles)
    time.run(source.pipe(record(recording, "here")))
    (lane,) = recording.lanes
    assert told(lane) == [("subscribed", 3.0), ("next", 5.0, "a"), ("next", 7.0, "b"), ("completed", 8.0)]
    assert (lane.point.name, lane.number, lane.of, lane.ended, lane.demand) == ("here", 1, None, True, ())


async def test_real_times_are_those_of_the_loop() -> None:
    recording, loop = Recording(), asyncio.get_running_loop()
    before = loop.time()
    async for _ in to_async_iterable(from_iterable("ab").pipe(record(recording, "here"))):
        pass
    times = [event.at for event in recording.events]
    assert before <= times[0] <= times[-1] <= loop.time()
    assert times == sorted(times)


@pytest.mark.parametrize(("text", "end"), [("a-#", "error"), ("a-|", "completed"), ("a--", "disposed")])
def test_each_way_to_end(text: str, end: str) -> None:
    time, boom, recording = Time(), Boom(), Recording()
    time.run(time.marbles(text, error=boom).pipe(record(recording, "here")), dispose=5)
    (lane,) = recording.lanes
    assert [event.kind for event in lane.events] == ["subscribed", "next", end]
    assert lane.events[-1].error is (boom if end == "error" else None)
    assert lane.ended


def test_a_stream_that_goes_on_can_be_looked_at() -> None:
    time, recording = Time(), Recording()
    time.record(time.marbles("a-b").pipe(record(recording, "here")))
    time.advance(1)
    (lane,) = recording.lanes
    assert [event.kind for event in lane.events] == ["subscribed", "next"] and not lane.ended
    time.advance(5)
    assert [event.kind for event in recording.lanes[0].events] == ["subscribed", "next", "next"]


def test_places_in_the_order_in_which_they_were_made_and_subscriptions_in_theirs() -> None:
    time, recording = Time(), Recording()
    stream = time.marbles("-#", "-a|").pipe(
        record(recording, "attempt"),
        retry_backoff(base=2.0, jitter="none"),
        record(recording, "call", by="retry_backoff"),
    )
    time.run(stream)
    assert [(point.name, point.by, point.inner) for point in recording.points] == [
        ("attempt", None, False),
        ("call", "retry_backoff", False),
    ]
    assert [(lane.point.name, lane.number) for lane in recording.lanes] == [
        ("attempt", 1),
        ("attempt", 2),
        ("call", 1),
    ]
    assert [(event.name, event.kind, event.at) for event in recording.events] == [
        ("attempt", "subscribed", 0.0),
        ("call", "subscribed", 0.0),
        ("attempt", "error", 1.0),
        ("attempt", "subscribed", 3.0),
        ("attempt", "next", 4.0),
        ("call", "next", 4.0),
        ("attempt", "completed", 5.0),
        ("call", "completed", 5.0),
    ]


def test_a_name_that_is_there_is_the_same_place() -> None:
    recording = Recording()
    for letter in "ab":
        reactivex.of(letter).pipe(record(recording, "here")).subscribe()
    assert [(lane.number, lane.events[1].value) for lane in recording.lanes] == [(1, "a"), (2, "b")]
    assert len(recording.points) == 1


@virtual_time
async def test_inner_streams_of_coroutines_with_their_elements() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(number)
        return 2 * number

    recording = Recording()
    stream = from_iterable([1, 2, 3]).pipe(
        record(recording, "in"),
        flat_map_bounded(recording.inner(double), max_concurrent=2),
        record(recording, "out"),
    )
    assert [value async for value in to_async_iterable(stream)] == [2, 4, 6]
    inner = [lane for lane in recording.lanes if lane.point.inner]
    assert [(lane.point.name, lane.of, told(lane)[1:]) for lane in inner] == [
        ("double", 1, [("next", 1.0, 2), ("completed", 1.0)]),
        ("double", 2, [("next", 2.0, 4), ("completed", 2.0)]),
        ("double", 3, [("next", 4.0, 6), ("completed", 4.0)]),
    ]
    assert [point.name for point in recording.points] == ["in", "double", "out"]


@pytest.mark.parametrize("made", [reactivex.of(7), from_iterable([7])])
def test_inner_streams_of_every_kind_and_by_stock_operators(made: Any) -> None:
    recording, seen = Recording(), list[int]()
    reactivex.of("a").pipe(ops.flat_map(recording.inner(lambda _: made, "made"))).subscribe(seen.append)
    assert seen == [7]
    assert kinds(recording) == {"made": [["subscribed", "next", "completed"]]}


def test_what_is_no_stream_fails_as_it_does_without() -> None:
    recorder, recording = Recorder(), Recording()
    AtOnce(1).pipe(flat_map_bounded(recording.inner(lambda n: n), max_concurrent=1)).subscribe(recorder)  # type: ignore[arg-type,return-value]
    assert isinstance(recorder.error, TypeError) and "use ops.map" in str(recorder.error)
    assert kinds(recording) == {"inner": [["subscribed", "error"]]}


async def test_around_a_function_each_call_is_a_subscription() -> None:
    recording = Recording()

    @guard(record(recording, "double"))
    async def double(number: int) -> int:
        return 2 * number

    assert [await double(1), await double(2)] == [2, 4]
    assert [lane.events[1].value for lane in recording.lanes] == [2, 4]


def test_secrets_are_left_out() -> None:
    secret, recording, recorder = object(), Recording(), Recorder()
    AtOnce(secret).pipe(record(recording, "here", values=False)).subscribe(recorder)
    assert [event.value for event in recording.events] == [None] * 3
    assert recorder.values == [secret] and not recording.points[0].values


def test_its_own_scheduler_is_the_time() -> None:
    time, recording = Time(), Recording()
    time.advance(7)
    reactivex.of("a").pipe(record(recording, "here", scheduler=time.scheduler)).subscribe()
    assert {event.at for event in recording.events} == {7.0}


# Demand


def test_what_could_be_taken_at_first_and_whenever_it_has_changed() -> None:
    time, source, recorder, recording = Time(), Manual(), Recorder(), Recording()
    window = Window(recorder, room=2)
    scheduler = DemandScheduler.of(time.scheduler).with_demand(window.demand)
    window.connect(as_stage(source.pipe(record(recording, "here"))), scheduler)
    time.advance(1)
    source.send("a", "b")
    time.advance(1)
    window.open(3)
    window.open(0)
    window.dispose()
    window.open(5)
    (lane,) = recording.lanes
    assert [(change.at, change.credit) for change in lane.demand] == [(0.0, 2), (1.0, 1), (1.0, 0), (2.0, 3)]
    assert window.demand._listeners == []


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_nobody_listens_to_the_demand_after_the_end(end: str) -> None:
    source, window = Manual(), Window(Recorder(), room=2)
    scheduler = DemandScheduler.of(Time().scheduler).with_demand(window.demand)
    window.connect(as_stage(source.pipe(record(Recording(), "here"))), scheduler)
    source.complete() if end == "complete" else source.fail(Boom())
    assert window.demand._listeners == []


def test_demand_and_scheduler_pass_through() -> None:
    source, window = Manual(), Window(Recorder(), room=2)
    scheduler = DemandScheduler.of(Time().scheduler).with_demand(window.demand)
    window.connect(as_stage(source.pipe(record(Recording(), "here"))), scheduler)
    assert source.scheduler is scheduler
    source.send("a")
    assert source.credit == 1


async def test_a_source_is_read_no_further_with_it_than_without() -> None:
    async def ahead(*recorded: Any) -> int:
        numbers = Counting()
        stream = from_iterable(numbers).pipe(
            *recorded[:1], flat_map_bounded(lambda n: AtOnce(n), max_concurrent=2), *recorded[1:]
        )
        async for number in to_async_iterable(stream, buffer=1):
            if number == 3:
                break
        return numbers.read

    recording = Recording()
    assert await ahead(record(recording, "in"), record(recording, "out")) == await ahead()
    assert {each[-1] for lanes in kinds(recording).values() for each in lanes} == {"disposed"}


# Nothing is changed

texts = st.builds(str.__add__, st.text("ab-", max_size=8), st.sampled_from(["", "#", "|"]))


@given(texts, st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 12))
def test_with_and_without_it_a_stream_is_the_same(text: str, dispose: int | None, most: int) -> None:
    def run(*operators: Any) -> tuple[Any, ...]:
        time = Time()
        marbles = time.marbles(text, error=boom)
        recorder = time.run(marbles.pipe(*operators), dispose=dispose)
        return recorder.events, marbles.subscribed, marbles.released

    boom, recording = Boom(), Recording(max_events=most)
    assert run(record(recording, "here")) == run()
    (lane,) = recording.lanes
    assert [event.kind for event in lane.events].count("subscribed") == 1
    assert len(recording.events) <= most + 1


def test_a_source_that_does_everything_while_it_is_being_attached() -> None:
    recording, recorder = Recording(), Recorder()
    AtOnce("a", "b").pipe(record(recording, "here")).subscribe(recorder)
    assert kinds(recording) == {"here": [["subscribed", "next", "next", "completed"]]}
    assert recorder.values == ["a", "b"] and recorder.completed


def test_marbles_pass_as_they_are() -> None:
    time, boom = Time(), Boom()
    recorder = time.run(time.marbles("a-b-#", error=boom).pipe(record(Recording(), "here")))
    assert recorder.events == events("a-b-#", **{"#": boom})
    assert time.idle


def test_the_end_lets_go_of_the_consumer_without_the_garbage_collector() -> None:
    source, recording, recorder = Manual(), Recording(), Recorder()
    watched = weakref.ref(recorder)
    source.pipe(record(recording, "here")).subscribe(recorder)
    del recorder
    gc.disable()
    try:
        source.complete()
        source.sink = None
        assert watched() is None and source.disposed == 1
    finally:
        gc.enable()


# Bounds


def test_only_the_first_events_are_kept_and_the_others_counted() -> None:
    recording, recorder = Recording(max_events=3), Recorder()
    AtOnce(*range(10)).pipe(record(recording, "here")).subscribe(recorder)
    assert recorder.values == list(range(10))
    (lane,) = recording.lanes
    assert [(event.kind, event.value) for event in lane.events] == [
        ("subscribed", None),
        ("next", 0),
        ("next", 1),
        ("completed", None),
    ]
    assert recording.left_out == 8
    assert repr(recording) == "<Recording of here: 4 events, 8 left out>"


def test_an_endless_stream_of_inner_streams_is_bounded() -> None:
    recording = Recording(max_events=50)
    source = Manual()
    source.pipe(flat_map_bounded(recording.inner(lambda n: reactivex.of(n)), max_concurrent=1)).subscribe()
    source.send(*range(2000))
    assert len(recording.lanes) <= 50 and len(recording.events) <= 2 * 50
    assert all(lane.ended for lane in recording.lanes)
    assert recording.left_out > 5000


def test_changes_of_demand_count_too() -> None:
    recording = Recording(max_events=6)

    async def run() -> int:
        stream = from_iterable(range(100)).pipe(
            record(recording, "here"), flat_map_bounded(lambda n: AtOnce(n), max_concurrent=1)
        )
        return len([value async for value in to_async_iterable(stream)])

    assert run_virtual(run()) == 100
    (lane,) = recording.lanes
    assert len(lane.events) + len(lane.demand) == 7 and lane.ended
    assert recording.left_out > 100


# What is refused


@pytest.mark.parametrize("wrong", [0, -1, True, 2.5, "9", None])
def test_a_bound_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"max_events=.*: give a whole number, 1 or more"):
        Recording(max_events=wrong)


def test_what_is_no_recording_or_no_name_is_refused() -> None:
    with pytest.raises(TypeError, match="recording: give a Recording"):
        record([], "here")  # type: ignore[arg-type]
    for name in ("", None, 7):
        with pytest.raises(ValueError, match=r"name=.*: give the text"):
            record(Recording(), name)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="project=7: give a function"):
        Recording().inner(7)  # type: ignore[arg-type]
