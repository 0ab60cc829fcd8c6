"""Judge: whether a stream goes on after a failed run, and what it ends with."""

from __future__ import annotations

from typing import Final

from rxorch.errors import ApiError, ErrorThresholdExceeded
from rxorch.stream.options import StreamOptions
from rxorch.stream.run import Run

__all__ = ["FRACTION_AFTER", "KEPT_ERRORS", "Judge"]

FRACTION_AFTER: Final = 20
"""Records before a fraction of failures means anything."""

KEPT_ERRORS: Final = 100
"""Errors that `on_error="delay"` keeps for the end: an endless stream must not collect without a bound."""

_ROUNDING: Final = 1e-9


class Judge:
    """Decides after each record; made for one subscription.

    Args:
        options: `on_error` and `tolerated_failures` of the stream.
    """

    __slots__ = ("_delays", "_errors", "_failed", "_fails_fast", "_tolerated", "_total")

    def __init__(self, options: StreamOptions) -> None:
        self._fails_fast = options.on_error == "fail_fast"
        self._delays = options.on_error == "delay"
        self._tolerated = options.tolerated_failures
        self._errors: list[Exception] = []
        self._failed = 0
        self._total = 0

    def judge(self, run: Run) -> tuple[str, Exception] | None:
        """Counts a record.

        Returns:
            None: the stream goes on. Else why the runs under way are cut off, and the error it ends with.
        """
        self._total += 1
        if not run.ok:
            self._failed += 1
            error = _error_of(run)
            if isinstance(error, ErrorThresholdExceeded):  # of the orchestrator's `error_threshold`
                return "the stream was stopped: too many calls failed", error
            if self._fails_fast:
                return "the stream was stopped: another run failed", error
            if self._delays and len(self._errors) < KEPT_ERRORS:
                self._errors.append(error)
        if self._tolerated is not None and self._exceeded(self._tolerated):
            return "the stream was stopped: too many inputs failed", self._too_many()
        return None

    def _too_many(self) -> ErrorThresholdExceeded:
        failed, total = self._failed, self._total
        return ErrorThresholdExceeded(
            f"{failed} of {total} inputs failed, more than tolerated_failures={self._tolerated}",
            counts={"ok": total - failed, "failed": failed},
        )

    def _exceeded(self, tolerated: float) -> bool:
        if isinstance(tolerated, int):
            return self._failed > tolerated
        return self._total >= FRACTION_AFTER and self._failed > tolerated * self._total + _ROUNDING

    def verdict(self) -> Exception | None:
        """With what a stream ends that was not ended: None, or what `on_error="delay"` has kept."""
        errors = self._errors
        if not errors:
            return None
        if self._failed == 1:
            return errors[0]
        told = "" if len(errors) == self._failed else f"; the first {len(errors)} are here"
        return ExceptionGroup(f"{self._failed} of {self._total} inputs failed{told}", errors)


def _error_of(run: Run) -> Exception:
    return run.error if isinstance(run.error, Exception) else ApiError("a run failed")
