"""A step of a flow: the call of one endpoint, or the reason why it is not made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import Call, EndpointCall, noted, uncancelled
from rxorch.flow.plan import CallPlan
from rxorch.flow.result import Outcome, OutcomeStatus
from rxorch.flow.state import Done, RunState
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Link, Stage

__all__ = ["Step", "StepLink"]


class Step(Stage[Done]):
    """The call of one endpoint: skipped, or called, and its outcome written down."""

    waited = 0.0
    """Seconds since it could have begun."""

    def __init__(
        self,
        plan: CallPlan,
        data: Any,
        run: RunState,
        earlier: tuple[str, ...],
        *,
        own_keys_win: bool = False,
    ) -> None:
        self.plan = plan
        self.data = data
        self.state = run
        self.earlier = earlier
        self.own_keys_win = own_keys_win

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        run, plan = self.state, self.plan
        link = StepLink(sink, run, plan.endpoint.name)
        names, data = plan.depends_on, self.data
        if names:
            obstacle = run.obstacle(plan)
            if obstacle is not None:
                return link.skip(plan, *obstacle)
        if self.earlier or names:
            data = run.data_for(data, (*self.earlier, *names), own_keys_win=self.own_keys_win)
        keeper = run.keeper
        if plan.condition is not None:
            holds = None if keeper is None else keeper.holds(plan.endpoint.name)
            if holds is None:
                try:
                    holds = bool(uncancelled(plan.condition, data, run.context))
                except Exception as error:
                    return link.fail_before_start(
                        noted(error, f"in the condition of endpoint {plan.endpoint.name!r}")
                    )
            if not holds:
                if keeper is not None:
                    keeper.skipped(plan.endpoint.name)
                return link.skip(plan, "its condition does not hold", None)
        call = link.call = None if keeper is not None else Call(run.caller.runtime(plan.endpoint), data, run)
        after = (*self.earlier, *names) if run.listening else ()
        link.started = run.step_started(plan.endpoint.name, after, self.waited)
        if call is None:
            assert keeper is not None
            return link.joined(keeper.start(plan, data, run, link, scheduler))
        return link.joined(EndpointCall.start(call, link, scheduler))


class StepLink(Link):
    """One step in one run: ends as exactly one outcome, whichever way the call ends."""

    __slots__ = ("_name", "_run", "_settled", "call", "started")

    def __init__(self, sink: ObserverBase[Any], run: RunState, name: str) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._run = run
        self._name = name
        self._settled = False
        self.call: Call | None = None
        self.started = 0.0

    def skip(self, plan: CallPlan, reason: str, cause: str | None) -> DisposableBase:
        """Ends as a skip."""
        self._settled = True
        self._run.skip(plan, reason, cause)
        self._emit(Done(cause=cause, skipped=True))
        return self

    def fail_before_start(self, error: Exception, others: Iterable[CallPlan] = ()) -> DisposableBase:
        """Ends as a failure of something that comes before the call; `others` cannot run because of it."""
        self.started = self._run.step_started(self._name)
        if self._run.keeper is not None:
            self._run.keeper.failed(self._name, error)
        end = self._settle(OutcomeStatus.FAILED, error)
        for other in others:  # before anybody hears of the end: their dependants look at them then
            self._run.skip(other, f"the condition in front of {self._name!r} failed", self._name)
        self._fail(end, error)
        return self

    def _emit(self, done: Done) -> None:
        self.sink.on_next(done)
        if self.upstream is not DISPOSED:
            self.sink.on_completed()

    def _settle(self, status: OutcomeStatus, error: BaseException | None) -> Exception | None:
        self._settled = True
        run, call = self._run, self.call
        outcome = Outcome(
            status,
            call.value if call is not None and status is OutcomeStatus.OK else None,
            error,
            0 if call is None else call.attempts,
            self.started - run.started,
            run.now() - self.started,
            call is not None and call.degraded,
            cached=call is not None and call.cached,
            stale=call is not None and call.stale,
        )
        return run.settle(self._name, outcome)

    def on_next(self, value: Any) -> None:
        """The value is kept by the call; what counts is how it ends."""

    def on_completed(self) -> None:
        call = self.call
        assert call is not None
        if self.upstream is not DISPOSED:  # as `_let_go`
            self.upstream = NOTHING
        end = self._settle(OutcomeStatus.OK, call.error if call.degraded else None)
        if end is None:
            self._emit(Done(call.value))
        else:
            self.sink.on_error(end)

    def _let_go(self) -> None:
        """The call, which refers to us, has ended: both are freed at once, and not by the collector."""
        if self.upstream is not DISPOSED:
            self.upstream = NOTHING

    def on_error(self, error: Exception) -> None:
        self._let_go()
        status = OutcomeStatus.FAILED
        if self.call is not None and self.call.status in ("unknown", "cancelled"):
            status = OutcomeStatus(self.call.status)
        self._fail(self._settle(status, error), error)

    def _fail(self, end: Exception | None, error: Exception) -> None:
        if end is not None:
            self.sink.on_error(end)
        elif self._run.settings.fail_fast or not isinstance(error, Exception):
            self.sink.on_error(error)
        else:
            self._emit(Done(cause=self._name))

    def dispose(self) -> None:
        super().dispose()
        if not self._settled and self.call is not None:
            status = self.call.status if self.call.status in ("unknown", "cancelled") else "cancelled"
            self._settle(OutcomeStatus(status), None)
