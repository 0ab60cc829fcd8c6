"""with_overflow: what to do with what a source sends that cannot wait, while its consumer has no room."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.demand import DemandScheduler, ListenedDemand
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.overflow import Dropped, OverflowBuffer, OverflowCounter, OverflowPolicy
from .errors import BufferOverflowError

__all__ = ["with_overflow"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("rxorch_operators")


def with_overflow(
    policy: OverflowPolicy,
    *,
    buffer: int | None = None,
    on_drop: Callable[[Any, int], object] | None = None,
    counter: OverflowCounter | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Bounds what waits between a source that pushes and a consumer that asks.

    For sources that cannot wait: a Subject, the callbacks of a websocket, an interval. While the bounded
    consumer downstream (`flat_map_bounded`, `to_async_iterable`, `throttle`) has room, elements go straight
    on; then up to `buffer` of them wait, and with one more the policy decides. A consumer that takes any
    number gets everything at once, as in RxPY.

    A source that can wait for each element loses nothing here: it is asked only when that can go straight on.

    Args:
        policy: "error" ends the stream with `BufferOverflowError`. "drop_oldest" drops the element that has
            waited longest, "drop_newest" the one that comes. "latest" keeps one, always the newest.
        buffer: Elements that may wait, 1 or more; 256 by default. Not with "latest".
        on_drop: Told each element that is dropped, and how many were in this subscription so far. What it
            raises is logged. Without it and without `counter` a warning is logged at the first drop, the
            10th, the 100th ...
        counter: Counts what arrives, waits and is dropped, for all subscriptions that share it.

    Emits: the elements of the source that were not dropped, in order; completes after what waited.
    Errors: those of the source, and `BufferOverflowError`, for which the source is disposed at once; both go
    out after what waited. A cancellation (`asyncio.CancelledError`) does not wait.
    Disposal: disposes the source and forgets what waits.

    ::

        source            abc-d---|      buffer 1
        room for one      ^--^--^-
        "drop_oldest"     a--c--d-|
        "drop_newest"     a--b--d-|
        "error"           a--(b#)

    >>> import asyncio
    >>> from reactivex.subject import Subject
    >>> from rxorch_operators import to_async_iterable
    >>> from rxorch_operators.engines.overflow import OverflowCounter
    >>> from rxorch_operators.with_overflow import with_overflow
    >>> async def main():
    ...     socket, counter, seen = Subject(), OverflowCounter(), []
    ...     ticks = to_async_iterable(socket.pipe(with_overflow("drop_oldest", buffer=2, counter=counter)))
    ...     asyncio.get_running_loop().call_soon(lambda: [socket.on_next(tick) for tick in range(6)])
    ...     async for tick in ticks:
    ...         seen.append(tick)
    ...         if tick == 5:
    ...             break
    ...     return seen, counter.statistics().dropped
    >>> asyncio.run(main())
    ([0, 4, 5], 3)
    """
    OverflowBuffer(policy, buffer)  # refuses here and now what cannot work
    if counter is not None and not isinstance(counter, OverflowCounter):
        raise TypeError(f"counter must be an OverflowCounter, got {type(counter).__name__}")

    def operator(source: Observable[T]) -> Observable[T]:
        return _WithOverflow(as_stage(source), policy, buffer, on_drop, counter)

    return operator


class _WithOverflow(Stage[T]):
    def __init__(
        self,
        source: Stage[T],
        policy: OverflowPolicy,
        buffer: int | None,
        on_drop: Callable[[Any, int], object] | None,
        counter: OverflowCounter | None,
    ) -> None:
        self.source = source
        self.policy: OverflowPolicy = policy
        self.capacity = buffer  # `buffer` is a method of Observable
        self.on_drop = on_drop
        self.counter = counter

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        on_drop = self.on_drop
        if on_drop is None and self.counter is None:
            on_drop = _log_drop
        buffer = OverflowBuffer[Any](self.policy, self.capacity, self.counter)
        link = _Overflowing(sink, buffer, on_drop, scheduler)
        return link.connect(self.source, scheduler.with_demand(link))


def _log_drop(value: Any, so_far: int) -> None:
    # A drop is never silent, and a flood of drops is no flood of lines.
    if so_far == 10 ** (len(str(so_far)) - 1):
        _LOG.warning("with_overflow has dropped %d elements of a stream: its consumer is too slow", so_far)


class _Overflowing(Link, ListenedDemand):
    """Sends on while there is room, and keeps what comes meanwhile."""

    __slots__ = ("_buffer", "_downstream", "_error", "_listeners", "_on_drop", "_open", "_sending")

    def __init__(
        self,
        sink: ObserverBase[Any],
        buffer: OverflowBuffer[Any],
        on_drop: Callable[[Any, int], object] | None,
        scheduler: DemandScheduler,
    ) -> None:
        super().__init__(sink)
        self._buffer = buffer
        self._on_drop = on_drop
        self._open = True  # whether the source may still send
        self._error: Exception | None = None  # how it ended, kept until its turn
        self._sending = False
        self._listeners = []
        self._downstream = scheduler.demand
        self._downstream.listen(self._on_room)

    def connect(self, source: Stage[Any], scheduler: DemandScheduler) -> DisposableBase:
        super().connect(source, scheduler)
        if not self._open:
            self._let_go()  # it overflowed while the source was still starting
        return self

    def credit(self) -> int:
        """Elements that may be sent now: a source that can wait has no need of the buffer."""
        if self.upstream is DISPOSED:
            return sys.maxsize  # `share` may keep the source for others
        return self._downstream.credit() - self._buffer.waiting

    def on_next(self, value: Any) -> None:
        if not self._open:
            return
        if self._downstream.credit() > 0 and self._buffer.pass_by():
            self.sink.on_next(value)
            return
        dropped = self._buffer.put(value)
        if dropped is not None:
            self._drop(dropped)

    def _drop(self, dropped: Dropped[Any]) -> None:
        if dropped.fatal:
            self._open = False
            self._error = BufferOverflowError(buffer=self._buffer.buffer)
            self._let_go()
        if self._on_drop is not None:
            try:
                self._on_drop(dropped.value, dropped.so_far)
            except Exception:
                _LOG.exception("on_drop failed; the stream goes on")

    def _let_go(self) -> None:
        upstream = self.upstream
        if upstream is not DISPOSED:
            self.upstream = NOTHING
            upstream.dispose()

    def on_error(self, error: Exception) -> None:
        if not self._open:
            return
        self._error = error
        failed = isinstance(error, Exception)
        if not failed:  # who cancels does not wait for a slow consumer
            self._buffer.clear()
        self.on_completed()

    def on_completed(self) -> None:
        if self._open:
            self._open = False
            self._send_waiting()

    def _on_room(self) -> None:
        self._send_waiting()
        if self._open and self.credit() > 0:
            self.grew()

    def _send_waiting(self) -> None:
        """Sends what may go, in a loop: the sink may make room from inside `on_next`."""
        if self._sending:
            return
        self._sending = True
        buffer, credit = self._buffer, self._downstream.credit
        try:
            while buffer.waiting and credit() > 0:
                self.sink.on_next(buffer.take())
        finally:
            self._sending = False
        if not self._open and not buffer.waiting and not self.is_disposed:
            error = self._error
            self.dispose()
            if error is None:
                self.sink.on_completed()
            else:
                self.sink.on_error(error)

    def dispose(self) -> None:
        if self.is_disposed:
            return
        self._open = False
        super().dispose()
        self._downstream.forget(self._on_room)
        self._buffer.clear()
        if self._listeners:  # a source that others share went by our demand
            self.grew()
