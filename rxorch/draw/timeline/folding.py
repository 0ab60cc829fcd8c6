"""From events to records: each call is kept while it is open, and then as a frozen record."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

import rxorch.events as ev
from rxorch.draw.error_words import error_word
from rxorch.draw.facts import printable
from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.draw.timeline.records import CallRecord, Segment, SegmentKind, Timeline
from rxorch.errors import ApiHttpError
from rxorch.http.redaction import redact_url

__all__ = ["LIMIT", "Folder"]

LIMIT: Final = 10_000
"""Calls that are kept."""

_OK, _WORK, _PLACE = SegmentKind.OK, SegmentKind.WORK, SegmentKind.PLACE
_RUNNING: Final = SegmentKind.RUNNING
_SHORTEST: Final = 1e-6
"""Seconds: what is shorter is rounding, and no wait."""


class _OpenCall:
    """A call under way. At any time it does one thing, since `since`."""

    __slots__ = (
        "after", "attempts", "began", "budget", "cached", "endpoint", "hedge", "late", "number", "run",
        "segments", "since", "start", "state",
    )  # fmt: skip

    def __init__(self, event: ev.CallStarted, endpoint: str, step: ev.StepStarted | None) -> None:
        self.number = event.call
        self.endpoint = endpoint
        self.run = event.run
        self.began = self.start = self.since = event.at
        self.segments: list[Segment] = []
        self.state = _WORK
        self.attempts = 0
        self.cached = self.budget = False
        self.after: tuple[str, ...] = ()
        self.hedge, self.late = event.hedge, event.late
        if step is not None:
            self.after = step.after
            if step.waited > _SHORTEST:
                self.start = event.at - step.waited
                self.segments.append(Segment(_PLACE, self.start, event.at))

    def turn(self, at: float, state: SegmentKind) -> None:
        """Does something else from now on."""
        self.close(at, self.state)
        self.state = state

    def close(self, at: float, kind: SegmentKind, note: str = "") -> None:
        """What it did until now ends, and was this."""
        if self.state is _RUNNING or at - self.since > _SHORTEST:
            self.segments.append(Segment(kind, self.since, at, note))
        self.state, self.since = _WORK, at

    def record(self, at: float, status: str, note: str, *, degraded: bool = False) -> CallRecord:
        """The call as it is now."""
        segments = self.segments
        if not (self.attempts or self.cached) and status == "ok":  # it has got the answer of an equal one
            segments = [_as_shared(part) for part in segments]
        return CallRecord(
            self.number, self.endpoint, self.run, self.start, self.began, at, status, note, self.attempts,
            tuple(segments), degraded, self.cached, self.budget, self.after, self.hedge, self.late,
        )  # fmt: skip


def _as_shared(part: Segment) -> Segment:
    return Segment(SegmentKind.SHARED, part.start, part.end) if part.kind is _WORK else part


class Folder:
    """Takes events and keeps records of calls: the newest `limit` of them, and all that are under way.

    Args:
        limit: Calls that are kept.
        chronicle: Is told of everything that ends.
    """

    def __init__(self, limit: int = LIMIT, chronicle: Chronicle | None = None) -> None:
        self.limit = limit
        self.chronicle = chronicle
        self._records: deque[CallRecord] = deque(maxlen=limit)
        self._left_out = 0
        self._open: dict[int, _OpenCall] = {}
        self._steps: dict[tuple[str | None, str], ev.StepStarted] = {}
        self._called: set[tuple[str | None, str]] = set()
        self._spans: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._names: dict[str, str] = {}
        self._now: float | None = None

    def take(self, event: ev.Event) -> None:
        """Takes the next event."""
        self._now = event.at
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def timeline(self, run: str | None = None) -> Timeline:
        """What has happened so far; of one run, or of everything."""
        now = self._now or 0.0
        calls = [*self._records, *(call_now(call, now) for call in self._open.values())]
        spans = dict(self._spans)
        if run is not None:
            calls = [call for call in calls if call.run == run]
            spans = {run: spans[run]} if run in spans else {}
        return Timeline.of(calls, spans, left_out=self._left_out, now=self._now)

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of the runs that have begun."""
        return tuple(self._spans)

    def _name(self, endpoint: str) -> str:
        name = self._names.get(endpoint)
        if name is None:
            if len(self._names) >= self.limit:
                self._names.clear()
            name = self._names[endpoint] = printable(redact_url(endpoint))
        return name

    def _keep(self, record: CallRecord) -> None:
        if self.chronicle is not None:
            self.chronicle.add(record)
        self._left_out += len(self._records) == self.limit
        self._records.append(record)

    # -- runs and steps --------------------------------------------------------------------------------

    def _run_started(self, event: ev.RunStarted) -> None:
        if event.run is not None:
            if self.chronicle is not None:
                self.chronicle.begin(event.run, event.at)
            self._spans[event.run] = (event.at, event.at)
            if len(self._spans) > self.limit:
                self._spans.popitem(last=False)

    def _run_finished(self, event: ev.RunFinished) -> None:
        if event.run is not None:
            if self.chronicle is not None:
                self.chronicle.end(event.run, event.at, event.status, event.error)
            begin, _ = self._spans.get(event.run, (event.at - event.duration, event.at))
            self._spans[event.run] = (begin, event.at)

    def _step_started(self, event: ev.StepStarted) -> None:
        self._steps[event.run, event.endpoint] = event

    def _step_finished(self, event: ev.StepFinished) -> None:
        key = event.run, event.endpoint
        step = self._steps.pop(key, None)
        if key in self._called:
            self._called.discard(key)
            return
        if step is not None:  # it ended before its call: its condition has raised, say
            self._keep_step(event, step.at, event.status, error_word(event.error), step.after)

    def _step_skipped(self, event: ev.StepSkipped) -> None:
        self._keep_step(event, event.at, "skipped", printable(event.reason), ())

    def _keep_step(
        self, event: ev.Event, start: float, status: str, note: str, after: tuple[str, ...]
    ) -> None:
        name = self._name(event.endpoint)
        self._keep(CallRecord(0, name, event.run, start, start, event.at, status, note, 0, (), after=after))

    def _breaker_changed(self, event: ev.BreakerChanged) -> None:
        if self.chronicle is not None:
            self.chronicle.change(event)

    # -- calls -----------------------------------------------------------------------------------------

    def _call_started(self, event: ev.CallStarted) -> None:
        key = event.run, event.endpoint
        step = None if key in self._called else self._steps.get(key)
        if step is not None:
            self._called.add(key)
        self._open[event.call] = _OpenCall(event, self._name(event.endpoint), step)

    def _rate_limited(self, event: ev.RateLimitWaiting) -> None:
        call = self._open.get(event.call)
        if call is not None and call.state is not _RUNNING:  # else: between two hops of a redirect
            call.turn(event.at, SegmentKind.RATE_LIMIT)

    def _permit_awaited(self, event: ev.PermitWaiting) -> None:
        call = self._open.get(event.call)
        if call is not None and call.state is not _RUNNING:
            call.turn(event.at, SegmentKind.PERMIT)

    def _attempt_started(self, event: ev.AttemptStarted) -> None:
        call = self._open.get(event.call)
        if call is not None:
            call.turn(event.at, _RUNNING)
            call.attempts = event.attempt

    def _attempt_failed(self, event: ev.AttemptFailed) -> None:
        call = self._open.get(event.call)
        if call is not None:
            call.close(event.at, _failure(event.error), error_word(event.error))

    def _retry_waiting(self, event: ev.RetryWaiting) -> None:
        call = self._open.get(event.call)
        if call is None:
            return
        if call.state is _RUNNING:  # it was answered, and `retry_if` wants another answer
            call.close(event.at, SegmentKind.FAILED, "refused")
        call.turn(event.at, SegmentKind.RETRY_AFTER if event.asked else SegmentKind.BACKOFF)

    def _budget_exhausted(self, event: ev.RetryBudgetExhausted) -> None:
        call = self._open.get(event.call)
        if call is not None:
            call.budget = True

    def _cache_hit(self, event: ev.CacheHit) -> None:
        call = self._open.get(event.call)
        if call is not None:
            call.cached = True

    def _call_finished(self, event: ev.CallFinished) -> None:
        call = self._open.pop(event.call, None)
        note = str(event.status_code or "") if event.status == "ok" and event.error is None else ""
        note = note or error_word(event.error)
        if call is None:  # it began before anybody listened
            self._keep(_begun_before(event, self._name(event.endpoint), note))
            return
        if call.state is _RUNNING:
            call.close(event.at, _ending(event), note)
        else:
            call.turn(event.at, _WORK)
        self._keep(call.record(event.at, event.status, note, degraded=event.degraded))


