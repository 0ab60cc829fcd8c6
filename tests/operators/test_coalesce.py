"""coalesce: one call for all who want the same, cancelled only by the last of them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators import (
    Coalescer,
    coalesce,
    flat_map_bounded,
    from_async,
    from_iterable,
    last_of,
    to_async_iterable,
)
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage
from tests.operators.support import AtOnce, Boom, Manual, Recorder, Time, turns


class Call:
    """An `async def` call that the test lets end, and that counts itself."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.release = asyncio.Event()

    async def __call__(self) -> str:
        self.started += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            await turns()  # what it does to end in order
            self.cancelled += 1
            raise
        return "answer"


class Once(Link):
    """A sink that has enough after one element."""

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        self.dispose()


def join(source: Stage[Any], group: Coalescer, key: Any = "k") -> tuple[Recorder, DisposableBase]:
    recorder = Recorder()
    return recorder, source.pipe(coalesce(group, key)).subscribe(recorder)


def test_one_subscription_for_all_who_come_while_it_runs() -> None:
    time = Time()
    marbles = time.marbles("--a--b|", "--c|")
    shared = marbles.pipe(coalesce(Coalescer(), "k"))
    first, _ = time.record(shared)
    time.advance(4)
    second, _ = time.record(shared)
    time.advance(3)
    third, _ = time.record(shared)
    time.advance(10)
    assert first.events == [(2, "a"), (5, "b"), (6, "|")]
    assert second.events == [(4, "a"), (5, "b"), (6, "|")]
    assert third.events == [(9, "c"), (10, "|")]
    assert marbles.subscribed == [0, 7] and marbles.active == 0


def test_keys_are_apart_and_may_be_asked_for_when_subscribed() -> None:
    group = Coalescer()
    keys = iter(["a", "b", "a"])
    source = Manual()
    for _ in range(3):
        join(source, group, lambda: next(keys))
    statistics = group.statistics()
    assert source.attached == 2
    assert (statistics.in_flight, statistics.waiting, statistics.started, statistics.joined) == (2, 3, 2, 1)


def test_an_error_is_shared_by_those_who_wait_and_not_kept() -> None:
    group = Coalescer()
    source = Manual()
    recorders = [join(source, group)[0] for _ in range(3)]
    boom = Boom()
    source.send(1)
    source.fail(boom)
    assert [recorder.events for recorder in recorders] == [[(0.0, 1), (0.0, boom)]] * 3
    assert group.statistics().in_flight == 0
    late, _ = join(source, group)
    assert source.attached == 2 and not late.events


def test_nothing_is_kept_after_the_end() -> None:
    group = Coalescer()
    recorder, _ = join(AtOnce(1), group)
    assert recorder.values == [1] and recorder.completed
    assert group.statistics().in_flight == group.statistics().waiting == 0
    assert join(AtOnce(2), group)[0].values == [2]


def test_trap_the_first_ones_cancellation_is_nobody_elses() -> None:
    group = Coalescer()
    source = Manual()
    first, leave_first = join(source, group)
    second, _ = join(source, group)
    leave_first.dispose()
    leave_first.dispose()
    assert source.disposed == 0
    source.send(1)
    source.complete()
    assert first.events == [] and second.values == [1] and second.completed


def test_the_last_one_to_leave_ends_the_call() -> None:
    group = Coalescer()
    source = Manual()
    subscriptions = [join(source, group)[1] for _ in range(3)]
    for subscription in subscriptions[:2]:
        subscription.dispose()
    assert source.disposed == 0 and group.statistics().waiting == 1
    subscriptions[2].dispose()
    assert source.disposed == 1 and group.statistics().in_flight == 0
    join(source, group)
    assert source.attached == 2


async def test_trap_a_cancelled_task_does_not_cancel_the_call_of_the_others() -> None:
    call = Call()
    shared = from_async(call).pipe(coalesce(Coalescer(), "k"))
    first, second = (asyncio.create_task(last_of(shared)) for _ in range(2))
    await turns()
    first.cancel()
    await asyncio.wait([first], timeout=5.0)
    assert first.cancelled(), "it must not wait for the call of the others"
    assert call.cancelled == 0
    call.release.set()
    assert await second == "answer" and call.started == 1


