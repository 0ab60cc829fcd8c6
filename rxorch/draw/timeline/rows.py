"""Which rows a waterfall has: one for each call, or one for each endpoint where there are too many calls."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rxorch.draw.timeline.axis import Axis
from rxorch.draw.timeline.hedges import races
from rxorch.draw.timeline.records import ATTEMPTS, CallRecord, SegmentKind, Timeline
from rxorch_operators._seconds import seconds_words

__all__ = ["MOST_ROWS", "Density", "GroupRow", "Heading", "Row", "Rows", "rows_of", "summary_of", "winner_of"]

MOST_ROWS: Final = 40
"""Calls up to which each has a row."""

_MOST_GROUPS: Final = 20
_SLOWEST: Final = 6
_TROUBLED: Final = 10
_DASH: Final = "\N{EN DASH}"
_TIMES: Final = "\N{MULTIPLICATION SIGN}"
_SIGNS: Final = {
    "ok": "✓",
    "failed": "✗",
    "unknown": "?",
    "running": "…",
    "cancelled": _DASH,
    "skipped": _DASH,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One call; below it the hedges that were sent for it.

    Attributes:
        calls: The first one, and its hedges.
    """

    calls: tuple[CallRecord, ...]

    @property
    def name(self) -> str:
        """The endpoint."""
        return self.calls[0].endpoint

    @property
    def winner(self) -> CallRecord:
        """The call whose end counts."""
        return winner_of(self.calls)

    @property
    def outcome(self) -> tuple[str, str]:
        """How it ended: a sign, and words."""
        call = self.winner
        if call.degraded:
            return "✗", f"{call.note or 'failed'} → fallback"
        if call.cached and call.status == "ok":
            return "✓", "cache"
        word = call.note if call.status in ("ok", "failed") and call.note else call.status
        return _SIGNS.get(call.status, "?"), word

    @property
    def tries(self) -> str:
        """Attempts, where there were any."""
        attempts = sum(call.attempts for call in self.calls)
        return f"{_TIMES}{attempts}" if attempts else ""

    @property
    def took(self) -> str:
        """Time from its beginning to its end."""
        first = self.calls[0]
        return "" if first.status == "skipped" else seconds_words(self.winner.end - first.began)

    @property
    def facts(self) -> str:
        """Attempts and time."""
        return f"{self.tries} {self.took}".strip()


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The calls of one endpoint.

    Attributes:
        name: The endpoint.
        calls: All of them.
    """

    name: str
    calls: tuple[CallRecord, ...]

    @property
    def lost(self) -> int:
        """How many failed."""
        return sum(call.troubled for call in self.calls)

    @property
    def made(self) -> int:
        """How many were made: all but those skipped."""
        return sum(call.status != "skipped" for call in self.calls)

    @property
    def count(self) -> str:
        """How many were made; how many skipped, where none was made."""
        return _counted(self.made, "call") if self.made else f"{len(self.calls):,} skipped"

    @property
    def facts(self) -> str:
        """Half of the calls took at most the first time, 95 of 100 at most the second."""
        took = sorted(call.duration for call in self.calls if call.status != "skipped")
        if not took:
            return ""
        return f"p50 {seconds_words(_percentile(took, 0.5))} · p95 {seconds_words(_percentile(took, 0.95))}"

    @property
    def more(self) -> str:
        """The facts, and how many were skipped where others were made."""
        skipped = len(self.calls) - self.made
        return f"{self.facts} · {skipped:,} skipped" if skipped and self.made else self.facts


@dataclass(frozen=True, slots=True)
class Heading:
    """A line of words between rows."""

    text: str


AnyRow: TypeAlias = Row | GroupRow | Heading


@dataclass(frozen=True, slots=True)
class Rows:
    """What is shown, from top to bottom.

    Attributes:
        rows: The rows.
        grouped: Whether calls share rows.
    """

    rows: tuple[AnyRow, ...]
    grouped: bool


def winner_of(race: Sequence[CallRecord]) -> CallRecord:
    """The call whose end counts, of one and its hedges."""
    if len(race) == 1:
        return race[0]
    order = ("ok", "unknown", "failed", "running", "cancelled", "skipped")
    return min(race, key=lambda call: order.index(call.status) if call.status in order else 9)


def rows_of(timeline: Timeline) -> Rows:
    """The rows of a timeline."""
    raced = _Races(timeline.calls)
    if len(raced.firsts) <= MOST_ROWS:
        return Rows(tuple(map(raced.row, raced.firsts)), grouped=False)
    return Rows((*_groups(timeline.calls), *_alone(raced)), grouped=True)


class _Races:
    """Calls with their hedges; of a hundred thousand a row is made only where one is shown.

    Attributes:
        firsts: All calls but the hedges whose first call is known.
    """

    def __init__(self, calls: Sequence[CallRecord]) -> None:
        first_of = races(calls)
        self.firsts = [call for call in calls if call.number not in first_of] if first_of else calls
        self._hedges: dict[int, list[CallRecord]] = {}
        for call in calls if first_of else ():
            first = first_of.get(call.number)
            if first is not None:
                self._hedges.setdefault(first.number, []).append(call)

    def row(self, first: CallRecord) -> Row:
        """The row of a call and its hedges."""
        return Row((first, *self._hedges.get(first.number, ())))

    def winner(self, first: CallRecord) -> CallRecord:
        """The call whose end counts."""
        hedges = self._hedges.get(first.number)
        return first if hedges is None else winner_of((first, *hedges))


def _groups(calls: Iterable[CallRecord]) -> list[AnyRow]:
    by_name: dict[str, list[CallRecord]] = {}
    for call in calls:
        by_name.setdefault(call.endpoint, []).append(call)
    groups = [GroupRow(name, tuple(each)) for name, each in by_name.items()]
    if len(groups) > _MOST_GROUPS:
        by_size = sorted(groups, key=lambda group: -len(group.calls))
        large = {group.name for group in by_size[: _MOST_GROUPS - 1]}
        others = [group for group in groups if group.name not in large]
        rest = tuple(call for group in others for call in group.calls)
        groups = [group for group in groups if group.name in large]
        groups.append(GroupRow(f"{len(others):,} others", rest))
    return list(groups)


def _alone(raced: _Races) -> list[AnyRow]:
    """The rows that are worth a look among many."""
    troubled = [first for first in raced.firsts if raced.winner(first).troubled]
    good = (first for first in raced.firsts if not raced.winner(first).troubled)
    slowest = heapq.nlargest(_SLOWEST, good, key=lambda first: raced.winner(first).duration)
    alone: list[AnyRow] = [Heading("slowest"), *map(raced.row, slowest)]
    shown = [raced.row(first) for first in troubled[:_TROUBLED]]
    if shown:
        more = len(troubled) - len(shown)
        alone += [Heading(f"failed ({more:,} more are not shown)" if more else "failed"), *shown]
    return alone


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary_of(timeline: Timeline) -> list[str]:
    """What there is to say of all calls together, in short words."""
    attempts = sum(call.attempts for call in timeline.calls)
    kinds = Counter(part.kind for call in timeline.calls for part in call.segments)
    failed = kinds[SegmentKind.FAILED] + kinds[SegmentKind.TIMEOUT]
    waits = kinds[SegmentKind.BACKOFF] + kinds[SegmentKind.RETRY_AFTER] + kinds[SegmentKind.RATE_LIMIT]
    lost = sum(call.troubled for call in timeline.calls)
    words = [_counted(attempts, "request")]
    words += [_counted(failed, "failed attempt")] if failed else []
    words += [_counted(lost, "failed call")] if lost else []
    words += [_counted(waits, "wait")] if waits else []
    words.append(seconds_words(timeline.duration))
    words += [f"{timeline.left_out:,} earlier calls left out"] if timeline.left_out else []
    words += [f"of {timeline.stride:,} runs one is shown"] if timeline.stride > 1 else []
    return words


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Density:
    """How many calls do what, over time: in equal stretches of an axis.

    Attributes:
        good: Attempts in flight that ended well, or are still in flight, on average over each stretch.
        bad: Attempts that did not.
        waiting: Calls that wait.
    """

    __slots__ = ("bad", "good", "waiting")

    def __init__(self, calls: Iterable[CallRecord], axis: Axis, bins: int) -> None:
        width = axis.length / bins
        self.good, self.bad, self.waiting = [0.0] * bins, [0.0] * bins, [0.0] * bins
        counted: dict[SegmentKind, list[float]] = {
            kind: self.waiting for kind in SegmentKind if kind is not SegmentKind.WORK
        }
        counted |= dict.fromkeys(ATTEMPTS, self.bad)
        counted |= dict.fromkeys((SegmentKind.OK, SegmentKind.RUNNING), self.good)
        for call in calls:
            until, right = math.nan, 0.0
            for part in call.segments:
                where = counted.get(part.kind)
                if where is None:
                    continue
                start, end = part.start, part.end
                left = right if start == until else axis.at(start) / width  # mostly where the one before ends
                until, right = end, axis.at(end) / width
                first = int(left)
                if first == int(right) < bins:
                    where[first] += max(right - left, 0.02)
                else:
                    _add(where, left, right)

    @property
    def most(self) -> float:
        """The most of all three together."""
        return max(map(sum, zip(self.good, self.bad, self.waiting, strict=True)), default=0.0)


def _add(bins: list[float], left: float, right: float) -> None:
    first, last = min(int(left), len(bins) - 1), min(int(right), len(bins) - 1)
    if first == last:
        bins[first] += max(right - left, 0.02)
        return
    bins[first] += first + 1 - left
    for at in range(first + 1, last):
        bins[at] += 1.0
    bins[last] += right - last
