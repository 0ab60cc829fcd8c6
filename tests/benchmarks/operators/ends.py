"""Where streams begin and end: sources, `async for` and `await`, against stock RxPY and recipes.

RxPY has nothing for async iterables, in either direction. What stands against ours there is written by hand:
`rx.create` around a task, and an `asyncio.Queue` between the callbacks and the loop.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from rxorch_operators import (
    from_async,
    from_async_iterable,
    from_iterable,
    last_of,
    to_async_iterable,
    with_overflow,
)

from .jobs import CALLS, ELEMENTS, call, drain, in_tasks, numbers, subscribe_each, task_of
from .measure import Pair, Side

__all__ = ["ENDS", "SOURCES"]

_TURN: Final = 512
_BURST: Final = 100
_ROOM: Final = 2 * _BURST
_END: Final = object()


def _pair(
    operator: str,
    job: str,
    peer: str,
    ours: Side,
    theirs: Side,
    bare: Side,
    *,
    count: int = ELEMENTS,
    goal: bool = True,
) -> Pair:
    return Pair(
        operator=operator,
        job=job,
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=bare,
        theirs_bare=bare,
        count=count,
        goal=goal,
    )


async def _nothing(_: int) -> None:
    """A stream that nobody makes costs nothing."""


async def _our_elements(count: int) -> None:
    await drain(from_iterable(range(count)))


async def _stock_elements(count: int) -> None:
    await drain(rx.from_iterable(range(count)))


async def _our_calls(count: int) -> None:
    await subscribe_each(lambda number: from_async(call, number), count)


async def _stock_calls(count: int) -> None:
    await subscribe_each(lambda number: rx.from_future(task_of(number)), count)


async def _numbers_alone(count: int) -> None:
    async for _ in numbers(count):
        pass


async def _our_reader(count: int) -> None:
    await drain(from_async_iterable(numbers(count)))


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def _reader_by_hand(count: int) -> None:
    def subscribe(observer: ObserverBase[int], _: SchedulerBase | None = None) -> DisposableBase:
        async def read() -> None:
            turn = 0
            try:
                async for number in numbers(count):
                    observer.on_next(number)
                    turn += 1
                    if turn == _TURN:  # as ours does: a source that never waits must not keep the loop
                        turn = 0
                        await asyncio.sleep(0)
            except Exception as error:
                observer.on_error(error)
            else:
                observer.on_completed()

        task = asyncio.get_running_loop().create_task(read())
        return Disposable(partial(_cancel, task))

    await drain(rx.create(subscribe))


SOURCES: Final = (
    _pair("from_iterable", "per element", "rx.from_iterable", _our_elements, _stock_elements, _nothing),
    _pair(
        "from_async", "per call", "rx.from_future of a task", _our_calls, _stock_calls, in_tasks, count=CALLS
    ),
    _pair(
        "from_async_iterable",
        "per element",
        "rx.create with a task, by hand",
        _our_reader,
        _reader_by_hand,
        _numbers_alone,
        goal=False,  # nothing can be cheaper than the loop itself
    ),
)


def _iterating(buffer: int) -> Side:
    async def side(count: int) -> None:
        async for _ in to_async_iterable(from_iterable(range(count)), buffer=buffer):
            pass

    return side


async def _through_queue(source: Observable[Any], queue: asyncio.Queue[Any]) -> None:
    def end(_: object = None) -> None:
        queue.put_nowait(_END)

    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    source.subscribe(queue.put_nowait, end, end, scheduler=scheduler)
    while await queue.get() is not _END:
        pass


async def _iterating_by_hand(count: int) -> None:
    await _through_queue(rx.from_iterable(range(count)), asyncio.Queue())


async def _push(subject: Subject[int], count: int) -> None:
    """A source that cannot wait, in bursts."""
    for start in range(0, count, _BURST):
        for number in range(start, min(start + _BURST, count)):
            subject.on_next(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    subject.on_completed()


async def _pushing_alone(count: int) -> None:
    await _push(Subject(), count)


async def _our_overflow(count: int) -> None:
    subject: Subject[int] = Subject()
    pushing = asyncio.create_task(_push(subject, count))
    async for _ in to_async_iterable(subject.pipe(with_overflow("drop_oldest", buffer=_ROOM))):
        pass
    await pushing


async def _observed_on(count: int) -> None:
    subject: Subject[int] = Subject()
    pushing = asyncio.create_task(_push(subject, count))
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    await _through_queue(subject.pipe(ops.observe_on(scheduler)), asyncio.Queue())
    await pushing


async def _overflow_by_hand(count: int) -> None:
    subject: Subject[int] = Subject()
    pushing = asyncio.create_task(_push(subject, count))
    await _through_queue(subject, asyncio.Queue(_ROOM))
    await pushing


async def _our_last(count: int) -> None:
    for number in range(count):
        await last_of(from_async(call, number))


async def _stock_last(count: int) -> None:
    for number in range(count):
        await rx.from_future(task_of(number))


async def _calls_alone(count: int) -> None:
    for number in range(count):
        await task_of(number)


ENDS: Final = (
    _pair(
        "to_async_iterable",
        "per element",
        "asyncio.Queue by hand, without a bound",
        _iterating(1),
        _iterating_by_hand,
        _nothing,
        goal=False,  # the queue does not ask the source, which sends all it has at once
    ),
    _pair(
        f"to_async_iterable(buffer={_BURST})",
        "per element",
        "asyncio.Queue by hand, without a bound",
        _iterating(_BURST),
        _iterating_by_hand,
        _nothing,
    ),
    _pair("last_of", "per call", "await observable", _our_last, _stock_last, _calls_alone, count=CALLS),
    _pair(
        "with_overflow, to_async_iterable",
        f"per element, in bursts of {_BURST}",
        "ops.observe_on, asyncio.Queue by hand",
        _our_overflow,
        _observed_on,
        _pushing_alone,
    ),
    _pair(
        "with_overflow, to_async_iterable",
        f"per element, in bursts of {_BURST}",
        "asyncio.Queue(maxsize) by hand, which drops nothing and raises",
        _our_overflow,
        _overflow_by_hand,
        _pushing_alone,
        goal=False,
    ),
)
