"""What happened when, as lines of text: one lane an endpoint, drawn from the events of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rxorch import events as ev
from rxorch.terminal.ink import Ink

__all__ = ["Span", "legend", "spans_by_endpoint", "strip"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of an endpoint's time, in seconds since the run began.

    ``kind``: an attempt that was ``"ok"``, ``"failed"``, ``"timeout"`` or ``"cancelled"``; ``"wait"`` before
    a retry; ``"queued"`` for a permit or a place.
    """

    start: float
    end: float
    kind: str


_MARKS = {
    "queued": ("·", "."),
    "wait": ("~", "~"),
    "cancelled": ("-", "-"),
    "failed": ("x", "x"),
    "timeout": ("X", "X"),
    "ok": ("█", "#"),
}
_COLOURS = {
    "queued": "dim",
    "wait": "yellow",
    "cancelled": "dim",
    "failed": "red",
    "timeout": "red",
    "ok": "green",
}
_ATTEMPT_ENDINGS = {"ok": "ok", "failed": "failed", "unknown": "failed", "cancelled": "cancelled"}


def spans_by_endpoint(events: Iterable[ev.Event], *, eager: bool = False) -> dict[str, list[Span]]:
    """The spans of each endpoint of one run, from the events of that run in their order.

    Args:
        events: begin with a ``RunStarted``, or else with the earliest event.
        eager: all endpoints could have started at once, so that one which did not was queued until then.
    """
    lanes: dict[str, _Lane] = {}
    began: float | None = None
    for event in events:
        if began is None:
            began = event.at
        if event.endpoint:
            lanes.setdefault(event.endpoint, _Lane(began, eager)).take(event)
    return {name: lane.spans for name, lane in lanes.items()}


class _Lane:
    """Collects the spans of one endpoint. At any time it is in one state, since ``since``."""

    __slots__ = ("began", "since", "spans", "state")

    def __init__(self, began: float, eager: bool) -> None:
        self.began = began
        self.spans: list[Span] = []
        self.state = "queued" if eager else ""
        self.since = began

    def take(self, event: ev.Event) -> None:
        match event:
            case ev.StepStarted() | ev.CallStarted() | ev.RateLimitWaiting():
                self._turn(event.at, "queued")
            case ev.AttemptStarted():
                self._turn(event.at, "attempt")
            case ev.AttemptFailed(error=error):
                self._close(event.at, "timeout" if isinstance(error, TimeoutError) else "failed")
            case ev.RetryWaiting():
                self._turn(event.at, "wait")
            case ev.CallFinished(status=status, error=error):
                ending = "timeout" if isinstance(error, TimeoutError) else _ATTEMPT_ENDINGS[status]
                self._close(event.at, ending)

    def _turn(self, at: float, state: str) -> None:
        """Enter ``state``; what it was until now ends."""
        if state == "queued" and self.state:
            return  # a call that begins, or waits for a permit, within what is queued or waiting already
        self._close(at, "ok")
        self.state, self.since = state, at

    def _close(self, at: float, ending: str) -> None:
        state, self.state = self.state, ""
        if state:
            kind = ending if state == "attempt" else state
            self.spans.append(Span(self.since - self.began, at - self.began, kind))


def strip(spans: Sequence[Span], total: float, width: int, ink: Ink) -> str:
    """One lane as ``width`` characters, of which the whole is ``total`` seconds.

    A span is at least one character wide; where spans share a character, the later one shows.
    """
    kinds = [""] * width
    scale = width / total if total > 0 else 0.0
    for span in spans:
        if span.kind == "queued" and (span.end - span.start) * scale < 1:
            continue  # what it costs to start a call is no queue worth a mark
        first = min(width - 1, int(span.start * scale))
        for place in range(first, min(width, max(first + 1, math.ceil(span.end * scale)))):
            kinds[place] = span.kind
    return "".join(_runs(kinds, ink))


def legend(ink: Ink) -> str:
    """What the characters of a strip mean."""
    names = {"ok": "request", "failed": "failed", "timeout": "timeout", "wait": "wait", "queued": "queued"}
    return "   ".join(
        f"{ink(ink.sign(*_MARKS[kind]), _COLOURS[kind])} {name}" for kind, name in names.items()
    )


def _runs(kinds: Sequence[str], ink: Ink) -> Iterable[str]:
    """Each run of equal characters in its colour, so that a line has few colour codes."""
    start = 0
    for place in range(1, len(kinds) + 1):
        if place == len(kinds) or kinds[place] != kinds[start]:
            kind, length = kinds[start], place - start
            yield ink(ink.sign(*_MARKS[kind]) * length, _COLOURS[kind]) if kind else " " * length
            start = place
