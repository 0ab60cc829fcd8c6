"""What is shown of a run: the same members for flows and sagas. No input, no url, no text of an error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from pydantic_core import from_json

from rxorch.saga import RunRecord, SagaState, StepRecord
from rxorch.server.problems import Problem
from rxorch.server.run_book import KeptRun

__all__ = ["flow_document", "flow_summary", "link_of", "saga_document", "saga_problem", "saga_summary"]

_CAUSES: Final = {"ApiTimeoutError": 504, "ApiValidationError": 422, "cancelled": 409}
"""Type of the error that turned a saga -> status; 502 for others."""
_TURNED: Final = {
    SagaState.COMPENSATED: "the saga was undone",
    SagaState.FAILED: "the saga is a dead letter: a person has to look at it",
}


def link_of(run_id: str) -> str:
    """The path of a run."""
    return f"/runs/{quote(run_id, safe='')}"


def flow_summary(run: KeptRun) -> dict[str, Any]:
    """A run of a flow without its outcomes and its result."""
    duration = run.duration
    return {
        "id": run.id,
        "flow": run.flow,
        "kind": "flow",
        "state": run.state.value,
        "began": round(run.began, 6),
        "ended": None if duration is None else round(run.began + duration, 6),
        "duration": None if duration is None else round(duration, 6),
        "problem": None if run.problem is None else from_json(run.problem),
    }


def flow_document(run: KeptRun) -> dict[str, Any]:
    """A run of a flow. Without `result` and with no outcomes if they are not kept any more."""
    found = flow_summary(run)
    found["outcomes"] = (found["problem"] or {}).get("outcomes", {})
    if run.answer is not None:
        answer = json.loads(run.answer)  # `from_json` has a depth that is less than that of `to_json`
        found["outcomes"], found["result"] = answer["outcomes"], answer["result"]
    return found


def saga_summary(name: str, run: RunRecord) -> dict[str, Any]:
    """A run of a saga without its steps and its result.

    Args:
        name: By which the saga is served.
        run: The run.
    """
    is_over = run.state.is_over
    problem = None
    if run.state in _TURNED:  # it is of the run, and no answer that the log has
        problem = {key: value for key, value in saga_problem(run).document().items() if key != "id"}
    return {
        "id": run.run_id,
        "flow": name,
        "kind": "saga",
        "state": run.state.value,
        "began": round(run.began, 6),
        "ended": round(run.changed, 6) if is_over else None,
        "duration": round(max(0.0, run.changed - run.began), 6) if is_over else None,
        "problem": problem,
    }


def saga_document(name: str, run: RunRecord, steps: Sequence[StepRecord]) -> dict[str, Any]:
    """A run of a saga."""
    found = saga_summary(name, run)
    found["steps"] = [_step(each) for each in steps]
    if run.state is SagaState.COMPLETED:
        found["result"] = run.result
    return found


def saga_problem(run: RunRecord) -> Problem:
    """What is answered for a run that was not completed, by its cause."""
    error = run.error or {}
    more: dict[str, Any] = {"state": run.state.value, "run": link_of(run.run_id)}
    if error.get("type"):
        more["error"] = {"type": error["type"]}
    if error.get("step"):
        more["step"] = error["step"]
    detail = _TURNED.get(run.state, "the saga is not completed")
    return Problem(_CAUSES.get(error.get("type", ""), 502), detail, more=more)


def _step(step: StepRecord) -> dict[str, Any]:
    return {
        "step": step.step,
        "undo": step.undo,
        "status": step.status.value,
        "attempt": step.attempt,
        "key": step.key,
        "began_at": round(step.began_at, 6),
        "ended_at": None if step.ended_at is None else round(step.ended_at, 6),
        "error": None if step.error is None else {"type": step.error.get("type", "")},
    }
