"""What `rxorch run` shows of a stream while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from rxorch.observe.histogram import Histogram
from rxorch.orchestrator import APIOrchestrator
from rxorch.stream import Run, RunStream
from rxorch.terminal.ink import count
from rxorch_operators import CircuitState
from rxorch_operators._seconds import seconds_words

__all__ = ["StreamProgress"]

_MINUTE = 60
_RATE_OVER = 10.0
"""Seconds over which the rate is taken: what a stream did an hour ago says little about its end."""


class StreamProgress:
    """The state of a stream, read off it when somebody looks.

    Args:
        stream: What runs.
        orchestrator: Of it.
        total: Inputs in all, None while nobody knows.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        stream: RunStream,
        orchestrator: APIOrchestrator,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._orchestrator = orchestrator
        self._clock = clock
        self._durations = Histogram()
        self._marks = [(clock(), 0)]
        self.total = total

    def on_run(self, run: Run) -> None:
        """Take one record."""
        self._durations.add(run.duration)

    @property
    def done(self) -> int:
        """Inputs that have ended, now or in an earlier process."""
        figures = self._stream.statistics()
        return figures.ok + figures.failed + figures.cancelled + figures.skipped

    @property
    def open_breakers(self) -> Collection[str]:
        """Endpoints whose circuit is open."""
        breakers = self._orchestrator.breakers
        return [name for name, breaker in breakers.items() if breaker.state is CircuitState.OPEN]

    @property
    def rate(self) -> float:
        """Records a second, over the last seconds."""
        now, called = self._clock(), self._called
        marks = self._marks
        if now > marks[-1][0]:
            marks.append((now, called))
        while len(marks) > 2 and marks[1][0] <= now - _RATE_OVER:
            del marks[0]
        began, before = marks[0]
        return (called - before) / (now - began) if now > began else 0.0

    @property
    def _called(self) -> int:
        figures = self._stream.statistics()
        return figures.ok + figures.failed

    def facts(self) -> list[tuple[str, str]]:
        """What to show beside the bar."""
        figures, rate = self._stream.statistics(), self.rate
        p50, p95 = (seconds_words(self._durations.percentile(fraction)) for fraction in (0.5, 0.95))
        facts = [
            ("ok", count(figures.ok)),
            ("failed", count(figures.failed)),
            ("retried", count(self._orchestrator.get_metrics().retries)),
            ("in flight", f"{figures.in_flight}/{figures.max_concurrent}"),
            ("rate", f"{rate:.1f}/s" if rate < 10 else f"{rate:,.0f}/s"),
            ("p50", p50),
            ("p95", p95),
        ]
        if figures.skipped:
            facts.insert(3, ("skipped", count(figures.skipped)))
        if self.total is not None and rate > 0:
            left = round((self.total - self.done) / rate)
            facts.append(("ETA", seconds_words(left, exact=left < 60)))
        return facts
