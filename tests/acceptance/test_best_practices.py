"""Best practices: timeouts at both levels, fallbacks, breakers, and watching the error rate."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator, ApiTimeoutError
from tests.acceptance.witness import PATIENCE, Witness
from tests.support.loopback import Loopback


async def never(_: web.Request) -> web.Response:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


async def test_reasonable_timeouts_do_not_disturb() -> None:
    """Configure timeouts: 10 s for the endpoint, 30 s for all, and an answer that comes in time."""
    async with Loopback({"GET /": Witness().answers("api")}) as server:
        endpoint = APIEndpoint(name="api", url=server.url, timeout=10.0)
        config = APIOrchestrationConfig(endpoints=[endpoint], total_timeout=30.0)
        result = await APIOrchestrator(config).execute({})

    assert result.ok


async def test_endpoint_timeout() -> None:
    """Configure timeouts: an endpoint that does not answer fails, and the others are still asked."""
    witness = Witness()
    async with Loopback({"GET /hang": never, "GET /fine": witness.answers("fine")}) as server:
        endpoints = [
            APIEndpoint(name="hang", url=f"{server.url}/hang", timeout=0.05, retry_count=0),
            APIEndpoint(name="fine", url=f"{server.url}/fine"),
        ]
        config = APIOrchestrationConfig(endpoints=endpoints, total_timeout=PATIENCE)
        result = await APIOrchestrator(config).execute({})
        await server.until_disconnected()

        assert server.closed_early == 1
    assert isinstance(result.errors["hang"], ApiTimeoutError)
    assert isinstance(result.errors["hang"], TimeoutError)
    assert result["fine"] == {"from": "fine"}


async def test_total_timeout() -> None:
    """Configure timeouts: the overall limit ends the run, and the error has what was done until then."""
    witness = Witness()
    async with Loopback({"GET /fine": witness.answers("fine"), "GET /hang": never}) as server:
        endpoints = [
            APIEndpoint(name=name, url=f"{server.url}/{name}", timeout=PATIENCE, retry_count=0)
            for name in ("fine", "hang")
        ]
        config = APIOrchestrationConfig(endpoints=endpoints, total_timeout=1.0)
        with pytest.raises(ApiTimeoutError) as caught:
            await APIOrchestrator(config).execute({})
        await server.until_disconnected()

        assert server.closed_early == 1
    assert caught.value.kind == "total"
    assert caught.value.result["fine"] == {"from": "fine"}
    assert caught.value.result["hang"] is None


async def test_fallback_value() -> None:
    """Handle failures gracefully: a handler stands in for a service that is not there."""
    async with Loopback({}) as server:
        url = server.url
    endpoint = APIEndpoint(
        name="api",
        url=url,
        retry_count=0,
        error_handler=lambda e: {"fallback": "default_value"},
    )
    result = await APIOrchestrator(APIOrchestrationConfig(endpoints=[endpoint])).execute({})

    assert result["api"] == {"fallback": "default_value"}


async def test_a_configuration_without_endpoints() -> None:
    """Handle failures gracefully: breaker settings alone make a configuration, whose result is empty."""
    config = APIOrchestrationConfig(circuit_breaker_threshold=5, circuit_breaker_timeout=60.0)
    result = await APIOrchestrator(config).execute({})

    assert (dict(result), result.ok) == ({}, True)


@pytest.mark.parametrize(("failures", "alarm"), [(0, False), (1, False), (2, True)])
async def test_review_of_the_error_rate(failures: int, alarm: bool) -> None:
    """Monitor performance: ``metrics.error_rate > 0.05`` is the alarm for more than 5 % errors."""
    statuses = [404] * failures + [200]
    alerts: list[float] = []
    async with Loopback({"GET /": Witness().answers("api", status=statuses)}) as server:
        config = APIOrchestrationConfig(
            endpoints=[APIEndpoint(name="api", url=server.url)], metrics_enabled=True, log_requests=True
        )
        orchestrator = APIOrchestrator(config)
        for _ in range(20):
            await orchestrator.execute({})
        metrics = orchestrator.get_metrics()
        if metrics.error_rate > 0.05:
            alerts.append(metrics.error_rate)

    assert alerts == ([failures / 20] if alarm else [])
