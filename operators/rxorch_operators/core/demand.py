"""Demand: how much a consumer can take now, carried to the source by the scheduler argument.

RxPY has no back-pressure, but its operators hand the scheduler of a subscription on to their source.
So a bounded consumer subscribes with a `DemandScheduler`, and a source that can wait reads
`scheduler.demand` before it emits. Operators in between need not know.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from datetime import datetime
from typing import Any, TypeVar

from reactivex import abc, typing
from reactivex.abc import DisposableBase, SchedulerBase
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

from .clock import Clock, base_scheduler, clock_of

_TState = TypeVar("_TState")


class Demand:
    """How many more elements a consumer can take; this one takes any number.

    `credit()` may be negative: so many elements were accepted beyond the room there was. A bounded
    operator upstream keeps that many of its own slots empty, and so the number of elements between
    source and consumer has one bound, however many operators stand between.
    """

    __slots__ = ()

    def credit(self) -> int:
        """Elements that may be sent now; zero or less: wait."""
        return sys.maxsize

    def listen(self, callback: Callable[[], None]) -> None:
        """Calls `callback` each time the credit may have grown."""

    def forget(self, callback: Callable[[], None]) -> None:
        """Ends `listen`; unknown callbacks are ignored."""


UNBOUNDED = Demand()


class ListenedDemand(Demand):
    """The listeners of a demand; a subclass has the slot `_listeners`, a list, and `credit`."""

    __slots__ = ()
    _listeners: list[Callable[[], None]]

    def listen(self, callback: Callable[[], None]) -> None:
        self._listeners.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        if callback in self._listeners:
            self._listeners.remove(callback)

    def grew(self) -> None:
        """Tells the listeners that there may be room again."""
        listeners = self._listeners
        if len(listeners) == 1:
            listeners[0]()
        elif listeners:
            for callback in tuple(listeners):
                callback()


class BoundedDemand(ListenedDemand):
    """Demand whose credit is a function of its owner, who calls `grew()`."""

    __slots__ = ("_listeners", "credit")

    def __init__(self, credit: Callable[[], int]) -> None:
        self.credit = credit  # type: ignore[method-assign]  # an attribute: one call less per element
        self._listeners: list[Callable[[], None]] = []


class DemandScheduler(PeriodicScheduler):
    """A scheduler that works like its base and carries demand, clock, tasks and context of a subscription.

    Attributes:
        tasks: Running on behalf of the subscription: who closes it waits for them.
        context: The context variables of who subscribed. Calls run in copies of it, whoever's timer or permit
            has them start: else one call would see the tenant or the trace of another.
        subject: What the subscription is about, for a chain that is composed once and subscribed for many.
    """

    def __init__(
        self,
        base: SchedulerBase,
        demand: Demand,
        clock: Clock,
        tasks: set[asyncio.Task[Any]],
        context: Context | None = None,
        subject: Any = None,
    ) -> None:
        self.base = base
        self.demand = demand
        self.clock = clock
        self.tasks = tasks
        self.context = copy_context() if context is None else context
        self.subject = subject

    @classmethod
    def of(cls, scheduler: SchedulerBase | None) -> DemandScheduler:
        """The scheduler itself if it carries demand, else one around it with unbounded demand."""
        if isinstance(scheduler, DemandScheduler):
            return scheduler
        base = base_scheduler(scheduler)
        return cls(base, UNBOUNDED, clock_of(base), set())

    def with_demand(self, demand: Demand) -> DemandScheduler:
        """The same time and tasks, another consumer."""
        return DemandScheduler(self.base, demand, self.clock, self.tasks, self.context, self.subject)

    def about(self, subject: Any) -> DemandScheduler:
        """The same in everything, for a subscription that is about `subject`."""
        return DemandScheduler(self.base, self.demand, self.clock, self.tasks, self.context, subject)

    def within(self, context: Context) -> DemandScheduler:
        """The same in everything, for a subscription with other context variables."""
        return DemandScheduler(self.base, self.demand, self.clock, self.tasks, context, self.subject)

    @property
    def now(self) -> datetime:
        return self.base.now

    def _carrying(self, action: abc.ScheduledAction[_TState]) -> abc.ScheduledAction[_TState]:
        # The base would hand itself to the action, and what the action subscribes would lose the demand.
        def carried(_: SchedulerBase, state: _TState | None = None) -> DisposableBase | None:
            return action(self, state)

        return carried

    def schedule(self, action: abc.ScheduledAction[_TState], state: _TState | None = None) -> DisposableBase:
        return self.base.schedule(self._carrying(action), state)

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: abc.ScheduledAction[_TState], state: _TState | None = None
    ) -> DisposableBase:
        return self.base.schedule_relative(duetime, self._carrying(action), state)

    def schedule_absolute(
        self, duetime: typing.AbsoluteTime, action: abc.ScheduledAction[_TState], state: _TState | None = None
    ) -> DisposableBase:
        return self.base.schedule_absolute(duetime, self._carrying(action), state)
