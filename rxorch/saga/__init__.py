"""Floor 5: sagas: steps that are undone, runs that survive their process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rxorch.saga.calling import SagaStep, current_step
from rxorch.saga.errors import (
    JournalError,
    LeaseLostError,
    SagaDefinitionChangedError,
    SagaError,
    UnknownRunError,
)
from rxorch.saga.journal import Journal
from rxorch.saga.memory_journal import MemoryJournal
from rxorch.saga.outbox import Delivery, outbox
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
from rxorch.saga.run import SagaResult, SagaRun
from rxorch.saga.saga import Saga
from rxorch.saga.steps import Step, wait, wait_for

if TYPE_CHECKING:
    from rxorch.saga.picture import RunPicture, run_picture
    from rxorch.saga.sqlite_journal import SqliteJournal

__all__ = [
    "AuditEvent",
    "Claim",
    "Delivery",
    "Heard",
    "Journal",
    "JournalError",
    "Lease",
    "LeaseLostError",
    "MemoryJournal",
    "NewRun",
    "RunPicture",
    "RunRecord",
    "Saga",
    "SagaDefinitionChangedError",
    "SagaError",
    "SagaResult",
    "SagaRun",
    "SagaState",
    "SagaStep",
    "Signal",
    "SqliteJournal",
    "Step",
    "StepRecord",
    "StepStatus",
    "UnknownRunError",
    "current_step",
    "outbox",
    "run_picture",
    "wait",
    "wait_for",
]


def __getattr__(name: str) -> Any:
    # Only who keeps sagas in a file loads SQLite.
    if name == "SqliteJournal":
        from rxorch.saga.sqlite_journal import SqliteJournal

        return SqliteJournal
    if name in ("RunPicture", "run_picture"):
        from rxorch.saga import picture

        return getattr(picture, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
