"""Totals: all calls of an endpoint, counted; memory does not grow with their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from rxorch.draw.timeline.records import CallRecord, SegmentKind
from rxorch.observe.histogram import Histogram

__all__ = ["OTHERS", "EndpointTotal", "Totals", "count_kind"]

OTHERS: Final = "(others)"
"""What stands for all names above the most that are kept."""

_MOST_NAMES: Final = 500
_MOST_KINDS: Final = 40
_FAILED: Final = (SegmentKind.FAILED, SegmentKind.TIMEOUT)


class EndpointTotal:
    """The calls of one endpoint.

    Attributes:
        name: Of the endpoint.
        counts: How many calls ended so: `"ok"`, `"failed"`, `"unknown"`, `"skipped"`, `"running"`;
            substitutes are among the ok ones. The cancelled ones are in `cancelled`.
        degraded: Calls whose value is a substitute.
        cached: Calls whose value came from the cache.
        hedges: Hedges that were sent; they are no calls of their own, unless one won.
        attempts: Requests of all calls.
        retries: Attempts beyond the first of their call.
        most_attempts: Of a single call.
        durations: Of calls that were made and not cancelled, in seconds.
        lost_kinds: Calls that failed or were substituted, by their kind of error.
        failed_kinds: Attempts that failed, the same.
        note: What the last call was noted with: its status, kind of error, or why it was skipped.
    """

    __slots__ = (
        "_cancelled", "_won", "attempts", "cached", "counts", "degraded", "durations", "failed_kinds",
        "hedges", "lost_kinds", "most_attempts", "name", "note", "retries",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.degraded = self.cached = self.hedges = self._won = self._cancelled = 0
        self.attempts = self.retries = self.most_attempts = 0
        self.durations = Histogram()
        self.lost_kinds: Counter[str] = Counter()
        self.failed_kinds: Counter[str] = Counter()
        self.note = ""

    def add(self, call: CallRecord) -> None:
        """Counts a call."""
        self._add_attempts(call)
        if call.hedge:
            self.hedges += 1
            if call.status != "ok":
                return
            self._won += 1
        elif call.status == "cancelled":
            self._cancelled += 1
            return
        status = call.status
        self.counts[status] += 1
        self.note = call.note
        if status == "skipped":
            return
        self.durations.add(call.duration + call.late)
        self.cached += call.cached
        self.degraded += call.degraded
        if call.troubled:
            count_kind(self.lost_kinds, call.note or status)

    def _add_attempts(self, call: CallRecord) -> None:
        attempts = call.attempts
        self.attempts += attempts
        if attempts > 1:
            self.retries += attempts - 1
        if attempts > self.most_attempts:
            self.most_attempts = attempts
        for part in call.segments:
            if part.kind in _FAILED:
                count_kind(self.failed_kinds, part.note or part.kind)

    @property
    def calls(self) -> int:
        """Calls that were made: all but those skipped."""
        return self.counts.total() - self.counts["skipped"] + self.cancelled

    @property
    def cancelled(self) -> int:
        """Calls that were cancelled, but for those in the place of which a hedge has won."""
        return max(0, self._cancelled - self._won)

    def took(self, share: float) -> float:
        """Seconds that this share of the calls took at most, within 1 %."""
        return self.durations.max if self.durations.count == 1 else self.durations.percentile(share)

    @property
    def lost(self) -> int:
        """Calls that gave no value."""
        return self.counts["failed"] + self.counts["unknown"]

    @property
    def is_single(self) -> bool:
        """Whether it is one call, or one that was skipped."""
        return self.calls + self.counts["skipped"] == 1


class Totals:
    """The totals of endpoints, by name in the order in which they came.

    >>> totals = Totals.of([CallRecord(1, "user", None, 0.0, 0.0, 0.25, "ok", "200", 2, ())])
    >>> totals["user"].calls, totals["user"].retries
    (1, 1)
    """

    def __init__(self) -> None:
        self.endpoints: dict[str, EndpointTotal] = {}

    @classmethod
    def of(cls, calls: Iterable[CallRecord]) -> Totals:
        """The totals of these calls."""
        totals = cls()
        for call in calls:
            totals.add(call)
        return totals

    def add(self, call: CallRecord) -> None:
        """Counts a call."""
        total = self.endpoints.get(call.endpoint)
        if total is None:
            name = call.endpoint if len(self.endpoints) < _MOST_NAMES else OTHERS
            total = self.endpoints.setdefault(name, EndpointTotal(name))
        total.add(call)

    def __getitem__(self, name: str) -> EndpointTotal:
        return self.endpoints.get(name) or EndpointTotal(name)

    @property
    def attempts(self) -> int:
        """Requests of all endpoints."""
        return sum(each.attempts for each in self.endpoints.values())

    @property
    def retries(self) -> int:
        """Repeats of all endpoints."""
        return sum(each.retries for each in self.endpoints.values())

    @property
    def lost(self) -> int:
        """Calls of all endpoints that gave no value."""
        return sum(each.lost for each in self.endpoints.values())

    @property
    def degraded(self) -> int:
        """Calls of all endpoints that were substituted."""
        return sum(each.degraded for each in self.endpoints.values())


def count_kind(kinds: Counter[str], kind: str) -> None:
    """Counts a kind; of too many kinds the later ones together."""
    kinds[kind if kind in kinds or len(kinds) < _MOST_KINDS else OTHERS] += 1
