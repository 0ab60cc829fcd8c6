"""Lanes drawn from events."""

from __future__ import annotations

from typing import Any

from rxorch import ApiHttpError, ApiTimeoutError
from rxorch import events as ev
from rxorch.demo.waterfall import Span, legend, spans_by_endpoint, strip
from rxorch.terminal.ink import Ink

BUSY = ApiHttpError(503)


def at(kind: type[ev.Event], seconds: float, endpoint: str = "user", **facts: Any) -> ev.Event:
    return kind(at=100 + seconds, run="r", endpoint=endpoint, **facts)


def test_attempts_waits_and_queues_in_their_order() -> None:
    events = [
        at(ev.RunStarted, 0.0, ""),
        at(ev.StepStarted, 0.0),
        at(ev.CallStarted, 0.0),
        at(ev.RateLimitWaiting, 0.0, wait=0.25),
        at(ev.AttemptStarted, 0.25, attempt=1),
        at(ev.AttemptFailed, 0.5, attempt=1, error=BUSY, duration=0.25),
        at(ev.RetryWaiting, 0.5, attempt=1, wait=0.25, error=BUSY),
        at(ev.AttemptStarted, 0.75, attempt=2),
        at(ev.AttemptFailed, 1.0, attempt=2, error=ApiTimeoutError(limit=0.25), duration=0.25),
        at(ev.RetryWaiting, 1.0, attempt=2, wait=0.5, error=BUSY),
        at(ev.AttemptStarted, 1.5, attempt=3),
        at(ev.CallFinished, 2.0, status="ok", duration=2.0),
    ]
    assert spans_by_endpoint(events) == {
        "user": [
            Span(0, 0.25, "queued"),
            Span(0.25, 0.5, "failed"),
            Span(0.5, 0.75, "wait"),
            Span(0.75, 1.0, "timeout"),
            Span(1.0, 1.5, "wait"),
            Span(1.5, 2.0, "ok"),
        ]
    }


def test_a_call_that_is_cut_off_in_its_attempt() -> None:
    events = [
        at(ev.RunStarted, 0, ""),
        at(ev.AttemptStarted, 0, attempt=1),
        at(ev.CallFinished, 1, status="cancelled", duration=1),
    ]
    assert spans_by_endpoint(events)["user"] == [Span(0, 1, "cancelled")]


def test_a_wait_that_ends_without_another_attempt_stays_a_wait() -> None:
    events = [
        at(ev.RunStarted, 0, ""),
        at(ev.AttemptStarted, 0, attempt=1),
        at(ev.AttemptFailed, 1, attempt=1, error=BUSY, duration=1),
        at(ev.RetryWaiting, 1, attempt=1, wait=1, error=BUSY),
        at(ev.CallFinished, 2, status="failed", duration=2, error=BUSY),
    ]
    assert spans_by_endpoint(events)["user"] == [Span(0, 1, "failed"), Span(1, 2, "wait")]


def test_only_where_all_could_start_at_once_is_a_late_start_a_queue() -> None:
    events = [
        at(ev.RunStarted, 0, ""),
        at(ev.StepStarted, 2),
        at(ev.AttemptStarted, 2, attempt=1),
        at(ev.CallFinished, 3, status="ok", duration=1),
    ]
    assert spans_by_endpoint(events, eager=True)["user"] == [Span(0, 2, "queued"), Span(2, 3, "ok")]
    assert spans_by_endpoint(events)["user"] == [Span(2, 2, "queued"), Span(2, 3, "ok")]


def test_a_skipped_step_has_an_empty_lane() -> None:
    events = [at(ev.RunStarted, 0, ""), at(ev.StepSkipped, 1, reason="no")]
    assert spans_by_endpoint(events) == {"user": []}


def test_a_strip_is_to_scale_and_has_no_holes() -> None:
    spans = [Span(0, 0.33, "failed"), Span(0.3334, 0.5, "wait"), Span(0.5, 1, "ok")]
    assert strip(spans, 1, 12, Ink()) == "xxxx~~██████"
    assert strip(spans, 2, 12, Ink(unicode=False)) == "xx~###      "


def test_the_shortest_span_is_seen_and_the_shortest_queue_is_not() -> None:
    assert strip([Span(0.5, 0.5, "ok")], 1, 10, Ink()) == "     █    "
    assert strip([Span(1, 1, "ok")], 1, 10, Ink()) == "         █"
    assert strip([Span(0.5, 0.55, "queued")], 1, 10, Ink()) == " " * 10
    assert strip([Span(0.5, 0.7, "queued")], 1, 10, Ink()) == "     ··   "


def test_a_run_without_any_time_can_be_drawn() -> None:
    assert strip([Span(0, 0, "ok")], 0, 4, Ink()) == "█   "
    assert strip([], 0, 4, Ink()) == "    "


def test_each_run_of_signs_is_coloured_once() -> None:
    assert strip([Span(0, 1, "ok")], 2, 4, Ink(colour=True)) == "\x1b[32m██\x1b[0m  "


def test_the_legend_names_every_sign() -> None:
    assert legend(Ink()) == "█ request   x failed   X timeout   ~ wait   · queued"
