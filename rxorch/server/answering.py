"""From a run to an answer: its status, and where each value comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic_core import to_json

from rxorch.errors import ApiError, ApiTimeoutError, ApiValidationError
from rxorch.flow import OrchestrationResult, Outcome, OutcomeStatus
from rxorch.server.contracts import Contract, plain
from rxorch.server.problems import Problem, internal_problem
from rxorch.server.run_events import error_shown
from rxorch.stream import Run

__all__ = [
    "answer_of",
    "answered",
    "json_bytes",
    "json_response",
    "problem_of",
    "provenance",
    "status_of",
]

_OK: Final = OutcomeStatus.OK
_SKIPPED: Final = OutcomeStatus.SKIPPED
_DETAILS: Final = {
    422: "an endpoint cannot be called with this input",
    502: "no endpoint gave a value: the upstreams failed",
    504: "no endpoint gave a value in time",
}


def provenance(outcome: Outcome) -> str:
    """Where a value comes from: `fresh`, `cached`, `stale` or `fallback`; else `skipped` or `missing`."""
    if outcome.status is not _OK:
        return "skipped" if outcome.status is _SKIPPED else "missing"
    if outcome.stale:
        return "stale"
    if outcome.degraded:
        return "fallback"
    return "cached" if outcome.cached else "fresh"


def status_of(run: Run, *, fail_fast: bool = False) -> int:
    """The HTTP status of a run.

    200: nothing was lost. 206: some endpoints gave a value, others failed. Without a value, or where the
    run itself was ended: 504 if time limits did it, 422 if the input did, 500 if code of the flow did, else
    502.
    """
    if run.ok:
        return 200
    causes = [each.error for each in run.outcomes.values() if each.error is not None and _is_lost(each)]
    if run.error is not None and (fail_fast or not any(error is run.error for error in causes)):
        causes = [run.error]
    elif any(outcome.ok for outcome in run.outcomes.values()):
        return 206
    if not causes or not all(isinstance(error, ApiError) for error in causes):
        return 500
    if all(isinstance(error, ApiValidationError) and not error.attempts for error in causes):
        return 422
    return 504 if all(isinstance(error, ApiTimeoutError) for error in causes) else 502


def answered(run: Run, contract: Contract, *, fail_fast: bool = False) -> tuple[int, dict[str, Any]]:
    """Status and document of a run that gave something.

    Raises:
        Problem: It gave nothing, or nothing that fits the contract.
    """
    status = status_of(run, fail_fast=fail_fast)
    if status >= 400:
        raise problem_of(run, status)
    try:
        return status, answer_of(run, contract.shaped(run.result))
    except ApiValidationError as error:
        if status == 206:  # what is left of the result is none
            raise problem_of(run, status_of(run, fail_fast=True)) from None
        raise internal_problem(error) from None


def answer_of(run: Run, result: Any) -> dict[str, Any]:
    """What a run gave: result, outcomes, seconds."""
    if isinstance(result, OrchestrationResult):
        result = {name: outcome.value for name, outcome in result.outcomes.items()}
    return {"result": result, "outcomes": _outcomes(run), "duration": round(run.duration, 6)}


def problem_of(run: Run, status: int) -> Problem:
    """What is answered for a run that gave nothing."""
    if status == 500:
        problem = internal_problem(_mistake(run))
        problem.more["outcomes"] = _outcomes(run)
        return problem
    more: dict[str, Any] = {"outcomes": _outcomes(run)}
    if status == 422 and isinstance(run.error, ApiValidationError):
        more["errors"] = run.error.errors
    return Problem(status, _DETAILS[status], more=more)


def _mistake(run: Run) -> BaseException:
    """The error that makes a 500 of a run: that of code, where upstreams failed too."""
    lost = [each.error for each in run.outcomes.values() if _is_lost(each)]
    errors = [error for error in (run.error, *lost) if error is not None]
    code = [error for error in errors if not isinstance(error, ApiError)]
    return next(iter((*code, *errors)), RuntimeError())


def json_bytes(value: Any) -> bytes:
    """A value as JSON; NaN and infinite numbers, which JSON lacks, are null.

    Raises:
        ValueError: JSON cannot hold it. Shows nothing of it.
    """
    try:
        return to_json(value, inf_nan_mode="null", fallback=plain)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("the result of the flow is no JSON") from None


def json_response(status: int, value: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of JSON."""
    return web.Response(
        status=status, body=json_bytes(value), headers=headers, content_type="application/json"
    )


def _is_lost(outcome: Outcome) -> bool:
    return outcome.status not in (_OK, _SKIPPED)


def _outcomes(run: Run) -> dict[str, dict[str, Any]]:
    return {name: _outcome(outcome) for name, outcome in run.outcomes.items()}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """Kinds and numbers only: the text of an error has the url of an upstream."""
    shown: dict[str, Any] = {
        "status": str(outcome.status),
        "provenance": provenance(outcome),
        "attempts": outcome.attempts,
        "duration": round(outcome.duration, 6),
    }
    if outcome.reason is not None:
        shown["reason"] = outcome.reason
    if outcome.error is not None:
        shown["error"] = error_shown(outcome.error)
    return shown
