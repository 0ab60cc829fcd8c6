"""A run of one plain call, as one link.

Nearly every run of a stream is one call, and nearly every call ends well with its first attempt. Nobody has
to hear of its beginning then, and all that is left of it is a result. `SoloRun` makes that result alone. At
whatever else happens (a failure, the end of its time, an abort) the links of an ordinary run are made, as
they would stand at that moment, and go on from there; so there is one place that knows what follows.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import Any, Final

from reactivex.abc import DisposableBase

from rxorch.endpoint import APIEndpoint, Call, Caller, IdempotencyKeys, Trail
from rxorch.endpoint.call import CallLink
from rxorch.endpoint.first_try import FirstLink, FirstTry, sent
from rxorch.endpoint.retry_rules import classify
from rxorch.endpoint.runtime import EndpointRuntime
from rxorch.events import CallFinished
from rxorch.flow.engine import RunLink, begin_run
from rxorch.flow.plan import CallPlan, FlowPlan
from rxorch.flow.result import OrchestrationResult, Outcome, OutcomeStatus
from rxorch.flow.run_ids import new_run_id
from rxorch.flow.state import RunSettings, RunState
from rxorch.flow.steps import StepLink
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Link
from rxorch_operators.core.timer_queue import SharedTimer, TimerQueue
from rxorch_operators.engines.circuit import Outcome3

__all__ = ["RunBeginner", "SoloRun"]

_NO_RESULTS: Final = MappingProxyType[str, Any]({})
_TRAIL: Final = Trail(context=_NO_RESULTS)
_OK: Final = OutcomeStatus.OK


class RunBeginner:
    """Begins runs of a plan; as `SoloRun`s if it is a single call without a condition.

    Args:
        plan: Of the flow.
        caller: Makes the calls.
        settings: Of the flow.

    Attributes:
        tries: Whose limit is known.
        limit: The nearer of the limits for the attempt and for the run, in seconds; None: there is none.
        timer: That of this limit.
    """

    __slots__ = ("caller", "endpoint", "limit", "plan", "settings", "timer", "tries")

    def __init__(self, plan: FlowPlan, caller: Caller, settings: RunSettings) -> None:
        self.plan = plan
        self.caller = caller
        self.settings = settings
        entry = plan.entry
        self.endpoint: APIEndpoint | None = None
        if isinstance(entry, CallPlan) and entry.condition is None and settings.on_outcome is None:
            self.endpoint = entry.endpoint
        self.tries: FirstTry | None = None
        self.limit: float | None = None
        self.timer: SharedTimer

    def learn(self, tries: FirstTry) -> None:
        """Finds the nearer limit: both times begin together, so the other cannot come first."""
        total = self.settings.total_timeout
        self.tries, self.limit, self.timer = tries, tries.limit, tries.timer
        if total is not None and (tries.limit is None or total < tries.limit):
            self.limit, self.timer = total, self.settings.timer

    def begin(
        self,
        data: Any,
        sink: Link,
        scheduler: DemandScheduler,
        idempotency: IdempotencyKeys | None = None,
    ) -> DisposableBase:
        """Begins a run, as `begin_run` would: a `SoloRun` if it can be one, else a `RunLink`."""
        endpoint, caller = self.endpoint, self.caller
        bus = caller.events
        if endpoint is not None and not bus.active and CallFinished not in bus.kinds:
            runtime = caller.runtime(endpoint)
            tries = runtime.first_try
            if tries is not None and runtime.error_handler is None:
                generation = None
                if tries.guarded is None or (generation := tries.guarded.let_in(scheduler.clock)) is not None:
                    trail = _TRAIL
                    if idempotency is not None:
                        trail = Trail(context=_NO_RESULTS, idempotency=idempotency)
                    call = Call(runtime, {} if data is None else data, trail)
                    return SoloRun(sink, self, call, scheduler, generation).begin(runtime, tries)
        return begin_run(self.plan, data, caller, self.settings, sink, scheduler, idempotency=idempotency)


class SoloRun(Link):
    """One run: its call, the task that sends the request, the permit, and a timer for the nearer limit.

    Attributes:
        has_begun: Whether the task has made its first step.
    """

    __slots__ = (
        "_call", "_first", "_generation", "_runs", "_scheduler", "_started", "_task", "_timers", "has_begun",
    )  # fmt: skip

    sink: Link

    def __init__(
        self,
        sink: Link,
        runs: RunBeginner,
        call: Call,
        scheduler: DemandScheduler,
        generation: int | None,
    ) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._runs = runs
        self._call = call
        self._scheduler = scheduler
        self._generation = generation
        self.has_begun = False
        self._first: FirstLink | None = None
        self._task: asyncio.Task[None] | None = None
        self._timers: TimerQueue | None = None

    def begin(self, runtime: EndpointRuntime, tries: FirstTry) -> SoloRun:
        """Builds the request and has it sent; returns itself."""
        call, scheduler = self._call, self._scheduler
        clock = scheduler.clock
        self._started = started = clock.now()
        call.now, call.started = clock.now, started
        runtime.calls_in_flight += 1
        try:
            runtime.prepare(call)
        except Exception as error:
            self._grown().sink.on_error(error)  # the link of the call: there is no attempt
            return self
        if call.budget is not None:
            call.budget.record_call(started)
        task = asyncio.get_running_loop().create_task(
            sent(self, call), name=runtime.endpoint.name, context=scheduler.context.copy()
        )
        if self.upstream is not NOTHING:  # an eager task has ended; or it failed, and is repeated
            return self
        self._task = task
        scheduler.tasks.add(task)
        runs = self._runs
        if runs.tries is not tries:
            runs.learn(tries)
        if runs.limit is not None:
            self._timers = timers = runs.timer.queue(clock, runs.limit)
            timers.wake(self, started)
        return self

    def failed(self, error: BaseException) -> None:
        """The task has met an error, or its cancellation."""
        self._grown().failed(error)

    def arrived(self, value: Any) -> None:
        """The run has ended well."""
        bus = self._runs.caller.events
        if self._first is not None or bus.active or CallFinished in bus.kinds:
            self._grown().arrived(value)  # who has come meanwhile hears to which run the call belonged
            return
        self.upstream = DISPOSED
        call, scheduler = self._call, self._scheduler
        scheduler.tasks.discard(self._task or asyncio.current_task())
        if self._timers is not None:
            self._timers.drop(self)
        now = scheduler.clock.now()
        if self._generation is not None:
            self._settle(self._generation, classify(value), now)
        duration = now - self._started
        call.finish("ok", now)
        outcomes = {call.runtime.endpoint.name: Outcome(_OK, value, None, 1, 0.0, duration)}
        self.sink.on_only(OrchestrationResult(outcomes, value=value, duration=duration, run=new_run_id()))

    def _settle(self, generation: int, outcome: Outcome3, now: float) -> None:
        tries = self._call.runtime.first_try
        assert tries is not None
        assert tries.guarded is not None
        breaker = tries.guarded.breaker
        change = breaker.circuit.record_closed(generation, self._started, outcome, now)
        if change is not None:
            breaker.tell(change)

    def _grown(self) -> FirstLink:
        """The link of the attempt in an ordinary run, which stands where this one stood."""
        if self._first is not None:
            return self._first
        runs, call, scheduler = self._runs, self._call, self._scheduler
        run = RunState(
            runs.plan, call.data, runs.caller, runs.settings, scheduler.clock.now, (), None,
            call.trail.idempotency, since=self._started,
        )  # fmt: skip
        whole = RunLink(self.sink, run, None)
        step = StepLink(whole, run, call.runtime.endpoint.name)
        step.call, step.started = call, self._started
        call.trail, call.deadline = run, run.deadline
        called = CallLink(step, call, describes=True)
        tries = call.runtime.first_try
        assert tries is not None
        first = FirstLink(called, tries, call, scheduler, self._generation, self._started)
        first.task, first.has_begun = self._task, self.has_begun
        if self._timers is not None:  # the attempt is over, or ends now
            self._timers.drop(self)
        total = runs.settings.total_timeout
        if total is not None:
            left = self._started + total - scheduler.clock.now()
            whole.timer = scheduler.clock.call_later(max(0.0, left), whole.time_over)
        whole.upstream, step.upstream, called.upstream = step, called, first
        self.upstream, self._first = whole, first
        return first

    def time_over(self) -> None:
        """The nearer limit is reached."""
        is_attempt = self._runs.timer is not self._runs.settings.timer
        first = self._grown()
        if is_attempt:
            first.time_over()
        else:
            self._whole().time_over()

    def abort(self, reason: str) -> None:
        """Ends the run, and tells who waits for it why and what is known."""
        self._grown()
        self._whole().abort(reason)

    def _whole(self) -> RunLink:
        assert isinstance(self.upstream, RunLink)
        return self.upstream

    def dispose(self) -> None:
        if self.upstream is not DISPOSED:
            self._grown()
            super().dispose()
