"""The state of one run: results, outcomes, and why a step may not start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel
from reactivex.abc import DisposableBase

from rxorch.endpoint import Caller, IdempotencyKeys, Trail
from rxorch.errors import ApiDependencyError
from rxorch.events import Event, RunFinished, RunStarted, StepFinished, StepSkipped, StepStarted
from rxorch.flow.nodes import Kind
from rxorch.flow.plan import CallPlan, FlowPlan, Plan, walk
from rxorch.flow.result import OrchestrationResult, Outcome, OutcomeStatus
from rxorch.flow.run_ids import new_run_id
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.timer_queue import SharedTimer

__all__ = ["Done", "Recorder", "RunSettings", "RunState", "StepKeeper"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How runs of a flow behave.

    Args:
        max_concurrent: Cap of each group that names none.
        fail_fast: The first failure cancels what is in flight and is raised.
        total_timeout: Seconds for a whole run; None: no limit.
        on_outcome: Sees each outcome; an error that it returns ends the run.
    """

    max_concurrent: int = 10
    fail_fast: bool = False
    total_timeout: float | None = 300.0
    on_outcome: Callable[[Outcome], Exception | None] | None = None
    timer: SharedTimer = field(init=False, default_factory=SharedTimer, repr=False, compare=False)
    """For `total_timeout`: all runs wait equally long."""


Recorder: TypeAlias = Callable[[Event], object]
"""Takes the events of one run."""


class StepKeeper(Protocol):
    """Makes the steps of a run durable: asked before each step, and makes it in the place of the engine."""

    def chosen(self, then: Sequence[str], otherwise: Sequence[str]) -> bool | None:
        """Which way a choice between these steps went before; None: it was not made yet."""

    def holds(self, name: str) -> bool | None:
        """What the condition of a step said before; None: it was not asked yet."""

    def skipped(self, name: str) -> None:
        """The condition of a step does not hold, or a choice went another way."""

    def failed(self, name: str, error: Exception) -> None:
        """The condition in front of a step has raised."""

    def start(
        self, plan: CallPlan, data: Any, run: RunState, link: Any, scheduler: DemandScheduler
    ) -> DisposableBase:
        """Makes a step. Gives its `StepLink` the facts of the call, and tells it how it ended."""


class Done:
    """How a node of the flow ended: its output, and the endpoint whose failure spoilt it, if any."""

    __slots__ = ("cause", "skipped", "value")

    def __init__(self, value: Any = None, *, cause: str | None = None, skipped: bool = False) -> None:
        self.value = value
        self.cause = cause
        self.skipped = skipped


