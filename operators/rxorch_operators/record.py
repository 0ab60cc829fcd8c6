"""record: remembers what passes and when, for pictures, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import Clock
from .core.demand import UNBOUNDED, Demand, DemandScheduler
from .core.inner import attach_inner
from .core.stage import DISPOSED, Link, Stage, as_stage
from .errors import invalid
from .recording import Place, RecordedPoint, Recording
from .tap_events import StreamEvent, Tap, TapStage

__all__ = ["record"]

A = TypeVar("A")
T = TypeVar("T")


def record(
    recording: Recording,
    name: str,
    *,
    by: str | None = None,
    values: bool = True,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Remembers in a `Recording` what passes here and when, and what could be taken.

    Nothing is changed: elements keep their identity, order and time, and demand passes through. Put one
    before and one behind an operator, and draw the recording with `rxorch.draw.marbles`. What an operator
    subscribes for each element is recorded by `Recording.inner`.

    Args:
        recording: Where it is kept. Several places of one stream, or of several, share it.
        name: Of this place. Where a recording has it already, this is another subscription of that place.
        by: The operator between the place before and this one, as the picture shall name it.
        values: Whether the elements are kept. Without, an element that is a secret, or large, is neither
            shown nor kept.
        scheduler: Time that the events show; that of the subscription by default.

    Emits: the elements of the source. Errors: those of the source. Disposal: noted, unless the stream had
    ended; then the source is disposed.

    Raises:
        TypeError: `recording` is none.
        ValueError: The name is empty.

    ::

        source        --a--b|
        recorded      s-a--b|        s: subscribed
        result        --a--b|

    >>> from rxorch_operators import Recording, from_iterable, record
    >>> recording = Recording()
    >>> from_iterable("ab").pipe(record(recording, "letters")).subscribe() and None
    >>> recording
    <Recording of letters: 4 events>
    """
    if not isinstance(recording, Recording):
        raise TypeError(f"recording: give a Recording, which record() fills, not {recording!r}")
    if not isinstance(name, str) or not name:
        raise invalid("name", name, "give the text that the place is called by")
    place = recording.place(RecordedPoint(name, by, values=values))
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock

    def operator(source: Observable[T]) -> Observable[T]:
        return _Recorded(as_stage(source), place, clock)

    return operator


def recorded_inner(
    place: Place, project: Callable[[A], Observable[T] | Awaitable[T]]
) -> Callable[[A], Observable[T]]:
    """A function that makes streams, with all of them recorded at one place."""

    def recorded(value: A) -> Observable[T]:
        return _Recorded(_Made(project(value)), place, None, partial(place.note, of=value))

    return recorded


class _Made(Stage[T]):
    """What a projecting function has made, whichever kind it is."""

    def __init__(self, made: Observable[T] | Awaitable[T]) -> None:
        self.made = made

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = Link(sink)
        attach_inner(link, self.made, scheduler)
        return link


class _Recorded(TapStage[T]):
    def __init__(
        self,
        source: Stage[T],
        place: Place,
        clock: Clock | None,
        observer: Callable[[StreamEvent], object] | None = None,
    ) -> None:
        point = place.point
        super().__init__(source, observer or place.note, point.name, point.values, clock, place.numbers)
        self.place = place

    def link(self, sink: ObserverBase[Any], scheduler: DemandScheduler, now: Callable[[], float]) -> Tap:
        demand = scheduler.demand
        if demand is UNBOUNDED or self.place.point.inner:  # inner streams share what is left downstream
            return Tap(sink, self, now)
        return _DemandTap(sink, self, now, demand)


class _DemandTap(Tap):
    """Notes as well how much a bounded consumer can take, whenever that may have changed."""

    __slots__ = ("_credit", "_demand", "_place")

    def __init__(
        self, sink: ObserverBase[Any], stage: _Recorded[Any], now: Callable[[], float], demand: Demand
    ) -> None:
        super().__init__(sink, stage, now)
        self._place = stage.place
        self._demand = demand
        self._credit: int | None = None

    def connect(self, source: Stage[Any], scheduler: DemandScheduler) -> DisposableBase:
        self._look()
        self._demand.listen(self._look)
        return super().connect(source, scheduler)

    def _look(self) -> None:
        credit = self._demand.credit()
        if credit != self._credit:
            self._credit = credit
            self._place.note_demand(self._number, self._now(), credit)

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        if self.upstream is not DISPOSED:
            self._look()

    def dispose(self) -> None:
        self._demand.forget(self._look)
        super().dispose()

    def release(self) -> None:
        self._demand.forget(self._look)
        super().release()
