"""fallback: a substitute for what failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.cause import caused_by
from .core.demand import DemandScheduler
from .core.inner import attach_inner
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage

__all__ = ["fallback"]

T = TypeVar("T")
S = TypeVar("S")

_Condition: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


def fallback(
    handler: Callable[[Exception], S | Observable[S] | Awaitable[S]],
    *,
    when: _Condition = Exception,
    degraded: Callable[[Exception], None] | None = None,
) -> Callable[[Observable[T]], Observable[T | S]]:
    """Goes on with a substitute when the source fails.

    Args:
        handler: Called with the error; gives a value, an observable to go on with, or an awaitable (so it may
            be an `async def`).
        when: Which errors it is for: one or several exception classes, or a function of the error. A
            cancellation (`asyncio.CancelledError`) always passes.
        degraded: Told the error once the substitute delivers: before its first element, or before its end
            if it has none. Not told when the substitute fails as well.

    Emits: the elements of the source, then those of the substitute. Errors: those that `when` leaves out.
    What the handler raises, or its observable or awaitable ends with, replaces the error, which becomes its
    `__cause__`. Disposal: disposes the source or the substitute.

    ::

        source        --a--x
        handler(x)         ---b|
        result        --a-----b|

    >>> import reactivex
    >>> from rxorch_operators import fallback
    >>> reactivex.throw(OSError("down")).pipe(fallback(lambda error: f"{error}, cached")).subscribe(
    ...     print
    ... ) and None
    down, cached
    """
    if not callable(handler):
        raise TypeError(
            f"handler must be a function of the error, got {type(handler).__name__}: "
            "for a constant, write fallback(lambda error: value)"
        )
    applies = _applies(when)

    def operator(source: Observable[T]) -> Observable[T | S]:
        return _Fallback(as_stage(source), handler, applies, degraded)

    return operator


def _applies(when: _Condition) -> Callable[[Exception], bool]:
    if isinstance(when, type | tuple):
        return lambda error: isinstance(error, when)
    return when


class _Fallback(Stage[Any]):
    def __init__(
        self,
        source: Stage[Any],
        handler: Callable[[Exception], Any],
        applies: Callable[[Exception], bool],
        degraded: Callable[[Exception], None] | None,
    ) -> None:
        self.source = source
        self.handler = handler
        self.applies = applies
        self.degraded = degraded

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _Guarded(sink, self, scheduler)
        try:
            upstream = self.source.attach(link, scheduler)
        except Exception as error:
            if link.upstream is not NOTHING:  # it had ended before
                raise
            link.on_error(error)
            return link
        if link.upstream is DISPOSED:
            upstream.dispose()
        elif link.upstream is NOTHING:  # else: it failed while it was starting, and the substitute is there
            link.upstream = upstream
        return link


class _Guarded(Link):
    """Listens to the source, and hands over to a substitute when it fails."""

    __slots__ = ("_scheduler", "_stage")

    def __init__(self, sink: ObserverBase[Any], stage: _Fallback, scheduler: DemandScheduler) -> None:
        super().__init__(sink)
        self._stage = stage
        self._scheduler = scheduler

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        stage = self._stage
        try:
            handled = isinstance(error, Exception) and stage.applies(error)  # never a cancellation
            given = stage.handler(error) if handled else None
        except Exception as broken:
            self._fail(caused_by(broken, error))
            return
        if handled:
            self._go_on_with(given, error)
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_error(error)

    def _go_on_with(self, given: Any, error: Exception) -> None:
        link = _Substitute(self.sink, error, self._stage.degraded)
        if self.upstream is DISPOSED:
            link.dispose()  # by the handler; a coroutine that it made has to be closed nevertheless
        else:
            self.upstream = link
        if not isinstance(given, Observable | Awaitable):
            link.on_next(given)
            link.on_completed()
            return
        try:
            attach_inner(link, given, self._scheduler)
        except Exception as broken:
            if link.upstream is DISPOSED:
                raise
            link.on_error(broken)


class _Substitute(Link):
    """Passes the substitute on, and says so first."""

    __slots__ = ("_degraded", "_first")

    def __init__(
        self, sink: ObserverBase[Any], first: Exception, degraded: Callable[[Exception], None] | None
    ) -> None:
        super().__init__(sink)
        self._first = first
        self._degraded = degraded

    def on_next(self, value: Any) -> None:
        self._tell()
        if self.upstream is not DISPOSED:
            self.sink.on_next(value)

    def on_completed(self) -> None:
        self._tell()
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_completed()

    def on_error(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            is_cancellation = not isinstance(error, Exception)
            self.sink.on_error(error if is_cancellation else caused_by(error, self._first))

    def _tell(self) -> None:
        degraded, self._degraded = self._degraded, None
        if degraded is None or self.upstream is DISPOSED:
            return
        try:
            degraded(self._first)
        except Exception as broken:
            self.on_error(broken)
