"""From the records of a saga to the rows of its journal in SQLite, and back."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from pydantic_core import from_json

from rxorch.ledger.json_text import plain_json
from rxorch.saga.records import AuditEvent, RunRecord, SagaState, Signal, StepRecord, StepStatus

__all__ = ["STATES", "Row", "error_json", "event_of", "run_of", "signal_of", "step_of", "step_row"]

Row: TypeAlias = tuple[Any, ...]

STATES: Final = {state.value: state for state in SagaState}
_STATUSES: Final = {status.value: status for status in StepStatus}
_STATUS_TEXTS: Final = {status: status.value for status in StepStatus}


def step_row(step: StepRecord) -> Row:
    """What the table `steps` has of a step, but for its run."""
    error = step.error
    return (
        step.step,
        1 if step.undo else 0,
        _STATUS_TEXTS[step.status],  # plain texts and numbers: SQLite looks up adapters for all else
        step.attempt,
        step.key,
        step.began,
        step.ended,
        step.input_json,
        step.output_json,
        None if error is None else plain_json(error),
        step.began_at,
        step.ended_at,
        step.due,
    )


def step_of(row: Row) -> StepRecord:
    """The step of a row."""
    step, undo, status, attempt, key, began, ended, input_json, output_json, error, *times = row
    return StepRecord(
        step,
        undo != 0,
        _STATUSES[status],
        attempt,
        key,
        began,
        ended,
        input_json,
        output_json,
        _error_of(error),
        *times,
    )


def run_of(row: Row) -> RunRecord:
    """The run of a row."""
    run_id, saga, fingerprint, state, input_json, result_json, error, *rest = row
    trace_id, began, changed, generation, owner, leased_until, was_compensating, _ = rest
    return RunRecord(
        run_id,
        saga,
        fingerprint,
        STATES[state],
        input_json,
        result_json,
        _error_of(error),
        trace_id,
        began,
        changed,
        generation,
        owner,
        leased_until,
        was_compensating != 0,
    )


def signal_of(row: Row) -> Signal:
    """The signal of a row."""
    return Signal(*row)


def event_of(row: Row) -> AuditEvent:
    """The event of a row."""
    number, run_id, saga, at, kind, data = row
    return AuditEvent(number, run_id, saga, at, kind, from_json(data))


def error_json(error: dict[str, str] | None) -> bytes | None:
    """An error as it is kept."""
    return None if error is None else plain_json(error)


def _error_of(kept: bytes | None) -> dict[str, str] | None:
    return None if kept is None else from_json(kept)
