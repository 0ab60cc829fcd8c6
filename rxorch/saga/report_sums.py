"""What a report sums up of runs, however many they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rxorch.draw.facts import shown_name
from rxorch.observe.histogram import Histogram
from rxorch.saga.picture import RunPicture
from rxorch.saga.records import AuditEvent, RunRecord, SagaState, StepRecord, StepStatus

__all__ = ["RunSums", "RunTold", "StepSums", "cause_word"]

_MOST_NAMES: Final = 200
"""Steps and causes that are told apart; what comes later is counted as "others"."""
_OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class RunTold:
    """A run with all that a journal knows of it.

    Attributes:
        run: The run.
        steps: Its steps and their undoings.
        history: Its events.
        names: All steps of its saga, in their order, where they are known.
    """

    run: RunRecord
    steps: Sequence[StepRecord] = ()
    history: Sequence[AuditEvent] = ()
    names: Sequence[str] = ()

    @property
    def picture(self) -> RunPicture:
        """Its picture."""
        return RunPicture(self.run, self.steps, self.names, self.history)

    @property
    def duration(self) -> float:
        """Seconds from its beginning to its end, or to what was written last."""
        return max(0.0, self.run.changed - self.run.began)


@dataclass(slots=True)
class StepSums:
    """What became of a step in all runs.

    Attributes:
        done: How often it stands how.
        undone: The same of its undoing.
        attempts: How often it was begun.
        undo_attempts: The same of its undoing.
        durations: Of the last attempts that have an end.
    """

    done: Counter[StepStatus] = field(default_factory=Counter)
    undone: Counter[StepStatus] = field(default_factory=Counter)
    attempts: int = 0
    undo_attempts: int = 0
    durations: Histogram = field(default_factory=Histogram)

    def add(self, step: StepRecord) -> None:
        """The step of a run, or its undoing."""
        if step.undo:
            self.undone[step.status] += 1
            self.undo_attempts += step.attempt
            return
        self.done[step.status] += 1
        self.attempts += step.attempt
        if step.ended_at is not None and step.status is not StepStatus.SKIPPED:
            self.durations.add(step.ended_at - step.began_at)


class RunSums:
    """Runs in numbers.

    Attributes:
        states: How many are in which state.
        causes: For what how many were undone, or are dead letters.
        steps: By name, in the order of their sagas as far as that is known.
        durations: Of the runs that are over.
        began: When the first began.
        ended: When something was written last.
    """

    def __init__(self) -> None:
        self.states: Counter[SagaState] = Counter()
        self.causes: Counter[str] = Counter()
        self.steps: dict[str, StepSums] = {}
        self.durations = Histogram()
        self.began = self.ended = 0.0

    @property
    def runs(self) -> int:
        """How many there are."""
        return self.states.total()

    def add(self, told: RunTold) -> None:
        """The next run."""
        run = told.run
        self.began = min(self.began, run.began) if self.runs else run.began
        self.ended = max(self.ended, run.changed)
        self.states[run.state] += 1
        if run.state.is_over:
            self.durations.add(told.duration)
        if run.state is not SagaState.COMPLETED and run.error:
            cause = cause_word(run.error)
            self.causes[cause if cause in self.causes or len(self.causes) < _MOST_NAMES else _OTHERS] += 1
        for name in told.names:
            self._step(name)
        for step in told.steps:
            self._step(step.step).add(step)

    def _step(self, name: str) -> StepSums:
        known = name in self.steps or len(self.steps) < _MOST_NAMES
        return self.steps.setdefault(name if known else _OTHERS, StepSums())


def cause_word(error: Mapping[str, str] | None) -> str:
    """Why a run does not go forward, in a few words: the step, and the kind of its error.

    >>> cause_word({"step": "ship", "type": "ApiHttpError", "message": "HTTP 422 [endpoint 'ship']"})
    'ship: 422'
    >>> cause_word({"type": "cancelled", "message": "the customer left"}), cause_word(None)
    ('cancelled', '')
    """
    if not error:
        return ""
    status = re.match(r"HTTP (\d{3})\b", error.get("message", ""))
    kind = error.get("type", "") if status is None else status[1]
    return ": ".join(shown_name(part) for part in (error.get("step", ""), kind) if part)
