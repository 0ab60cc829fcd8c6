"""cache: the value of a call is remembered, and while it is fresh the call need not be made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.ttl_cache import TtlCache
from .errors import invalid
from .from_iterable import from_iterable

__all__ = ["cache"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("rxorch_operators")
_MISSING: Final = object()


def cache(
    store: TtlCache[Any, Any],
    key: Hashable | Callable[[], Hashable],
    *,
    ttl: float,
    tag: str | None = None,
    size: Callable[[T], int] | None = None,
    on_hit: Callable[[Hashable], None] | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Emits what the store has under the key; without it, subscribes to the source and stores what it emits.

    Made for calls, which emit one value. Several elements are kept together until the source completes, and
    come back in the same order. An error is never stored, nor is what came before it or before a disposal.
    Every hit gets the same object: don't change it.

    Args:
        store: Where values are kept, as tuples of the elements of one subscription. May be shared by many
            calls, if their keys differ in everything that their answers depend on, the caller above all.
        key: What to find the value by, or a function that tells when subscribed.
        ttl: Seconds that a value stays fresh, from the end of its call; 0 stores nothing.
        tag: Name for `TtlCache.clear`.
        size: Bytes that one element counts against `max_bytes` of the store; 0 by default.
        on_hit: Told the key before a stored value is emitted. What it raises is logged.
        scheduler: Time to go by; that of the subscription by default.

    Emits: the stored elements, or those of the source. Errors: those of the source; what `key` or `size`
    raises. Disposal: disposes the source, and nothing is stored.

    ::

        source        --a|     (not subscribed)  --b|
        result        --a|     a|                --b|
                        |---- ttl ----|

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
    if not ttl >= 0.0:
        raise invalid("ttl", ttl, "give seconds, 0 (keep nothing) or more")
    options = _Options(
        store=store,
        key=key,
        ttl=ttl,
        tag=tag,
        size=size,
        on_hit=on_hit,
        clock=None if scheduler is None else DemandScheduler.of(scheduler).clock,
    )

    def operator(source: Observable[T]) -> Observable[T]:
        return _Cache(as_stage(source), options)

    return operator


@dataclass(slots=True)  # frozen would cost 1 us for each operator that is made
class _Options:
    store: TtlCache[Any, Any]
    key: Hashable | Callable[[], Hashable]
    ttl: float
    tag: str | None
    size: Callable[[Any], int] | None
    on_hit: Callable[[Hashable], None] | None
    clock: Clock | None

    def tell(self, key: Hashable) -> None:
        """Tells of a hit."""
        if self.on_hit is not None:
            try:
                self.on_hit(key)
            except Exception:
                _LOG.exception("on_hit failed; the stored value is emitted all the same")


class _Cache(Stage[T]):
    def __init__(self, source: Stage[T], options: _Options) -> None:
        self.source = source
        self.options = options

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        options = self.options
        clock = options.clock or scheduler.clock
        try:
            key = options.key() if callable(options.key) else options.key
            stored: Any = options.store.get(key, clock.now(), _MISSING)
        except Exception as error:
            sink.on_error(error)
            return NOTHING
        if stored is _MISSING:
            return _Remembering(sink, options, key, clock).connect(self.source, scheduler)
        options.tell(key)
        if len(stored) > 1:
            return as_stage(from_iterable(stored)).attach(sink, scheduler)  # at the pace of the consumer
        for value in stored:
            sink.on_next(value)
        sink.on_completed()
        return NOTHING


class _Remembering(Link):
    """Keeps what passes, and stores it when the source completes."""

    __slots__ = ("_clock", "_key", "_options", "_values")

    def __init__(self, sink: ObserverBase[Any], options: _Options, key: Hashable, clock: Clock) -> None:
        super().__init__(sink)
        self._options = options
        self._key = key
        self._clock = clock
        self._values: list[Any] = []

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self._values.append(value)
            self.sink.on_next(value)

    def on_error(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_error(error)

    def on_completed(self) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        try:
            self._store()
        except Exception as error:
            self.sink.on_error(error)
            return
        self.sink.on_completed()

    def _store(self) -> None:
        options, values = self._options, tuple(self._values)
        size = 0 if options.size is None else sum(map(options.size, values))
        options.store.put(self._key, values, self._clock.now(), options.ttl, size=size, tag=options.tag)
