"""Plays one case with one operator and looks whether a law was broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from reactivex import Observable
from reactivex.abc import DisposableBase
from reactivex.scheduler.eventloop import AsyncIOScheduler

from ..core.demand import BoundedDemand, DemandScheduler
from ..core.stage import as_stage
from .lab import Lab, Planned
from .marbles import Event
from .recording import Recorder
from .script import Case, Consumer
from .virtual_loop import VirtualLoop, stepped_loop

__all__ = ["Performance", "perform"]

_MANY: Final = 10**9
_INSTANTS: Final = 5_000
"""Instants after which a case counts as one that never comes to rest."""


@dataclass(slots=True)
class Performance:
    """What happened in one case.

    Args:
        case: The case.
        lab: Where it was played.
        records: What each subscriber saw.
        starts: When each subscribed, in seconds.
        disposed: Whether each was disposed by the case.
        raised: Whether the `on_next` of each has raised.
        offences: What broke a law, each beginning with the law's name.
    """

    case: Case
    lab: Lab
    records: list[Recorder] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    disposed: list[bool] = field(default_factory=list)
    raised: list[bool] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)


def perform(
    build: Callable[[Lab], Callable[[Observable[Any]], Observable[Any]]],
    case: Case,
    max_ahead: int | None = None,
) -> Performance:
    """Plays a case.

    Args:
        build: Makes the operator from what the lab gives.
        case: What is to happen.
        max_ahead: Elements that may be read beyond what the consumer asked for; None for any number.
    """
    with stepped_loop() as loop:
        lab = Lab(case, loop)
        stage = _Stage(loop, lab, max_ahead)
        performance = Performance(case, lab)
        pipeline = build(lab)(lab.source())
        if lab.subscribed:
            stage.offences.append("cold: the source was subscribed before anybody had subscribed")
        stage.invite(pipeline)
        stage.run()
        for guest in stage.guests:
            performance.records.append(guest.recorder)
            performance.starts.append(guest.started)
            performance.disposed.append(guest.disposed)
            performance.raised.append(guest.raised)
        stage.close()
        for record in performance.records:
            stage.offences += record.offences
        performance.offences = stage.offences
        return performance


class _Guest:
    """One subscriber, who follows the case."""

    def __init__(self, lab: Lab, consumer: Consumer) -> None:
        self.lab = lab
        self.consumer = consumer
        self.recorder = Recorder(lab.loop.time, self._on_event)
        self.room = self.granted = _MANY if consumer.room is None else consumer.room
        self.demand = BoundedDemand(lambda: self.room)
        self.started = 0.0
        self.disposed = False
        self.raised = False
        self._upstream: DisposableBase | None = None

    @property
    def over(self) -> bool:
        """Whether the subscription has ended, one way or the other."""
        return self.disposed or self.recorder.ended

    def subscribe(self, pipeline: Observable[Any]) -> None:
        self.started = self.lab.loop.time()
        base = AsyncIOScheduler(self.lab.loop)  # one for each: sources tell subscribers by it
        scheduler = DemandScheduler.of(base)
        if self.consumer.room is not None:
            scheduler = scheduler.with_demand(self.demand)
        if self.consumer.lean:
            upstream = as_stage(pipeline).attach(_Ear(self), scheduler)
        else:
            upstream = pipeline.subscribe(_Ear(self), scheduler=scheduler)
        self._upstream = upstream
        if self.disposed:  # from inside of a notification, before there was anything to dispose
            self.recorder.cut()
            upstream.dispose()

    def _on_event(self, event: Event) -> None:
        who, number = self.consumer, len(self.recorder.events)
        if event.kind == "next":
            self.room -= 1
        if number == who.dispose_in:
            self.dispose()
        elif event.kind == "next" and who.takes_more_inside:
            self.recorder.ask(lambda: self.open(1))
        if event.kind == "next" and number == who.raises_in and not who.lean and not self.over:
            self.raised = True
            raise Planned(f"the consumer, at its element {number}")

    def open(self, room: int) -> None:
        """Takes more."""
        self.room += room
        self.granted += room
        if not self.over:
            self.demand.grew()

    def dispose(self) -> None:
        """Ends the subscription, if it has not ended."""
        if self.over:
            return
        self.disposed = True
        if self._upstream is not None:
            self.recorder.cut()
            self._upstream.dispose()


class _Ear(Recorder):
    """Passes events to the recorder of a guest, but for those that nobody could have kept from coming."""

    def __init__(self, guest: _Guest) -> None:
        super().__init__()
        self.guest = guest

    def _note(self, kind: Any, value: Any) -> None:
        if not (self.guest.disposed and self.guest._upstream is None):
            self.guest.recorder._note(kind, value)


class _Stage:
    """The loop, the guests and the clock of one case."""

    def __init__(self, loop: VirtualLoop, lab: Lab, max_ahead: int | None) -> None:
        self.loop = loop
        self.lab = lab
        self.max_ahead = max_ahead
        self.offences: list[str] = []
        self.guests: list[_Guest] = []
        self._plan: set[asyncio.TimerHandle] = set()
        self._checked = False
        loop.set_exception_handler(self._on_lost_error)
        lab.on_read = self._on_read
        lab.is_over = lambda: all(guest.over for guest in self.guests)

    def invite(self, pipeline: Observable[Any]) -> None:
        """Lets the subscribers come when the case says so."""
        case = self.lab.case
        offsets = [0] if case.second is None else [0, case.second]
        for offset in offsets:
            guest = _Guest(self.lab, case.consumer)
            self.guests.append(guest)
            self._at(offset, guest.subscribe, pipeline)
            for seconds, room in case.consumer.openings:
                self._at(offset + seconds, guest.open, room)
            if case.consumer.room is not None:
                self._at(offset + 50, guest.open, _MANY)
            if case.consumer.dispose_at is not None:
                self._at(offset + case.consumer.dispose_at, guest.dispose)

    def _at(self, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self._plan.add(self.loop.call_at(seconds, function, *args))

    def run(self) -> None:
        """Until nothing can happen any more."""
        for _ in range(_INSTANTS):
            if not self.loop.advance():
                return
            if not self._checked and self.lab.is_over():
                self._check()
                if self.offences:
                    return
        self.offences.append("rest: it never comes to rest")

    def close(self) -> None:
        """Disposes whoever is still there, and checks that nothing is left of it."""
        for guest in self.guests:
            guest.dispose()
        self.loop.run_instant()
        if not self._checked:
            self._check()

    def _check(self) -> None:
        self._checked = True
        self.offences += [f"release: still there after the end: {what}" for what in self.lab.left()]
        timers = [timer for timer in self.loop.timers() if timer not in self._plan]
        if timers:
            self.offences.append(f"release: timers still running after the end: {len(timers)}")

    def _on_read(self) -> None:
        if self.max_ahead is None or len(self.guests) > 1:
            return
        allowed = self.guests[0].granted + self.max_ahead
        if self.lab.read > allowed:
            self.offences.append(f"demand: {self.lab.read} elements were read, {allowed} may be")

    def _on_lost_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.offences.append(f"errors: only the event loop heard of {context.get('message')}: {error!r}")
