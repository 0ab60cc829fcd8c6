"""Run: what became of one input."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rxorch.errors import ApiError
from rxorch.flow import Outcome, OutcomeStatus
from rxorch.quick import quick
from rxorch.showing import MaskedRepr, Shown

__all__ = ["Run"]

_CUT: Final = frozenset({OutcomeStatus.CANCELLED, OutcomeStatus.UNKNOWN})


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Run(MaskedRepr, Shown):
    """What became of one input of a stream.

    Attributes:
        index: Place of the input in the stream, from 0.
        input: The input; with `batch=` the list of inputs.
        ok: Whether nothing failed.
        result: What `execute` would have returned; after an error the partial `OrchestrationResult`.
        error: The error that ended the run, or else the first one in it that no handler took.
        duration: Seconds.
        outcomes: How each endpoint ended, by name.
        key: What `key=` made of the input; with a ledger and no `key=` its place as text; else None.
        started: Seconds from the beginning of the stream to the beginning of the run.
    """

    index: int
    input: Any = field(repr=False)  # as the result, it may hold what must not be printed
    ok: bool
    result: Any = field(repr=False)
    error: BaseException | None = None
    duration: float = 0.0
    outcomes: Mapping[str, Outcome] = field(default_factory=dict, repr=False)
    key: Hashable = None
    started: float = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether it did not fail by itself: the end of its stream or of its client ended it."""
        error, outcomes = self.error, self.outcomes.values()
        if type(error) is not ApiError or any(outcome.error is error for outcome in outcomes):
            return False
        return not outcomes or any(outcome.status in _CUT for outcome in outcomes)

    @property
    def attempts(self) -> int:
        """Requests that this run sent."""
        return sum(outcome.attempts for outcome in self.outcomes.values())
