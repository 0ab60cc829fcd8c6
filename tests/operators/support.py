"""Marbles in virtual time, recorders and sources that the operator tests share.

A marble string has one character per second: ``-`` nothing, ``|`` the end, ``#`` an error, anything else an
element. ``"--a-b|"`` emits at 2 and 4 and ends at 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable
from reactivex.scheduler import VirtualTimeScheduler

from rxorch_operators import testing
from rxorch_operators.core.demand import BoundedDemand, DemandScheduler
from rxorch_operators.core.stage import Link, Stage

END = "|"
"""How a recorded list names a normal end."""


class Boom(Exception):
    """What fails in these tests."""


class Recorder(testing.Recorder):
    """The recorder of the kit, which fails at once here; it shows events as pairs of time and content."""

    def _note(self, kind: testing.Kind, value: Any) -> None:
        super()._note(kind, value)
        assert not self.offences, f"{self.offences}: {self.events}"

    @property
    def events(self) -> list[tuple[float, Any]]:  # type: ignore[override]
        """What came: the time, and the element, the error or `END`."""
        return [(event.at, END if event.kind == "completed" else event.value) for event in self._events]


class Marbles(Observable[Any]):
    """A cold source in virtual time that notes when it was subscribed and let go, as a stock observable."""

    def __init__(self, time: Time, *runs: str, **errors: BaseException) -> None:
        super().__init__()
        self.time = time
        self.runs = list(runs)
        self.errors = errors
        self.subscribed: list[float] = []
        self.released: list[float] = []

    @property
    def active(self) -> int:
        """Subscriptions that were not let go of."""
        return len(self.subscribed) - len(self.released)

    def _next_run(self) -> str:
        return self.runs[min(len(self.subscribed), len(self.runs)) - 1]

    def _subscribe_core(
        self, observer: ObserverBase[Any], scheduler: SchedulerBase | None = None
    ) -> DisposableBase:
        return self.play(observer)

    def play(self, observer: ObserverBase[Any]) -> DisposableBase:
        """Starts the next of the runs; the last one is repeated for ever."""
        self.subscribed.append(self.time.now)
        timers: list[DisposableBase] = []
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                self.released.append(self.time.now)
            for timer in timers:
                timer.dispose()

        def send(event: testing.Event) -> None:
            if released:
                return
            if event.kind == "completed":
                release()
                observer.on_completed()
            elif event.kind == "error":
                release()
                observer.on_error(event.value)
            else:
                observer.on_next(event.value)

        run = testing.read_marbles(self._next_run(), error=self.errors.get("error", Boom()))
        timers += [self.time.after(event.at, partial(send, event)) for event in run]
        return Disposable(release)


class MarbleStage(Stage[Any]):
    """The same marbles as a source of the lean kind."""

    def __init__(self, marbles: Marbles) -> None:
        self.marbles = marbles

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self.marbles.play(sink)


class Time:
    """Virtual time in seconds."""

    def __init__(self) -> None:
        self.scheduler = VirtualTimeScheduler()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.scheduler.to_seconds(self.scheduler.now)

    def after(self, seconds: float, action: Callable[[], object]) -> DisposableBase:
        """Does something so many seconds from now."""

        def act(_: SchedulerBase, __: object = None) -> None:
            action()

        return self.scheduler.schedule_relative(float(seconds), act)

    def marbles(self, *runs: str, error: BaseException | None = None) -> Marbles:
        """A cold source that plays one marble string per subscription."""
        return Marbles(self, *runs, **({} if error is None else {"error": error}))

    def advance(self, seconds: float) -> None:
        """Lets time pass. Unlike `start` this never moves the clock by itself."""
        self.scheduler.advance_by(float(seconds))

    def record(self, source: Observable[Any]) -> tuple[Recorder, DisposableBase]:
        """Subscribes now."""
        recorder = Recorder(lambda: self.now)
        return recorder, source.subscribe(recorder, scheduler=self.scheduler)

    def run(
        self, source: Observable[Any], *, dispose: float | None = None, seconds: float = 1000.0
    ) -> Recorder:
        """Subscribes now, lets time pass, disposes when told to."""
        recorder, subscription = self.record(source)
        if dispose is not None:
            self.after(dispose, subscription.dispose)
        self.advance(seconds)
        return recorder

    @property
    def idle(self) -> bool:
        """Whether nothing is scheduled any more: every timer has fired or was cancelled."""
        return all(item.is_cancelled() for item, _ in self.scheduler._queue.items)


def events(text: str, **errors: Any) -> list[tuple[float, Any]]:
    """What a recorder holds after these marbles; `errors` says what signs stand for."""
    sign_of = {"next": None, "error": "#", "completed": END}
    signs = [(event.at, sign_of[event.kind] or event.value) for event in testing.read_marbles(text)]
    return [(at, errors.get(sign, sign)) for at, sign in signs]


class Manual(Stage[Any]):
    """A source of the lean kind that emits what the test tells it to, as far as the demand allows or not."""

    def __init__(self) -> None:
        self.sink: ObserverBase[Any] | None = None
        self.scheduler: DemandScheduler | None = None
        self.attached = 0
        self.disposed = 0

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        self.attached += 1
        self.sink = sink
        self.scheduler = scheduler
        return Disposable(self._release)

    def _release(self) -> None:
        self.disposed += 1

    @property
    def credit(self) -> int:
        """What the consumer can take now."""
        assert self.scheduler is not None
        return self.scheduler.demand.credit()

    def send(self, *values: Any) -> None:
        """Emits, whatever the demand."""
        assert self.sink is not None
        for value in values:
            self.sink.on_next(value)

    def fail(self, error: BaseException) -> None:
        """Ends with an error."""
        assert self.sink is not None
        self.sink.on_error(error)  # type: ignore[arg-type]

    def complete(self) -> None:
        """Ends."""
        assert self.sink is not None
        self.sink.on_completed()


class AtOnce(Stage[Any]):
    """Emits everything while it is being attached, before anybody can dispose it."""

    def __init__(self, *values: Any, error: BaseException | None = None) -> None:
        self.values = values
        self.error = error

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        for value in self.values:
            sink.on_next(value)
        if self.error is None:
            sink.on_completed()
        else:
            sink.on_error(self.error)  # type: ignore[arg-type]
        return Disposable()


class Window(Link):
    """A consumer with room for so many elements, which the test takes out."""

    def __init__(self, recorder: ObserverBase[Any], room: int) -> None:
        super().__init__(recorder)
        self.room = room
        self.demand = BoundedDemand(lambda: self.room)

    def on_next(self, value: Any) -> None:
        self.room -= 1
        super().on_next(value)

    def open(self, room: int = 1) -> None:
        """Makes room for more."""
        self.room += room
        self.demand.grew()


class Counting(Iterator[int]):
    """An all but endless iterator that tells how far it was read."""

    def __init__(self) -> None:
        self.read = 0
        self.closed = False

    def __next__(self) -> int:
        self.read += 1
        assert self.read <= 1_000_000, "nobody stops it"
        return self.read - 1

    def close(self) -> None:
        """What a generator has too."""
        self.closed = True


async def turns(count: int = 10) -> None:
    """Lets the event loop go round a few times."""
    for _ in range(count):
        await asyncio.sleep(0)
