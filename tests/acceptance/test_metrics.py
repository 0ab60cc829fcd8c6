"""Monitoring: what get_metrics counts, what is logged, and metrics of one's own."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator, IOMetrics, OrchestrationMode
from tests.acceptance.witness import Witness
from tests.support.loopback import Loopback

CANARY = "canary-4b1d"


async def test_metrics_of_a_run() -> None:
    """Metrics: total_requests, success_rate in percent, error_rate as a fraction, avg_latency in ms."""
    witness = Witness()
    routes = {f"GET /{name}": witness.answers(name, linger=0.05) for name in ("a", "b", "c")}
    routes["GET /gone"] = witness.answers("gone", status=404, linger=0.05)
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=name, url=f"{server.url}/{name}") for name in ("a", "b", "c", "gone")]
        config = APIOrchestrationConfig(
            endpoints=endpoints, metrics_enabled=True, log_requests=True, log_responses=True
        )
        orchestrator = APIOrchestrator(config)
        await orchestrator.execute({"user_id": 1})
        metrics = orchestrator.get_metrics()

        assert metrics.total_requests == server.total == 4
    assert f"Success rate: {metrics.success_rate}%" == "Success rate: 75.0%"
    assert metrics.error_rate == 0.25
    assert metrics.avg_latency > 40  # each call is held for 50 ms: the unit is milliseconds
    assert metrics.p50 <= metrics.p95 <= metrics.p99


async def test_metrics_tell_attempts_from_calls() -> None:
    """Metrics: a repeated call is one call, two requests and one retry; endpoints have their own."""
    witness = Witness()
    routes = {"GET /shaky": witness.answers("shaky", status=[503, 200]), "GET /calm": witness.answers("calm")}
    async with Loopback(routes) as server:
        endpoints = [
            APIEndpoint(name=name, url=f"{server.url}/{name}", retry_count=2, retry_delay=0.001)
            for name in ("shaky", "calm")
        ]
        orchestrator = APIOrchestrator(
            APIOrchestrationConfig(endpoints=endpoints, mode=OrchestrationMode.PARALLEL)
        )
        await orchestrator.execute({})

    metrics = orchestrator.get_metrics()
    assert (metrics.total_requests, metrics.calls, metrics.retries) == (3, 2, 1)
    assert (metrics.success_rate, metrics.error_rate) == (100.0, 0.0)
    assert set(metrics.endpoints) == {"shaky", "calm"}
    assert metrics.endpoints["shaky"].total_requests == 2


def test_metrics_before_the_first_call() -> None:
    """Metrics: an orchestrator that has done nothing reports nothing wrong."""
    metrics = APIOrchestrator(APIOrchestrationConfig(metrics_enabled=True)).get_metrics()

    assert (metrics.total_requests, metrics.calls, metrics.error_rate) == (0, 0, 0.0)


async def logged(caplog: pytest.LogCaptureFixture, **switches: bool) -> str:
    """The log text of one good and one failing call that carry a secret wherever one can be."""
    caplog.set_level(logging.DEBUG)
    witness = Witness()
    routes = {
        "POST /users": witness.answers("users", {"echo": CANARY}),
        "POST /gone": witness.answers("gone", {"echo": CANARY}, status=404),
    }
    shared: dict[str, Any] = {
        "method": "POST",
        "headers": {"Authorization": f"Bearer {CANARY}", "X-Api-Key": CANARY, "Cookie": f"s={CANARY}"},
        "params": {"api_key": CANARY, "limit": 3},
        "body": {"password": CANARY},
    }
    async with Loopback(routes) as server:
        config = APIOrchestrationConfig(
            endpoints=[
                APIEndpoint(name=name, url=f"{server.url}/{name}?token={CANARY}", **shared)
                for name in ("users", "gone")
            ],
            **switches,
        )
        result = await APIOrchestrator(config).execute({})

    call = witness.last("users")
    assert CANARY in call.headers["Authorization"]
    assert CANARY in call.query["token"] and CANARY in call.query["api_key"]
    assert result["users"] == {"echo": CANARY}
    assert CANARY not in str(result.errors["gone"])
    return caplog.text


async def test_requests_and_responses_are_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """log_requests, log_responses: each call has its lines, and no secret is in any of them."""
    text = await logged(caplog, metrics_enabled=True, log_requests=True, log_responses=True)

    assert "/users" in text and "/gone" in text
    assert "POST" in text
    assert "200" in text and "404" in text
    assert CANARY not in text


async def test_request_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """log_requests: says what is asked, and leaves the answers out."""
    text = await logged(caplog, log_requests=True)

    assert "/users" in text
    assert "200" not in text
    assert CANARY not in text


async def test_nothing_is_logged_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    """log_requests, log_responses: both are off by default."""
    text = await logged(caplog)

    assert "/users" not in text


def test_custom_metrics() -> None:
    """Custom metrics: IOMetrics counts requests, their latency in ms, and errors by type, by name."""
    metrics = IOMetrics()

    metrics.record_request("custom_api", latency=150)
    metrics.record_request("custom_api", latency=50)
    metrics.record_request("other_api", latency=10)
    metrics.record_error("custom_api", error_type="timeout")

    snapshot = metrics.snapshot()
    custom = snapshot.endpoints["custom_api"]
    assert (custom.total_requests, custom.avg_latency) == (2, 100)
    assert (custom.errors, dict(custom.errors_by_type)) == (1, {"timeout": 1})
    assert snapshot.endpoints["other_api"].total_requests == 1
    assert snapshot.total_requests == 3