class RunState(Trail):
    """One run of a plan for one input; the trail of its calls. `since` is when it began, if that is past."""

    __slots__ = (
        "_causes", "_skips", "caller", "events", "input", "keeper", "listening", "now", "outcomes", "plan",
        "results", "settings", "started",
    )  # fmt: skip

    run: str

    def __init__(
        self,
        plan: FlowPlan,
        data: Any,
        caller: Caller,
        settings: RunSettings,
        now: Callable[[], float],
        events: Sequence[Event],
        record: Recorder | None,
        idempotency: IdempotencyKeys | None = None,
        since: float | None = None,
    ) -> None:
        self.plan = plan
        self.caller = caller
        self.settings = settings
        self.now = now
        self.run = new_run_id()
        self.record = record
        self.idempotency = idempotency
        self.headers = None
        self.keeper: StepKeeper | None = None
        self.input = {} if data is None else data
        self.results: dict[str, Any] = {}
        self.context = MappingProxyType(self.results)
        self.outcomes: dict[str, Outcome] = {}
        self.events = events
        self._causes: dict[str, str] = {}  # failed, or skipped because of a failure -> what failed first
        self._skips: dict[str, str] = {}  # skipped by a condition, and the skip spreads -> reason
        self.started = now() if since is None else since
        limit = settings.total_timeout
        self.deadline = None if limit is None else self.started + limit
        # Whose beginning nobody has heard, of that nobody hears the end.
        self.listening = since is None and (record is not None or caller.events.active)
        if self.listening:
            self.emit(RunStarted(self.started, self.run, "", plan.mode))

    def emit(self, event: Event) -> None:
        """Gives an event to the record of the run and to the bus."""
        if self.record is not None:
            self.record(event)
        self.caller.events.emit(event)

    # -- what a step sees ------------------------------------------------------------------------------

    def data_for(self, base: Any, names: Sequence[str], *, own_keys_win: bool = False) -> Any:
        """The data of a step: its base, with results added by name."""
        names = [name for name in names if name in self.outcomes]
        if not names:
            return base
        added = {name: self.results.get(name) for name in names}
        if isinstance(base, BaseModel):
            base = {name: getattr(base, name) for name in type(base).model_fields}
        if isinstance(base, Mapping):
            return {**added, **base} if own_keys_win else {**base, **added}
        return base if own_keys_win else {"input": base, **added}

    def obstacle(self, step: CallPlan) -> tuple[str, str | None] | None:
        """Why a step must be skipped, and the endpoint that failed, if one did; None: it may start."""
        for name in step.depends_on:
            cause = self._causes.get(name)
            if cause is not None:
                return (f"{cause!r} failed", cause)
            if name in self._skips:
                return (f"{name!r} was skipped: {self._skips[name]}", None)
        return None

    # -- what a step reports ---------------------------------------------------------------------------

    def step_started(self, name: str, after: tuple[str, ...] = (), waited: float = 0.0) -> float:
        """A step begins; returns the time. See `StepStarted`."""
        at = self.now()
        if self.listening:
            self.emit(StepStarted(at, self.run, name, after, waited))
        return at

    def settle(self, name: str, outcome: Outcome) -> Exception | None:
        """Writes down how a step ended. Returns an error if that ends the whole run."""
        self.outcomes[name] = outcome
        if outcome.status is OutcomeStatus.OK:
            self.results[name] = outcome.value
        else:
            self.results[name] = None
            if outcome.status is not OutcomeStatus.SKIPPED:
                self._causes.setdefault(name, name)
        if self.listening:
            at = self.now()
            self.emit(
                StepFinished(
                    at, self.run, name, str(outcome.status), outcome.duration, outcome.attempts,
                    outcome.error, outcome.degraded, outcome.value,
                )
            )  # fmt: skip
        judge = self.settings.on_outcome
        return judge(outcome) if judge is not None and outcome.started is not None else None

    def skip(self, plan: Plan, reason: str, cause: str | None = None) -> None:
        """Marks every call of a plan as skipped, by a condition or because `cause` failed."""
        for step in walk(plan):
            self._skip_step(step, reason, cause)

    def _skip_step(self, step: CallPlan, reason: str, cause: str | None) -> None:
        name = step.endpoint.name
        error: ApiDependencyError | None = None
        if cause is not None:
            self._causes[name] = cause
            error = ApiDependencyError(f"not run: {reason}", cause_endpoint=cause, endpoint=name)
            error.__cause__ = self.outcomes[cause].error if cause in self.outcomes else None
        elif step.endpoint.skip_propagates or self._spreads(step):
            self._skips[name] = reason
        if self.listening:
            self.emit(StepSkipped(self.now(), self.run, name, reason))
        self.outcomes[name] = Outcome(OutcomeStatus.SKIPPED, error=error, reason=reason)
        self.results[name] = None

    def _spreads(self, step: CallPlan) -> bool:
        return any(name in self._skips for name in step.depends_on)

    # -- the end ---------------------------------------------------------------------------------------

    def last(self) -> Any:
        """The value of the last endpoint, in written order, that has one."""
        outcomes = self.outcomes
        for name in reversed(self.plan.names):
            outcome = outcomes.get(name)
            if outcome is not None and outcome.status is OutcomeStatus.OK:
                return outcome.value
        return None

    def result(self, value: Any = None, *, complete: bool) -> OrchestrationResult:
        """What is known now. With `complete=False`, endpoints that never started count as cancelled."""
        if not complete:
            for name in self.plan.names:
                if name not in self.outcomes:
                    reason = "the run ended before its turn"
                    self.outcomes[name] = Outcome(OutcomeStatus.CANCELLED, reason=reason)
        outcomes = self.outcomes
        if len(outcomes) > 1:
            outcomes = {name: outcomes[name] for name in self.plan.names if name in outcomes}
        return OrchestrationResult(
            outcomes, value=value, events=self.events, duration=self.now() - self.started, run=self.run
        )

    def finish(self, status: str, error: BaseException | None = None) -> None:
        """Tells the listeners that the run is over."""
        if self.listening:
            now = self.now()
            self.emit(RunFinished(now, self.run, "", status, now - self.started, error))


def sees_results(kind: Kind) -> bool:
    """Whether the members of such a group see every earlier result, not just those they depend on."""
    return kind in (Kind.SEQUENTIAL, Kind.CONDITIONAL)
