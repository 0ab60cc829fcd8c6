"""adaptive_concurrency: as many at once as the other side can take, found out from how its calls end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from ._adaptive_bulkhead import AdaptiveBulkhead, AdaptiveStatistics, Classify, judge
from ._permitted import Permitted
from .core.cause import caused_by
from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, Stage, as_stage
from .engines.circuit_model import Outcome3
from .engines.concurrency_limit import LimitSample

__all__ = ["AdaptiveBulkhead", "AdaptiveStatistics", "adaptive_concurrency"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("rxorch_operators")
_MISSING: Final = object()


def adaptive_concurrency(
    bulkhead: AdaptiveBulkhead,
    *,
    classify: Classify | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribes to the source, which is the call, only while holding a permit; its end moves the limit.

    The source counts once, when it ends: as classified by its error, or by its first element with a
    completion; an empty one has gone well. A consumer that disposes from inside the `on_next` of the first
    element has what it wanted, so that counts like a completion.

    Args:
        bulkhead: Gives the permits and keeps the limit, for all calls that it is for.
        classify: What the source's error or first element means; the bulkhead's own by default.
        scheduler: Time to measure with; that of the subscription by default. The bulkhead's own clock goes
            first.

    Emits: the elements of the source. Errors: those of the source; at once, without subscribing it,
    `BulkheadFullError` when the queue is full; `TimeoutExceededError(kind="queue")` after its `max_wait`;
    what `classify` raises, with the source's error as its cause. The permit goes back exactly once: before
    the last event goes out, or on disposal. Disposal: leaves the queue; or disposes the source and then gives
    the permit back, and the limit stays as it is.

    ::

        limit         2               1               (cut: a call was dropped)
        first         ---x
        second        -------a|
        third            .....---b|   waits: one is in flight still
        results       ---x
                      -------a|
                         --------b|

    >>> import reactivex
    >>> from rxorch_operators import AdaptiveBulkhead, adaptive_concurrency
    >>> shop = AdaptiveBulkhead()
    >>> full = reactivex.throw(TimeoutError("too much to do")).pipe(adaptive_concurrency(shop))
    >>> _ = full.subscribe(print, lambda error: print(error, shop.limit))
    too much to do 18
    """
    if not isinstance(bulkhead, AdaptiveBulkhead):
        raise TypeError(
            f"adaptive_concurrency() needs an AdaptiveBulkhead, got {type(bulkhead).__name__}: "
            "write AdaptiveBulkhead()"
        )
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock
    chosen = classify or bulkhead.classify

    def operator(source: Observable[T]) -> Observable[T]:
        return _Adaptive(as_stage(source), bulkhead, chosen, clock)

    return operator


class _Adaptive(Stage[T]):
    def __init__(
        self, source: Stage[T], bulkhead: AdaptiveBulkhead, classify: Classify | None, clock: Clock | None
    ) -> None:
        self.source = source
        self.bulkhead = bulkhead
        self.classify = classify
        self.clock = clock

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        bulkhead = self.bulkhead
        link = _Measured(sink, self.source, scheduler)
        link.bulkhead = bulkhead
        link.classify = self.classify
        link.clock = bulkhead.clock or self.clock or scheduler.clock
        return link.line_up(bulkhead)


class _Measured(Permitted):
    """Holds the permit of one subscription, and tells how it ended."""

    __slots__ = ("_emitting", "_first", "_outcome", "_sample", "bulkhead", "classify", "clock")

    bulkhead: AdaptiveBulkhead
    classify: Classify | None
    clock: Clock

    def __init__(self, sink: ObserverBase[Any], source: Stage[Any], scheduler: DemandScheduler) -> None:
        super().__init__(sink, source, scheduler)
        self._sample: LimitSample | None = None
        self._outcome = Outcome3.IGNORED
        self._first: Any = _MISSING
        self._emitting = False

    def start(self) -> None:
        bulkhead = self.bulkhead
        self._sample = bulkhead.engine.start(self.clock.now(), bulkhead.pool.in_flight)
        super().start()

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        if self._first is not _MISSING:
            self.sink.on_next(value)
            return
        self._first = value if self.classify is not None else None
        self._emitting = True
        self.sink.on_next(value)
        self._emitting = False

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        try:
            self._outcome = judge(error, self.classify, failed=True)
        except Exception as broken:
            error = caused_by(broken, error)
        self._end(error)

    def on_completed(self) -> None:
        if self.upstream is DISPOSED:
            return
        try:
            self._settle_value()
        except Exception as broken:
            self._end(broken)
            return
        self._end(None)

    def _settle_value(self) -> None:
        classify = None if self._first is _MISSING else self.classify
        self._outcome = judge(self._first, classify, failed=False)

    def dispose(self) -> None:
        if self._emitting and self.upstream is not DISPOSED:
            try:
                self._settle_value()
            except Exception:
                _LOG.exception("classify failed for a call that its consumer has ended")
        self._stop()

    def give_back(self) -> None:
        sample = self._sample
        if sample is None:  # it never had its turn
            self.permit.release()
        else:
            self.bulkhead.settle(self.permit, sample, self._outcome, self.clock.now())
