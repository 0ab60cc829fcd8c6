"""Plays one case with one operator and looks whether a law was broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from reactivex import Observable
from reactivex.abc import DisposableBase, SchedulerBase

from ..core.demand import BoundedDemand, DemandScheduler
from ..core.stage import as_stage
from .lab import Lab, Planned
from .marbles import Event
from .recording import Recorder
from .script import Case, Consumer
from .subject import Subject
from .virtual_loop import VirtualLoop, VirtualScheduler, stepped_loop

__all__ = ["Performance", "perform"]

_MANY: Final = 10**9
_OPENS_AT: Final = 20
"""Seconds after which a consumer can take any number."""
_HORIZON: Final = 150.0
"""Seconds after which everybody leaves; more than twice as long as any script takes one element at a time."""
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
        bases: The scheduler that each came with.
        disposed: Whether each was disposed by the case.
        raised: Whether the `on_next` of each has raised.
        offences: What broke a law, each beginning with the law's name.
    """

    case: Case
    lab: Lab
    records: list[Recorder] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    bases: list[SchedulerBase] = field(default_factory=list)
    disposed: list[bool] = field(default_factory=list)
    raised: list[bool] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)


def perform(subject: Subject, case: Case) -> Performance:
    """Plays a case.

    Args:
        subject: The operator.
        case: What is to happen.
    """
    with stepped_loop() as loop:
        lab = Lab(case, loop)
        stage = _Stage(loop, lab, subject)
        performance = Performance(case, lab)
        pipeline = subject.build(lab)(lab.source())
        if lab.subscribed:
            stage.offences.append("cold: the source was subscribed before anybody had subscribed")
        stage.invite(pipeline)
        stage.run()
        for guest in stage.guests:
            performance.records.append(guest.recorder)
            performance.starts.append(guest.started)
            performance.bases.append(guest.base)
            performance.disposed.append(guest.disposed)
            performance.raised.append(guest.raised)
        stage.close()
        for record in performance.records:
            stage.offences += record.offences
        performance.offences = stage.offences
        return performance


class _Guest:
    """One subscriber, who follows the case."""

    def __init__(self, lab: Lab, consumer: Consumer, on_event: Callable[[Event], object]) -> None:
        self.lab = lab
        self.consumer = consumer
        self.on_event = on_event
        self.base = VirtualScheduler(lab.loop)  # one for each: sources tell subscribers by it
        lab.known.add(self.base)
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
        scheduler = DemandScheduler.of(self.base)
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
        self.on_event(event)
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

    def __init__(self, loop: VirtualLoop, lab: Lab, subject: Subject) -> None:
        self.loop = loop
        self.lab = lab
        self.subject = subject
        self.offences: list[str] = []
        self.guests: list[_Guest] = []
        self._plan: set[asyncio.TimerHandle] = set()
        self._checked = False
        loop.set_exception_handler(self._on_lost_error)
        lab.on_read = self._on_read
        lab.is_over = lambda: bool(self.guests) and all(guest.over for guest in self.guests)

    def invite(self, pipeline: Observable[Any]) -> None:
        """Lets the subscribers come when the case says so."""
        case = self.lab.case
        offsets = [0] if case.second is None else [0, case.second]
        for offset in offsets:
            guest = _Guest(self.lab, case.consumer, self._on_event)
            self.guests.append(guest)
            self._at(offset, guest.subscribe, pipeline)
            for seconds, room in case.consumer.openings:
                self._at(offset + seconds, guest.open, room)
            if case.consumer.room is not None:
                self._at(offset + _OPENS_AT, guest.open, _MANY)
            if case.consumer.dispose_at is not None:
                self._at(offset + case.consumer.dispose_at, guest.dispose)

    def _at(self, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self._plan.add(self.loop.call_at(seconds, function, *args))

    def run(self) -> None:
        """Until nothing can happen any more, or everybody would have left."""
        for _ in range(_INSTANTS):
            timers = self.loop.timers()
            if not timers or min(timer.when() for timer in timers) > _HORIZON:
                return
            self.loop.advance()
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
        timers = self._timers()
        if timers:
            self.offences.append(f"release: timers still running after the end: {timers}")
        if any(guest.demand._listeners for guest in self.guests):
            self.offences.append("release: somebody still listens to the consumer's demand after the end")

    def _timers(self) -> int:
        return sum(timer not in self._plan for timer in self.loop.timers())

    def _on_event(self, event: Event) -> None:
        if len(self.guests) > 1:
            return
        if event.is_end:
            first = self.subject.lets_go_first
            if self.subject.tells if first is None else first:
                self._check_end()
        elif self.subject.max_ahead is not None and self.subject.keeps and self.lab.case.kind == "pull":
            self._check_delivered()

    def _check_end(self) -> None:
        """Who tells the end has let go of everything; a task may still run, for one of them is telling it."""
        lab, at_once = self.lab, self.lab.case.kind == "sync"
        if at_once and self.guests[0].raised:
            return  # while it is being subscribed, there is nothing that could be disposed
        left = lab.held()
        if lab.active and not at_once:
            left.append(f"subscriptions: {lab.active}")
        if not lab.running and self._timers():
            left.append(f"timers: {self._timers()}")
        self.offences += [f"release: still there when the end was told: {what}" for what in left]

    def _check_delivered(self) -> None:
        guest, lab = self.guests[0], self.lab
        substituted = self.subject.handles_errors and (lab.failures or lab.cancelled)
        if guest.room <= 0 and not substituted:  # this one is not yet counted
            self.offences.append(f"demand: an element more came than the {guest.granted} asked for")

    def _on_read(self) -> None:
        if self.subject.max_ahead is None or len(self.guests) > 1:
            return
        allowed = self.guests[0].granted + self.subject.max_ahead
        if self.lab.read > allowed:
            self.offences.append(f"demand: {self.lab.read} elements were read, {allowed} may be")

    def _on_lost_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.offences.append(f"errors: only the event loop heard of {context.get('message')}: {error!r}")
