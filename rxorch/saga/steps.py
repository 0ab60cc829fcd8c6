"""The steps of a saga: what is done, how it is undone, and from where on there is no way back."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pydantic_core import to_json

from rxorch.endpoint import APIEndpoint, call_with_context
from rxorch.errors import ApiConfigurationError
from rxorch.flow.combinators import as_flow, sequential
from rxorch.flow.nodes import Call, Choice, Flow, Group
from rxorch.flow.plan import IN_ORDER, CallPlan, FlowPlan, GroupPlan, Plan, compile_flow
from rxorch.saga.errors import SagaDefinitionChangedError, SagaError
from rxorch.saga.records import RunRecord, StepRecord, StepStatus

__all__ = [
    "Compensation",
    "Definition",
    "Local",
    "Step",
    "definition_of",
    "key_of",
    "named",
    "wait",
    "wait_for",
]

Compensation: TypeAlias = APIEndpoint | Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """What stands in a flow for a step that is no request: a function, a wait, a signal.

    Attributes:
        name: Of the step.
        action: The function; None for a wait.
        seconds: How long is waited: for the time to pass, or at most for the signal; None: for ever.
        signal: Name of the signal; None: a wait for the time alone.
        condition: As of an endpoint.
        depends_on: As of an endpoint.
        skip_propagates: As of an endpoint.
    """

    name: str
    action: Callable[[Any, Any], Any] | None = None
    seconds: float | None = None
    signal: str | None = None
    condition: Callable[..., Any] | None = None
    depends_on: Sequence[str] = ()
    skip_propagates: bool = False

    # What a plan asks of an endpoint.
    @property
    def template_fields(self) -> tuple[str, ...]:
        """Nothing is filled in."""
        return ()

    @property
    def transform_input(self) -> None:
        """The data is taken as it is."""
        return None

    @property
    def kind(self) -> str:
        """`call`, `wait` or `signal`."""
        if self.action is not None:
            return "call"
        return "wait" if self.signal is None else "signal"


class Step(Call):
    """A step of a saga: an action, and what undoes it.

    Args:
        action: An endpoint; or a function, `async` or not, of the data, or of data and earlier results by
            name. It must be safe to repeat with the same key: see `current_step`.
        compensation: An endpoint or such a function. Its data are those of the step, with the step's result
            under its name (None when nobody knows it) and `saga` (`run_id`, `step`, and the `key` with which
            the action was called). It too may be repeated, and may come for an action that never had an
            effect. None: there is nothing to undo.
        name: That of the endpoint or of the function by default.
        pivot: From its success on there is no way back: later steps that fail are repeated, and not undone.
        retriable: It is repeated until it succeeds, as those after a pivot.
        depends_on: For a function: as of an endpoint.
        condition: For a function: as of an endpoint.

    Raises:
        ApiConfigurationError: names the step and what cannot be.

    >>> from rxorch import APIEndpoint
    >>> from rxorch.saga import Step
    >>> pay = APIEndpoint(name="charge", method="POST", url="https://pay.example.com/charges")
    >>> refund = APIEndpoint(name="refund", method="POST", url="https://pay.example.com/{charge.id}/refund")
    >>> Step(pay, compensation=refund)
    <Step charge, undone by refund>
    """

    __slots__ = ("compensation", "pivot", "retriable")

    compensation: Compensation | None
    pivot: bool
    retriable: bool

    def __init__(
        self,
        action: APIEndpoint | Local | Callable[..., Any],
        *,
        compensation: Compensation | None = None,
        name: str | None = None,
        pivot: bool = False,
        retriable: bool = False,
        depends_on: Sequence[str] = (),
        condition: Callable[..., Any] | None = None,
    ) -> None:
        leaf = _leaf(action, name, depends_on, condition)
        whose = "its compensation"
        if compensation is None and isinstance(leaf, APIEndpoint):
            whose, compensation = "the compensate_with of its endpoint", leaf.compensate_with
        if compensation is not None and not isinstance(compensation, APIEndpoint):
            call_with_context(compensation, label="compensation", may_be_async=True)
        for field, value in (("pivot", pivot), ("retriable", retriable)):
            if not isinstance(value, bool):
                raise ApiConfigurationError(f"step {leaf.name!r}: {field} is True or False")
        if pivot and compensation is not None:
            raise ApiConfigurationError(
                f"step {leaf.name!r}: a pivot is never undone: leave out pivot, or {whose}"
            )
        object.__setattr__(self, "endpoint", cast("APIEndpoint", leaf))
        object.__setattr__(self, "compensation", compensation)
        object.__setattr__(self, "pivot", pivot)
        object.__setattr__(self, "retriable", retriable)

    @property
    def name(self) -> str:
        """Of the step."""
        return self.endpoint.name

    def __repr__(self) -> str:
        undone = self.compensation
        how = "" if undone is None else f", undone by {named(undone)}"
        pivot = ", pivot" if self.pivot else ""
        return f"<Step {self.name}{how}{pivot}>"


def wait(seconds: float, *, name: str | None = None, depends_on: Sequence[str] = ()) -> Step:
    """A step that takes so many seconds. Its end is written down, so a restart does not make it longer.

    >>> from rxorch.saga import wait
    >>> wait(3600, name="cooling_off")
    <Step cooling_off>
    """
    _check_seconds("wait", seconds)
    label = f"wait_{seconds:g}s".replace(".", "_") if name is None else name
    return Step(Local(label, seconds=float(seconds), depends_on=tuple(depends_on)))


def wait_for(
    signal: str, *, timeout: float | None = None, name: str | None = None, depends_on: Sequence[str] = ()
) -> Step:
    """A step that waits until `saga.signal(run_id, signal, value)` is called; its result is the value.

    Args:
        signal: Its name.
        timeout: Seconds after which the step fails; None: never.
        name: Of the step; that of the signal by default.
        depends_on: As of an endpoint.

    >>> from rxorch.saga import wait_for
    >>> wait_for("approved", timeout=86_400)
    <Step approved>
    """
    if not isinstance(signal, str) or not signal:
        raise ApiConfigurationError("wait_for: give the name of the signal")
    if timeout is not None:
        _check_seconds("timeout", timeout)
    return Step(Local(name or signal, seconds=timeout, signal=signal, depends_on=tuple(depends_on)))


def _check_seconds(field: str, value: Any) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not value >= 0
        or not math.isfinite(value)
    ):
        raise ApiConfigurationError(f"{field}: give seconds, 0 or more")


def _leaf(
    action: Any, name: str | None, depends_on: Sequence[str], condition: Callable[..., Any] | None
) -> APIEndpoint | Local:
    if isinstance(action, Local):
        return action
    if isinstance(action, APIEndpoint):
        if depends_on or condition is not None:
            raise ApiConfigurationError(
                f"step {action.name!r}: depends_on and condition are those of its endpoint"
            )
        if action.stream is not None:
            raise ApiConfigurationError(f"step {action.name!r}: a stream of elements cannot be a step")
        return action if name is None else action.model_copy(update={"name": name})
    if not callable(action):
        raise ApiConfigurationError(f"a step is an APIEndpoint or a function, got {type(action).__name__}")
    label: str = name or getattr(action, "__name__", "") or ""
    if not label.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise ApiConfigurationError("a step that is a function without a name needs name=")
    called = call_with_context(action, label=f"step {label!r}", may_be_async=True)
    return Local(label, called, condition=condition, depends_on=tuple(depends_on))


def named(compensation: Compensation) -> str:
    """What a compensation is called."""
    if isinstance(compensation, APIEndpoint):
        return compensation.name
    return getattr(compensation, "__name__", type(compensation).__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """What a saga is, ready to run.

    Attributes:
        name: Its name.
        plan: Its steps as a plan.
        steps: The same by name.
        fingerprint: 16 hexadecimal digits, others for other steps, another order, other compensations.
        first: The step that each run begins with, and that gets its input; None if that has to be seen.
    """

    name: str
    plan: FlowPlan
    steps: Mapping[str, Step]
    fingerprint: str
    first: str | None

    def begun_with(self, run_id: str, input_json: bytes, now: float) -> tuple[StepRecord, ...]:
        """What is written of the first step in one transaction with the beginning of its run."""
        if self.first is None:
            return ()
        key = key_of(run_id, self.first)
        return (
            StepRecord(
                self.first, undo=False, status=StepStatus.STARTED, attempt=1, key=key, began=1,
                input_json=input_json, began_at=now,
            ),
        )  # fmt: skip

    def endpoints(self) -> Iterator[APIEndpoint]:
        """All endpoints that may be called, those of compensations too."""
        for step in self.steps.values():
            for each in (step.endpoint, step.compensation):
                if isinstance(each, APIEndpoint):
                    yield each

    def check(self, run: RunRecord) -> None:
        """Refuses a run that began as something else.

        Raises:
            SagaError: It is of another saga.
            SagaDefinitionChangedError: It began with other steps, and is not over.
        """
        if run.saga != self.name:
            raise SagaError(f"run {run.run_id!r} is of saga {run.saga!r}, not of {self.name!r}")
        if run.fingerprint != self.fingerprint and not run.state.is_over:
            raise SagaDefinitionChangedError(
                f"run {run.run_id!r} began with other steps of saga {self.name!r} (fingerprint "
                f"{run.fingerprint}, now {self.fingerprint}): drive it with the code it began "
                "with until it is over, or cancel it there; give changed steps another saga name"
            )


def definition_of(name: str, steps: Flow | Sequence[Flow | APIEndpoint]) -> Definition:
    """Checks a saga.

    Raises:
        ApiConfigurationError: names what is wrong.
    """
    if not isinstance(name, str) or not name or len(name) > 200:
        raise ApiConfigurationError("a saga needs a name of 1 to 200 characters")
    flow = steps if isinstance(steps, Flow) else sequential(*steps)
    found = {step.name: step for step in _steps(flow)}
    plan = compile_flow(flow)  # refuses two steps of one name
    if not found:
        raise ApiConfigurationError(f"saga {name!r} has no steps")
    for step in found.values():
        if step.name == "undo":
            raise ApiConfigurationError(
                f"saga {name!r}: a step cannot be called 'undo': in a key that is the undoing of one"
            )
        if isinstance(step.endpoint, APIEndpoint) and step.endpoint.error_handler is not None:
            raise ApiConfigurationError(
                f"saga {name!r}, step {step.name!r}: an error_handler hides the failure that has to be undone"
            )
        if isinstance(step.compensation, APIEndpoint):
            _check_compensation(step.compensation, f"saga {name!r}, step {step.name!r}")
    text = to_json([name, _described(as_flow(flow), found)])
    return Definition(name, plan, found, hashlib.sha256(text).hexdigest()[:16], _first(plan.root))


def _first(plan: Plan) -> str | None:
    while isinstance(plan, GroupPlan) and plan.kind in IN_ORDER:
        plan = plan.members[plan.order[0]]
    if not isinstance(plan, CallPlan) or plan.condition is not None or plan.depends_on:
        return None
    leaf: APIEndpoint | Local = plan.endpoint
    is_wait = isinstance(leaf, Local) and leaf.action is None
    return None if is_wait else leaf.name


def key_of(run_id: str, name: str, *, undo: bool = False) -> str:
    """The idempotency key of a step or of its undoing."""
    return f"{run_id}:{name}:undo" if undo else f"{run_id}:{name}"


def _check_compensation(undone: APIEndpoint, place: str) -> None:
    if undone.error_handler is not None:
        raise ApiConfigurationError(
            f"{place}: the error_handler of {undone.name!r} hides that it could not be undone"
        )
    if undone.condition is not None or undone.depends_on:
        raise ApiConfigurationError(
            f"{place}: {undone.name!r} has a condition or depends_on, which nobody asks of a compensation: "
            "it sees all results; give a function that decides"
        )
    if undone.stream is not None:
        raise ApiConfigurationError(f"{place}: {undone.name!r} is a stream, which cannot undo a step")


def _steps(flow: Flow) -> Iterator[Step]:
    if isinstance(flow, Step):
        yield flow
    elif isinstance(flow, Call):
        yield Step(flow.endpoint)
    for child in flow.children():
        yield from _steps(child)


def _described(flow: Flow, found: Mapping[str, Step]) -> Any:
    if isinstance(flow, Call):
        step = found[flow.endpoint.name]
        leaf = step.endpoint
        return [
            step.name,
            leaf.kind if isinstance(leaf, Local) else "endpoint",
            sorted(leaf.depends_on),
            leaf.condition is not None,
            None if step.compensation is None else named(step.compensation),
            step.pivot,
            step.retriable,
        ]
    members = [_described(child, found) for child in flow.children()]
    if isinstance(flow, Group):
        return [flow.kind.value, members]
    assert isinstance(flow, Choice)
    return ["choice", members]
