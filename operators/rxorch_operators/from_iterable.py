"""from_iterable: an iterable as an observable that emits only while there is demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import LoopClock
from .core.demand import UNBOUNDED, DemandScheduler
from .core.stage import NOTHING, Stage

T = TypeVar("T")

_TURN: Final = 512
"""Elements emitted in one go before other work of the loop gets its turn."""

_TURNS: Final = range(_TURN)


def from_iterable(iterable: Iterable[T]) -> Observable[T]:
    """Emits the elements of an iterable, one after another, as fast as the consumer asks for them.

    Unlike `reactivex.from_iterable` it waits: below `flat_map_bounded` or `to_async_iterable` the
    iterator is advanced only while they have room, so an endless generator is a fine source. Without a
    bounded consumer it emits all, and lets the event loop breathe every few hundred elements.

    Args:
        iterable: Read once per subscription; a generator therefore serves one subscriber.

    Emits: the elements, then completes. Errors: whatever the iterator raises.
    Disposal: stops reading; a generator is closed.

    ::

        iterable   a b c d
        demand     ^ . ^ ^
        result     a---b-c-d|

    >>> from rxorch_operators import from_iterable
    >>> from_iterable("abc").subscribe(print) and None
    a
    b
    c
    """
    return _FromIterable(iterable)


class _FromIterable(Stage[T]):
    def __init__(self, iterable: Iterable[T]) -> None:
        self.iterable = iterable

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        pump = _Pump(iter(self.iterable), sink, scheduler)
        pump.resume_later()
        return pump


class _Pump(DisposableBase):
    """Moves elements from an iterator to a sink while there is demand."""

    __slots__ = (
        "_busy",
        "_credit",
        "_handle",
        "_iterator",
        "_on_next",
        "_scheduled",
        "_scheduler",
        "_sink",
        "_stopped",
        "_unbounded",
    )

    def __init__(self, iterator: Iterator[Any], sink: ObserverBase[Any], scheduler: DemandScheduler) -> None:
        self._iterator = iterator
        self._sink = sink
        self._scheduler = scheduler
        self._scheduled: DisposableBase = NOTHING
        self._handle: asyncio.Handle | None = None
        self._on_next = sink.on_next
        self._credit = scheduler.demand.credit
        self._unbounded = scheduler.demand is UNBOUNDED
        self._busy = False
        self._stopped = False
        scheduler.demand.listen(self._pump)

    def resume_later(self) -> None:
        """Goes on in the loop's next turn; never inside `attach`, so that the sink can dispose us."""
        self._busy = True
        clock = self._scheduler.clock
        if isinstance(clock, LoopClock):  # a tenth of what the scheduler on it would cost
            self._handle = clock.loop.call_soon(self._resume)
        else:
            self._scheduled = self._scheduler.schedule(self._resume)

    def _resume(self, _: SchedulerBase | None = None, __: object = None) -> None:
        self._busy = False
        self._pump()

    def _pump(self) -> None:
        if self._busy:  # the sink asks from inside our own on_next, and the loop below goes on
            return
        self._busy = True
        credit, iterator, on_next = self._credit, self._iterator, self._on_next
        if self._unbounded:
            self._pour()
            return
        for _ in _TURNS:
            if credit() <= 0:
                self._busy = False
                return
            try:
                value = next(iterator)
            except BaseException as error:
                self._ended(error)
                return
            if self._stopped:  # the iterator itself disposed us, when it could not be closed
                self._close()
                return
            try:
                on_next(value)
            except BaseException:
                self.dispose()
                raise
            if self._stopped:  # by the sink, from inside of its on_next
                return  # type: ignore[unreachable]
        self.resume_later()

    def _pour(self) -> None:
        """The same for a consumer that takes any number: there is nothing to ask, so a plain loop."""
        iterator, on_next = self._iterator, self._on_next
        sending = False  # whether it was the sink that raised
        try:
            for value in islice(iterator, _TURN - 1):
                try:
                    on_next(value)
                except BaseException:
                    sending = True
                    raise
                if self._stopped:
                    self._close()  # for an iterator that disposed us itself; else it was done before
                    return
            value = next(iterator)  # one more, which tells whether this was the end
            sending = True
            if not self._stopped:
                on_next(value)
        except BaseException as error:
            if sending:
                self.dispose()
                raise
            self._ended(error)
            return
        if self._stopped:
            self._close()
        else:
            self.resume_later()

    def _ended(self, error: BaseException) -> None:
        """What the iterator raised: its end, or its error."""
        if not isinstance(error, Exception | asyncio.CancelledError):
            raise error
        if self._stopped:
            return
        self._end()
        if isinstance(error, StopIteration):
            self._sink.on_completed()
        else:
            self._sink.on_error(error)  # type: ignore[arg-type]

    def _end(self) -> None:
        self._stopped = True
        self._scheduler.demand.forget(self._pump)

    def dispose(self) -> None:
        if self._stopped:
            return
        self._end()
        self._scheduled.dispose()
        if self._handle is not None:
            self._handle.cancel()
        if not getattr(self._iterator, "gi_running", False):
            self._close()

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
