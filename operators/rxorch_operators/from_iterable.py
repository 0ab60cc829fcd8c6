"""from_iterable: an iterable as an observable that emits only while there is demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.demand import DemandScheduler
from .core.stage import NOTHING, Stage

T = TypeVar("T")

_TURN: Final = 512
"""Elements emitted in one go before other work of the loop gets its turn."""


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

    __slots__ = ("_busy", "_iterator", "_scheduled", "_scheduler", "_sink", "_stopped")

    def __init__(self, iterator: Iterator[Any], sink: ObserverBase[Any], scheduler: DemandScheduler) -> None:
        self._iterator = iterator
        self._sink = sink
        self._scheduler = scheduler
        self._scheduled: DisposableBase = NOTHING
        self._busy = False
        self._stopped = False
        scheduler.demand.listen(self._on_demand)

    def resume_later(self) -> None:
        """Goes on in the loop's next turn; never inside `attach`, so that the sink can dispose us."""
        self._busy = True
        self._scheduled = self._scheduler.schedule(self._resume)

    def _resume(self, _: SchedulerBase, __: object = None) -> None:
        self._busy = False
        self._pump()

    def _on_demand(self) -> None:
        if not self._busy:  # else: the sink asks from inside our own on_next, and the loop below goes on
            self._pump()

    def _pump(self) -> None:
        self._busy = True
        credit, iterator, on_next = self._scheduler.demand.credit, self._iterator, self._sink.on_next
        for _ in range(_TURN):
            if self._stopped:
                return
            if credit() <= 0:
                self._busy = False
                return
            try:
                value = next(iterator)
            except StopIteration:
                self._end()
                self._sink.on_completed()
                return
            except (Exception, asyncio.CancelledError) as error:
                self._end()
                self._sink.on_error(error)  # type: ignore[arg-type]
                return
            if self._stopped:  # the iterator itself disposed us, when it could not be closed
                self._close()  # type: ignore[unreachable]  # not seen: `next` may call anything
                return
            try:
                on_next(value)
            except BaseException:
                self.dispose()
                raise
        if not self._stopped:
            self.resume_later()

    def _end(self) -> None:
        self._stopped = True
        self._scheduler.demand.forget(self._on_demand)

    def dispose(self) -> None:
        if self._stopped:
            return
        self._end()
        self._scheduled.dispose()
        if not getattr(self._iterator, "gi_running", False):
            self._close()

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
