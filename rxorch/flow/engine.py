"""The engine: one run of a plan as an observable."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import Caller, IdempotencyKeys, InSession
from rxorch.errors import ApiError, ApiTimeoutError
from rxorch.events import Event
from rxorch.flow.groups import node_of
from rxorch.flow.nodes import Flow
from rxorch.flow.plan import FlowPlan, compile_flow
from rxorch.flow.result import OrchestrationResult, OutcomeStatus
from rxorch.flow.so_far import result_so_far
from rxorch.flow.state import Done, Recorder, RunSettings, RunState, StepKeeper
from rxorch.interrupts import RunInterrupted, in_kernel, interruptible
from rxorch_operators import TimeoutExceededError, flat_map_bounded, from_iterable, last_of
from rxorch_operators._seconds import seconds_words
from rxorch_operators.core.clock import Clock, Handle
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Link, Stage

__all__ = ["FlowRun", "RunEvents", "RunLink", "awaited_run", "begin_run", "execute_flow", "observe_flow"]


def observe_flow(flow: Flow, data: Any, client: Caller | None) -> Observable[OrchestrationResult]:
    """See `Flow.observe`."""
    plan = compile_flow(flow)
    if client is not None:
        return FlowRun(plan, data, client, RunSettings())

    async def once() -> OrchestrationResult:
        return await execute_flow(flow, data, None)

    return flat_map_bounded(lambda _: once(), max_concurrent=1)(from_iterable([None]))


async def execute_flow(flow: Flow, data: Any, client: Caller | None) -> OrchestrationResult:
    """See `Flow.execute`."""
    plan = compile_flow(flow)
    async with Caller() if client is None else client as caller:
        return await awaited_run(plan, data, caller, RunSettings())


async def awaited_run(
    plan: FlowPlan, data: Any, caller: Caller, settings: RunSettings
) -> OrchestrationResult:
    """One run to its end. In a notebook an interrupt tells what was done until then."""
    events: list[Event] = []
    run = InSession(FlowRun(plan, data, caller, settings, record=events), caller)
    if not in_kernel():
        return await last_of(run)

    def told() -> RunInterrupted:
        partial = result_so_far(events, plan.names)
        done = sum(outcome.status is not OutcomeStatus.CANCELLED for outcome in partial.outcomes.values())
        return RunInterrupted(
            f"interrupted after {seconds_words(partial.duration)}: {done} of {len(partial)} endpoints had "
            "ended; kept in sys.last_value.result",
            partial,
        )

    return await interruptible(last_of(run), told)


class FlowRun(Stage[OrchestrationResult]):
    """One run as an observable: cold, one result. Each subscription is a run of its own.

    Args:
        record: Whether the events become those of the result. In a list that is given they can be read before
            it; it is for one subscription.
    """

    def __init__(
        self,
        plan: FlowPlan,
        data: Any,
        caller: Caller,
        settings: RunSettings,
        *,
        record: bool | list[Event] = False,
        idempotency: IdempotencyKeys | None = None,
        keeper: StepKeeper | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.plan = plan
        self.data = data
        self.caller = caller
        self.settings = settings
        self.record = record
        self.idempotency = idempotency
        self.keeper = keeper
        self.headers = headers

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        if self.record is False:
            return self.start(sink, scheduler, (), None)
        events: list[Event] = [] if self.record is True else self.record
        return self.start(sink, scheduler, events, events.append)

    def start(
        self,
        sink: ObserverBase[Any],
        scheduler: DemandScheduler,
        events: Sequence[Event],
        record: Recorder | None,
    ) -> DisposableBase:
        """Begins a run whose events go to `record`; `events` become those of its result."""
        return begin_run(
            self.plan,
            self.data,
            self.caller,
            self.settings,
            sink,
            scheduler,
            events,
            record,
            idempotency=self.idempotency,
            siblings=self.caller.session().runs,
            keeper=self.keeper,
            headers=self.headers,
        )


def begin_run(
    plan: FlowPlan,
    data: Any,
    caller: Caller,
    settings: RunSettings,
    sink: ObserverBase[Any],
    scheduler: DemandScheduler,
    events: Sequence[Event] = (),
    record: Recorder | None = None,
    *,
    idempotency: IdempotencyKeys | None = None,
    siblings: set[Any] | None = None,
    keeper: StepKeeper | None = None,
    headers: Mapping[str, str] | None = None,
) -> RunLink:
    """What the subscription of a `FlowRun` does.

    Args:
        plan: Of the flow.
        data: The input.
        caller: Makes the calls.
        settings: Of the flow.
        sink: Hears the result.
        scheduler: Time and tasks.
        events: Become those of the result.
        record: Takes the events.
        idempotency: Makes the keys of calls.
        siblings: Where those stand that end with the client; None: somebody else ends the run.
        keeper: Makes the steps durable.
        headers: Of every request, where its endpoint has none of that name.
    """
    run = RunState(plan, data, caller, settings, scheduler.clock.now, events, record, idempotency)
    run.keeper, run.headers = keeper, headers
    link = RunLink(sink, run, siblings)
    link.connect(node_of(plan.entry, run.input, run, ()), scheduler)
    link.arm(scheduler.clock)
    return link


class RunEvents(Stage[Event]):
    """The events of one run, live; the run begins when this is subscribed and ends when it is disposed."""

    def __init__(self, flow_run: FlowRun) -> None:
        self.flow_run = flow_run

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _EventsLink(sink)
        return link.joined(self.flow_run.start(link, scheduler, (), link.record))


class _EventsLink(Link):
    __slots__ = ("_closed",)

    def __init__(self, sink: ObserverBase[Any]) -> None:
        super().__init__(sink)
        self._closed = False

    def record(self, event: Event) -> None:
        """Passes an event on; after disposal the events of the cancellation are for nobody."""
        if not self._closed:
            self.sink.on_next(event)

    def on_next(self, value: Any) -> None:
        """The result itself is not an event; `RunFinished` has been sent."""

    def dispose(self) -> None:
        self._closed = True
        super().dispose()


class RunLink(Link):
    """Turns the end of the flow into the result of the run, and ends it when its time is over.

    Attributes:
        timer: Ends it when its time is over.
    """

    __slots__ = ("_over", "_run", "_siblings", "timer")

    def __init__(self, sink: ObserverBase[Any], run: RunState, siblings: set[Any] | None) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._run = run
        self._over = False
        self.timer: Handle | None = None
        self._siblings = siblings
        if siblings is not None:
            siblings.add(self)

    def arm(self, clock: Clock) -> None:
        """Starts the time of the run, if it has not ended yet. All runs have one timer together."""
        limit = self._run.settings.total_timeout
        if limit is not None and not self._over:
            self.timer = self._run.settings.timer.queue(clock, limit).call(self.time_over)

    def time_over(self) -> None:
        """The run took too long."""
        limit = self._run.settings.total_timeout
        assert limit is not None
        super().dispose()
        self.on_error(_timed_out(limit))

    def _ended(self) -> None:
        self._over = True
        if self._siblings is not None:
            self._siblings.discard(self)
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()

    def abort(self, reason: str = "the client was closed while this run was under way") -> None:
        """Ends the run, and tells who waits for it why and what is known."""
        super().dispose()
        self.on_error(ApiError(reason))

    def on_next(self, value: Done) -> None:
        self._ended()
        run = self._run
        result = run.result(value.value if run.plan.hands_on else run.last(), complete=True)
        if run.listening:
            self._finish(result, "ok" if result.ok else "failed")
        only = getattr(self.sink, "on_only", None)
        if only is None:
            self.sink.on_next(result)  # its end follows that of the flow
        else:
            self.upstream = DISPOSED  # which has ended but for saying so
            only(result)

    def on_error(self, error: Exception) -> None:
        if self._over:
            self.sink.on_error(error)
            return
        self._ended()
        run = self._run
        partial_result = run.result(run.last(), complete=False)
        if isinstance(error, Exception):
            error = _own(error)
            with suppress(Exception):  # a class that refuses attributes
                error.result = partial_result  # type: ignore[attr-defined]
        self._finish(partial_result, "failed", error)
        self.sink.on_error(error)

    def _finish(self, result: OrchestrationResult, status: str, error: Exception | None = None) -> None:
        run = self._run
        run.finish(status, error)
        result.events = tuple(run.events)  # with the last one

    def dispose(self) -> None:
        super().dispose()
        if not self._over:
            self._ended()
            self._run.finish("cancelled")


def _own(error: Exception) -> Exception:
    """The error itself, or a copy if it has ended another run: coalesced calls share theirs."""
    if getattr(error, "result", None) is None:
        return error
    try:
        twin = copy.copy(error)
        twin.__cause__, twin.__context__ = error.__cause__, error.__context__
        twin.__suppress_context__ = error.__suppress_context__
        return twin.with_traceback(error.__traceback__)
    except Exception:  # a class that cannot be copied, or refuses attributes
        return error


def _timed_out(limit: float) -> ApiTimeoutError:
    timed_out = ApiTimeoutError(
        f"the orchestration took longer than its total_timeout of {seconds_words(limit, exact=True)}",
        limit=limit,
    )
    timed_out.__cause__ = TimeoutExceededError(limit=limit, kind="total")
    return timed_out
