"""cache: the value of a call is remembered, and while it is fresh the call need not be made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from ._caching import MISSING, CacheOptions, Remembering, Stale, StandIn, emit
from ._refreshes import Refreshes
from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.per_call import Function, Operator
from .core.stage import NOTHING, Stage, as_stage
from .engines.ttl_cache import TtlCache
from .errors import invalid, is_number

__all__ = ["cache"]

T = TypeVar("T")


def cache(
    store: TtlCache[Any, Any],
    key: Hashable | Callable[..., Hashable] = None,
    *,
    ttl: float,
    stale_while_revalidate: float = 0.0,
    stale_if_error: float = 0.0,
    tag: str | None = None,
    size: Callable[[Any], int] | None = None,
    on_hit: Callable[[Hashable], None] | None = None,
    on_stale: Callable[[Hashable, Exception | None], None] | None = None,
    on_refresh_error: Callable[[Hashable, Exception], None] | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Emits what the store has under the key; without it, subscribes to the source and stores what it emits.

    Made for calls, which emit one value. Several elements are kept together until the source completes, and
    come back in the same order. An error is never stored, nor is what came before it or before a disposal,
    nor what a call brings that began before its key or tag was discarded or cleared, or before the call whose
    answer is stored.
    Every hit gets the same object: don't change it.

    A value that is not fresh any more may serve nevertheless (RFC 5861): at once, while one call in the
    background replaces it, or when the call for a new one fails. A call in the background belongs to the
    store and not to who found the stale value, whose end is not its end: `await store.aclose()`, or leaving
    `async with store`, ends it. No timeout outside of `cache` holds for it: put one inside.

    Args:
        store: Where values are kept, as tuples of the elements of one subscription. May be shared by many
            calls, if their keys differ in everything that their answers depend on, the caller above all.
        key: What to find the value by, or a function that tells: when subscribed, or from the arguments of
            the call where it guards a function. None: one key for all pipelines of this operator object;
            with `guard`, the function and its arguments, which the store then keeps alive.
        ttl: Seconds that a value stays fresh, from the end of its call; 0: it is stale from the start, and
            without a window below nothing is stored.
        stale_while_revalidate: Seconds after that in which a stale value is emitted at once and refreshed in
            the background, by one call per key (and `max_entries` of the store in all), which is ended when
            it takes longer than that.
        stale_if_error: Seconds after the end of freshness in which a stale value is emitted instead of an
            error of the source, if that has emitted nothing. A cancellation passes.
        tag: Name for `TtlCache.clear`.
        size: Bytes that one element counts against `max_bytes` of the store; 0 by default.
        on_hit: Told the key before a fresh value is emitted. What it raises is logged.
        on_stale: Told the key before a stale value is emitted, and the error that it stands in for, or None
            while it is refreshed. What it raises is logged.
        on_refresh_error: Told the key and the error of a call in the background, which is logged otherwise.
            The stale value stays until its time is up.
        scheduler: Time to go by; that of the subscription by default.

    Emits: the stored elements, or those of the source. Errors: those of the source; what `key` or `size`
    raises. Disposal: disposes the source, and nothing is stored.

    ::

        source        --a|     (not subscribed)  --b|
        result        --a|     a|                --b|
                        |---- ttl ----|

        source        --a|                   --b|  (in the background)
        result        --a|                 a|          b|
                        |---- ttl ----|- stale -|

    >>> import reactivex
    >>> from rxorch_operators import TtlCache, cache
    >>> answers = iter(["first", "second"])
    >>> call = reactivex.defer(lambda _: reactivex.just(next(answers)))
    >>> cached = call.pipe(cache(TtlCache(), "greeting", ttl=60.0))
    >>> for _ in range(2):
    ...     _ = cached.subscribe(print)
    first
    first
    """
    if not isinstance(store, TtlCache):
        raise TypeError(f"expected a TtlCache, got {type(store).__name__}: write cache(TtlCache(), ttl=60.0)")
    if not is_number(ttl):
        raise invalid("ttl", ttl, "give seconds, 0 (nothing is fresh) or more")
    stale = None
    if stale_while_revalidate or stale_if_error:
        stale = Stale(
            _window("stale_while_revalidate", stale_while_revalidate),
            _window("stale_if_error", stale_if_error),
            on_stale,
            on_refresh_error,
        )
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock
    return _Caching(store, key, ttl, tag, size, on_hit, clock, stale)


def _window(name: str, seconds: float) -> float:
    if not is_number(seconds):
        raise invalid(name, seconds, "give seconds, 0 (never stale) or more")
    return seconds


class _Caching(CacheOptions):
    """The operator: its own settings, so that there is one object less to make per call."""

    __slots__ = ()

    def __call__(self, source: Observable[T]) -> Observable[T]:
        return _Cache(as_stage(source), self, self.key, self.asks)

    def for_call(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operator:
        """The operator for one call, whose key is known."""
        key = self.key_of(fn, args, kwargs)
        return lambda source: _Cache(as_stage(source), self, key, False)

    def __repr__(self) -> str:
        return "cache"  # as `guard` shows it


class _Cache(Stage[T]):
    def __init__(self, source: Stage[T], options: CacheOptions, key: Any, asks: bool) -> None:
        self.source = source
        self.options = options
        self.key = key
        self.asks = asks

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        options = self.options
        clock = options.clock or scheduler.clock
        try:
            key = self.key() if self.asks else self.key
            stored: Any = options.store.get(key, clock.now(), MISSING)
        except Exception as error:
            sink.on_error(error)
            return NOTHING
        if stored is not MISSING:
            if options.on_hit is not None:
                options.tell(key, options.on_hit)
            return emit(stored, sink, scheduler)
        if options.stale is None:
            return Remembering(sink, options, key, clock).connect(self.source, scheduler)
        return self._attach_stale(sink, scheduler, key, clock, options.stale)

    def _attach_stale(
        self, sink: ObserverBase[Any], scheduler: DemandScheduler, key: Hashable, clock: Clock, stale: Stale
    ) -> DisposableBase:
        """Emits a stale value and refreshes it, or makes the call."""
        options = self.options
        store = options.store
        stored: Any = MISSING
        if stale.while_revalidate and not store.closed:
            stored = store.get_stale(key, clock.now(), stale.while_revalidate, MISSING)
        if stored is MISSING:
            if stale.if_error:
                return StandIn(sink, options, key, clock, scheduler, stale).start(self.source)
            return Remembering(sink, options, key, clock).connect(self.source, scheduler)
        # Known before the value goes out: who asks again from inside its on_next must not make a second one.
        try:
            refresh = Refreshes.of(store).open(options, key, clock, scheduler, stale)
        except Exception as error:  # a key that cannot be compared any more
            sink.on_error(error)
            return NOTHING
        try:
            stale.tell(key, None)
            return emit(stored, sink, scheduler)
        finally:
            if refresh is not None:
                refresh.start(self.source)
