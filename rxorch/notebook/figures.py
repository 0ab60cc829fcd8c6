"""What a handle has seen so far, in numbers: the progress that panels and terminals show."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Final

from rxorch.events import BreakerChanged, CallFinished, CallStarted, Event
from rxorch.observe.histogram import Histogram
from rxorch.stream import Run, RunStream
from rxorch.terminal.ink import count
from rxorch_operators._seconds import seconds_words

__all__ = ["BUCKET", "Figures"]

BUCKET: Final = 0.25
"""Seconds of one bar of the rate."""

_MOST_BUCKETS: Final = 40


class Figures:
    """Counts what passes. Runs and ends of calls count; of anything else, every item.

    Args:
        stream: Of which the items are the runs, if they are; it knows what is in flight.
        total: How many there will be, where that is known.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        stream: RunStream | None = None,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.ok = 0
        self.failed = 0
        self.cancelled = 0
        self.retries = 0
        self.durations = Histogram()
        self._stream = stream
        self._clock = clock
        self._began: float | None = None
        self._ended: float | None = None
        self._calls = 0
        self._open: dict[str, str] = {}
        self._buckets: deque[int] = deque([0], maxlen=_MOST_BUCKETS)
        self._bucket = 0

    def begin(self) -> None:
        """Time runs from here."""
        self._began = self._clock()

    def end(self) -> None:
        """And to here."""
        self._ended = self._clock()

    def take(self, item: Any) -> None:
        """Counts an item."""
        if isinstance(item, Run):
            self._run(item)
        elif isinstance(item, Event):
            self._event(item)
        else:
            self._one("ok")

    def _run(self, run: Run) -> None:
        self._one("ok" if run.ok else "cancelled" if run.cut_off else "failed", run.duration)
        self.retries += sum(max(0, each.attempts - 1) for each in run.outcomes.values())

    def _event(self, event: Event) -> None:
        if isinstance(event, CallStarted):
            self._calls += 1
        elif isinstance(event, CallFinished):
            self._calls = max(0, self._calls - 1)  # it may have begun before anybody listened
            self._one(event.status, event.duration)
            self.retries += max(0, event.attempts - 1)
        elif isinstance(event, BreakerChanged):
            self._open[event.endpoint] = event.new

    def _one(self, status: str, duration: float | None = None) -> None:
        if status == "ok":
            self.ok += 1
        elif status == "cancelled":
            self.cancelled += 1
        else:
            self.failed += 1
        if duration is not None:
            self.durations.add(duration)
        self._roll()
        self._buckets[-1] += 1

    def _roll(self) -> None:
        """Empty bars for the time in which nothing came."""
        behind = int(self.elapsed / BUCKET) - self._bucket
        if behind > 0:
            self._bucket += behind
            self._buckets.extend([0] * min(behind, _MOST_BUCKETS))

    @property
    def begun(self) -> bool:
        """Whether it has begun: what was replaced before that has ended without."""
        return self._began is not None

    @property
    def elapsed(self) -> float:
        """Seconds since it began, or that it took."""
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def bars(self) -> list[int]:
        """How many came in each of the last quarters of a second."""
        self._roll()
        return list(self._buckets)

    @property
    def done(self) -> int:
        """Items that have ended."""
        return self.ok + self.failed + self.cancelled

    @property
    def in_flight(self) -> int | None:
        """What has begun and not ended; None: nobody knows."""
        if self._stream is not None:
            return self._stream.statistics().in_flight
        return self._calls if self._calls or self.durations.count else None

    @property
    def open_breakers(self) -> Collection[str]:
        """Endpoints whose circuit is open, as far as events told of it."""
        return [name for name, state in self._open.items() if state == "open"]

    def facts(self) -> list[tuple[str, str]]:
        """What to show beside the bar."""
        facts = [("ok", count(self.ok)), ("failed", count(self.failed))]
        if self.cancelled:
            facts.append(("cut off", count(self.cancelled)))
        if self.durations.count:
            facts.append(("retries", count(self.retries)))
        if self.in_flight is not None:
            facts.append(("in flight", count(self.in_flight)))
        if self.durations.count:
            facts += [
                (f"p{share}", seconds_words(self.durations.percentile(share / 100))) for share in (50, 95)
            ]
        return facts
