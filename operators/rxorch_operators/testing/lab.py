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
from .marbles import Event, MarbleError
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
        active: Subscriptions of sources and inners, and calls, that have not ended.
        subscribed: Subscriptions of sources and inners in all.
        cancelled: Whether a source has ended with a cancellation while somebody listened.
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
        self.subscribed = 0
        self.cancelled = False
        self.inners = 0
        self._calls = 0
        self._held: list[tuple[str, Callable[[], int]]] = []
        self._runs: dict[SchedulerBase | None, int] = {}

    # What an operator is built from

    def callback(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, which raises `Planned` when its turn has come."""
        return self._failing(function, self.raised)

    def listener(self, function: Callable[P, T] = lambda *_: None) -> Callable[P, T]:  # type: ignore[assignment]
        """The function, which raises `Planned` when its turn has come, and nobody may suffer from it."""
        return self._failing(function, self.shrugged)

    def _failing(self, function: Callable[P, T], noted: list[Planned]) -> Callable[P, T]:
        def planned(*args: P.args, **kwargs: P.kwargs) -> T:
            self._calls += 1
            if self._calls == self.case.fault:
                noted.append(Planned(f"call {self._calls}"))
                raise noted[0]
            return function(*args, **kwargs)

        return planned

    def inner(self, value: Any) -> Observable[Any]:
        """An observable for one element."""
        script = self._next_inner()
        return _Scripted(self, lambda _: script, first=100 * (value if isinstance(value, int) else 1))

    async def call(self, value: Any) -> Any:
        """An `async def` call for one element; it returns the element."""
        script = self._next_inner()
        self.active += 1
        try:
            for gap in (*script.gaps[:1], script.last_gap):
                if gap:
                    await asyncio.sleep(gap)
            if script.end in ("error", "cancelled"):
                raise MarbleError
            if script.end == "never":
                await asyncio.get_running_loop().create_future()
            return value
        finally:
            self.active -= 1

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
        base = scheduler.base if isinstance(scheduler, DemandScheduler) else scheduler
        run = self._runs[base] = self._runs.get(base, 0) + 1
        return self.case.sources[min(run, len(self.case.sources)) - 1]

    def source_cancelled(self) -> None:
        """Notes that a source ends with a cancellation; one that nobody hears of counts for nothing."""
        self.cancelled = self.cancelled or not self.is_over()

    @property
    def subscribers(self) -> int:
        """How many subscribers the source has had, however often each came."""
        return len(self._runs)

    def left(self) -> list[str]:
        """What is still there and should not be, by name."""
        found = [f"{name}: {count()}" for name, count in self._held if count()]
        if self.active:
            found.append(f"subscriptions or calls: {self.active}")
        tasks = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        return found + [f"task {task.get_coro()!r}" for task in tasks]


class _Scripted(Observable[Any]):
    """A stock observable that plays a script in virtual time."""

    def __init__(
        self,
        lab: Lab,
        script_for: Callable[[SchedulerBase | None], Script],
        *,
        first: int = 0,
        at_once: bool = False,
    ) -> None:
        super().__init__()
        self.lab = lab
        self.script_for = script_for
        self.number = first  # `first` is a method of Observable
        self.at_once = at_once

    def _subscribe_core(
        self, observer: ObserverBase[Any], scheduler: SchedulerBase | None = None
    ) -> DisposableBase:
        return self.play(observer, scheduler)

    def play(self, observer: ObserverBase[Any], scheduler: SchedulerBase | None) -> DisposableBase:
        """Starts one subscription."""
        playing = _Playing(self.lab, observer, self.script_for(scheduler), self.number)
        if self.at_once:
            playing.all_at_once()
        else:
            playing.begin()
        return Disposable(playing.stop)


class _Playing:
    """One subscription of a scripted source; it has one timer at most."""

    def __init__(self, lab: Lab, observer: ObserverBase[Any], script: Script, first: int) -> None:
        self.lab = lab
        self.observer = observer
        self.events = iter(script.events(first))
        self.started = lab.loop.time()
        self.timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self.stopped = False
        lab.active += 1
        lab.subscribed += 1

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
            self.observer.on_next(event.value)
            return
        self.stop()
        if isinstance(event.value, asyncio.CancelledError):
            self.lab.source_cancelled()
        if event.kind == "completed":
            self.observer.on_completed()
        else:
            self.observer.on_error(event.value)

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.lab.active -= 1
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
        return as_stage(from_iterable(self._elements(lab._script_for(scheduler)))).attach(sink, scheduler)

    def _elements(self, script: Script) -> Iterator[int]:
        lab = self.lab
        lab.active += 1
        try:
            for number in range(len(script.gaps)):
                lab.read += 1
                lab.on_read()
                yield number
            if script.end == "error":
                raise MarbleError
            if script.end == "cancelled":
                lab.source_cancelled()
                raise asyncio.CancelledError
        finally:
            lab.active -= 1
