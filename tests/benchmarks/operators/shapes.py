"""Operators that change what a stream is made of, and its two ends, against stock RxPY."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from rxorch_operators import (
    flat_map_bounded,
    from_async,
    from_async_iterable,
    from_iterable,
    last_of,
    throttle,
    to_async_iterable,
)
from rxorch_operators.batch import batch
from rxorch_operators.results import Failure, Success
from rxorch_operators.with_overflow import with_overflow

from .jobs import IN_FLIGHT, call, drain, in_tasks, numbers, one_by_one, subscribe_each
from .measure import Pair, Side

__all__ = ["BATCHES", "ENDS", "FLAT_MAPS", "PACED", "SOURCES"]

TIMES: Final = 500
ELEMENTS: Final = 10_000
KEYS: Final = 100
SIZE: Final = 100
"""Elements in a batch, and in a burst."""


def _call(number: int) -> Observable[int]:
    """A call as stock RxPY makes it: begun when it is subscribed."""
    loop = asyncio.get_running_loop()
    return rx.defer(lambda _: rx.from_future(loop.create_task(call(number))))


def _running(number: int) -> Observable[int]:
    """A call that is under way."""
    return rx.from_future(asyncio.get_running_loop().create_task(call(number)))


def _key(number: int) -> int:
    return number % KEYS


def _ours(*operators: Callable[[Observable[Any]], Observable[Any]]) -> Side:
    async def side(count: int) -> None:
        await drain(from_iterable(range(count)).pipe(*operators))

    return side


def _stock(*operators: Callable[[Observable[Any]], Observable[Any]]) -> Side:
    async def side(count: int) -> None:
        await drain(rx.from_iterable(range(count)).pipe(*operators))

    return side


async def _our_flood(count: int) -> None:
    await drain(from_iterable(range(count)).pipe(flat_map_bounded(call, max_concurrent=count)))


async def _calls_in_turn(count: int) -> None:
    async def in_task(number: int) -> None:
        await asyncio.create_task(call(number))

    await one_by_one(in_task, count)


async def _all_calls(count: int) -> None:
    await asyncio.gather(*map(call, range(count)))


def _resulting(number: int) -> Observable[Any]:
    return _call(number).pipe(
        ops.map(lambda value: Success(value, number)),
        ops.catch(lambda error, _: rx.just(Failure(error, number))),
    )


def _in_lane(lane: Observable[int]) -> Observable[int]:
    return lane.pipe(ops.concat_map(_call))


_MERGED: Final = _stock(ops.map(_call), ops.merge(max_concurrent=IN_FLIGHT))


def _flat_map(job: str, peer: str, ours: Side, theirs: Side, bare: Side) -> Pair:
    return Pair(
        operator="flat_map_bounded",
        job=job,
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=bare,
        theirs_bare=bare,
        count=TIMES,
    )


FLAT_MAPS: Final = (
    _flat_map(
        f"{IN_FLIGHT} calls at once",
        "ops.map, ops.merge(max_concurrent=)",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT)),
        _MERGED,
        in_tasks,
    ),
    _flat_map("all calls at once", "ops.flat_map", _our_flood, _stock(ops.flat_map(_running)), _all_calls),
    _flat_map(
        f"ordered, {IN_FLIGHT} calls at once",
        "ops.merge(max_concurrent=), unordered",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT, ordered=True)),
        _MERGED,
        in_tasks,
    ),
    _flat_map(
        "ordered, one call at a time",
        "ops.concat_map",
        _ours(flat_map_bounded(call, max_concurrent=1, ordered=True)),
        _stock(ops.concat_map(_call)),
        _calls_in_turn,
    ),
    _flat_map(
        f"ordered per key, {KEYS} keys",
        "ops.group_by, ops.flat_map, ops.concat_map",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT, key=_key)),
        _stock(ops.group_by(_key), ops.flat_map(_in_lane)),
        in_tasks,
    ),
    _flat_map(
        f"as_result, {IN_FLIGHT} calls at once",
        "ops.merge(max_concurrent=) of ops.map and ops.catch",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT, on_error="as_result")),
        _stock(ops.map(_resulting), ops.merge(max_concurrent=IN_FLIGHT)),
        in_tasks,
    ),
)


_OUR_STREAM: Final = _ours()
_STOCK_STREAM: Final = _stock()


def _batched(job: str, peer: str, ours: Side, theirs: Side) -> Pair:
    return Pair(
        operator="batch",
        job=job,
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=_OUR_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=ELEMENTS,
    )


BATCHES: Final = (
    _batched(
        f"per element, lists of {SIZE}",
        "ops.buffer_with_count",
        _ours(batch(SIZE)),
        _stock(ops.buffer_with_count(SIZE)),
    ),
    _batched(
        f"per element, lists of {SIZE} or after 30 s",
        "ops.buffer_with_time_or_count",
        _ours(batch(SIZE, within=30.0)),
        _stock(ops.buffer_with_time_or_count(30.0, SIZE)),
    ),
)


PACE: Final = 5_000.0
"""Elements per second: both sides have to set a timer for each of them."""


PACED: Final = (
    Pair(
        operator="throttle",
        job="per element that waits",
        peer="ops.zip with rx.interval",
        ours=_ours(throttle(PACE)),
        theirs=_stock(ops.zip(rx.interval(1.0 / PACE))),
        ours_bare=_OUR_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=200,
    ),
    Pair(
        operator="throttle",
        job="per element that waits",
        peer="ops.concat_map of ops.delay",
        ours=_ours(throttle(PACE)),
        theirs=_stock(ops.concat_map(lambda number: rx.just(number).pipe(ops.delay(1.0 / PACE)))),
        ours_bare=_OUR_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=200,
    ),
)


async def _nothing(count: int) -> None:
    """What a stream without operators costs, if nobody makes it."""


async def _our_call_each(count: int) -> None:
    await subscribe_each(lambda number: from_async(call, number), count)


async def _stock_call_each(count: int) -> None:
    await subscribe_each(_running, count)


async def _read_async(count: int) -> None:
    async for _ in numbers(count):
        pass


async def _our_async_source(count: int) -> None:
    await drain(from_async_iterable(numbers(count)))


def _async_source(count: int) -> Observable[int]:
    """An async iterable as an observable, as one writes it by hand."""

    def subscribe(observer: ObserverBase[int], _: SchedulerBase | None = None) -> DisposableBase:
        async def read() -> None:
            try:
                async for number in numbers(count):
                    observer.on_next(number)
            except Exception as error:
                observer.on_error(error)
            else:
                observer.on_completed()

        return Disposable(asyncio.get_running_loop().create_task(read()).cancel)

    return rx.create(subscribe)


async def _stock_async_source(count: int) -> None:
    await drain(_async_source(count))


SOURCES: Final = (
    Pair(
        operator="from_iterable",
        job="per element",
        peer="rx.from_iterable",
        ours=_OUR_STREAM,
        theirs=_STOCK_STREAM,
        ours_bare=_nothing,
        theirs_bare=_nothing,
        count=ELEMENTS,
    ),
    Pair(
        operator="from_async",
        job="per call",
        peer="rx.from_future of a task",
        ours=_our_call_each,
        theirs=_stock_call_each,
        ours_bare=in_tasks,
        theirs_bare=in_tasks,
        count=TIMES,
    ),
    Pair(
        operator="from_async_iterable",
        job="per element",
        peer="rx.create with a task",
        ours=_our_async_source,
        theirs=_stock_async_source,
        ours_bare=_read_async,
        theirs_bare=_read_async,
        count=ELEMENTS,
    ),
)


async def _iterate_ours(count: int) -> None:
    async for _ in to_async_iterable(from_iterable(range(count))):
        pass


async def _iterate_buffered(count: int) -> None:
    async for _ in to_async_iterable(from_iterable(range(count)), buffer=SIZE):
        pass


_END: Final = object()


async def _iterate_queue(source: Observable[Any], queue: asyncio.Queue[Any]) -> None:
    """An observable in an `async for`, as one writes it by hand: RxPY has nothing for that."""
    loop = asyncio.get_running_loop()

    def ended(error: object = _END) -> None:
        queue.put_nowait(_END)

    source.subscribe(queue.put_nowait, ended, ended, scheduler=AsyncIOScheduler(loop))
    while await queue.get() is not _END:
        pass


async def _iterate_stock(count: int) -> None:
    await _iterate_queue(rx.from_iterable(range(count)), asyncio.Queue())


async def _burst(subject: Subject[Any], count: int) -> None:
    for start in range(0, count, SIZE):
        for number in range(start, min(start + SIZE, count)):
            subject.on_next(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    subject.on_completed()


async def _iterate_pushed(count: int) -> None:
    subject: Subject[Any] = Subject()
    pushing = asyncio.create_task(_burst(subject, count))
    async for _ in to_async_iterable(subject.pipe(with_overflow("drop_oldest", buffer=2 * SIZE))):
        pass
    await pushing


async def _iterate_pushed_by_hand(count: int) -> None:
    subject: Subject[Any] = Subject()
    pushing = asyncio.create_task(_burst(subject, count))
    await _iterate_queue(subject, asyncio.Queue(2 * SIZE))
    await pushing


async def _observed_on(count: int) -> None:
    subject: Subject[Any] = Subject()
    pushing = asyncio.create_task(_burst(subject, count))
    loop = asyncio.get_running_loop()
    await _iterate_queue(subject.pipe(ops.observe_on(AsyncIOScheduler(loop))), asyncio.Queue())
    await pushing


async def _push_alone(count: int) -> None:
    subject: Subject[Any] = Subject()
    await _burst(subject, count)


def _awaiting(one: Callable[[], Awaitable[object]]) -> Side:
    async def side(count: int) -> None:
        for _ in range(count):
            await one()

    return side


async def _last_ours() -> object:
    return await last_of(from_async(call, 1))


async def _last_stock() -> object:
    return await _running(1)


def _end(operator: str, job: str, peer: str, ours: Side, theirs: Side, bare: Side, count: int) -> Pair:
    return Pair(
        operator=operator,
        job=job,
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=bare,
        theirs_bare=bare,
        count=count,
    )


ENDS: Final = (
    _end("to_async_iterable", "per element", "asyncio.Queue by hand", _iterate_ours, _iterate_stock, _nothing, ELEMENTS),
    _end("to_async_iterable(buffer=100)", "per element", "asyncio.Queue by hand", _iterate_buffered, _iterate_stock, _nothing, ELEMENTS),
    _end("last_of", "per call", "await observable", _awaiting(_last_ours), _awaiting(_last_stock), _calls_in_turn, TIMES),
    _end("with_overflow", "per element, in bursts into `async for`", "asyncio.Queue by hand", _iterate_pushed, _iterate_pushed_by_hand, _push_alone, ELEMENTS),
    _end("with_overflow", "per element, in bursts into `async for`", "ops.observe_on", _iterate_pushed, _observed_on, _push_alone, ELEMENTS),
)
