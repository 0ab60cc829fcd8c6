"""The links of cache: a call that is remembered, and one that a stale value may stand in for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from reactivex.abc import DisposableBase, ObserverBase

from ._keyed import Keyed
from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.ttl_cache import TtlCache
from .from_iterable import from_iterable

__all__ = ["MISSING", "CacheOptions", "Remembering", "Stale", "StandIn", "emit"]

_LOG: Final = logging.getLogger("rxorch_operators")

MISSING: Final = object()
"""What is not in the store."""


@dataclass(slots=True)
class Stale:
    """When a value may be given out though it is not fresh any more."""

    while_revalidate: float
    if_error: float
    on_stale: Callable[[Hashable, Exception | None], None] | None
    on_refresh_error: Callable[[Hashable, Exception], None] | None

    def tell(self, key: Hashable, error: Exception | None) -> None:
        """Tells that a stale value is given out."""
        if self.on_stale is not None:
            try:
                self.on_stale(key, error)
            except Exception:
                _LOG.exception("on_stale failed; the stale value is emitted all the same")

    def refresh_failed(self, key: Hashable, error: Exception) -> None:
        """Tells of an error that is in nobody's subscription."""
        if self.on_refresh_error is None:
            # Without the key, which may hold a secret of the caller.
            _LOG.warning("a refresh in the background failed; the stale value stays", exc_info=error)
            return
        try:
            self.on_refresh_error(key, error)
        except Exception:
            _LOG.exception("on_refresh_error failed; the stale value stays")


class CacheOptions(Keyed):
    """What `cache` was told; shared by its subscriptions. Made once per call of an endpoint."""

    __slots__ = ("clock", "keep", "on_hit", "size", "stale", "store", "tag", "ttl")

    def __init__(
        self,
        store: TtlCache[Any, Any],
        key: Hashable | Callable[..., Hashable],
        ttl: float,
        tag: str | None,
        size: Callable[[Any], int] | None,
        on_hit: Callable[[Hashable], None] | None,
        clock: Clock | None,
        stale: Stale | None,
    ) -> None:
        Keyed.__init__(self, key)
        self.store = store
        self.ttl = ttl
        self.tag = tag
        self.size = size
        self.on_hit = on_hit
        self.clock = clock
        self.stale = stale
        self.keep = 0.0 if stale is None else max(stale.while_revalidate, stale.if_error)

    @staticmethod
    def tell(key: Hashable, on_hit: Callable[[Hashable], None]) -> None:
        """Tells of a hit."""
        try:
            on_hit(key)
        except Exception:
            _LOG.exception("on_hit failed; the stored value is emitted all the same")


def emit(stored: tuple[Any, ...], sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
    """Emits what was stored, several elements at the pace of the consumer."""
    if len(stored) > 1:
        return as_stage(from_iterable(stored)).attach(sink, scheduler)
    for value in stored:
        sink.on_next(value)
    sink.on_completed()
    return NOTHING


class Remembering(Link):
    """Keeps what passes, and stores it when the source completes."""

    __slots__ = ("_began", "_clock", "_epoch", "_key", "_options", "_values")

    def __init__(self, sink: ObserverBase[Any], options: CacheOptions, key: Hashable, clock: Clock) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._options = options
        self._key = key
        self._clock = clock
        self._epoch = options.store.epoch
        self._began = clock.now()
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
        except (Exception, asyncio.CancelledError) as error:
            self.sink.on_error(error)  # type: ignore[arg-type]
            return
        self.sink.on_completed()

    def _store(self) -> None:
        options, values = self._options, tuple(self._values)
        options.store.put(
            self._key,
            values,
            self._clock.now(),
            options.ttl,
            size=0 if options.size is None else sum(map(options.size, values)),
            tag=options.tag,
            keep=options.keep,
            epoch=self._epoch,
            began=self._began,
        )


class StandIn(Remembering):
    """A call whose error a stale value may stand in for."""

    __slots__ = ("_scheduler", "_stale", "_substitute")

    def __init__(
        self,
        sink: ObserverBase[Any],
        options: CacheOptions,
        key: Hashable,
        clock: Clock,
        scheduler: DemandScheduler,
        stale: Stale,
    ) -> None:
        super().__init__(sink, options, key, clock)
        self._scheduler = scheduler
        self._stale = stale
        self._substitute: Link | None = None

    def start(self, source: Stage[Any]) -> DisposableBase:
        """Makes the call; an exception on the way is its error."""
        try:
            self.connect(source, self._scheduler)
        except Exception as error:
            if self.upstream is DISPOSED:  # it had ended before
                raise
            self.on_error(error)
        return self

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        stored: Any = MISSING
        if isinstance(error, Exception) and not self._values:  # never for a cancellation, nor for the rest
            store, now = self._options.store, self._clock.now()
            stored = store.get_stale(self._key, now, self._stale.if_error, MISSING)
        if stored is MISSING:
            self.sink.on_error(error)
            return
        link = self._substitute = Link(self.sink)
        self._stale.tell(self._key, error)
        upstream = emit(stored, link, self._scheduler)
        if link.upstream is DISPOSED:  # by on_stale already, or from inside on_next
            upstream.dispose()
        else:
            link.upstream = upstream

    def dispose(self) -> None:
        super().dispose()
        if self._substitute is not None:
            self._substitute.dispose()
