"""Operators against stock RxPY: on the elements of one long stream, and on one call per subscription.

The two forms cost different things. On a stream an operator is subscribed once, and what counts is its
`on_next`. Around a call it is subscribed, emits once and ends, for every call anew.

Where stock RxPY has no such operator the counterpart is `do_action` with a function that does nothing: of the
stock operators with a subscription of their own it is the cheapest, so whatever one composes by hand costs
more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops

from rxorch_operators import (
    Bulkhead,
    CircuitBreaker,
    Coalescer,
    RateLimiter,
    TtlCache,
    bulkhead,
    cache,
    circuit_breaker,
    coalesce,
    fallback,
    from_async,
    from_iterable,
    rate_limit,
    retry_backoff,
    throttle,
    timeout,
)
from rxorch_operators.adaptive_concurrency import AdaptiveBulkhead, adaptive_concurrency
from rxorch_operators.chaos import ChaosPolicy, chaos
from rxorch_operators.engines.limit_model import AimdPolicy
from rxorch_operators.hedge import hedge
from rxorch_operators.tap_events import tap_events
from rxorch_operators.with_overflow import with_overflow

from .jobs import IN_FLIGHT, call, drain, subscribe_each
from .measure import Pair, Side

__all__ = ["CALLS", "MIXED", "STREAMS"]

Operator: TypeAlias = Callable[[Observable[Any]], Observable[Any]]
Maker: TypeAlias = Callable[[], Operator]
"""Makes an operator for a round, with the state that it shares."""

ELEMENTS: Final = 10_000
TIMES: Final = 500
"""Calls in a round."""

ENOUGH: Final = 10.0**9
"""A limit that is never met."""

SECONDS: Final = 30.0
"""A time that never runs out."""


def _nothing(_: object) -> None:
    """What `do_action` does."""


def _breaker() -> Operator:
    return circuit_breaker(CircuitBreaker())


def _limit() -> Operator:
    return rate_limit(RateLimiter(ENOUGH, 1.0))


def _bulkhead() -> Operator:
    return bulkhead(Bulkhead(IN_FLIGHT))


def _adaptive() -> Operator:
    return adaptive_concurrency(AdaptiveBulkhead(AimdPolicy(initial_limit=IN_FLIGHT)))


def _chaos() -> Operator:
    return chaos(ChaosPolicy(error_rate=0.5))


def _tap() -> Operator:
    return tap_events(_nothing)


def _do() -> Operator:
    return ops.do_action(_nothing)


def _recorded() -> Operator:
    return rx.compose(ops.materialize(), ops.timestamp(), ops.do_action(_nothing), ops.pluck_attr("value"), ops.dematerialize())


def _raced(source: Observable[Any]) -> Observable[Any]:
    late = rx.timer(SECONDS).pipe(ops.flat_map(lambda _: source))
    return rx.amb(source, late)


def _instead(_: Exception, __: Observable[Any]) -> Observable[Any]:
    return rx.just(None)


BOTH: Final[tuple[tuple[str, str, Maker, Maker], ...]] = (
    ("retry_backoff", "ops.retry(3)", lambda: retry_backoff(max_attempts=3), lambda: ops.retry(3)),
    ("timeout(total)", "ops.timeout", lambda: timeout(SECONDS), lambda: ops.timeout(SECONDS)),
    ("timeout(each=)", "ops.timeout", lambda: timeout(each=SECONDS), lambda: ops.timeout(SECONDS)),
    ("fallback", "ops.catch", lambda: fallback(_nothing), lambda: ops.catch(_instead)),
    ("circuit_breaker", "ops.do_action", _breaker, _do),
    ("rate_limit", "ops.do_action", _limit, _do),
    ("bulkhead", "ops.do_action", _bulkhead, _do),
    ("adaptive_concurrency", "ops.do_action", _adaptive, _do),
    ("hedge", "rx.amb with a timer", lambda: hedge(delay=SECONDS), lambda: _raced),
    ("chaos, off", "ops.do_action", _chaos, _do),
    ("tap_events", "ops.do_action", _tap, _do),
    ("tap_events", "ops.materialize and timestamp", _tap, _recorded),
)
"""Operator, counterpart, and what makes them."""


def _stream(make: Maker | None, source: Callable[[range], Observable[Any]]) -> Side:
    async def side(count: int) -> None:
        stream = source(range(count))
        await drain(stream if make is None else stream.pipe(make()))

    return side


_OURS_STREAM: Final = _stream(None, from_iterable)
_STOCK_STREAM: Final = _stream(None, rx.from_iterable)


def _stream_pair(operator: str, peer: str, ours: Maker, theirs: Maker, count: int = ELEMENTS) -> Pair:
    return Pair(
        operator=operator,
        job="per element",
        peer=peer,
        ours=_stream(ours, from_iterable),
        theirs=_stream(theirs, rx.from_iterable),
        ours_bare=_OURS_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=count,
    )


STREAMS: Final = (
    *(_stream_pair(*row) for row in BOTH),
    _stream_pair("coalesce", "ops.share", lambda: coalesce(Coalescer(), "k"), lambda: ops.share()),
    _stream_pair("cache", "ops.replay", lambda: cache(TtlCache(), "k", ttl=60.0), lambda: rx.compose(ops.replay(), ops.ref_count())),
    _stream_pair("throttle, no wait", "ops.do_action", lambda: throttle(ENOUGH), _do),
    _stream_pair("with_overflow, room", "ops.do_action", lambda: with_overflow("drop_oldest"), _do),
)


def _mixed_pair(operator: str, peer: str, ours: Maker, theirs: Maker) -> Pair:
    """The same with a stock source on both sides: ours pays for the border."""
    return Pair(
        operator=operator,
        job="per element of a stock source",
        peer=peer,
        ours=_stream(ours, rx.from_iterable),
        theirs=_stream(theirs, rx.from_iterable),
        ours_bare=_STOCK_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=ELEMENTS,
    )


MIXED: Final = tuple(_mixed_pair(*row) for row in BOTH)


def _our_call(number: int) -> Observable[int]:
    return from_async(call, number)


def _stock_call(number: int) -> Observable[int]:
    loop = asyncio.get_running_loop()
    return rx.defer(lambda _: rx.from_future(loop.create_task(call(number))))


def _calls(make: Maker | None, source: Callable[[int], Observable[int]]) -> Side:
    async def side(count: int) -> None:
        if make is None:
            await subscribe_each(source, count)
        else:
            operator = make()
            await subscribe_each(lambda number: source(number).pipe(operator), count)

    return side


_OUR_CALLS: Final = _calls(None, _our_call)
_STOCK_CALLS: Final = _calls(None, _stock_call)


def _call_pair(operator: str, peer: str, ours: Maker, theirs: Maker) -> Pair:
    return Pair(
        operator=operator,
        job="per call",
        peer=peer,
        ours=_calls(ours, _our_call),
        theirs=_calls(theirs, _stock_call),
        ours_bare=_OUR_CALLS,
        theirs_bare=_STOCK_CALLS,
        count=TIMES,
    )


CALLS: Final = tuple(_call_pair(*row) for row in BOTH)