async def test_the_last_cancelled_task_waits_until_the_call_has_ended() -> None:
    call = Call()
    shared = from_async(call).pipe(coalesce(Coalescer(), "k"))
    tasks = [asyncio.create_task(last_of(shared)) for _ in range(2)]
    await turns()
    for task in tasks:
        task.cancel()
        await asyncio.wait([task])
    assert call.cancelled == 1


async def test_closing_the_first_stream_does_not_wait_for_the_call_of_the_others() -> None:
    call = Call()
    shared = from_async(call).pipe(coalesce(Coalescer(), "k"))
    stream = to_async_iterable(shared)
    reading = asyncio.ensure_future(anext(stream))
    await turns()
    other = asyncio.create_task(last_of(shared))
    await turns()
    reading.cancel()
    await asyncio.wait([reading])
    await asyncio.wait_for(stream.aclose(), 5.0)
    call.release.set()
    assert await other == "answer"


def test_a_waiter_may_leave_from_inside_its_on_next() -> None:
    group = Coalescer()
    source = Manual()
    one = Recorder()
    source.pipe(coalesce(group, "k"), ops.take(1)).subscribe(one)
    other, _ = join(source, group)
    source.send(1)
    source.send(2)
    source.complete()
    assert one.values == [1] and one.completed
    assert other.values == [1, 2] and other.completed


def test_all_may_leave_from_inside_their_on_next() -> None:
    group = Coalescer()
    source = Manual()
    for _ in range(2):
        source.pipe(coalesce(group, "k"), ops.take(1)).subscribe(Recorder())
    source.send(1)
    assert source.disposed == 1 and group.statistics().in_flight == 0


def test_a_waiter_may_make_another_leave() -> None:
    group = Coalescer()
    source = Manual()
    others: list[DisposableBase] = []
    source.pipe(coalesce(group, "k")).subscribe(lambda _: others[0].dispose())
    recorder, other = join(source, group)
    others.append(other)
    source.send(1)
    assert recorder.events == [] and source.disposed == 0


def test_who_joins_from_inside_an_on_next_gets_every_element_once_and_in_order() -> None:
    group = Coalescer()
    source = Manual()
    late: list[Recorder] = []

    def enter(value: int) -> None:
        if value == 2:
            late.append(join(source, group)[0])

    source.pipe(coalesce(group, "k")).subscribe(enter)
    third, _ = join(source, group)
    source.send(1, 2, 3)
    source.complete()
    assert late[0].values == third.values == [1, 2, 3]
    assert late[0].completed and source.attached == 1


@pytest.mark.parametrize("late", [True, False])
def test_a_sink_that_ends_itself_before_it_was_joined_hears_no_more(late: bool) -> None:
    group = Coalescer()
    source: Stage[Any] = AtOnce(1, 2)
    if late:
        source = Manual()
        join(source, group)
        source.send(1, 2)
    recorder = Recorder()
    stage = source.pipe(coalesce(group, "k"))
    assert isinstance(stage, Stage)
    Once(recorder).connect(stage, DemandScheduler.of(Time().scheduler))
    assert recorder.events == [(0.0, 1)]
    assert group.statistics().waiting == late


@pytest.mark.parametrize("end", [True, False])
def test_a_lean_sink_hears_nothing_after_it_has_left_from_inside_on_next(end: bool) -> None:
    class Leaver(Recorder):
        def on_next(self, value: int) -> None:
            super().on_next(value)
            if end:
                source.complete()
            else:
                source.send(value + 1)
            subscription.dispose()

    group = Coalescer()
    source = Manual()
    join(source, group)
    sink = Leaver()
    stage = source.pipe(coalesce(group, "k"))
    assert isinstance(stage, Stage)
    subscription = stage.attach(sink, DemandScheduler.of(Time().scheduler))
    source.send(1)
    assert sink.events == [(0.0, 1)]


def test_notifications_never_nest() -> None:
    group = Coalescer()
    source = Manual()
    order: list[str] = []

    def enter(value: int) -> None:
        order.append(f"{value} in")
        if value < 3:
            source.send(value + 1)
        order.append(f"{value} out")

    source.pipe(coalesce(group, "k")).subscribe(enter)
    other, _ = join(source, group)
    source.send(1)
    assert order == ["1 in", "1 out", "2 in", "2 out", "3 in", "3 out"]
    assert other.values == [1, 2, 3]


