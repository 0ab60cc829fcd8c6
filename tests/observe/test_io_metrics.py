"""The figures of calls: exact counts, frozen snapshots."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from rxorch import IOMetrics
from rxorch.errors import ApiHttpError
from rxorch.events import AttemptStarted, CallFinished, EventBus


def finished(name: str = "a", status: str = "ok", duration: float = 0.1, **facts: Any) -> CallFinished:
    return CallFinished(
        1.0, None, name, status, duration, **{"attempts": 1, "sends": facts.get("attempts", 1), **facts}
    )


def counted(*events: Any) -> IOMetrics:
    metrics = IOMetrics()
    for event in events:
        metrics.on_event(event)
    return metrics


def test_nothing_counted_yet() -> None:
    figures = IOMetrics().snapshot()
    assert (figures.total_requests, figures.calls, figures.success_rate, figures.error_rate) == (
        0,
        0,
        100.0,
        0.0,
    )
    assert (figures.avg_latency, figures.p50, figures.p95, figures.p99) == (0.0, 0.0, 0.0, 0.0)
    assert dict(figures.endpoints) == {} and dict(figures.errors_by_type) == {}


def test_requests_by_hand() -> None:
    metrics = IOMetrics()
    for latency in (100, 200, 0):
        metrics.record_request("a", latency=latency)
    figures = metrics.snapshot()
    assert (figures.total_requests, figures.calls, figures.successes, figures.errors) == (3, 3, 3, 0)
    assert figures.avg_latency == 100.0
    assert figures.endpoints["a"].p99 == pytest.approx(200.0, rel=0.01)


def test_errors_by_hand() -> None:
    metrics = IOMetrics()
    metrics.record_request("a", latency=100)
    metrics.record_error("a", error_type="timeout")
    metrics.record_error("b")
    figures = metrics.snapshot()
    assert (figures.calls, figures.errors) == (3, 2)
    assert figures.success_rate == pytest.approx(100 / 3)
    assert figures.error_rate == pytest.approx(2 / 3)
    assert dict(figures.errors_by_type) == {"timeout": 1, "error": 1}
    assert dict(figures.endpoints["b"].errors_by_type) == {"error": 1}
    assert figures.avg_latency == 100.0  # an error without a duration changes no latency


@pytest.mark.parametrize("latency", [-1, -0.001, math.nan, math.inf])
def test_a_latency_that_is_none_is_refused(latency: float) -> None:
    metrics = IOMetrics()
    with pytest.raises(ValueError, match="latency"):
        metrics.record_request("a", latency=latency)
    assert metrics.snapshot().calls == 0


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (finished(), {"total_requests": 1, "calls": 1, "successes": 1}),
        (finished(attempts=3), {"total_requests": 3, "calls": 1, "successes": 1, "retries": 2}),
        (finished(attempts=0, cached=True), {"calls": 1, "successes": 1, "cache_hits": 1}),
        (
            finished(degraded=True, error=KeyError()),
            {"total_requests": 1, "calls": 1, "successes": 1, "degraded": 1},
        ),
        (finished(status="failed", error=KeyError()), {"total_requests": 1, "calls": 1, "errors": 1}),
        (
            finished(status="failed", attempts=0, error=KeyError()),
            {"calls": 1, "errors": 1},
        ),
        (finished(status="unknown", error=KeyError()), {"total_requests": 1, "calls": 1, "errors": 1}),
        (finished(status="cancelled", attempts=2), {"total_requests": 2, "retries": 1}),
        (AttemptStarted(1.0, None, "a", 1), {}),
    ],
)
def test_what_an_event_counts_for(event: Any, expected: dict[str, int]) -> None:
    figures = counted(event).snapshot()
    names = ("total_requests", "calls", "successes", "errors", "degraded", "retries", "cache_hits")
    assert {name: getattr(figures, name) for name in names if getattr(figures, name)} == expected


def test_errors_are_called_by_their_class_and_lost_ones_unknown() -> None:
    figures = counted(
        finished(status="failed", error=ApiHttpError(500)),
        finished(status="failed", error=ApiHttpError(404)),
        finished(status="unknown", error=TimeoutError()),
        finished(status="unknown"),
    ).snapshot()
    assert dict(figures.errors_by_type) == {"ApiHttpError": 2, "TimeoutError": 1, "unknown": 1}


def test_durations_are_seconds_and_latencies_milliseconds() -> None:
    figures = counted(finished(duration=0.1), finished(duration=0.3)).snapshot()
    assert figures.avg_latency == pytest.approx(200.0)
    assert figures.p50 == pytest.approx(100.0, rel=0.01) and figures.p99 == pytest.approx(300.0, rel=0.01)


def test_all_together_is_the_sum_of_each() -> None:
    metrics = counted(
        finished("a", attempts=2),
        finished("b", status="failed", error=KeyError()),
        finished("b", duration=0.5),
    )
    figures = metrics.snapshot()
    a, b = figures.endpoints["a"], figures.endpoints["b"]
    for field in ("total_requests", "calls", "successes", "errors", "retries"):
        assert getattr(figures, field) == getattr(a, field) + getattr(b, field)
    assert (a.success_rate, b.success_rate) == (100.0, 50.0)
    assert figures.success_rate == pytest.approx(200 / 3)
    assert figures.avg_latency == pytest.approx((100 + 100 + 500) / 3)
    assert figures.p99 == pytest.approx(500.0, rel=0.01)


def test_a_snapshot_is_frozen_and_stays_as_it_is() -> None:
    metrics = counted(finished())
    before = metrics.snapshot()
    metrics.on_event(finished(status="failed", error=KeyError()))
    assert (before.calls, before.endpoints["a"].calls, dict(before.errors_by_type)) == (1, 1, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.calls = 7  # type: ignore[misc]
    with pytest.raises(TypeError):
        before.endpoints["b"] = before.endpoints["a"]  # type: ignore[index]
    with pytest.raises(TypeError):
        before.errors_by_type["x"] = 1  # type: ignore[index]


def test_reset_starts_anew() -> None:
    metrics = counted(finished())
    metrics.reset()
    assert metrics.snapshot() == IOMetrics().snapshot()


def test_it_is_made_for_a_bus() -> None:
    bus, metrics = EventBus(), IOMetrics()
    bus.subscribe(metrics.on_event, kinds=IOMetrics.KINDS)
    bus.emit(finished())
    bus.emit(AttemptStarted(1.0, None, "a", 1))
    assert metrics.snapshot().calls == 1
    assert not bus.active  # it makes nobody build the other records
