"""What a ledger knows of one input, and of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from rxorch.showing import MaskedRepr

__all__ = ["COLUMNS", "LedgerCounts", "LedgerRecord", "record_of"]

COLUMNS = (
    "key, place, input, status, result, result_kept, error, outcomes, attempts, duration, began, ended, "
    "session"
)


@dataclass(frozen=True, slots=True, repr=False)
class LedgerRecord(MaskedRepr):
    """What a ledger knows of one input.

    Attributes:
        key: Of the input.
        index: Its place in the stream in which it was first begun, from 0.
        input: The input, as JSON gives it.
        status: "ok", "failed", "unreadable" (it could not be read, so nothing was run); None while it is in
            flight, or was when the process ended.
        result: What the run gave, as JSON gives it.
        result_kept: Whether JSON could hold the result; otherwise `result` is None.
        error: `type` and `message` of the error, None without one.
        outcomes: For each endpoint `status`, `attempts`, `duration` and, of a failed one, `error`.
        attempts: Requests that the run sent.
        duration: Seconds of the run.
        began: Seconds since 1970 when it was begun last.
        ended: The same for its end, None without one.
        session: In which opening of the ledger it was begun last, from 1.
    """

    key: str
    index: int
    input: Any = field(repr=False)
    status: str | None
    result: Any = field(repr=False)
    result_kept: bool
    error: Mapping[str, str] | None
    outcomes: Mapping[str, Any] = field(repr=False)
    attempts: int
    duration: float
    began: float
    ended: float | None
    session: int


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """How many inputs a ledger has, and how they stand.

    Attributes:
        inputs: All of them.
        ok: Those whose run went well.
        failed: Those whose run failed.
        unreadable: Those that could not be read.
        in_flight: Those that were begun and have no end yet.
    """

    inputs: int
    ok: int
    failed: int
    unreadable: int
    in_flight: int

    def __str__(self) -> str:
        parts = [f"{self.ok:,} ok", f"{self.failed:,} failed"]
        if self.unreadable:
            parts.append(f"{self.unreadable:,} unreadable")
        noun = "input" if self.inputs == 1 else "inputs"
        return f"{self.inputs:,} {noun}: {', '.join(parts)}, {self.in_flight:,} in flight"


def record_of(row: tuple[Any, ...]) -> LedgerRecord:
    """A row of `COLUMNS` as a record."""
    key, place, given, status, result, kept, error, outcomes, attempts, duration, began, ended, session = row
    return LedgerRecord(
        key=key,
        index=place,
        input=from_json(given),
        status=status,
        result=None if result is None else from_json(result),
        result_kept=bool(kept),
        error=None if error is None else from_json(error),
        outcomes={} if outcomes is None else from_json(outcomes),
        attempts=attempts or 0,
        duration=duration or 0.0,
        began=began,
        ended=ended,
        session=session,
    )