def test_leaving_from_inside_on_next_stops_what_was_waiting_to_be_sent() -> None:
    group = Coalescer()
    source = Manual()
    seen: list[int] = []
    subscriptions: list[DisposableBase] = []

    def enter(value: int) -> None:
        seen.append(value)
        source.send(value + 1)
        subscriptions[0].dispose()

    join(source, group)
    subscriptions.append(source.pipe(coalesce(group, "k")).subscribe(enter))
    source.send(1)
    assert seen == [1]


def test_who_tries_again_from_inside_an_on_error_gets_a_new_call() -> None:
    group = Coalescer()
    source = Manual()
    again: list[Recorder] = []
    source.pipe(coalesce(group, "k")).subscribe(on_error=lambda _: again.append(join(source, group)[0]))
    other, _ = join(source, group)
    source.fail(Boom())
    assert source.attached == 2 and isinstance(other.error, Boom)
    source.send(5)
    assert again[0].values == [5]


def test_one_observer_that_fails_does_not_silence_the_others() -> None:
    def fail() -> None:
        raise Boom

    group = Coalescer()
    source = Manual()
    source.pipe(coalesce(group, "k")).subscribe(on_completed=fail)
    other, _ = join(source, group)
    with pytest.raises(Boom):
        source.complete()
    assert other.completed


def test_a_source_that_cannot_start_is_the_error_of_all() -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            raise Boom

    group = Coalescer()
    assert isinstance(join(Broken(), group)[0].error, Boom)
    assert group.statistics().in_flight == 0


def test_a_key_that_fails_or_is_none_is_the_error() -> None:
    def fail() -> str:
        raise Boom

    group = Coalescer()
    assert isinstance(join(Manual(), group, fail)[0].error, Boom)
    assert isinstance(join(Manual(), group, list)[0].error, TypeError)
    assert group.statistics().in_flight == 0


@pytest.mark.parametrize("end", ["complete", "fail", "leave"])
def test_a_call_is_freed_as_soon_as_it_is_over(end: str) -> None:
    class Answer:
        """Something heavy."""

    group = Coalescer()
    source = Manual()
    shared = source.pipe(coalesce(group, "k"))
    subscriptions = [shared.subscribe(lambda _: None, lambda _: None) for _ in range(2)]
    answer = Answer()
    held = weakref.ref(answer)
    gc.disable()
    try:
        source.send(answer)
        del answer
        assert held() is not None, "late ones would miss it"
        if end == "complete":
            source.complete()
        elif end == "fail":
            source.fail(Boom())
        else:
            for subscription in subscriptions:
                subscription.dispose()
        source.sink = None
        assert held() is None
    finally:
        gc.enable()


def test_what_is_not_a_coalescer_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a Coalescer, got str"):
        coalesce("k", "k")  # type: ignore[arg-type]


async def test_many_equal_calls_in_a_bounded_flow_are_one() -> None:
    call = Call()
    group = Coalescer()
    shared = from_async(call).pipe(coalesce(group, "k"))
    flow = from_iterable(range(20)).pipe(flat_map_bounded(lambda _: shared, max_concurrent=10))
    asyncio.get_running_loop().call_soon(call.release.set)
    assert [value async for value in to_async_iterable(flow)] == ["answer"] * 20
    assert 1 <= call.started <= 2 and group.statistics().in_flight == 0


def test_a_call_left_in_a_closed_loop_is_not_joined() -> None:
    group = Coalescer()
    sources = [Manual(), Manual()]

    async def leave_behind() -> None:
        join(sources[0], group)

    async def use() -> str:
        recorder, _ = join(sources[1], group)
        sources[1].send("fresh")
        return str(recorder.values[0])

    asyncio.run(leave_behind())
    assert asyncio.run(use()) == "fresh"
    sources[0].complete()  # late, and in nobody's way
    assert group.statistics().in_flight == 1


def test_a_call_of_another_loop_is_not_joined() -> None:
    """Its result would come from another thread, or never, if that loop is stopped."""
    group, made = Coalescer(), []

    async def call() -> int:
        made.append(1)
        await asyncio.sleep(0 if len(made) > 1 else 3600.0)
        return len(made)

    shared = from_async(call).pipe(coalesce(group, "key"))
    stopped = asyncio.new_event_loop()
    first = stopped.create_task(last_of(shared))
    stopped.run_until_complete(asyncio.sleep(0))
    assert asyncio.run(asyncio.wait_for(last_of(shared), 60.0)) == 2
    first.cancel()
    stopped.run_until_complete(asyncio.gather(first, return_exceptions=True))
    stopped.close()
    assert group.statistics().in_flight == 0
