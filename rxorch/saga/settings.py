"""The settings of a saga, checked."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rxorch.errors import ApiConfigurationError
from rxorch_operators import RetryPolicy

__all__ = ["FORWARD", "NOW", "UNDO", "SagaSettings"]

_AN_HOUR: Final = 3600.0
"""Seconds that a service may have a run wait (`Retry-After`): better late than a dead letter."""

FORWARD: Final = RetryPolicy(
    max_attempts=10, base=0.5, factor=2.0, cap=300.0, max_elapsed=None, max_hint=_AN_HOUR
)
"""How steps behind a pivot are repeated: after some ten minutes the run is a dead letter."""

UNDO: Final = RetryPolicy(max_attempts=5, base=0.5, factor=2.0, cap=60.0, max_elapsed=None, max_hint=_AN_HOUR)
"""How compensations are repeated."""

NOW: Final[Callable[[], float]] = time.time

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class SagaSettings:
    """How the runs of a saga are driven.

    Args:
        lease: Seconds that a run belongs to its process without a word of it.
        recovery: How steps behind a pivot, and retriable ones, are repeated, on top of the retries of their
            endpoint.
        undo: How compensations are repeated, on top of theirs.
        workflow_header: The header that carries the id of the run; None: none does.
        now: The time of the day, in seconds since 1970: for that of waits.
    """

    lease: float = 30.0
    recovery: RetryPolicy = FORWARD
    undo: RetryPolicy = UNDO
    workflow_header: str | None = "X-Workflow-Id"
    now: Callable[[], float] = NOW

    def __post_init__(self) -> None:
        """Refuses what cannot work."""
        lease = self.lease
        if isinstance(lease, bool) or not isinstance(lease, int | float) or not 0 < lease < math.inf:
            raise ApiConfigurationError("lease: give seconds above 0")
        for field in ("recovery", "undo"):
            if not isinstance(getattr(self, field), RetryPolicy):
                raise ApiConfigurationError(f"{field}: give a RetryPolicy")
        header = self.workflow_header
        if header is not None and (not isinstance(header, str) or _HEADER.fullmatch(header) is None):
            raise ApiConfigurationError("workflow_header: give the name of a header, or None")
