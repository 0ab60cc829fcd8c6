"""Where a case is played: sources, calls and functions that follow its script and are watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, ParamSpec, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable

from ..core.demand import DemandScheduler
from ..core.stage import Stage, as_stage
from ..from_iterable import from_iterable
from .marbles import Event
from .script import Case, Script
from .virtual_loop import VirtualLoop

__all__ = ["Lab", "Planned"]

T = TypeVar("T")
P = ParamSpec("P")


class Planned(Exception):
    """What a user's function raises when the case says so."""


class Lab:
    """Everything that an operator under test is built from, for one case.

    Hand the operator functions from `callback` (its error must end the stream) or `listener` (its error must
    not), inner observables from `inner`, calls from `call`, and tell with `holds` what must be given back.

    Args:
        case: What is to happen.
        loop: Where it happens.

    Attributes:
        random: Seeded by the case.
        scheduler: Rx scheduler of the virtual loop.
        raised: The errors of the callbacks and listeners that failed as planned.
        read: Elements read so far from a source that waits for demand.
        on_read: Told after each of them.
        is_over: Whether all subscribers have ended or gone.
        active: Subscriptions of sources and inners that have not ended.
        running: Calls that have not ended.
        subscribed: Subscriptions of sources and inners in all.
        given: What the source has emitted, in all its subscriptions.
        failures: The errors with which sources, inners and calls ended while somebody listened.
        cancelled: Whether one of them ended with a cancellation while somebody listened.
        inners: Inners and calls begun.
        most: The most inners and calls at one time while somebody listened.
        known: The schedulers that subscribers came with.
    """

    def __init__(self, case: Case, loop: VirtualLoop) -> None:
        self.case = case
        self.loop = loop
        self.scheduler: SchedulerBase = loop.scheduler
        self.random = Random(case.seed)
        self.raised: list[Planned] = []
        self.shrugged: list[Planned] = []
        self.read = 0
        self.on_read: Callable[[], object] = lambda: None
        self.is_over: Callable[[], bool] = lambda: False
        self.active = 0
        self.running = 0
        self.subscribed = 0
        self.given: list[Any] = []
        self.failures: list[BaseException] = []
        self.cancelled = False
        self.inners = 0
        self.most = 0
        self.known: set[SchedulerBase | None] = set()
        self._alive = 0
        self._calls = 0
        self._held: list[tuple[str, Callable[[], int]]] = []
        self._runs: dict[SchedulerBase | None, int] = {}
        self._given: dict[SchedulerBase | None, list[Any]] = {}

    # What an operator is built from

    def callback(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, which raises `Planned` when its turn has come."""
        return self._failing(function, self.raised)

    def listener(self, function: Callable[P, T] = lambda *_: None) -> Callable[P, T]:  # type: ignore[assignment]
        """The function, which raises `Planned` when its turn has come, and nobody may suffer from it."""
        return self._failing(function, self.shrugged)

    def _failing(self, function: Callable[P, T], noted: list[Planned]) -> Callable[P, T]:
        def failing(*args: P.args, **kwargs: P.kwargs) -> T:
            self._calls += 1
            if self._calls == self.case.fault:
                planned = Planned(f"call {self._calls}")
                if not self.is_over():  # else nobody can hear of it
                    noted.append(planned)
                raise planned
            return function(*args, **kwargs)

        return failing

    def inner(self, value: Any) -> Observable[Any]:
        """An observable for one element."""
        script = self._next_inner()
        first = 100 * (value if isinstance(value, int) else 1)
        return _Scripted(self, lambda _: script, first=first, is_inner=True)

    async def call(self, value: Any) -> Any:
        """An `async def` call for one element; it returns the element."""
        script = self._next_inner()
        self.running += 1
        self.inner_began()
        try:
            for gap in (*script.gaps[:1], script.last_gap):
                if gap:
                    await asyncio.sleep(gap)
            if script.end in ("error", "cancelled"):
                error = script.error()
                self.failed(error)
                raise error
            if script.end == "never":
                await asyncio.get_running_loop().create_future()
            return value
        finally:
            self.running -= 1
            self.inner_ended()

    def _next_inner(self) -> Script:
        self.inners += 1
        return self.case.inners[(self.inners - 1) % len(self.case.inners)]

    def holds(self, name: str, count: Callable[[], int]) -> None:
        """Names something that must be zero again when nobody is subscribed: permits, waiters, entries."""
        self._held.append((name, count))

    # What the case is played with

    def source(self) -> Observable[Any]:
        """The source of the case."""
        kind = self.case.kind
        if kind == "pull":
            return _Pulled(self)
        scripted = _Scripted(self, self._script_for, at_once=kind == "sync")
        return as_stage_of(scripted) if kind == "stage" else scripted

    def _script_for(self, scheduler: SchedulerBase | None) -> Script:
        """Each subscriber goes through the scripts on its own, also through stock operators."""
        base = _base_of(scheduler)
        run = self._runs[base] = self._runs.get(base, 0) + 1
        return self.case.sources[min(run, len(self.case.sources)) - 1]

    def gives(self, scheduler: SchedulerBase | None, value: Any) -> None:
        """Notes that the source emits."""
        self.given.append(value)
        self._given.setdefault(_base_of(scheduler), []).append(value)

    def given_to(self, base: SchedulerBase) -> list[Any]:
        """What the source has emitted for the subscriber who came with this scheduler."""
        return self._given.get(base, [])

    def failed(self, error: BaseException) -> None:
        """Notes that a source, an inner or a call ends with this; what nobody hears of counts for nothing."""
        if self.is_over():
            return
        if isinstance(error, asyncio.CancelledError):
            self.cancelled = True
        else:
            self.failures.append(error)

    def inner_began(self) -> None:
        """Notes that one more inner or call is there."""
        self._alive += 1
        if self._alive > self.most and not self.is_over():
            self.most = self._alive

    def inner_ended(self) -> None:
        """Notes that one is there no more."""
        self._alive -= 1

    @property
    def has_strangers(self) -> bool:
        """Whether the source was subscribed with a scheduler that no subscriber came with, or with none."""
        return not self._runs.keys() <= self.known

    @property
    def subscribers(self) -> int:
        """How many subscribers the source has had, however often each came."""
        return len(self._runs)

    def left(self) -> list[str]:
        """What is still there and should not be, by name."""
        found = self.held() + ([f"subscriptions: {self.active}"] if self.active else [])
        if self.running:
            found.append(f"calls: {self.running}")
        tasks = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        return found + [f"task {task.get_coro()!r}" for task in tasks]

    def held(self) -> list[str]:
        """What must be given back and is still held, by name."""
        return [f"{name}: {count()}" for name, count in self._held if count()]


def _base_of(scheduler: SchedulerBase | None) -> SchedulerBase | None:
    return scheduler.base if isinstance(scheduler, DemandScheduler) else scheduler


class _Scripted(Observable[Any]):
    """A stock observable that plays a script in virtual time."""

    def __init__(
        self,
        lab: Lab,
        script_for: Callable[[SchedulerBase | None], Script],
        *,
        first: int = 0,
        at_once: bool = False,
        is_inner: bool = False,
    ) -> None:
        super().__init__()
        self.lab = lab
        self.script_for = script_for
        self.number = first  # `first` is a method of Observable
        self.at_once = at_once
        self.is_inner = is_inner

    def _subscribe_core(
        self, observer: ObserverBase[Any], scheduler: SchedulerBase | None = None
    ) -> DisposableBase:
        return self.play(observer, scheduler)

    def play(self, observer: ObserverBase[Any], scheduler: SchedulerBase | None) -> DisposableBase:
        """Starts one subscription."""
        events = self.script_for(scheduler).events(self.number)
        playing = _Playing(self.lab, observer, events, scheduler, self.is_inner)
        if self.at_once:
            playing.all_at_once()
        else:
            playing.begin()
        return Disposable(playing.stop)


class _Playing:
    """One subscription of a scripted source; it has one timer at most."""

    def __init__(
        self,
        lab: Lab,
        observer: ObserverBase[Any],
        events: list[Event],
        scheduler: SchedulerBase | None,
        is_inner: bool,
    ) -> None:
        self.lab = lab
        self.observer = observer
        self.events = iter(events)
        self.scheduler = scheduler
        self.is_inner = is_inner
        self.started = lab.loop.time()
        self.timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self.stopped = False
        lab.active += 1
        lab.subscribed += 1
        if is_inner:
            lab.inner_began()

    def begin(self) -> None:
        event = next(self.events, None)
        if event is not None:
            self.timer = self.lab.loop.call_at(self.started + event.at, self._send_from, event)

    def _send_from(self, event: Event) -> None:
        self.send(event)
        if not self.stopped:
            self.begin()

    def all_at_once(self) -> None:
        for event in self.events:
            if self.stopped:
                return
            self.send(event)

    def send(self, event: Event) -> None:
        if event.kind == "next":
            if not self.is_inner:
                self.lab.gives(self.scheduler, event.value)
            self.observer.on_next(event.value)
            return
        self.stop()
        if event.kind == "error":
            self.lab.failed(event.value)
        if event.kind == "completed":
            self.observer.on_completed()
        else:
            self.observer.on_error(event.value)

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.lab.active -= 1
            if self.is_inner:
                self.lab.inner_ended()
            if self.timer is not None:
                self.timer.cancel()


def as_stage_of(scripted: _Scripted) -> Stage[Any]:
    """The same source as a lean stage."""
    return _ScriptedStage(scripted)


class _ScriptedStage(Stage[Any]):
    def __init__(self, scripted: _Scripted) -> None:
        self.scripted = scripted

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self.scripted.play(sink, scheduler)


class _Pulled(Stage[Any]):
    """The elements of the scripts as a source that waits for demand; gaps have no meaning for it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        lab = self.lab
        lab.subscribed += 1
        elements = self._elements(lab._script_for(scheduler), scheduler)
        return as_stage(from_iterable(elements)).attach(sink, scheduler)

    def _elements(self, script: Script, scheduler: SchedulerBase) -> Iterator[int]:
        lab = self.lab
        lab.active += 1
        try:
            for number in range(len(script.gaps)):
                lab.read += 1
                lab.on_read()
                lab.gives(scheduler, number)
                yield number
            if script.end in ("error", "cancelled"):
                error = script.error()
                lab.failed(error)
                raise error
        finally:
            lab.active -= 1
