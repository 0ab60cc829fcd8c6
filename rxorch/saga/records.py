"""What a journal keeps of sagas: runs, steps, signals, and the events that tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from pydantic_core import from_json

from rxorch.showing import MaskedRepr, Shown

__all__ = [
    "AuditEvent",
    "Claim",
    "Heard",
    "Lease",
    "NewRun",
    "RunRecord",
    "SagaState",
    "Signal",
    "StepRecord",
    "StepStatus",
]


class SagaState(StrEnum):
    """Where a run of a saga stands.

    `RUNNING`: forward. `CANCEL_REQUESTED`: somebody wants it undone, and who drives it has not seen that yet.
    `COMPENSATING`: it is being undone, and goes forward no more. `COMPLETED`, `COMPENSATED`: over. `FAILED`:
    a dead letter; it goes on when a person has it tried again.
    """

    RUNNING = "running"
    CANCEL_REQUESTED = "cancel_requested"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nobody drives such a run any more."""
        return self in (SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED)


class StepStatus(StrEnum):
    """How a step, or the undoing of one, stands.

    `STARTED`: under way, or it was when its process ended: nobody knows if it had an effect. `WAITING`: for
    its time or its signal. `UNKNOWN`: a request was sent and no answer came.
    """

    STARTED = "started"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is to begin.

    Attributes:
        run_id: Its name; also the workflow id that its requests carry.
        saga: Name of the saga.
        fingerprint: Of the saga's definition.
        input_json: The input.
        trace_id: 32 hexadecimal digits, for `traceparent`.
    """

    run_id: str
    saga: str
    fingerprint: str
    input_json: bytes = field(repr=False)
    trace_id: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class RunRecord(MaskedRepr, Shown):
    """What a journal knows of a run.

    Attributes:
        run_id: Its name.
        saga: Name of the saga.
        fingerprint: Of the definition with which it began.
        state: See `SagaState`.
        input_json: The input.
        result_json: What its last step gave; None before it is completed.
        error: Why it does not go forward (`step`, `type`, `message`), and what could not be undone (`undo`);
            None while nothing failed.
        trace_id: For `traceparent`.
        began: When it began, in seconds since 1970.
        changed: When it was written last.
        generation: How often somebody began to drive it.
        owner: Who drives it, None if nobody does.
        leased_until: Until when, in seconds since 1970.
        was_compensating: Of a dead letter: whether its undoing failed, and not a step after the pivot.
    """

    run_id: str
    saga: str
    fingerprint: str
    state: SagaState
    input_json: bytes = field(repr=False)
    result_json: bytes | None = field(repr=False)
    error: dict[str, str] | None
    trace_id: str
    began: float
    changed: float
    generation: int
    owner: str | None
    leased_until: float
    was_compensating: bool = False
    _cards: ClassVar[str] = "rxorch.saga.cards"

    @property
    def input(self) -> Any:
        """The input, as JSON gives it back."""
        return from_json(self.input_json)

    @property
    def result(self) -> Any:
        """The result, as JSON gives it back; None before there is one."""
        return None if self.result_json is None else from_json(self.result_json)


@dataclass(frozen=True, slots=True, repr=False)
class StepRecord(MaskedRepr):
    """What a journal knows of a step of a run, or of its undoing. One for each (run, step, undo).

    Attributes:
        step: Name of the step.
        undo: Whether it is the undoing.
        status: See `StepStatus`.
        attempt: How often it was begun, over all processes.
        key: The idempotency key, the same in all attempts.
        began: Place of its beginning among all beginnings and ends of its run.
        ended: Place of its end; None while it has none.
        input_json: What it was called with.
        output_json: What it gave.
        error: What failed it (`type`, `message`).
        began_at: Seconds since 1970.
        ended_at: The same, None while it has no end.
        due: Of a wait: when it is over, in seconds since 1970; None: not before its signal.
    """

    step: str
    undo: bool
    status: StepStatus
    attempt: int
    key: str
    began: int
    ended: int | None = None
    input_json: bytes | None = field(default=None, repr=False)
    output_json: bytes | None = field(default=None, repr=False)
    error: dict[str, str] | None = None
    began_at: float = 0.0
    ended_at: float | None = None
    due: float | None = None

    @property
    def input(self) -> Any:
        """What it was called with, as JSON gives it back."""
        return None if self.input_json is None else from_json(self.input_json)

    @property
    def output(self) -> Any:
        """What it gave, as JSON gives it back."""
        return None if self.output_json is None else from_json(self.output_json)


@dataclass(frozen=True, slots=True)
class Signal:
    """What somebody told a run: the first of each name counts."""

    name: str
    value_json: bytes = field(repr=False)
    at: float = 0.0

    @property
    def value(self) -> Any:
        """What was told, as JSON gives it back."""
        return from_json(self.value_json)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive a run, as long as nobody has a newer one.

    Attributes:
        run_id: Of the run.
        owner: Who has it.
        generation: Counts the leases of the run.
    """

    run_id: str
    owner: str
    generation: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What who begins to drive a run has to know: all that was written of it."""

    lease: Lease
    run: RunRecord
    steps: tuple[StepRecord, ...]
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a journal tells who writes to it: what others have done with the run meanwhile."""

    state: SagaState
    signals: int


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A change that was written, told in the order in which it was: one for each.

    Attributes:
        number: Its place among all events of the journal, from 1, with gaps never filled later.
        run_id: Of the run.
        saga: Name of its saga.
        at: Seconds since 1970.
        kind: `run.started`, `run.resumed`, `run.cancel_requested`, `run.compensating`, `run.completed`,
            `run.compensated`, `run.failed`, `run.reopened`, `signal.received`; `step.` and `undo.` with each
            `StepStatus`.
        data: What else there is to say: `step`, `attempt`, `key`, `error`, `name`, `generation`, `reason`.
            Never an input or an output.
    """

    number: int
    run_id: str
    saga: str
    at: float
    kind: str
    data: dict[str, Any]
