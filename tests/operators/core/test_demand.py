"""Demand reaches the source through stock operators, on the scheduler argument."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler import CurrentThreadScheduler, VirtualTimeScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import BehaviorSubject

from rxorch_operators.batch import batch
from rxorch_operators.core.clock import LoopClock
from rxorch_operators.core.demand import UNBOUNDED, BoundedDemand, DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_async_iterable import from_async_iterable
from rxorch_operators.from_iterable import from_iterable
from rxorch_operators.throttle import throttle
from rxorch_operators.to_async_iterable import to_async_iterable
from rxorch_operators.with_overflow import with_overflow
from tests.operators.support import Boom, Counting, Manual, Recorder, Time, Window, turns

CAP = 5


class Workers:
    """Calls that end when the test says so."""

    def __init__(self) -> None:
        self.running: deque[asyncio.Future[None]] = deque()
        self.started = 0

    async def call(self, value: Any) -> Any:
        done = asyncio.get_running_loop().create_future()
        self.running.append(done)
        self.started += 1
        await done
        return value

    def finish_one(self) -> None:
        self.running.popleft().set_result(None)


@dataclass(frozen=True)
class Stock:
    """A stock operator, and how many source elements it needs for one of its own."""

    operator: Callable[[Observable[Any]], Observable[Any]]
    ratio: int = 1
    before: int = 0


def _dematerialized(source: Observable[Any]) -> Observable[Any]:
    return source.pipe(ops.materialize(), ops.dematerialize())


def _grouped(source: Observable[Any]) -> Observable[Any]:
    return source.pipe(ops.group_by(lambda number: number % 3), ops.merge_all())


STOCK = {
    "map": Stock(ops.map(lambda number: -number)),
    "filter": Stock(ops.filter(lambda number: number % 2 == 0), ratio=2),
    "scan": Stock(ops.scan(lambda total, number: total + number, 0)),
    "do": Stock(ops.do_action(lambda number: None)),
    "take": Stock(ops.take(10**6)),
    "skip": Stock(ops.skip(7), before=7),
    "take_while": Stock(ops.take_while(lambda number: True)),
    "distinct": Stock(ops.distinct(lambda number: number // 2), ratio=2),
    "buffer_with_count": Stock(ops.buffer_with_count(3), ratio=3),
    "start_with": Stock(ops.start_with(-1)),
    "pairwise": Stock(ops.pairwise(), before=1),
    "share": Stock(ops.share()),
    "concat": Stock(ops.concat(reactivex.never())),
    "merge": Stock(ops.merge(reactivex.never())),
    "group_by": Stock(_grouped),
    "catch": Stock(ops.catch(reactivex.never())),
    "retry": Stock(ops.retry(3)),
    "materialize": Stock(_dematerialized),
    "with_latest_from": Stock(ops.with_latest_from(BehaviorSubject(0))),
    "timestamp": Stock(ops.timestamp()),
    "default_if_empty": Stock(ops.default_if_empty(0)),
}


@pytest.mark.parametrize("ordered", [False, True], ids=["unordered", "ordered"])
@pytest.mark.parametrize("name", STOCK)
async def test_the_source_stays_at_most_one_more_than_the_cap_ahead(name: str, ordered: bool) -> None:
    stock, numbers, workers, recorder = STOCK[name], Counting(), Workers(), Recorder()
    stream = from_iterable(numbers).pipe(
        stock.operator, flat_map_bounded(workers.call, max_concurrent=CAP, ordered=ordered, **_none(ordered))
    )
    subscription = stream.subscribe(recorder)
    for finished in range(40):
        await turns(6)
        assert len(workers.running) == CAP  # it is not held back more than needed either
        assert numbers.read <= stock.before + stock.ratio * (finished + CAP) + 1
        workers.finish_one()
    await turns(6)
    assert len(recorder.values) == 40
    subscription.dispose()
    await turns(6)


def _none(ordered: bool) -> dict[str, int]:
    return {"buffer": 0} if ordered else {}


async def test_an_async_source_stays_as_near() -> None:
    read = 0

    async def numbers() -> Any:
        nonlocal read
        while True:
            read += 1
            yield read

    workers, recorder = Workers(), Recorder()
    stream = from_async_iterable(numbers()).pipe(
        ops.map(lambda number: number), flat_map_bounded(workers.call, max_concurrent=CAP)
    )
    subscription = stream.subscribe(recorder)
    for finished in range(40):
        await turns(6)
        assert len(workers.running) == CAP
        assert read <= finished + CAP + 1
        workers.finish_one()
    subscription.dispose()
    await turns(6)


async def test_two_bounded_operators_in_a_row_keep_one_bound_each() -> None:
    numbers, first, second, recorder = Counting(), Workers(), Workers(), Recorder()
    stream = from_iterable(numbers).pipe(
        flat_map_bounded(first.call, max_concurrent=3),
        ops.map(lambda number: number),
        flat_map_bounded(second.call, max_concurrent=2),
    )
    subscription = stream.subscribe(recorder)
    for _ in range(50):  # the first is fast, the second never ends one
        await turns(6)
        if first.running:
            first.finish_one()
    await turns(6)
    assert len(second.running) == 2
    assert numbers.read <= 3 + 2 + 1
    subscription.dispose()
    await turns(6)


def test_unbounded_demand_takes_any_number() -> None:
    assert UNBOUNDED.credit() == sys.maxsize
    UNBOUNDED.listen(lambda: None)
    UNBOUNDED.forget(lambda: None)


def test_listeners_are_told_until_they_are_forgotten() -> None:
    demand, told = BoundedDemand(lambda: 1), []

    def first() -> None:
        told.append("first")
        if len(told) > 1:
            demand.forget(first)  # in the middle of being told: the next one must not be passed over

    def second() -> None:
        told.append("second")

    demand.grew()
    demand.listen(first)
    demand.grew()
    demand.listen(second)
    demand.grew()
    demand.grew()
    demand.forget(first)
    assert told == ["first", "first", "second", "second"]


def test_a_demand_scheduler_works_like_its_base() -> None:
    time = Time()
    scheduler = DemandScheduler.of(time.scheduler)
    ran: list[tuple[str, float]] = []
    scheduler.schedule(lambda _, name: ran.append((name, time.now)), "now")
    scheduler.schedule_relative(2.0, lambda _, name: ran.append((name, time.now)), "relative")
    scheduler.schedule_absolute(3.0, lambda _, name: ran.append((name, time.now)), "absolute")
    cancelled = scheduler.schedule_relative(1.0, lambda _, name: ran.append((name, time.now)), "cancelled")
    cancelled.dispose()
    time.advance(10.0)
    assert ran == [("now", 0.0), ("relative", 2.0), ("absolute", 3.0)]
    assert scheduler.now == time.scheduler.now


def test_what_an_action_schedules_carries_the_demand_too() -> None:
    time = Time()
    scheduler = DemandScheduler.of(time.scheduler).with_demand(BoundedDemand(lambda: 1))
    seen: list[Any] = []
    scheduler.schedule(lambda inner, _: seen.append(inner))
    scheduler.schedule_relative(timedelta(seconds=1), lambda inner, _: seen.append(inner))
    time.advance(2.0)
    assert seen == [scheduler, scheduler]


def test_another_demand_keeps_time_and_tasks() -> None:
    scheduler = DemandScheduler.of(VirtualTimeScheduler())
    other = scheduler.with_demand(BoundedDemand(lambda: 1))
    assert other.base is scheduler.base
    assert other.clock is scheduler.clock
    assert other.tasks is scheduler.tasks
    assert DemandScheduler.of(other) is other


async def test_the_running_loop_is_the_time_by_default() -> None:
    scheduler = DemandScheduler.of(None)
    assert isinstance(scheduler.base, AsyncIOScheduler)
    assert isinstance(scheduler.clock, LoopClock)
    assert scheduler.clock.loop is asyncio.get_running_loop()


def test_without_a_loop_time_can_be_read_but_not_waited_for() -> None:
    scheduler = DemandScheduler.of(None)
    assert isinstance(scheduler.base, CurrentThreadScheduler)
    assert scheduler.clock.now() <= scheduler.clock.now()
    with pytest.raises(RuntimeError, match="pass scheduler="):
        scheduler.clock.call_later(1.0, lambda: None)


def test_virtual_time_is_the_clock_of_a_virtual_scheduler() -> None:
    time, fired = Time(), []
    clock = DemandScheduler.of(time.scheduler).clock
    clock.call_later(2.5, lambda: fired.append(clock.now()))
    clock.call_later(1.0, lambda: fired.append("never")).cancel()
    clock.call_later(-1.0, lambda: fired.append(clock.now()))
    time.advance(5.0)
    assert fired == [0.0, 2.5]


def test_a_real_scheduler_has_a_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    # Wall clocks: a step back of the clock silences RxPY's `throttle_first`.
    from reactivex.scheduler import TimeoutScheduler

    monkeypatch.setattr("time.time", lambda: pytest.fail("the wall clock was read"))
    clock = DemandScheduler.of(TimeoutScheduler()).clock
    assert clock.now() <= clock.now()


def test_a_push_source_is_queued_and_its_queue_closes_the_demand() -> None:
    upstream, inners, recorder = Manual(), [], Recorder()

    def project(_: Any) -> Manual:
        inners.append(Manual())
        return inners[-1]

    stream = as_stage(upstream).pipe(flat_map_bounded(project, max_concurrent=2))
    subscription = stream.subscribe(recorder)
    assert upstream.credit == 2
    upstream.send(*range(5))
    assert len(inners) == 2
    assert upstream.credit == 2 - 2 - 3
    inners[0].complete()
    assert len(inners) == 3
    assert upstream.credit == -2
    subscription.dispose()


def test_a_full_consumer_closes_the_demand_of_the_source() -> None:
    upstream, recorder = Manual(), Recorder()
    window = Window(recorder, room=1)
    stage = as_stage(upstream).pipe(ops.map(lambda number: number))
    window.connect(as_stage(stage), DemandScheduler.of(None).with_demand(window.demand))
    assert upstream.credit == 1
    upstream.send(1)
    assert upstream.credit == 0
    window.open()
    assert upstream.credit == 1


async def test_a_failing_source_leaves_no_listener_behind() -> None:
    def numbers() -> Any:
        yield 1
        raise Boom

    recorder = Recorder()
    window = Window(recorder, room=10)
    window.connect(as_stage(from_iterable(numbers())), DemandScheduler.of(None).with_demand(window.demand))
    await turns()
    assert isinstance(recorder.error, Boom)
    assert window.demand._listeners == []


@pytest.mark.parametrize(
    "bounded",
    [
        flat_map_bounded(reactivex.just, max_concurrent=2),
        flat_map_bounded(reactivex.just, max_concurrent=2, ordered=True),
        flat_map_bounded(reactivex.just, max_concurrent=2, key=lambda number: number),
        throttle(1, 1.0),
        batch(3),
        with_overflow("drop_oldest", buffer=2),
    ],
    ids=["flat_map", "ordered", "keyed", "throttle", "batch", "with_overflow"],
)
def test_a_shared_source_goes_on_for_the_others_when_the_first_subscriber_leaves(bounded: Any) -> None:
    """`share` subscribes with the demand of whoever came first, and that one may go."""
    time = Time()
    shared = from_iterable(range(50)).pipe(ops.share())
    window = Window(Recorder(), room=0)
    first = DemandScheduler.of(time.scheduler).with_demand(window.demand)
    leaving = shared.pipe(bounded).subscribe(window, scheduler=first)
    staying, _ = time.record(shared)
    time.advance(5.0)
    assert len(staying.values) < 50
    leaving.dispose()
    time.advance(5.0)
    assert staying.completed
    assert staying.values[-1] == 49


async def test_a_shared_source_goes_on_when_an_async_for_is_left() -> None:
    shared = from_iterable(range(50)).pipe(ops.share())
    staying = Recorder()
    async with to_async_iterable(shared) as numbers:
        assert await anext(numbers) == 0
        shared.subscribe(staying)
    await turns(20)
    assert staying.completed
