"""ErrorThreshold: when too many of the recent calls have failed."""

from __future__ import annotations

from collections import deque
from typing import Final

from rxorch.config import APIOrchestrationConfig
from rxorch.errors import ErrorThresholdExceeded
from rxorch.flow import Outcome, OutcomeStatus

__all__ = ["ErrorThreshold"]

_RECENT_CALLS: Final = 100
_ROUNDING: Final = 1e-9
"""0.29 * 100 is 28.999999999999996, which 29 failures do not exceed."""


class ErrorThreshold:
    """Watches the fraction of failed calls among the recent ones."""

    def __init__(self, config: APIOrchestrationConfig) -> None:
        self._limit = config.error_threshold
        self._min_calls = config.error_threshold_min_calls
        self._recent: deque[bool] = deque(maxlen=max(_RECENT_CALLS, self._min_calls))
        self._failed = 0

    def judge(self, outcome: Outcome) -> ErrorThresholdExceeded | None:
        """Counts an outcome; returns the error that ends the run when there were too many failures."""
        failed = outcome.status is not OutcomeStatus.OK
        if failed and (outcome.error is None or outcome.status is OutcomeStatus.CANCELLED):
            return None  # cut off by us
        recent = self._recent
        if len(recent) == recent.maxlen and recent[0]:
            self._failed -= 1
        recent.append(failed)
        self._failed += failed
        calls = len(recent)
        if self._limit is None or calls < self._min_calls or self._failed <= self._limit * calls + _ROUNDING:
            return None
        counts = {"ok": calls - self._failed, "failed": self._failed}
        recent.clear()  # the next run starts with a clean slate: otherwise nothing could ever run again
        self._failed = 0
        return ErrorThresholdExceeded(
            f"{counts['failed']} of the last {calls} calls failed, more than error_threshold={self._limit:g}",
            counts=counts,
        )
