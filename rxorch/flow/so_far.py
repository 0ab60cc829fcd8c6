"""What is known of a run from its events, before its end and after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rxorch.events import CacheHit, CallFinished, Event, RunStarted, StepFinished, StepSkipped, StepStarted
from rxorch.flow.result import OrchestrationResult, Outcome, OutcomeStatus

__all__ = ["result_so_far"]


def result_so_far(events: Sequence[Event], names: Iterable[str] = ()) -> OrchestrationResult:
    """The result of a run as far as its events tell it.

    Args:
        events: Of one run.
        names: Of its endpoints, in their order; those that did not end count as cancelled.

    >>> from rxorch.events import StepFinished
    >>> result = result_so_far(
    ...     [StepFinished(2.0, "r", "user", "ok", 0.5, 1, value={"id": 7})], ["user", "posts"]
    ... )
    >>> result, result["user"]
    (<OrchestrationResult user=ok, posts=cancelled; 0 ms>, {'id': 7})
    """
    began = next((event.at for event in events if isinstance(event, RunStarted)), None)
    if began is None:
        began = events[0].at if events else 0.0
    outcomes: dict[str, Outcome] = {name: _open() for name in names}
    last: Any = None
    cached: set[str] = set()
    stale: set[str] = set()
    starts: dict[str, float] = {}
    for event in events:
        if isinstance(event, CallFinished) and event.cached:
            cached.add(event.endpoint)
        elif isinstance(event, CacheHit) and event.stale:
            stale.add(event.endpoint)
        elif isinstance(event, StepStarted):
            outcomes.setdefault(event.endpoint, _open())
            starts[event.endpoint] = event.at - began
        elif isinstance(event, StepSkipped):
            outcomes[event.endpoint] = Outcome(OutcomeStatus.SKIPPED, reason=event.reason)
        elif isinstance(event, StepFinished):
            name = event.endpoint
            started = starts.get(name, event.at - event.duration - began)
            outcomes[name] = outcome = _ended(event, started, cached=name in cached, stale=name in stale)
            last = outcome.value if outcome.ok else last
    return OrchestrationResult(
        outcomes,
        value=last,
        events=events,
        duration=events[-1].at - began if events else 0.0,
        run=events[0].run if events else None,
    )


def _open() -> Outcome:
    return Outcome(OutcomeStatus.CANCELLED, reason="the run ended before its end")


def _ended(event: StepFinished, started: float, *, cached: bool, stale: bool) -> Outcome:
    return Outcome(
        OutcomeStatus(event.status),
        event.value,
        event.error,
        event.attempts,
        started,
        event.duration,
        event.degraded,
        cached=cached,
        stale=stale,
    )
