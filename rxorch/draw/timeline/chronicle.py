"""Chronicle: what is kept of a stream however long it is: sums, a sample, and what is worth a look."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from itertools import chain
from typing import Final

from rxorch.draw.error_words import error_word
from rxorch.draw.facts import printable
from rxorch.draw.timeline.records import CallRecord, Timeline
from rxorch.draw.timeline.totals import Totals, count_kind
from rxorch.events import BreakerChanged
from rxorch.observe.histogram import Histogram

__all__ = ["BreakerChange", "Chronicle", "RunRecord"]

_SAMPLE: Final = 4_000
"""Calls of a sample."""
_MOST_CALLS: Final = 1_000
"""Calls of one run that are kept."""
_SLOWEST: Final = 3
_FAILED: Final = 6
_CHANGES: Final = 50


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a flow.

    Attributes:
        number: In the order of their beginnings, from 1.
        start: Seconds of the clock.
        end: The same.
        status: `"ok"`, `"failed"` or `"cancelled"`.
        word: What failed it: endpoint and kind of error.
        calls: In the order of their ends, at most a thousand.
        requests: Of all its calls.
    """

    number: int
    start: float
    end: float
    status: str
    word: str
    calls: tuple[CallRecord, ...]
    requests: int

    @property
    def duration(self) -> float:
        """Seconds from its beginning to its end."""
        return self.end - self.start

    @property
    def timeline(self) -> Timeline:
        """Its calls as a timeline."""
        ordered = sorted(self.calls, key=lambda call: (call.start, call.number))
        return Timeline(tuple(ordered), self.start, self.end, 1)


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A circuit that went from one state to another, `at` seconds of the clock."""

    at: float
    endpoint: str
    old: str
    new: str


class _OpenRun:
    __slots__ = ("calls", "number", "requests", "start", "word")

    def __init__(self, number: int, start: float) -> None:
        self.number = number
        self.start = start
        self.calls: list[CallRecord] = []
        self.requests = 0
        self.word = ""


class _Sample:
    """Runs and single calls that are spread evenly: all, or every second, fourth, and so on"""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.stride = 1
        self._units: list[tuple[int, list[CallRecord]]] = []
        self._size = 0

    def add(self, number: int, calls: list[CallRecord]) -> None:
        if number % self.stride:
            return
        self._units.append((number, calls))
        self._size += len(calls)
        while self._size > self.limit and len(self._units) > 1:
            self.stride *= 2
            self._units = [unit for unit in self._units if unit[0] % self.stride == 0]
            self._size = sum(len(unit) for _, unit in self._units)

    def calls(self) -> list[CallRecord]:
        return list(chain.from_iterable(calls for _, calls in self._units))


class Chronicle:
    """Takes runs, calls and changes of breakers as they happen; its memory is bounded.

    Attributes:
        totals: All calls, by endpoint.
        statuses: How many runs ended so.
        durations: Of runs, in seconds.
        most_requests: Of a single run.
        begun: Runs that have begun.
        run_kinds: What failed how many runs: endpoint and kind of error.
        slowest: Those runs that took longest, slowest first.
        failed: For each kind of failure the first run that failed so, for the first few kinds.
        changes: The last changes of circuit breakers.
        changed: How many there were, by endpoint.
    """

    def __init__(self, sample: int = _SAMPLE) -> None:
        self.totals = Totals()
        self.statuses: Counter[str] = Counter()
        self.durations = Histogram()
        self.most_requests = 0
        self.begun = 0
        self.run_kinds: Counter[str] = Counter()
        self.slowest: list[RunRecord] = []
        self.failed: dict[str, RunRecord] = {}
        self.changes: deque[BreakerChange] = deque(maxlen=_CHANGES)
        self.changed: Counter[str] = Counter()
        self._sample = _Sample(sample)
        self._open: dict[str, _OpenRun] = {}
        self._units = 0
        self._start: float | None = None
        self._end = 0.0

    @property
    def stride(self) -> int:
        """The sample has every so-manieth run."""
        return self._sample.stride

    @property
    def start(self) -> float:
        """Seconds of the clock at which the first thing began."""
        return self._start or 0.0

    @property
    def duration(self) -> float:
        """Seconds from the first thing that happened to the last."""
        return self._end - self.start

    def _heard(self, start: float, end: float) -> None:
        if self._start is None or start < self._start:
            self._start = start
        if end > self._end:
            self._end = end

    def begin(self, run: str, at: float) -> None:
        """A run begins."""
        self._heard(at, at)
        self.begun += 1
        self._open[run] = _OpenRun(self.begun, at)

    def add(self, call: CallRecord) -> None:
        """A call has ended, or a step that made none."""
        self._heard(call.start, call.end)
        self.totals.add(call)
        run = None if call.run is None else self._open.get(call.run)
        if run is None:
            self._sample.add(self._units, [call])
            self._units += 1
            return
        run.requests += call.attempts
        if call.lost and not run.word:
            run.word = f"{call.endpoint} {call.note}".strip()
        if len(run.calls) < _MOST_CALLS:
            run.calls.append(call)

    def end(self, run: str, at: float, status: str, error: BaseException | None) -> None:
        """A run ends."""
        self._heard(at, at)
        self.statuses[status] += 1
        found = self._open.pop(run, None)
        if found is None:  # it began before anybody listened
            return
        duration = at - found.start
        self.durations.add(duration)
        self.most_requests = max(self.most_requests, found.requests)
        self._sample.add(self._units, found.calls)
        self._units += 1
        word = found.word or printable(error_word(error))
        if status == "failed":
            count_kind(self.run_kinds, word)
        is_new = status == "failed" and word not in self.failed and len(self.failed) < _FAILED
        if not is_new and not self._is_slow(duration, status):
            return
        record = RunRecord(found.number, found.start, at, status, word, tuple(found.calls), found.requests)
        if is_new:
            self.failed[word] = record
        if self._is_slow(duration, status):
            self.slowest = sorted([*self.slowest, record], key=lambda each: -each.duration)[:_SLOWEST]

    def _is_slow(self, duration: float, status: str) -> bool:
        if status == "cancelled":
            return False
        return len(self.slowest) < _SLOWEST or duration > self.slowest[-1].duration

    def change(self, event: BreakerChanged) -> None:
        """A circuit breaker changes."""
        name = printable(event.endpoint)
        self.changes.append(BreakerChange(event.at, name, event.old, event.new))
        self.changed[name] += 1

    def timeline(self) -> Timeline:
        """The sample, with what is kept of runs that are under way."""
        calls = [*self._sample.calls(), *chain.from_iterable(run.calls for run in self._open.values())]
        ordered = sorted(calls, key=lambda call: (call.start, call.number))
        return Timeline(
            tuple(ordered), self.start, max(self._end, self.start), self.begun, stride=self.stride
        )