def call_now(call: _OpenCall, now: float) -> CallRecord:
    """A call that is under way, as a record."""
    record = call.record(now, "running", "")
    last = Segment(call.state, call.since, now)
    return CallRecord(
        record.number, record.endpoint, record.run, record.start, record.began, now, "running", "",
        record.attempts, (*record.segments, last), False, record.cached, record.budget, record.after,
        record.hedge, record.late,
    )  # fmt: skip


def _begun_before(event: ev.CallFinished, name: str, note: str) -> CallRecord:
    start = event.at - event.duration
    segments = (Segment(_ending(event), start, event.at, note),) if event.attempts else ()
    return CallRecord(
        event.call, name, event.run, start, start, event.at, event.status, note, event.attempts, segments,
        event.degraded, event.cached,
    )  # fmt: skip


def _failure(error: BaseException | None) -> SegmentKind:
    if isinstance(error, ApiHttpError) or not isinstance(error, TimeoutError):
        return SegmentKind.FAILED
    return SegmentKind.TIMEOUT


def _ending(event: ev.CallFinished) -> SegmentKind:
    if event.status == "ok" and not event.degraded:
        return _OK
    if event.error is None or event.status == "cancelled":
        return SegmentKind.CANCELLED
    return _failure(event.error)


_HANDLERS: Final[dict[type[ev.Event], Callable[[Folder, Any], None]]] = {
    ev.RunStarted: Folder._run_started,
    ev.RunFinished: Folder._run_finished,
    ev.BreakerChanged: Folder._breaker_changed,
    ev.StepStarted: Folder._step_started,
    ev.StepFinished: Folder._step_finished,
    ev.StepSkipped: Folder._step_skipped,
    ev.CallStarted: Folder._call_started,
    ev.RateLimitWaiting: Folder._rate_limited,
    ev.PermitWaiting: Folder._permit_awaited,
    ev.AttemptStarted: Folder._attempt_started,
    ev.AttemptFailed: Folder._attempt_failed,
    ev.RetryWaiting: Folder._retry_waiting,
    ev.RetryBudgetExhausted: Folder._budget_exhausted,
    ev.CacheHit: Folder._cache_hit,
    ev.CallFinished: Folder._call_finished,
}
