"""tap_events: tells what passes and when, and changes nothing."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage

__all__ = ["StreamEvent", "StreamEventKind", "tap_events"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("rxorch_operators")

StreamEventKind: TypeAlias = Literal["subscribed", "next", "error", "completed", "disposed"]
"""What happened to one subscription. It begins with `subscribed` and ends with one of the last three."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing that happened in a stream.

    Args:
        kind: What.
        at: Monotonic seconds of the subscription's clock: those of the event loop, or virtual ones.
        subscription: Which subscription of this tap, from 1.
        index: Of a "next": which element, from 0. Of others: how many elements came before.
        value: Of a "next": the element itself, and no copy; None if the tap leaves values out.
        error: Of an "error": the exception.
        name: Name of the tap.

    >>> StreamEvent("next", at=1.5, subscription=1, index=0, value="a")
    StreamEvent(kind='next', at=1.5, subscription=1, index=0, value='a', error=None, name=None)
    """

    kind: StreamEventKind
    at: float
    subscription: int
    index: int
    value: Any = None
    error: BaseException | None = None
    name: str | None = None


def tap_events(
    observer: Callable[[StreamEvent], object],
    *,
    name: str | None = None,
    values: bool = True,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Tells an observer of every subscription, element and end that passes here, before it goes on.

    Nothing is changed: elements keep their identity, order and time, and demand passes through. Subscriptions
    are numbered over all that is made from one `tap_events(...)`, so that an observer can tell them apart.
    Under `guard` each call is one subscription.

    Args:
        observer: Called with each `StreamEvent`, in order; `list.append` makes a recording. It must be quick:
            the stream waits for it. What it raises is logged, and the stream goes on.
        name: On every event; for an observer that listens in several places.
        values: Whether the events hold the elements. Without, an element that is a secret, or large, is
            neither shown nor kept.
        scheduler: Time that the events show; that of the subscription by default.

    Emits: the elements of the source. Errors: those of the source. Disposal: told as "disposed", unless the
    stream had ended; then the source is disposed.

    ::

        source        --a--b|
        told          s-a--b|        s: subscribed
        result        --a--b|

    >>> from rxorch_operators import from_iterable
    >>> from rxorch_operators.tap_events import tap_events
    >>> seen = []
    >>> from_iterable("ab").pipe(tap_events(seen.append)).subscribe() and None
    >>> [(event.kind, event.index, event.value) for event in seen]
    [('subscribed', 0, None), ('next', 0, 'a'), ('next', 1, 'b'), ('completed', 2, None)]
    """
    if not callable(observer) or inspect.iscoroutinefunction(observer):
        raise TypeError(f"tap_events() needs a plain function of one StreamEvent, got {observer!r}")
    numbers = itertools.count(1)
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock

    def operator(source: Observable[T]) -> Observable[T]:
        return TapStage(as_stage(source), observer, name, values, clock, numbers)

    return operator


class TapStage(Stage[T]):
    """Tells an observer of each of its subscriptions."""

    def __init__(
        self,
        source: Stage[T],
        observer: Callable[[StreamEvent], object],
        name: str | None,
        values: bool,
        clock: Clock | None,
        numbers: itertools.count[int],
    ) -> None:
        self.source = source
        self.observer = observer
        self.name = name
        self.values = values
        self.clock = clock
        self.numbers = numbers

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = self.link(sink, scheduler, (self.clock or scheduler.clock).now)
        link.tell("subscribed")
        try:
            return link.connect(self.source, scheduler)
        except Exception as error:
            if link.upstream is DISPOSED:
                raise
            link.on_error(error)
            return link

    def link(self, sink: ObserverBase[Any], scheduler: DemandScheduler, now: Callable[[], float]) -> Tap:
        """The link of a new subscription, by whose clock it is `now()`."""
        return Tap(sink, self, now)


_new = StreamEvent.__new__
_set_kind, _set_at, _set_subscription, _set_index, _set_value, _set_error, _set_name = (
    getattr(StreamEvent, slot).__set__ for slot in StreamEvent.__slots__
)
"""The way past the constructor of a frozen dataclass, which alone costs twice as much as a tap."""


class Tap(Link):
    """One subscription of a tapped stream."""

    __slots__ = ("_ended", "_index", "_name", "_now", "_number", "_observer", "_values")

    def __init__(self, sink: ObserverBase[Any], stage: TapStage[Any], now: Callable[[], float]) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._observer = stage.observer
        self._name = stage.name
        self._values = stage.values
        self._number = next(stage.numbers)
        self._now = now
        self._index = 0
        self._ended = False

    def tell(self, kind: StreamEventKind, value: Any = None, error: BaseException | None = None) -> None:
        """Makes the record and hands it over; it is nobody's trouble if the observer fails."""
        event = _new(StreamEvent)
        _set_kind(event, kind)
        _set_at(event, self._now())
        _set_subscription(event, self._number)
        _set_index(event, self._index)
        _set_value(event, value)
        _set_error(event, error)
        _set_name(event, self._name)
        try:
            self._observer(event)
        except (Exception, asyncio.CancelledError):
            _LOG.exception("the observer of tap_events failed; the stream goes on")

    # Each looks twice whether it is disposed: the observer may have done that.

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self.tell("next", value if self._values else None)
            self._index += 1
            if self.upstream is not DISPOSED:
                self.sink.on_next(value)

    def on_error(self, error: Exception) -> None:
        if self._ends("error", error):
            self.sink.on_error(error)

    def on_completed(self) -> None:
        if self._ends("completed", None):
            self.sink.on_completed()

    def _ends(self, kind: StreamEventKind, error: BaseException | None) -> bool:
        if self.upstream is DISPOSED or self._ended:
            return False
        self._ended = True
        self.tell(kind, None, error)
        if self.upstream is DISPOSED:
            return False
        self.release()
        return True

    def dispose(self) -> None:
        upstream = self.upstream
        if upstream is DISPOSED:
            return
        self.upstream = DISPOSED
        if not self._ended:
            self.tell("disposed")
        upstream.dispose()
