"""Operators that change the shape of a stream, against what one composes for it of stock RxPY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops

from rxorch_operators import Failure, Success, batch, flat_map_bounded, from_iterable, throttle

from .jobs import CALLS, ELEMENTS, IN_FLIGHT, SECONDS, call, drain, in_tasks, task_of
from .measure import Pair, Side

__all__ = ["BATCHES", "FLAT_MAPS", "PACED"]

_KEYS: Final = 100
_SIZE: Final = 100


def _ours(*operators: Callable[[Observable[Any]], Observable[Any]]) -> Side:
    async def side(count: int) -> None:
        await drain(from_iterable(range(count)).pipe(*operators))

    return side


def _stock(*operators: Callable[[Observable[Any]], Observable[Any]]) -> Side:
    async def side(count: int) -> None:
        await drain(rx.from_iterable(range(count)).pipe(*operators))

    return side


def _begun(number: int) -> Observable[int]:
    return rx.from_future(task_of(number))


def _deferred(number: int) -> Observable[int]:
    """A call that begins when it is subscribed: without that, stock RxPY begins all of them at once."""
    return rx.defer(lambda _: _begun(number))


def _key(number: int) -> int:
    return number % _KEYS


def _in_lane(lane: Observable[int]) -> Observable[int]:
    return lane.pipe(ops.concat_map(_deferred))


def _with_result(number: int) -> Observable[Any]:
    return _deferred(number).pipe(
        ops.map(lambda value: Success(value, number)),
        ops.catch(lambda error, _: rx.just(Failure(error, number))),
    )


async def _our_flood(count: int) -> None:
    await drain(from_iterable(range(count)).pipe(flat_map_bounded(call, max_concurrent=count)))


async def _flood(count: int) -> None:
    await asyncio.gather(*map(task_of, range(count)))


async def _in_turn(count: int) -> None:
    for number in range(count):
        await task_of(number)


_MERGED: Final = _stock(ops.map(_deferred), ops.merge(max_concurrent=IN_FLIGHT))


def _flat_map(job: str, peer: str, ours: Side, theirs: Side, bare: Side = in_tasks) -> Pair:
    return Pair(
        operator="flat_map_bounded",
        job=job,
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=bare,
        theirs_bare=bare,
        count=CALLS,
    )


FLAT_MAPS: Final = (
    _flat_map(
        f"per call, {IN_FLIGHT} at once",
        "ops.map, ops.merge(max_concurrent=)",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT)),
        _MERGED,
    ),
    _flat_map(
        "per call, all at once",
        "ops.flat_map",
        _our_flood,
        _stock(ops.flat_map(_begun)),
        _flood,
    ),
    _flat_map(
        f"per call, {IN_FLIGHT} at once, ordered",
        "ops.map, ops.merge(max_concurrent=), which keeps no order",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT, ordered=True)),
        _MERGED,
    ),
    _flat_map(
        "per call, one at a time, ordered",
        "ops.concat_map",
        _ours(flat_map_bounded(call, max_concurrent=1, ordered=True)),
        _stock(ops.concat_map(_deferred)),
        _in_turn,
    ),
    _flat_map(
        f"per call, {_KEYS} keys, ordered per key",
        "ops.group_by, ops.flat_map, ops.concat_map",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT, key=_key)),
        _stock(ops.group_by(_key), ops.flat_map(_in_lane)),
    ),
    _flat_map(
        f"per call, {IN_FLIGHT} at once, as_result",
        "ops.merge(max_concurrent=), inside ops.map and ops.catch",
        _ours(flat_map_bounded(call, max_concurrent=IN_FLIGHT, on_error="as_result")),
        _stock(ops.map(_with_result), ops.merge(max_concurrent=IN_FLIGHT)),
    ),
)


_OUR_STREAM: Final = _ours()
_STOCK_STREAM: Final = _stock()


def _stream(operator: str, job: str, peer: str, ours: Side, theirs: Side, count: int = ELEMENTS) -> Pair:
    return Pair(
        operator=operator,
        job=job,
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=_OUR_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=count,
    )


BATCHES: Final = (
    _stream(
        "batch",
        f"per element, lists of {_SIZE}",
        "ops.buffer_with_count",
        _ours(batch(_SIZE)),
        _stock(ops.buffer_with_count(_SIZE)),
    ),
    _stream(
        "batch(within=)",
        f"per element, lists of {_SIZE}",
        "ops.buffer_with_time_or_count",
        _ours(batch(_SIZE, within=SECONDS)),
        _stock(ops.buffer_with_time_or_count(SECONDS, _SIZE)),
    ),
)


_RATE: Final = 5_000.0
_GAP: Final = 1.0 / _RATE


def _late(number: int) -> Observable[int]:
    return rx.just(number).pipe(ops.delay(_GAP))


PACED: Final = tuple(
    _stream("throttle", "per element that waits", peer, _ours(throttle(_RATE)), theirs, count=100)
    for peer, theirs in (
        ("ops.zip with rx.interval", _stock(ops.zip(rx.interval(_GAP)))),
        ("ops.concat_map of ops.delay", _stock(ops.concat_map(_late))),
    )
)
