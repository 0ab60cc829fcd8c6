"""Operators that are wrong on purpose, each in one way: the law book must find every one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators import Bulkhead, Coalescer, bulkhead, coalesce, flat_map_bounded, retry_backoff
from rxorch_operators.core.demand import UNBOUNDED, DemandScheduler, ListenedDemand
from rxorch_operators.core.stage import Link, Stage, as_stage
from rxorch_operators.testing import Lab, Subject

Operator = Callable[[Observable[Any]], Observable[Any]]


class _Linked(Stage[Any]):
    """A stage made of a class of links."""

    def __init__(self, source: Observable[Any], link: Callable[[ObserverBase[Any]], Link]) -> None:
        self.source = as_stage(source)
        self.link = link

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self.link(sink).connect(self.source, scheduler)


def linked(link: Callable[[ObserverBase[Any]], Link]) -> Operator:
    return lambda source: _Linked(source, link)


class _GoesOnAfterTheEnd(Link):
    def on_completed(self) -> None:
        self.sink.on_completed()
        self.sink.on_next("afterwards")


class _EndsTwice(Link):
    def on_error(self, error: Exception) -> None:
        self.sink.on_error(error)
        self.sink.on_completed()


class _NeverEnds(Link):
    def on_completed(self) -> None:
        """Forgets it."""


class _SwallowsErrors(Link):
    def on_error(self, error: Exception) -> None:
        self.sink.on_completed()


class _LosesTheThird(Link):
    seen = 0

    def on_next(self, value: Any) -> None:
        self.seen += 1
        if self.seen != 3:
            super().on_next(value)


class _KeepsItsSource(Link):
    def dispose(self) -> None:
        """Does not tell upstream."""

    def on_next(self, value: Any) -> None:
        self.sink.on_next(value)


class _MapThatThrows(Link):
    def __init__(self, sink: ObserverBase[Any], function: Callable[[Any], Any]) -> None:
        super().__init__(sink)
        self.function = function

    def on_next(self, value: Any) -> None:
        self.sink.on_next(self.function(value))


class _MapThatSkips(_MapThatThrows):
    def on_next(self, value: Any) -> None:
        try:
            mapped = self.function(value)
        except Exception:
            return
        self.sink.on_next(mapped)


class _Later(Link):
    """Passes elements a second later; its timers are nobody's."""

    def __init__(self, sink: ObserverBase[Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sink)
        self.loop = loop

    def on_next(self, value: Any) -> None:
        self.loop.call_later(1.0, super().on_next, value)

    def on_completed(self) -> None:
        self.loop.call_later(1.5, super().on_completed)


class _SaysGoodbye(Link):
    """Emits once more when it is disposed."""

    def dispose(self) -> None:
        self.sink.on_next("goodbye")
        super().dispose()


class _TaskThatStays(Link):
    """Starts a task for each element and forgets it."""

    tasks: set[asyncio.Task[Any]] = set()

    def on_next(self, value: Any) -> None:
        self.tasks.add(asyncio.get_running_loop().create_task(asyncio.sleep(5.0)))
        super().on_next(value)


class _AsksInside(Stage[Any]):
    """Has a queue, and empties it from inside of `on_next` when the consumer asks for more."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _Asked(sink, scheduler)
        return link.connect(self.source, scheduler.with_demand(UNBOUNDED))


class _Asked(Link):
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
            self.ended = False
            self.sink.on_completed()

    def on_completed(self) -> None:
        self.ended = True
        self.send()


class _NoCredit(ListenedDemand):
    """Asks for nothing, and never again."""

    def __init__(self) -> None:
        self._listeners = []

    def credit(self) -> int:
        return 0


class _NeverAsks(Stage[Any]):
    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return Link(sink).connect(self.source, scheduler.with_demand(_NoCredit()))


class _Greedy(Stage[Any]):
    """The queue behind a cap: asks for everything, whatever the consumer can take."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = as_stage(source)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self.source.attach(sink, scheduler.with_demand(UNBOUNDED))


def subscribes_at_once(source: Observable[Any]) -> Observable[Any]:
    """A hot operator in the clothes of a cold one."""
    source.subscribe(lambda _: None, lambda _: None)
    return source


def counts_for_all(source: Observable[Any]) -> Observable[Any]:
    """The count is born with the operator and not with the subscription."""
    numbers = iter(range(10**6))
    return source.pipe(ops.map(lambda value: value + next(numbers)))


def one_for_all(source: Observable[Any]) -> Observable[Any]:
    """All who come while it runs share the subscription of the first."""
    return source.pipe(coalesce(Coalescer(), "all"))


def keeps_its_permit(lab: Lab) -> Operator:
    """A bulkhead of which a disposed call gives nothing back."""
    shared = Bulkhead(limit=10)
    lab.holds("permits", lambda: shared.statistics().in_flight)

    class Kept(Link):
        permit: Any = None

        def on_completed(self) -> None:
            self.permit.release()
            super().on_completed()

        def on_error(self, error: Exception) -> None:
            self.permit.release()
            super().on_error(error)

    def link(sink: ObserverBase[Any]) -> Link:
        kept = Kept(sink)
        kept.permit = shared.request(lambda _: None)
        return kept

    return linked(link)


def repeats_everything(source: Observable[Any]) -> Observable[Any]:
    """Catches what is not an Exception, as a bare `except` does, and goes on."""
    return source.pipe(ops.catch(lambda error, _: reactivex.of("instead")))


def spins(lab: Lab) -> Operator:
    """Looks every millisecond whether there is something to do, for ever."""

    class Spinning(Link):
        def on_completed(self) -> None:
            lab.loop.call_later(1e-3, self.on_completed)

    return linked(Spinning)


def told_by_the_loop(lab: Lab) -> Operator:
    """An error in a callback of the loop, which nobody hears of."""

    class Lost(Link):
        def on_next(self, value: Any) -> None:
            lab.loop.call_soon(lambda: 1 / 0)
            super().on_next(value)

    return linked(Lost)


def listener_that_matters(lab: Lab) -> Operator:
    """A listener whose exception ends the stream."""
    return ops.do_action(lab.listener(lambda _: None))


def _plain(link: Callable[[ObserverBase[Any]], Link]) -> Callable[[Lab], Operator]:
    return lambda lab: linked(link)


def subject(law: str, name: str, build: Callable[[Lab], Operator], **traits: Any) -> Any:
    return law, Subject(name=name, build=build, **traits)


PLANTED = [
    subject("grammar", "goes on after the end", _plain(_GoesOnAfterTheEnd)),
    subject("grammar", "ends twice", _plain(_EndsTwice)),
    subject("serial", "emits inside of on_next", lambda lab: _AsksInside),
    subject("disposal", "emits while it is being disposed", _plain(_SaysGoodbye)),
    subject("release", "leaves timers", lambda lab: linked(lambda s: _Later(s, lab.loop))),
    subject("release", "leaves tasks", _plain(_TaskThatStays)),
    subject("release", "keeps its source", _plain(_KeepsItsSource)),
    subject("release", "keeps its permit", keeps_its_permit),
    subject(
        "errors",
        "lets callbacks throw at the source",
        lambda lab: linked(lambda s: _MapThatThrows(s, lab.callback(lambda n: n))),
        tells=False,
    ),
    subject(
        "errors",
        "skips what fails",
        lambda lab: linked(lambda s: _MapThatSkips(s, lab.callback(lambda n: n))),
    ),
    subject("errors", "tells the loop alone", told_by_the_loop),
    subject("errors", "suffers from a listener", listener_that_matters, tells=False),
    subject("errors", "stock map loses what on_next raises", lambda lab: ops.map(lambda n: n)),
    subject("cancellation", "swallows errors", _plain(_SwallowsErrors)),
    subject("cancellation", "replaces a cancellation", lambda lab: repeats_everything, tells=False),
    subject("ends", "never ends", _plain(_NeverEnds)),
    subject("ends", "never asks", lambda lab: _NeverAsks),
    subject("rest", "spins", spins),
    subject("cold", "subscribes at once", lambda lab: subscribes_at_once, tells=False),
    subject("cold", "one subscription for all", lambda lab: one_for_all, keeps="values", independent=False),
    subject("independence", "counts for all", lambda lab: counts_for_all, tells=False),
    subject("demand", "asks for everything", lambda lab: _Greedy, max_ahead=3),
    subject(
        "demand",
        "stock flat_map",
        lambda lab: ops.flat_map(lambda n: reactivex.just(n)),
        max_ahead=3,
        tells=False,
    ),
    subject(
        "demand",
        "bounded, but wider than it says",
        lambda lab: flat_map_bounded(lab.call, max_concurrent=4),
        max_ahead=3,
    ),
    subject("transparency", "loses the third", _plain(_LosesTheThird), keeps="values"),
    subject(
        "transparency",
        "an element late",
        lambda lab: ops.delay_with_mapper(lambda n: reactivex.timer(1.0)),
        keeps="marbles",
        tells=False,
    ),
]

RIGHT = [
    Subject(name="bulkhead", build=lambda lab: bulkhead(Bulkhead(limit=10)), keeps="marbles", max_ahead=0),
    Subject(name="retry_backoff", build=lambda lab: retry_backoff(base=1.0, jitter="none"), keeps="marbles"),
    Subject(name="stock map", build=lambda lab: ops.map(lambda n: n), keeps="marbles", tells=False),
]
"""Operators that are right: nothing may be found in them."""
