"""Which event tells of which change, and what it says: the same in every journal."""

from __future__ import annotations

from typing import Any, Final

from rxorch.errors import ApiConfigurationError
from rxorch.saga.records import SagaState, StepRecord, StepStatus

__all__ = [
    "CANCEL_REQUESTED",
    "REOPENED",
    "RESUMED",
    "SIGNAL_RECEIVED",
    "STARTED",
    "state_event",
    "step_event",
]

STARTED: Final = "run.started"
RESUMED: Final = "run.resumed"
CANCEL_REQUESTED: Final = "run.cancel_requested"
REOPENED: Final = "run.reopened"
SIGNAL_RECEIVED: Final = "signal.received"

_STEP_KINDS: Final = {
    (undo, status): f"{'undo' if undo else 'step'}.{status.value}"
    for undo in (False, True)
    for status in StepStatus
}

_STATE_KINDS: Final = {
    state: f"run.{state.value}"
    for state in (SagaState.COMPENSATING, SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED)
}


def step_event(step: StepRecord) -> tuple[str, dict[str, Any]]:
    """Kind and data of the event that tells of a step."""
    data: dict[str, Any] = {"step": step.step, "attempt": step.attempt, "key": step.key}
    if step.error is not None:
        data["error"] = dict(step.error)
    return _STEP_KINDS[step.undo, step.status], data


def state_event(state: SagaState, error: dict[str, str] | None) -> tuple[str, dict[str, Any]]:
    """Kind and data of the event that tells that a run has come to a state.

    Raises:
        ApiConfigurationError: Who drives a run never brings it there: it begins so, or others want it so.
    """
    try:
        kind = _STATE_KINDS[state]
    except KeyError:
        raise ApiConfigurationError(
            f"write: state is {state.value!r}, which nobody writes who drives a run; leave it out"
        ) from None
    return kind, {} if error is None else {"error": dict(error)}
