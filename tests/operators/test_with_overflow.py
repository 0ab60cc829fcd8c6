"""with_overflow: a bound for what a source pushes, no drop in silence, and no loss of what can wait."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase
from reactivex.subject import BehaviorSubject, Subject

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.engines.overflow import OverflowCounter, OverflowPolicy
from rxorch_operators.errors import BufferOverflowError, OperatorError
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_async_iterable import from_async_iterable
from rxorch_operators.from_iterable import from_iterable
from rxorch_operators.to_async_iterable import to_async_iterable
from rxorch_operators.with_overflow import with_overflow
from tests.operators.support import AtOnce, Boom, Counting, Manual, Recorder, Time, Window, turns

POLICIES: list[OverflowPolicy] = ["error", "drop_oldest", "drop_newest", "latest"]
EVERY_POLICY = pytest.mark.parametrize("policy", POLICIES)


def sized(policy: OverflowPolicy, buffer: int) -> dict[str, Any]:
    """The buffer, for a policy that takes one."""
    return {} if policy == "latest" else {"buffer": buffer}


def consumed(
    source: Observable[Any], room: int, recorder: Recorder | None = None, time: Time | None = None
) -> tuple[Recorder, Window]:
    """Subscribes with room for so many elements."""
    recorder = recorder or Recorder()
    window = Window(recorder, room)
    base = DemandScheduler.of(None if time is None else time.scheduler)
    window.connect(as_stage(source), base.with_demand(window.demand))
    return recorder, window


@EVERY_POLICY
def test_while_there_is_room_elements_go_straight_on(policy: OverflowPolicy) -> None:
    source, counter = Manual(), OverflowCounter()
    recorder, _ = consumed(source.pipe(with_overflow(policy, **sized(policy, 1), counter=counter)), room=3)
    source.send(1, 2, 3)
    assert recorder.values == [1, 2, 3]
    assert counter.statistics().peak == 0


@EVERY_POLICY
def test_a_consumer_that_takes_any_number_gets_everything(policy: OverflowPolicy) -> None:
    source, recorder = Manual(), Recorder()
    source.pipe(with_overflow(policy, **sized(policy, 1))).subscribe(recorder)
    source.send(*range(1000))
    source.complete()
    assert recorder.values == list(range(1000))
    assert recorder.completed


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("drop_oldest", [0, 4, 5]),
        ("drop_newest", [0, 1, 2]),
        ("latest", [0, 5]),
    ],
)
def test_what_is_left_after_a_flood(policy: OverflowPolicy, expected: list[int]) -> None:
    source = Manual()
    recorder, window = consumed(
        source.pipe(with_overflow(policy, **sized(policy, 2), on_drop=lambda *_: None)), room=1
    )
    source.send(*range(6))
    assert recorder.values == [0]
    window.open(10)
    assert recorder.values == expected
    source.send(6)
    assert recorder.values == [*expected, 6]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("drop_oldest", [(0, "a"), (3, "c"), (6, "d"), (8, "|")]),
        ("drop_newest", [(0, "a"), (3, "b"), (6, "d"), (8, "|")]),
        ("error", [(0, "a"), (3, "b"), (3, BufferOverflowError)]),
    ],
)
def test_the_documented_marbles(policy: OverflowPolicy, expected: list[Any]) -> None:
    time = Time()
    source = time.marbles("abc-d---|")
    recorder, window = consumed(
        source.pipe(with_overflow(policy, buffer=1, on_drop=lambda *_: None)),
        room=1,
        recorder=Recorder(lambda: time.now),
        time=time,
    )
    for at in (3, 6):
        time.after(at, window.open)
    time.advance(20)
    seen = [(at, type(event) if isinstance(event, Exception) else event) for at, event in recorder.events]
    assert seen == expected
    assert time.idle


def test_an_overflow_ends_the_source_at_once_and_the_stream_after_what_waits() -> None:
    source, seen = Manual(), []
    recorder, window = consumed(
        source.pipe(with_overflow("error", buffer=2, on_drop=lambda *drop: seen.append(drop))), room=0
    )
    source.send("a", "b")
    assert (source.disposed, seen) == (0, [])
    source.send("c")
    assert (source.disposed, seen) == (1, [("c", 1)])
    source.send("d")
    source.fail(Boom())
    window.open()
    assert recorder.events == [(0.0, "a")]
    window.open()
    assert recorder.values == ["a", "b"]
    assert isinstance(recorder.error, BufferOverflowError)
    assert recorder.error.buffer == 2
    assert seen == [("c", 1)]
    assert source.disposed == 1


def test_an_overflow_while_the_source_is_starting_disposes_it() -> None:
    class Eager(Manual):
        def attach(self, sink: Any, scheduler: DemandScheduler) -> DisposableBase:
            disposable = super().attach(sink, scheduler)
            self.send(1, 2, 3, 4)
            return disposable

    source = Eager()
    recorder, window = consumed(
        source.pipe(with_overflow("error", buffer=1, on_drop=lambda *_: None)), room=1
    )
    assert source.disposed == 1
    window.open(5)
    assert recorder.values == [1, 2]
    assert isinstance(recorder.error, BufferOverflowError)


@EVERY_POLICY
@pytest.mark.parametrize("boom", [None, Boom()])
def test_the_end_comes_after_what_waits(policy: OverflowPolicy, boom: Boom | None) -> None:
    source = Manual()
    recorder, window = consumed(source.pipe(with_overflow(policy, **sized(policy, 3))), room=0)
    source.send(1)
    source.complete() if boom is None else source.fail(boom)
    assert recorder.events == []
    window.open()
    assert recorder.events == [(0.0, 1), (0.0, boom or "|")]
    window.open()
    assert len(recorder.events) == 2


@EVERY_POLICY
@pytest.mark.parametrize("boom", [None, Boom()])
def test_with_nothing_waiting_the_end_comes_at_once(policy: OverflowPolicy, boom: Boom | None) -> None:
    recorder, _ = consumed(AtOnce(error=boom).pipe(with_overflow(policy)), room=0)
    assert recorder.events == [(0.0, boom or "|")]


@EVERY_POLICY
def test_a_cancellation_does_not_wait_behind_a_slow_consumer(policy: OverflowPolicy) -> None:
    source, counter, cancelled = Manual(), OverflowCounter(), asyncio.CancelledError()
    recorder, window = consumed(
        source.pipe(with_overflow(policy, **sized(policy, 3), counter=counter)), room=0
    )
    source.send(1)
    source.fail(cancelled)
    assert recorder.events == [(0.0, cancelled)]
    assert counter.statistics().waiting == 0
    window.open()
    assert len(recorder.events) == 1


def test_every_drop_is_told_with_its_number() -> None:
    source, drops = Manual(), []
    consumed(
        source.pipe(with_overflow("drop_oldest", buffer=2, on_drop=lambda *drop: drops.append(drop))), room=0
    )
    source.send(*"abcde")
    assert drops == [("a", 1), ("b", 2), ("c", 3)]


def test_a_shared_counter_counts_for_all_subscriptions() -> None:
    counter, source = OverflowCounter(), Manual()
    stream = source.pipe(with_overflow("drop_newest", buffer=1, counter=counter))
    windows = []
    for _ in range(2):
        _, window = consumed(stream, room=1)
        source.send(1, 2, 3, 4)
        windows.append(window)
    statistics = counter.statistics()
    assert (statistics.arrived, statistics.dropped, statistics.waiting, statistics.peak) == (8, 4, 2, 2)
    for window in windows:
        window.dispose()
    assert counter.statistics().waiting == 0
    assert counter.statistics().dropped == 4  # what is forgotten on disposal was wanted by nobody


def test_without_anybody_to_tell_drops_are_logged_and_do_not_flood(caplog: pytest.LogCaptureFixture) -> None:
    source = Manual()
    consumed(source.pipe(with_overflow("drop_newest", buffer=1)), room=0)
    with caplog.at_level(logging.WARNING, logger="rxorch_operators"):
        source.send(*range(1001))
    assert [record.getMessage().split(" ")[3] for record in caplog.records] == ["1", "10", "100", "1000"]


@pytest.mark.parametrize("told", [{"on_drop": lambda *_: None}, {"counter": OverflowCounter()}])
def test_who_looks_by_himself_gets_no_log(told: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    source = Manual()
    consumed(source.pipe(with_overflow("drop_newest", buffer=1, **told)), room=0)
    source.send(*range(10))
    assert caplog.records == []


@pytest.mark.parametrize("policy", ["drop_newest", "error"])
def test_an_on_drop_that_raises_is_logged(policy: OverflowPolicy, caplog: pytest.LogCaptureFixture) -> None:
    def on_drop(*_: Any) -> None:
        raise Boom

    source = Manual()
    recorder, window = consumed(source.pipe(with_overflow(policy, buffer=1, on_drop=on_drop)), room=0)
    source.send(1, 2)
    assert "on_drop failed" in caplog.text
    window.open(2)
    assert recorder.values == [1]
    assert isinstance(recorder.error, BufferOverflowError) == (policy == "error")


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "error"])
def test_an_on_drop_that_disposes_the_stream(policy: OverflowPolicy) -> None:
    source = Manual()
    recorder, window = consumed(
        source.pipe(with_overflow(policy, buffer=1, on_drop=lambda *_: window.dispose())), room=0
    )
    source.send(1, 2, 3)
    window.open(5)
    assert recorder.events == []
    assert source.disposed == 1


@EVERY_POLICY
def test_a_source_that_can_wait_is_asked_only_for_what_goes_straight_on(policy: OverflowPolicy) -> None:
    numbers, time, counter = Counting(), Time(), OverflowCounter()
    recorder, window = consumed(
        from_iterable(numbers).pipe(with_overflow(policy, **sized(policy, 5), counter=counter)),
        room=2,
        time=time,
    )
    time.advance(1)
    assert numbers.read == 2
    window.open(3)
    assert recorder.values == [0, 1, 2, 3, 4]
    assert numbers.read == 5
    assert (counter.statistics().dropped, counter.statistics().peak) == (0, 0)
    window.dispose()
    assert numbers.closed


@EVERY_POLICY
async def test_nothing_of_a_source_that_can_wait_is_lost_on_the_way_to_slow_calls(
    policy: OverflowPolicy,
) -> None:
    async def numbers() -> Any:
        for number in range(50):
            yield number

    async def call(number: int) -> int:
        await turns(number % 3)
        return number

    counter, recorder = OverflowCounter(), Recorder()
    from_async_iterable(numbers()).pipe(
        ops.map(lambda number: number),
        with_overflow(policy, **sized(policy, 1), counter=counter),
        ops.map(lambda number: number),
        flat_map_bounded(call, max_concurrent=2, ordered=True),
    ).subscribe(recorder)
    await turns(300)
    assert recorder.values == list(range(50))
    assert recorder.completed
    assert counter.statistics().dropped == 0


def test_beside_a_source_that_pushes_one_that_can_wait_loses_nothing() -> None:
    time, subject, drops = Time(), Subject[Any](), []
    pulled = from_iterable(range(1000))
    recorder, window = consumed(
        pulled.pipe(
            ops.merge(subject),
            with_overflow("drop_oldest", buffer=3, on_drop=lambda value, _: drops.append(value)),
        ),
        room=0,
        time=time,
    )
    for letter in "abcdefg":
        subject.on_next(letter)
    for _ in range(20):
        time.advance(1)
        window.open()
        subject.on_next("x")
    assert set(drops) <= set("abcdefgx")
    numbers = [value for value in recorder.values if isinstance(value, int)]
    assert numbers == list(range(len(numbers)))


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.integers(1, 4), st.integers(-4, -1)), max_size=40),
    st.sampled_from(POLICIES),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_whatever_comes_when_it_is_bounded_ordered_and_accounted_for(
    steps: list[int], policy: OverflowPolicy, buffer: int, room: int
) -> None:
    """Positive steps push so many elements, negative ones make room for so many."""
    source, counter, drops = Manual(), OverflowCounter(), []
    operator = with_overflow(
        policy, **sized(policy, buffer), counter=counter, on_drop=lambda value, _: drops.append(value)
    )
    recorder, window = consumed(source.pipe(operator), room=room)
    sent = 0
    for step in steps:
        if step < 0:
            window.open(-step)
        for _ in range(step):
            if not source.disposed:
                source.send(sent)
                sent += 1
        assert window.room >= 0
        assert counter.statistics().waiting <= (1 if policy == "latest" else buffer)
        assert window.room == 0 or counter.statistics().waiting == 0
    source.complete()
    window.open(sent + 1)
    assert sorted(recorder.values + drops) == list(range(sent))
    assert recorder.values == sorted(recorder.values)
    assert recorder.completed == (policy != "error" or not drops)
    assert counter.statistics().dropped == len(drops)


def test_ten_thousand_waiting_elements_of_a_consumer_that_is_done_at_once_do_not_nest() -> None:
    gate, source, recorder = Manual(), Manual(), Recorder()

    def project(number: int) -> Observable[int]:
        return gate if number == 0 else AtOnce(number)

    source.pipe(with_overflow("error", buffer=10_000), flat_map_bounded(project, max_concurrent=1)).subscribe(
        recorder
    )
    source.send(*range(10_001))
    source.complete()
    gate.complete()
    assert recorder.values == list(range(1, 10_001))
    assert recorder.completed


@EVERY_POLICY
def test_an_element_pushed_from_inside_the_consumer_keeps_its_place(policy: OverflowPolicy) -> None:
    source, recorder = Manual(), Recorder()

    class Echo(Window):
        """Pushes once more when it hears "a"."""

        def on_next(self, value: Any) -> None:
            super().on_next(value)
            if value == "a":
                source.send("after a")

    window = Echo(recorder, room=0)
    stage = source.pipe(with_overflow(policy, **sized(policy, 3), on_drop=lambda *_: None))
    window.connect(as_stage(stage), DemandScheduler.of(None).with_demand(window.demand))
    source.send("a") if policy == "latest" else source.send("a", "b")
    window.open(5)
    assert recorder.values == (["a", "after a"] if policy == "latest" else ["a", "b", "after a"])


@EVERY_POLICY
def test_disposal_from_inside_an_element_ends_the_source_and_forgets_what_waits(
    policy: OverflowPolicy,
) -> None:
    source, recorder, counter = Manual(), Recorder(), OverflowCounter()

    class Once(Window):
        """Has enough after one element."""

        def on_next(self, value: Any) -> None:
            super().on_next(value)
            self.dispose()

    window = Once(recorder, room=0)
    stage = source.pipe(with_overflow(policy, **sized(policy, 3), counter=counter))
    window.connect(as_stage(stage), DemandScheduler.of(None).with_demand(window.demand))
    source.send(1) if policy == "latest" else source.send(1, 2, 3)
    window.open(5)
    source.send(4)
    source.complete()
    window.open(5)
    assert recorder.events == [(0.0, 1)]
    assert source.disposed == 1
    assert counter.statistics().waiting == 0


@EVERY_POLICY
@pytest.mark.parametrize("when", ["straight on", "after it waited"])
def test_nothing_is_sent_after_disposal_even_to_a_sink_that_would_listen(
    policy: OverflowPolicy, when: str
) -> None:
    source, room = Manual(), Window(Recorder(), room=1 if when == "straight on" else 0)

    class Once(Recorder):
        """Has enough after one element, and notes whatever comes all the same."""

        def on_next(self, value: Any) -> None:
            super().on_next(value)
            subscription.dispose()

    once = Once()
    stage = as_stage(source.pipe(with_overflow(policy, **sized(policy, 3))))
    subscription = stage.attach(once, DemandScheduler.of(None).with_demand(room.demand))
    source.send(1)
    room.open(5)
    source.send(2)
    source.complete()
    assert once.events == [(0.0, 1)]
    assert room.demand._listeners == []


def test_what_waits_counts_as_taken_beyond_the_room_there_is() -> None:
    source = Manual()
    _, window = consumed(source.pipe(with_overflow("error", buffer=5)), room=1)
    assert source.credit == 1
    source.send(1, 2, 3)
    assert source.credit == -2  # so that a bounded operator before this one holds back as many
    window.open(2)
    assert source.credit == 0
    source.complete()
    assert window.demand._listeners == []


def test_a_source_that_sends_while_it_is_being_subscribed() -> None:
    recorder, window = consumed(AtOnce(1, 2, 3).pipe(with_overflow("drop_oldest", buffer=2)), room=1)
    assert recorder.values == [1]
    window.open(5)
    assert recorder.values == [1, 2, 3]
    assert recorder.completed
    recorder, _ = consumed(BehaviorSubject(7).pipe(with_overflow("latest")), room=1)
    assert recorder.values == [7]


def test_what_the_consumer_raises_comes_out_and_the_rest_is_not_stuck() -> None:
    source, recorder = Manual(), Recorder()

    class Picky(Window):
        """Cannot bear 1."""

        def on_next(self, value: Any) -> None:
            super().on_next(value)
            if value == 1:
                raise Boom

    window = Picky(recorder, room=0)
    stage = source.pipe(with_overflow("error", buffer=5))
    window.connect(as_stage(stage), DemandScheduler.of(None).with_demand(window.demand))
    source.send(1, 2)
    with pytest.raises(Boom):
        window.open(1)
    window.open(1)
    assert recorder.values == [1, 2]


async def test_in_front_of_an_async_for() -> None:
    socket: Subject[int] = Subject()
    ticks = to_async_iterable(socket.pipe(with_overflow("latest")))
    first = asyncio.ensure_future(anext(ticks))
    await turns()
    for number in range(5):
        socket.on_next(number)
    assert await first == 0
    assert await anext(ticks) == 4  # what came while the loop body was busy with 0: the newest
    socket.on_next(5)
    socket.on_completed()
    assert [tick async for tick in ticks] == [5]


async def test_from_a_thread_that_pushes() -> None:
    socket, recorder = Subject[int](), Recorder()
    counter = OverflowCounter()
    subscription = socket.pipe(
        with_overflow("drop_newest", buffer=2, counter=counter),
        flat_map_bounded(lambda _: reactivex.never(), max_concurrent=1),
    ).subscribe(recorder)

    def push() -> None:
        for number in range(10):
            socket.on_next(number)

    await asyncio.to_thread(push)
    await turns()
    statistics = counter.statistics()
    assert (statistics.arrived, statistics.waiting, statistics.dropped) == (10, 2, 7)
    subscription.dispose()


@pytest.mark.parametrize(
    "arguments",
    [{"policy": "drop"}, {"policy": "latest", "buffer": 2}, {"policy": "error", "buffer": 0}],
)
def test_what_cannot_work_is_refused_where_it_is_written(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(policy|buffer)="):
        with_overflow(**arguments)


def test_a_counter_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="OverflowCounter, got int"):
        with_overflow("latest", counter=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BufferOverflowError(), "buffer is full"),
        (BufferOverflowError(buffer=8), "buffer is full: 8 elements wait for a slower consumer"),
        (BufferOverflowError("in my own words", buffer=8), "in my own words"),
    ],
)
def test_the_error_reads_as_one_line_and_travels(error: BufferOverflowError, text: str) -> None:
    assert isinstance(error, OperatorError)
    for twin in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(twin), twin.buffer) == (text, error.buffer)
