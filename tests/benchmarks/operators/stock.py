"""Operators against stock RxPY: on the elements of one long stream, and around one call per subscription.

The two forms cost different things. On a stream an operator is subscribed once, and what counts is its
`on_next`. Around a call it is subscribed, emits once and ends, for every call anew.

Where stock RxPY has no such operator the counterpart is `do_action` with a function that does nothing. Of the
stock operators that one would build a policy of it is the cheapest, so what is composed by hand costs more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops

from rxorch_operators import (
    AdaptiveBulkhead,
    AimdPolicy,
    Bulkhead,
    ChaosPolicy,
    CircuitBreaker,
    Coalescer,
    RateLimiter,
    Recording,
    TtlCache,
    adaptive_concurrency,
    bulkhead,
    cache,
    chaos,
    circuit_breaker,
    coalesce,
    fallback,
    from_async,
    from_iterable,
    hedge,
    rate_limit,
    record,
    retry_backoff,
    tap_events,
    throttle,
    timeout,
    with_overflow,
)

from .jobs import CALLS, ELEMENTS, ENOUGH, IN_FLIGHT, SECONDS, call, drain, subscribe_each, task_of
from .measure import Pair, Side

__all__ = ["AROUND_CALLS", "BETWEEN_STOCK", "ON_STREAMS"]

Operator: TypeAlias = Callable[[Observable[Any]], Observable[Any]]
Maker: TypeAlias = Callable[[], Operator]
"""Makes an operator for one round, with the state that its subscriptions share."""

_KEY: Final = "key"


def _nothing(_: object) -> None:
    """What `do_action` and `tap_events` call."""


def _do() -> Operator:
    return ops.do_action(_nothing)


def _recorded() -> Operator:
    def recorded(source: Observable[Any]) -> Observable[Any]:
        return ops.dematerialize()(source.pipe(ops.materialize(), ops.do_action(_nothing)))

    return recorded


def _kept_with_times() -> Operator:
    kept: list[Any] = []

    def recorded(source: Observable[Any]) -> Observable[Any]:
        stamped = source.pipe(ops.materialize(), ops.timestamp(), ops.do_action(kept.append))
        return ops.dematerialize()(stamped.pipe(ops.map(lambda stamp: stamp.value)))

    return recorded


def _raced() -> Operator:
    def race(source: Observable[Any]) -> Observable[Any]:
        return rx.amb(source, rx.timer(SECONDS).pipe(ops.flat_map(lambda _: source)))

    return race


def _replayed() -> Operator:
    return rx.compose(ops.replay(), ops.ref_count())


def _adaptive() -> Operator:
    return adaptive_concurrency(AdaptiveBulkhead(AimdPolicy(initial_limit=IN_FLIGHT)))


_EVERYWHERE: Final[tuple[tuple[str, str, Maker, Maker], ...]] = (
    ("retry_backoff", "ops.retry", lambda: retry_backoff(max_attempts=3), lambda: ops.retry(3)),
    ("timeout(total)", "ops.timeout", lambda: timeout(SECONDS), lambda: ops.timeout(SECONDS)),
    ("timeout(each=)", "ops.timeout", lambda: timeout(each=SECONDS), lambda: ops.timeout(SECONDS)),
    ("fallback", "ops.catch", lambda: fallback(_nothing), lambda: ops.catch(rx.just(None))),
    ("circuit_breaker", "ops.do_action", lambda: circuit_breaker(CircuitBreaker()), _do),
    ("rate_limit", "ops.do_action", lambda: rate_limit(RateLimiter(ENOUGH, 1.0)), _do),
    ("bulkhead", "ops.do_action", lambda: bulkhead(Bulkhead(IN_FLIGHT)), _do),
    ("adaptive_concurrency", "ops.do_action", _adaptive, _do),
    ("hedge", "rx.amb, rx.timer, ops.flat_map", lambda: hedge(delay=SECONDS), _raced),
    ("chaos, switched off", "ops.do_action", lambda: chaos(ChaosPolicy(error_rate=0.5)), _do),
    (
        "tap_events",
        "ops.materialize, ops.do_action, ops.dematerialize",
        lambda: tap_events(_nothing),
        _recorded,
    ),
    (
        "record",
        "ops.materialize, ops.timestamp, ops.do_action, ops.dematerialize",
        lambda: record(Recording(max_events=1_000_000), "here"),
        _kept_with_times,
    ),
)
"""Operator, counterpart, and what makes them: those that make sense on streams and around calls."""


def _stream(source: Callable[[range], Observable[Any]], make: Maker | None = None) -> Side:
    async def side(count: int) -> None:
        stream = source(range(count))
        await drain(stream if make is None else stream.pipe(make()))

    return side


_OUR_STREAM: Final = _stream(from_iterable)
_STOCK_STREAM: Final = _stream(rx.from_iterable)


def _on_stream(operator: str, peer: str, ours: Maker, theirs: Maker, *, goal: bool = True) -> Pair:
    return Pair(
        operator=operator,
        job="per element",
        peer=peer,
        ours=_stream(from_iterable, ours),
        theirs=_stream(rx.from_iterable, theirs),
        ours_bare=_OUR_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=ELEMENTS,
        goal=goal,
    )


ON_STREAMS: Final = (
    *(_on_stream(*row) for row in _EVERYWHERE),
    _on_stream("coalesce", "ops.share", lambda: coalesce(Coalescer(), _KEY), lambda: ops.share()),
    _on_stream("cache", "ops.replay, ops.ref_count", lambda: cache(TtlCache(), _KEY, ttl=SECONDS), _replayed),
    # Of these three `do_action` does the smaller part: it makes no record, keeps no pace and asks nobody.
    _on_stream("tap_events", "ops.do_action", lambda: tap_events(_nothing), _do, goal=False),
    _on_stream("throttle, no wait", "ops.do_action", lambda: throttle(ENOUGH), _do, goal=False),
    _on_stream("with_overflow, room", "ops.do_action", lambda: with_overflow("latest"), _do, goal=False),
)


def _between(operator: str, peer: str, ours: Maker, theirs: Maker) -> Pair:
    """With a stock source on both sides, so that ours pays for the border to it."""
    return Pair(
        operator=operator,
        job="per element of a stock source",
        peer=peer,
        ours=_stream(rx.from_iterable, ours),
        theirs=_stream(rx.from_iterable, theirs),
        ours_bare=_STOCK_STREAM,
        theirs_bare=_STOCK_STREAM,
        count=ELEMENTS,
        goal=False,
    )


BETWEEN_STOCK: Final = tuple(_between(*row) for row in _EVERYWHERE)


def _our_call(number: int) -> Observable[int]:
    return from_async(call, number)


def _stock_call(number: int) -> Observable[int]:
    return rx.defer(lambda _: rx.from_future(task_of(number)))


def _calls(source: Callable[[int], Observable[Any]], make: Maker | None = None) -> Side:
    async def side(count: int) -> None:
        if make is None:
            await subscribe_each(source, count)
            return
        operator = make()
        await subscribe_each(lambda number: source(number).pipe(operator), count)

    return side


_OUR_CALLS: Final = _calls(_our_call)
_STOCK_CALLS: Final = _calls(_stock_call)


def _around_call(operator: str, peer: str, ours: Side, theirs: Side) -> Pair:
    return Pair(
        operator=operator,
        job="per call",
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=_OUR_CALLS,
        theirs_bare=_STOCK_CALLS,
        count=CALLS,
    )


async def _coalesced(count: int) -> None:
    group = Coalescer()
    await subscribe_each(lambda number: from_async(call, number).pipe(coalesce(group, number)), count)


async def _shared(count: int) -> None:
    await subscribe_each(lambda number: _stock_call(number).pipe(ops.share()), count)


async def _remembered(count: int) -> None:
    store: TtlCache[Any, Any] = TtlCache()
    await subscribe_each(
        lambda number: from_async(call, number).pipe(cache(store, number, ttl=SECONDS)), count
    )


async def _kept(count: int) -> None:
    await subscribe_each(lambda number: _stock_call(number).pipe(_replayed()), count)


async def _hit(count: int) -> None:
    known = from_async(call, 0).pipe(cache(TtlCache(), _KEY, ttl=SECONDS))
    await drain(known)
    await subscribe_each(lambda _: known, count)


async def _replay(count: int) -> None:
    known = rx.from_future(task_of(0)).pipe(ops.replay())
    known.connect()
    await drain(known)
    await subscribe_each(lambda _: known, count)


async def _empty(_: int) -> None:
    """A hit makes no call."""


AROUND_CALLS: Final = (
    *(
        _around_call(operator, peer, _calls(_our_call, ours), _calls(_stock_call, theirs))
        for operator, peer, ours, theirs in _EVERYWHERE
    ),
    _around_call(
        "tap_events",
        "ops.do_action",
        _calls(_our_call, lambda: tap_events(_nothing)),
        _calls(_stock_call, _do),
    ),
    _around_call("coalesce", "ops.share", _coalesced, _shared),
    _around_call("cache, miss", "ops.replay, ops.ref_count", _remembered, _kept),
    Pair(
        operator="cache, hit",
        job="per call",
        peer="ops.replay",
        ours=_hit,
        theirs=_replay,
        ours_bare=_empty,
        theirs_bare=_empty,
        count=CALLS,
    ),
)
