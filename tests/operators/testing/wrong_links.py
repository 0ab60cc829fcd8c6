"""Links and stages that are wrong on purpose, each in one way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators.core.demand import UNBOUNDED, BoundedDemand, DemandScheduler, ListenedDemand
from rxorch_operators.core.stage import Link, Stage, as_stage

Operator = Callable[[Observable[Any]], Observable[Any]]


class Linked(Stage[Any]):
    """A stage made of a class of links."""

    def __init__(self, source: Observable[Any], link: Callable[[ObserverBase[Any]], Link]) -> None:
        self.source = as_stage(source)
        self.link = link

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self.link(sink).connect(self.source, scheduler)


def linked(link: Callable[[ObserverBase[Any]], Link]) -> Operator:
    return lambda source: Linked(source, link)


class GoesOnAfterTheEnd(Link):
    def on_completed(self) -> None:
        self.sink.on_completed()
        self.sink.on_next("afterwards")


class EndsTwice(Link):
    def on_error(self, error: Exception) -> None:
        self.sink.on_error(error)
        self.sink.on_completed()


class NeverEnds(Link):
    def on_completed(self) -> None:
        """Forgets it."""


class SwallowsErrors(Link):
    def on_error(self, error: Exception) -> None:
        self.sink.on_completed()


class LosesTheThird(Link):
    seen = 0

    def on_next(self, value: Any) -> None:
        self.seen += 1
        if self.seen != 3:
            super().on_next(value)


class KeepsItsSource(Link):
    def dispose(self) -> None:
        """Does not tell upstream."""

    def on_next(self, value: Any) -> None:
        self.sink.on_next(value)


class MapThatThrows(Link):
    def __init__(self, sink: ObserverBase[Any], function: Callable[[Any], Any]) -> None:
        super().__init__(sink)
        self.function = function

    def on_next(self, value: Any) -> None:
        self.sink.on_next(self.function(value))


class MapThatSkips(MapThatThrows):
    def on_next(self, value: Any) -> None:
        try:
            mapped = self.function(value)
        except Exception:
            return
        self.sink.on_next(mapped)


class Later(Link):
    """Passes elements a second later; its timers are nobody's."""

    def __init__(self, sink: ObserverBase[Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sink)
        self.loop = loop

    def on_next(self, value: Any) -> None:
        self.loop.call_later(1.0, super().on_next, value)

    def on_completed(self) -> None:
        self.loop.call_later(1.5, super().on_completed)


class SaysGoodbye(Link):
    """Emits once more when it is disposed."""

    def dispose(self) -> None:
        self.sink.on_next("goodbye")
        super().dispose()


class TaskThatStays(Link):
    """Starts a task for each element and forgets it."""

    tasks: set[asyncio.Task[Any]] = set()

    def on_next(self, value: Any) -> None:
        self.tasks.add(asyncio.get_running_loop().create_task(asyncio.sleep(5.0)))
        super().on_next(value)


class AsksInside(Stage[Any]):
    """Has a queue, and empties it from inside of `on_next` when the consumer asks for more."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = Asked(sink, scheduler)
        return link.connect(self.source, scheduler.with_demand(UNBOUNDED))


class Asked(Link):
    def __init__(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> None:
        super().__init__(sink)
        self.queue: list[Any] = []
        self.demand = scheduler.demand
        self.ended = False
        self.demand.listen(self.send)

    def on_next(self, value: Any) -> None:
        self.queue.append(value)
        self.send()

    def send(self) -> None:
        while self.queue and self.demand.credit() > 0 and not self.is_disposed:
            self.sink.on_next(self.queue.pop(0))
        if self.ended and not self.queue and not self.is_disposed:
            self.release()
            self.sink.on_completed()

    def on_completed(self) -> None:
        self.ended = True
        self.send()

    def release(self) -> None:
        self.demand.forget(self.send)
        super().release()

    def on_error(self, error: Exception) -> None:
        self.release()
        self.sink.on_error(error)

    def dispose(self) -> None:
        self.demand.forget(self.send)
        super().dispose()


class NoCredit(ListenedDemand):
    """Asks for nothing, and never again."""

    def __init__(self) -> None:
        self._listeners = []

    def credit(self) -> int:
        return 0


class NeverAsks(Stage[Any]):
    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return Link(sink).connect(self.source, scheduler.with_demand(NoCredit()))


class Greedy(Stage[Any]):
    """The queue behind a cap: asks for everything, whatever the consumer can take."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self.source.attach(sink, scheduler.with_demand(UNBOUNDED))


class SwallowsFailures(Link):
    """As if it had ended, but lets a cancellation pass."""

    def on_error(self, error: Exception) -> None:
        self.release()
        if isinstance(error, asyncio.CancelledError):
            self.sink.on_error(error)
        else:
            self.sink.on_completed()


class ReplacesFailures(Link):
    """Breaks when it looks at the error, and tells that instead."""

    def on_error(self, error: Exception) -> None:
        self.release()
        self.sink.on_error(NameError("looked") if isinstance(error, Exception) else error)


class Listening(Stage[Any]):
    """Listens to the consumer's demand, and never forgets it."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        scheduler.demand.listen(self.nothing)
        return self.source.attach(sink, scheduler)

    def nothing(self) -> None:
        """There is nothing to do."""


class DropsWhenFull(Stage[Any]):
    """What comes while the consumer has no room is lost."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return Dropping(sink, scheduler).connect(self.source, scheduler)


class Dropping(Link):
    def __init__(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> None:
        super().__init__(sink)
        self.demand = scheduler.demand

    def on_next(self, value: Any) -> None:
        if self.demand.credit() > 0:
            super().on_next(value)


class LosesTheLastBeforeAnError(Link):
    """Is told an error with the element before it, and forgets that; all others pass."""

    held: tuple[Any, ...] = ()

    def on_next(self, value: Any) -> None:
        self._send()
        self.held = (value,)
        asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        held, self.held = self.held, ()
        for one in held:
            super().on_next(one)

    def on_completed(self) -> None:
        self._send()
        super().on_completed()


class SendsAhead(Stage[Any]):
    """A buffer that asks its source for ten more than the consumer can take, and sends them all."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self.source.attach(sink, scheduler.with_demand(BoundedDemand(lambda: 10)))
