"""From all that can be drawn to a timeline, or to a chronicle."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

from rxorch.draw.error_words import error_word
from rxorch.draw.facts import printable
from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.draw.timeline.folding import Folder
from rxorch.draw.timeline.recording import Recording
from rxorch.draw.timeline.records import CallRecord, Timeline
from rxorch.errors import ApiConfigurationError
from rxorch.events import Event
from rxorch.flow import OrchestrationResult, Outcome, OutcomeStatus
from rxorch.http.redaction import redact_url
from rxorch.stream import Run

__all__ = ["Ended", "Happened", "chronicle_of", "timeline_of"]

Happened: TypeAlias = Recording | OrchestrationResult | Timeline | Iterable[Event]
"""What has its events, or is made of them."""

Ended: TypeAlias = Happened | Run
"""What tells how calls have ended."""


def timeline_of(what: Happened) -> Timeline:
    """The calls of a recording, of a result, or of events in their order.

    Raises:
        ApiConfigurationError: it is none of these, or a result that kept no events.
    """
    if isinstance(what, Recording):
        return what.timeline()
    if isinstance(what, Timeline):
        return what
    events: Any = what
    if isinstance(what, OrchestrationResult):
        events = what.events
        if not events and what.outcomes:
            raise ApiConfigurationError(
                "this result kept no events: those of execute() do; around others, a stream say, use "
                "`with record(orchestrator) as recording:`"
            )
    return _folded(events).timeline()


def chronicle_of(what: Ended) -> Chronicle:
    """How the calls of a recording, a result, a run of a stream, a timeline or of events have ended.

    Raises:
        ApiConfigurationError: it is none of these.
    """
    if isinstance(what, Recording):
        return what.chronicle
    chronicle = Chronicle()
    if isinstance(what, Run):
        _add_run(chronicle, _told(what.outcomes.items()), what.duration, is_ok=what.ok, error=what.error)
    elif isinstance(what, OrchestrationResult) and not what.events:
        _add_run(chronicle, _told(what.outcomes.items()), what.duration, is_ok=what.ok)
    elif isinstance(what, Timeline):
        _add_timeline(chronicle, what)
    else:
        _folded(what.events if isinstance(what, OrchestrationResult) else what, chronicle)
    return chronicle


def _folded(events: Any, chronicle: Chronicle | None = None) -> Folder:
    folder = Folder(sys.maxsize, chronicle)
    try:
        for event in events:
            if not isinstance(event, Event):
                raise TypeError
            folder.take(event)
    except TypeError:
        raise ApiConfigurationError(
            "give a Recording, an OrchestrationResult, a Timeline or event records, "
            f"not {type(events).__name__}"
        ) from None
    return folder


def _told(outcomes: Iterable[tuple[str, Outcome]]) -> list[CallRecord]:
    return [_call(number, *item) for number, item in enumerate(outcomes, 1)]


def _call(number: int, name: str, outcome: Outcome) -> CallRecord:
    start = outcome.started or 0.0
    is_skip = outcome.status is OutcomeStatus.SKIPPED
    note = printable(outcome.reason or "") if is_skip else error_word(outcome.error)
    return CallRecord(
        number, printable(redact_url(name)), "run", start, start, start + outcome.duration,
        str(outcome.status), note, outcome.attempts, (), outcome.degraded, outcome.cached,
    )  # fmt: skip


def _add_run(
    chronicle: Chronicle,
    calls: Iterable[CallRecord],
    duration: float,
    *,
    is_ok: bool,
    error: BaseException | None = None,
) -> None:
    chronicle.begin("run", 0.0)
    for call in calls:
        chronicle.add(call)
    chronicle.end("run", duration, "ok" if is_ok else "failed", error)


def _add_timeline(chronicle: Chronicle, timeline: Timeline) -> None:
    runs: dict[str, list[CallRecord]] = {}
    for call in timeline.calls:
        if call.run is None:
            chronicle.add(call)
        else:
            runs.setdefault(call.run, []).append(call)
    for run, calls in runs.items():
        chronicle.begin(run, min(call.start for call in calls))
        for call in calls:
            chronicle.add(call)
        status = "failed" if any(call.lost for call in calls) else "ok"
        chronicle.end(run, max(call.end for call in calls), status, None)
