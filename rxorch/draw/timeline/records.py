"""What happened, as plain frozen records that pictures and tables are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rxorch.quick import quick

__all__ = ["ATTEMPTS", "WAITS", "CallRecord", "Segment", "SegmentKind", "Timeline"]


class SegmentKind(StrEnum):
    """What a call does for a while: an attempt, by how it ended, or a wait, by its reason."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    RUNNING = "running"
    BACKOFF = "backoff"
    RETRY_AFTER = "retry_after"
    RATE_LIMIT = "rate_limit"
    PERMIT = "permit"
    PLACE = "place"
    SHARED = "shared"
    WORK = "work"


ATTEMPTS: Final = frozenset(
    {
        SegmentKind.OK,
        SegmentKind.FAILED,
        SegmentKind.TIMEOUT,
        SegmentKind.CANCELLED,
        SegmentKind.RUNNING,
    }
)
"""Kinds in which a request is on its way."""

WAITS: Final = frozenset(
    {
        SegmentKind.BACKOFF,
        SegmentKind.RETRY_AFTER,
        SegmentKind.RATE_LIMIT,
        SegmentKind.PERMIT,
        SegmentKind.PLACE,
        SegmentKind.SHARED,
    }
)
"""Kinds in which a call waits.

Before a repeat, by itself or because the server asked for it; for the rate limit; for a permit
(`max_in_flight`); for a place among the steps of its run (`max_concurrent`); for the answer to an equal
call. What is neither an attempt nor a wait is `WORK`: hooks, an error handler.
"""


@quick
@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a call's time.

    Attributes:
        kind: What it is.
        start: Seconds of the clock.
        end: Seconds of the clock.
        note: A word on an attempt: a status, a kind of error.
    """

    kind: SegmentKind
    start: float
    end: float
    note: str = ""


@quick
@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of an endpoint, or a step that made none.

    Attributes:
        number: In the order of their beginnings, where times are equal.
        endpoint: Its name, fit to be shown.
        run: Id of its run; None outside of one.
        start: Seconds of the clock at which it could have begun.
        began: The same at which it began; later than `start` if it had to wait for a place.
        end: The same at which it ended, or was last heard of.
        status: `"ok"`, `"failed"`, `"cancelled"`, `"unknown"`, `"skipped"` or `"running"`.
        note: The status of its answer, its kind of error, or why it was skipped.
        attempts: How many were made.
        segments: Attempts and waits in their order.
        degraded: Its value is a substitute of an error handler.
        cached: Its value came from the cache.
        budget: Not repeated, because the retry budget was spent.
        after: Names of the steps it had to wait for.
        hedge: Which hedge it is; 0: none.
        late: For a hedge, seconds since the first call began.
    """

    number: int
    endpoint: str
    run: str | None
    start: float
    began: float
    end: float
    status: str
    note: str
    attempts: int
    segments: tuple[Segment, ...]
    degraded: bool = False
    cached: bool = False
    budget: bool = False
    after: tuple[str, ...] = ()
    hedge: int = 0
    late: float = 0.0

    @property
    def duration(self) -> float:
        """Seconds from its beginning to its end."""
        return self.end - self.began

    @property
    def waited(self) -> float:
        """Seconds in which it waited."""
        return sum(part.end - part.start for part in self.segments if part.kind in WAITS)

    @property
    def lost(self) -> bool:
        """Whether it gave no value that was wanted: failed, or nobody knows."""
        return self.status in ("failed", "unknown")

    @property
    def troubled(self) -> bool:
        """Whether it is lost, or an error handler stood in for it."""
        return self.lost or self.degraded


@dataclass(frozen=True, slots=True)
class Timeline:
    """The calls of a run, or of several.

    Attributes:
        calls: By their beginning.
        start: Seconds of the clock at which it all began.
        end: The same at which it ended, or the last that was heard.
        runs: How many runs the calls belong to.
        left_out: Calls that are not here, because too many were made.
        stride: Of so many runs one is here.
    """

    calls: tuple[CallRecord, ...]
    start: float
    end: float
    runs: int = 0
    left_out: int = 0
    stride: int = 1

    @classmethod
    def of(
        cls,
        calls: Iterable[CallRecord],
        spans: Mapping[str, tuple[float, float]],
        *,
        left_out: int = 0,
        now: float | None = None,
    ) -> Timeline:
        """The timeline of these calls.

        Args:
            calls: In any order.
            spans: Beginning and end of their runs.
            left_out: Calls that are not among them.
            now: The last time that was heard of.
        """
        ordered = sorted(calls, key=lambda call: (call.start, call.number))
        begins = [call.start for call in ordered] + [begin for begin, _ in spans.values()]
        ends = [call.end for call in ordered] + [end for _, end in spans.values()]
        if now is not None and any(call.status == "running" for call in ordered):
            ends.append(now)
        runs = len(spans.keys() | {call.run for call in ordered if call.run is not None})
        return cls(tuple(ordered), min(begins, default=0.0), max(ends, default=0.0), runs, left_out)

    @property
    def duration(self) -> float:
        """Seconds from beginning to end."""
        return self.end - self.start
