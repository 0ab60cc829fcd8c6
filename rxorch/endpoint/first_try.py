"""The first attempt of a call, as one link.

Nearly every call ends with it. One that has no more to pass than its circuit breaker and its time limit, and
that nobody listens to, needs none of the links of `attempts` as long as nothing fails: what they would do,
`FirstTry` does alone. At a failure those links are made, are told of it, and go on from there; so there is
one place that knows what follows a failure.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from reactivex.abc import DisposableBase

from rxorch.endpoint.retry_rules import classify
from rxorch.errors import ApiResponseTooLargeError
from rxorch_operators import TimeoutExceededError
from rxorch_operators._retrying import RetryStage
from rxorch_operators.circuit_breaker import CircuitBreakerStage
from rxorch_operators.core.async_call import ENDS_THE_TASK, NEEDS_A_LOOP
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Link, Stage
from rxorch_operators.core.timer_queue import SharedTimer, TimerQueue
from rxorch_operators.engines.circuit import CircuitPermit, Outcome3

if TYPE_CHECKING:
    from rxorch.endpoint.call import Call
    from rxorch.endpoint.runtime import EndpointRuntime

__all__ = ["FirstLink", "FirstTry", "is_plain", "sent"]


def is_plain(runtime: EndpointRuntime) -> bool:
    """Whether its calls are attempts and no more, which pass breaker and time limit alone."""
    endpoint = runtime.endpoint
    around = (
        endpoint.stream, endpoint.retry_if, endpoint.total_timeout, runtime.hooks, runtime.exchange,
        runtime.bulkhead, runtime.http_cache,
    )  # fmt: skip
    return (
        all(each is None for each in around)
        and not (runtime.limiters or runtime.cached or runtime.times_each_call)
        and (runtime.breaker is None or runtime.breaker.classify is None)
    )


class FirstTry:
    """Makes the first attempts of the calls of a plain endpoint.

    Args:
        attempts: All attempts of a call, as composed.
        attempt: One of them, which `attempts` repeats.
        limit: Seconds for one, above 0.
    """

    __slots__ = ("attempts", "guarded", "limit", "repeated", "timer")

    def __init__(self, attempts: Stage[Any], attempt: Stage[Any], limit: float | None) -> None:
        self.attempts = attempts
        self.repeated = attempts if isinstance(attempts, RetryStage) else None
        self.guarded = attempt if isinstance(attempt, CircuitBreakerStage) else None
        self.limit = limit
        self.timer = SharedTimer()

    def begin(self, call: Call, sink: Link, scheduler: DemandScheduler) -> DisposableBase:
        """Begins a call, of which nobody wants to hear anything but its end."""
        generation = None
        if self.guarded is not None:
            generation = self.guarded.let_in(scheduler.clock)
            if generation is None:
                return self.attempts.attach(sink, scheduler.about(call))
        link = FirstLink(sink, self, call, scheduler, generation, scheduler.clock.now())
        if call.budget is not None:
            call.budget.record_call(link.started)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            link.on_error(RuntimeError(NEEDS_A_LOOP))
            return link
        task = loop.create_task(
            sent(link, call), name=call.runtime.endpoint.name, context=scheduler.context.copy()
        )
        if not link.is_sent:  # else: an eager task has ended, or failed and is repeated
            link.task = task
            scheduler.tasks.add(task)
            if self.limit is not None:
                link.timers = timers = self.timer.queue(scheduler.clock, self.limit)
                timers.wake(link, link.started)
        return link


class Sender(Protocol):
    """Who has the request of a first attempt sent."""

    has_begun: bool
    """Whether the task has made its first step."""

    def arrived(self, value: Any) -> None:
        """There is a value."""

    def failed(self, error: BaseException) -> None:
        """The task has met an error, or its cancellation: whoever waits must hear of it."""


async def sent(sender: Sender, call: Call) -> None:
    """What `EndpointRuntime.attempt` does, for a first attempt without hooks, cache and credentials.

    The result is delivered from inside the task, as by `AsyncCall`.
    """
    sender.has_begun = True
    runtime, request = call.runtime, call.departed()
    try:
        try:
            response = await runtime.caller.transport.send(request)
        except ApiResponseTooLargeError:
            call.answered += 1  # and refused by us
            raise
        finally:
            runtime.sends += request.sent
        value = runtime.answered(call, response)
    except GeneratorExit:  # thrown away with its loop: nobody is there any more
        raise
    except BaseException as error:
        sender.failed(error)
        if isinstance(error, ENDS_THE_TASK):
            raise
    else:
        sender.arrived(value)
    finally:
        del sender  # an error keeps this frame in its traceback, and through the sender it would keep itself


class FirstLink(Link):
    """The first attempt: its task, permit and timer. After a failure, `upstream` is what goes on.

    Attributes:
        started: When it began, in seconds of the clock.
        task: Sends the request; None before and after.
        timers: Where it waits for the end of its time.
        has_begun: Whether the task has made its first step.
        is_sent: Whether an answer or an error has come, or nobody waits for one.
    """

    __slots__ = (
        "_call", "_generation", "_scheduler", "_tries", "has_begun", "is_sent", "started", "task", "timers",
    )  # fmt: skip

    sink: Link

    def __init__(
        self,
        sink: Link,
        tries: FirstTry,
        call: Call,
        scheduler: DemandScheduler,
        generation: int | None,
        started: float,
    ) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._tries = tries
        self._call = call
        self._scheduler = scheduler
        self._generation = generation
        self.has_begun = False
        self.is_sent = False
        self.task: asyncio.Task[None] | None = None
        self.timers: TimerQueue | None = None
        self.started = started

    def _unwound(self) -> bool:
        """The task is done but for the delivery; returns whether somebody waits for it."""
        task, self.task = self.task, None
        self._scheduler.tasks.discard(asyncio.current_task() if task is None else task)
        waited_for = not self.is_sent
        self.is_sent = True
        return waited_for

    def failed(self, error: BaseException) -> None:
        """The task has met an error, or its cancellation: whoever waits must hear of it."""
        if self._unwound():
            self.on_error(error)  # type: ignore[arg-type]

    def _give_up(self) -> None:
        """Cancels the task, if it has not ended."""
        self.is_sent = True
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
            if not self.has_begun:  # a task cancelled before its first step never runs its code
                self._scheduler.tasks.discard(task)

    def time_over(self) -> None:
        """The attempt took too long."""
        limit = self._tries.limit
        assert limit is not None
        self._give_up()
        self.on_error(TimeoutExceededError(limit=limit, kind="attempt"))

    def arrived(self, value: Any) -> None:
        """The task has got a value."""
        if not self._unwound():
            return
        self.upstream = DISPOSED
        if self.timers is not None:
            self.timers.drop(self)
        if self._generation is not None:
            self._settle(self._generation, classify(value))
        self.sink.on_only(value)

    def on_error(self, error: Exception) -> None:
        """Makes the links that know what follows, and tells them."""
        if self.timers is not None:
            self.timers.drop(self)
        tries, generation = self._tries, self._generation
        self._generation = None  # what follows gives it back
        scheduler = self._scheduler.about(self._call)
        going_on: Link = self.sink
        if tries.repeated is not None:
            self.upstream = going_on = tries.repeated.begun(self.sink, scheduler, self.started)
        else:
            self.upstream = DISPOSED
        if tries.guarded is not None and generation is not None:
            permit = CircuitPermit(generation, self.started)
            going_on = tries.guarded.watching(going_on, permit, scheduler.clock)
        going_on.on_error(error)

    def dispose(self) -> None:
        if self.upstream is DISPOSED:
            return
        self._give_up()
        if self.timers is not None:
            self.timers.drop(self)
        if self._generation is not None:
            self._settle(self._generation, Outcome3.IGNORED)
        super().dispose()

    def _settle(self, generation: int, outcome: Outcome3) -> None:
        guarded = self._tries.guarded
        assert guarded is not None
        breaker = guarded.breaker
        change = breaker.circuit.record_closed(generation, self.started, outcome, self._scheduler.clock.now())
        if change is not None:
            breaker.tell(change)
