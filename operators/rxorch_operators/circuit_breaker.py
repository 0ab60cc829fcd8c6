"""circuit_breaker: calls stop going out to what keeps failing, until it has recovered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from ._breaker import CircuitBreaker, Classify
from .core.cause import caused_by
from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.circuit import CircuitPermit, Outcome3
from .errors import invalid

__all__ = ["CircuitBreaker", "Classify", "circuit_breaker"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("rxorch_operators")
_MISSING: Final = object()


def circuit_breaker(
    breaker: CircuitBreaker,
    *,
    classify: Classify | None = None,
    judged_at: Literal["end", "first"] = "end",
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribes to the source, which is the call, only if the circuit allows it; notes what became of it.

    The source counts once, when it ends: as failed with an error, as classified by its first element with a
    completion, as a success when it is empty. A consumer that disposes from inside the `on_next` of the first
    element has what it wanted, so that counts like a completion.

    Args:
        breaker: The circuit, shared by all calls that it is for.
        classify: What the source's error or first element means; the breaker's own by default.
        judged_at: `"first"`: the first element decides, and what comes after it does not count: for
            streams that go on for hours, and whose end says little about whether the next call can be made.
        scheduler: Time to go by; that of the subscription by default. The breaker's own clock goes first.

    Emits: the elements of the source. Errors: those of the source; `CircuitOpenError` with `retry_after` when
    the circuit is open, and the source is not subscribed; what `classify` raises, with the source's error as
    its cause. Disposal: disposes the source, gives the permit back and counts for nothing.

    ::

        source        --x      --x      (not subscribed)      threshold 2
        result        --x      --x      x

    >>> import reactivex
    >>> from rxorch_operators import CircuitBreaker, circuit_breaker
    >>> breaker = CircuitBreaker(threshold=1)
    >>> call = reactivex.throw(OSError("down")).pipe(circuit_breaker(breaker))
    >>> for _ in range(2):
    ...     _ = call.subscribe(print, lambda error: print(type(error).__name__, breaker.state.name))
    OSError OPEN
    CircuitOpenError OPEN
    """
    if not isinstance(breaker, CircuitBreaker):
        raise TypeError(f"expected a CircuitBreaker, got {type(breaker).__name__}")
    if judged_at not in ("end", "first"):
        raise invalid("judged_at", judged_at, 'give "end" or "first"')
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock

    def operator(source: Observable[T]) -> Observable[T]:
        return CircuitBreakerStage(as_stage(source), breaker, classify, clock, judged_at == "first")

    return operator


class CircuitBreakerStage(Stage[T]):
    """A source that is subscribed only if the circuit allows it."""

    def __init__(
        self,
        source: Stage[T],
        breaker: CircuitBreaker,
        classify: Classify | None,
        clock: Clock | None,
        at_first: bool,
    ) -> None:
        self.source = source
        self.breaker = breaker
        self.classify = classify
        self.clock = clock
        self.at_first = at_first

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        breaker = self.breaker
        clock = self.clock or scheduler.clock
        if breaker._clock is not clock:
            clock = breaker.clock(clock)
        now = clock.now()
        permit = breaker.circuit.try_acquire(now)
        if permit is None:
            sink.on_error(breaker.refusal(now))
            return NOTHING
        if permit.change is not None:
            breaker.tell(permit.change)
        link = self.watching(sink, permit, clock)
        try:
            return link.connect(self.source, scheduler)
        except BaseException as error:
            if link.upstream is DISPOSED or not isinstance(error, Exception):
                breaker.record(permit, Outcome3.IGNORED)
                raise
            link.on_error(error)
            return link

    def let_in(self, clock: Clock) -> int | None:
        """The generation of a circuit that is closed and goes by this clock; None: `attach` sees to it."""
        breaker = self.breaker
        if self.clock is not None or (breaker._clock is not clock and breaker.clock(clock) is not clock):
            return None
        return breaker.circuit.enter_closed()

    def watching(self, sink: ObserverBase[Any], permit: CircuitPermit, clock: Clock) -> Link:
        """The link of a subscription that has its permit."""
        watched = _WatchedToTheFirst if self.at_first else _Watched
        return watched(sink, self.breaker, permit, self.classify or self.breaker.classify, clock)


class _Watched(Link):
    """Holds the permit of one subscription."""

    __slots__ = ("_breaker", "_classify", "_clock", "_emitting", "_first", "_permit")

    def __init__(
        self,
        sink: ObserverBase[Any],
        breaker: CircuitBreaker,
        permit: CircuitPermit,
        classify: Classify | None,
        clock: Clock,
    ) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._breaker = breaker
        self._permit = permit
        self._classify = classify
        self._clock = clock
        self._first: Any = _MISSING
        self._emitting = False

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        if self._first is not _MISSING:
            self.sink.on_next(value)
            return
        self._first = value if self._classify is not None else None
        self._emitting = True
        self.sink.on_next(value)
        self._emitting = False

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        try:
            self._settle(error, failed=True)
        except Exception as broken:
            error = caused_by(broken, error)
        self.sink.on_error(error)

    def on_completed(self) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        try:
            self._settle(self._first, failed=False)
        except Exception as broken:
            self.sink.on_error(broken)
            return
        self.sink.on_completed()

    def on_only(self, value: Any) -> None:
        only = getattr(self.sink, "on_only", None)
        if only is None:
            super().on_only(value)
            return
        if self.upstream is DISPOSED:
            return
        try:
            self._breaker.settle(self._permit, value, self._classify, failed=False, now=self._clock.now())
        except Exception as broken:
            self.sink.on_next(value)
            if self.upstream is not DISPOSED:
                self.release()
                self.sink.on_error(broken)
            return
        self.upstream = DISPOSED
        only(value)

    def dispose(self) -> None:
        upstream = self.upstream
        if upstream is DISPOSED:
            return
        self.upstream = DISPOSED
        try:
            if self._emitting:
                self._settle(self._first, failed=False)
            else:
                self._breaker.record(self._permit, Outcome3.IGNORED, self._clock.now())
        except Exception:
            _LOG.exception("classify failed for a call that its consumer has ended")
        finally:
            upstream.dispose()

    def _settle(self, result: object, *, failed: bool) -> None:
        classify = None if result is _MISSING else self._classify
        self._breaker.settle(self._permit, result, classify, failed=failed, now=self._clock.now())


class _WatchedToTheFirst(_Watched):
    """Gives the permit back with the first element: its second return does nothing."""

    __slots__ = ()

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED and self._first is _MISSING:
            try:
                self._settle(value, failed=False)
            except Exception as broken:
                self.release()
                self.sink.on_error(broken)
                return
        super().on_next(value)
