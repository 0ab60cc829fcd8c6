"""How far the stream of orders is, collected from its events."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rxorch import events as ev
from rxorch.draw.error_words import error_word
from rxorch.observe.histogram import Histogram
from rxorch.terminal.ink import count
from rxorch_operators._seconds import seconds_words

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """The state of a stream of ``total`` inputs of which ``cap`` may be in flight at once."""

    total: int
    cap: int
    clock: Callable[[], float] = time.monotonic
    ok: int = 0
    failed: int = 0
    in_flight: int = 0
    retries: int = 0
    attempt_failures: Counter[str] = field(default_factory=Counter)
    breaker_changes: list[ev.BreakerChanged] = field(default_factory=list)
    open_breakers: set[str] = field(default_factory=set)
    durations: Histogram = field(default_factory=Histogram)
    began: float = 0.0

    def start(self) -> None:
        """The clock runs from now on."""
        self.began = self.clock()

    def on_event(self, event: ev.Event) -> None:
        """Take one record of the orchestrator's event stream."""
        match event:
            case ev.RunStarted():
                self.in_flight += 1
            case ev.RunFinished():
                self.in_flight -= 1
            case ev.AttemptFailed(error=error):
                self.attempt_failures[error_word(error)] += 1
            case ev.AttemptStarted(attempt=attempt):
                # Not the waits: one may end without an attempt, when the circuit has opened meanwhile.
                self.retries += attempt > 1
            case ev.BreakerChanged(endpoint=endpoint, new=new):
                self.breaker_changes.append(event)
                (self.open_breakers.discard if new == "closed" else self.open_breakers.add)(endpoint)

    def on_run(self, ok: bool, duration: float) -> None:
        """Take one finished input."""
        self.ok += ok
        self.failed += not ok
        self.durations.add(duration)

    @property
    def done(self) -> int:
        """Inputs that have ended."""
        return self.ok + self.failed

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return self.clock() - self.began

    @property
    def rate(self) -> float:
        """Inputs per second since the beginning."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def facts(self) -> list[tuple[str, str]]:
        """What to show beside the bar: label and value."""
        p50, p95 = (seconds_words(self.durations.percentile(fraction)) for fraction in (0.5, 0.95))
        return [
            ("ok", count(self.ok)),
            ("failed", count(self.failed)),
            ("retried", count(self.retries)),
            ("in flight", f"{self.in_flight}/{self.cap}"),
            ("rate", f"{self.rate:.0f}/s"),
            ("p50", p50),
            ("p95", p95),
        ]
