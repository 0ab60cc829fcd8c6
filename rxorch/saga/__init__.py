"""Floor 5: sagas: steps that are undone, runs that survive their process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rxorch.saga.errors import (
    JournalError,
    LeaseLostError,
    SagaDefinitionChangedError,
    SagaError,
    UnknownRunError,
)
from rxorch.saga.journal import Journal
from rxorch.saga.memory_journal import MemoryJournal
from rxorch.saga.records import (
    AuditEvent,
    Claim,
    Heard,
    Lease,
    NewRun,
    RunRecord,
    SagaState,
    Signal,
    StepRecord,
    StepStatus,
)

if TYPE_CHECKING:
    from rxorch.saga.sqlite_journal import SqliteJournal

__all__ = [
    "AuditEvent",
    "Claim",
    "Heard",
    "Journal",
    "JournalError",
    "Lease",
    "LeaseLostError",
    "MemoryJournal",
    "NewRun",
    "RunRecord",
    "SagaDefinitionChangedError",
    "SagaError",
    "SagaState",
    "Signal",
    "SqliteJournal",
    "StepRecord",
    "StepStatus",
    "UnknownRunError",
]


def __getattr__(name: str) -> Any:
    # Only who keeps sagas in a file loads SQLite.
    if name == "SqliteJournal":
        from rxorch.saga.sqlite_journal import SqliteJournal

        return SqliteJournal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
