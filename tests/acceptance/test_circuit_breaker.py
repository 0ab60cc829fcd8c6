"""Circuit breakers: by configuration, counted at the server, and the breaker used on its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import (
    ApiCircuitOpenError,
    APIEndpoint,
    ApiHttpError,
    APIOrchestrationConfig,
    APIOrchestrator,
    CircuitBreaker,
)
from rxorch.operators import CircuitOpenError
from tests.acceptance.witness import PATIENCE, Witness
from tests.support.loopback import Loopback


def guarded(endpoints: list[APIEndpoint], **changes: Any) -> APIOrchestrator:
    settings: dict[str, Any] = {"circuit_breaker_threshold": 5, "circuit_breaker_timeout": 60.0}
    return APIOrchestrator(APIOrchestrationConfig(endpoints=endpoints, **(settings | changes)))


async def test_no_call_reaches_a_service_after_five_failures_in_a_row() -> None:
    """Circuit breaker configuration: five consecutive failures, then the service is left alone."""
    witness = Witness()
    async with Loopback({"GET /sick": witness.answers("sick", status=500)}) as server:
        orchestrator = guarded([APIEndpoint(name="sick", url=f"{server.url}/sick", retry_count=0)])
        errors = [(await orchestrator.execute({})).errors["sick"] for _ in range(8)]

    assert witness.count("sick") == 5
    assert [type(error) for error in errors] == [ApiHttpError] * 5 + [ApiCircuitOpenError] * 3
    assert all(0 < error.retry_after <= 60.0 for error in errors[5:])


async def test_an_open_breaker_ends_the_retries_too() -> None:
    """Circuit breaker configuration: every attempt counts, and an open circuit is not tried again."""
    witness = Witness()
    async with Loopback({"GET /sick": witness.answers("sick", status=503)}) as server:
        endpoint = APIEndpoint(name="sick", url=f"{server.url}/sick", retry_count=9, retry_delay=0.001)
        result = await guarded([endpoint], circuit_breaker_threshold=2).execute({})

    assert witness.count("sick") == 2
    assert isinstance(result.errors["sick"], ApiCircuitOpenError)


async def test_a_success_starts_the_count_again() -> None:
    """Circuit breaker configuration: only failures in a row count."""
    statuses = [500, 500, 200] * 4
    witness = Witness()
    async with Loopback({"GET /shaky": witness.answers("shaky", status=statuses)}) as server:
        endpoint = APIEndpoint(name="shaky", url=f"{server.url}/shaky", retry_count=0)
        orchestrator = guarded([endpoint], circuit_breaker_threshold=3)
        for _ in statuses:
            await orchestrator.execute({})

    assert witness.count("shaky") == len(statuses)


async def test_the_callers_own_mistakes_do_not_trip() -> None:
    """Circuit breaker configuration: a 404 says nothing about the health of the service."""
    witness = Witness()
    async with Loopback({"GET /gone": witness.answers("gone", status=404)}) as server:
        orchestrator = guarded([APIEndpoint(name="gone", url=f"{server.url}/gone")])
        for _ in range(7):
            await orchestrator.execute({})

    assert witness.count("gone") == 7


async def test_each_endpoint_has_its_own_breaker() -> None:
    """Circuit breaker configuration: a sick service does not close the door to a sound one."""
    witness = Witness()
    routes = {"GET /sick": witness.answers("sick", status=500), "GET /sound": witness.answers("sound")}
    async with Loopback(routes) as server:
        endpoints = [
            APIEndpoint(name=name, url=f"{server.url}/{name}", retry_count=0) for name in ("sick", "sound")
        ]
        orchestrator = guarded(endpoints, circuit_breaker_threshold=2)
        for _ in range(6):
            await orchestrator.execute({})

    assert (witness.count("sick"), witness.count("sound")) == (2, 6)


async def test_the_circuit_closes_again_after_its_timeout() -> None:
    """Circuit breaker configuration: after the reset time a probe goes through, and success closes."""
    witness = Witness()
    async with Loopback({"GET /api": witness.answers("api", status=[500, 500, 200])}) as server:
        endpoint = APIEndpoint(name="api", url=f"{server.url}/api", retry_count=0)
        orchestrator = guarded([endpoint], circuit_breaker_threshold=2, circuit_breaker_timeout=0.02)
        for _ in range(2):
            await orchestrator.execute({})
        async with asyncio.timeout(PATIENCE):
            while not (await orchestrator.execute({})).ok:
                continue
        again = [await orchestrator.execute({}) for _ in range(5)]

    assert all(result.ok for result in again)
    assert witness.count("api") == 2 + 1 + 5


async def test_custom_breaker_calls_a_coroutine_function() -> None:
    """Custom circuit breaker: ``await breaker.call(api_function, arg1, arg2)``."""
    breaker = CircuitBreaker(threshold=3, timeout=30.0)

    async def api_function(arg1: int, arg2: int) -> int:
        return arg1 + arg2

    async def protected_call() -> int:
        total: int = await breaker.call(api_function, 2, 3)
        return total

    assert await protected_call() == 5


async def test_custom_breaker_calls_a_plain_function() -> None:
    """Custom circuit breaker: a function that is not async is called the same way."""
    breaker = CircuitBreaker(threshold=3, timeout=30.0)

    assert await breaker.call(divmod, 7, 2) == (3, 1)
    assert await breaker.call(int, "ff", base=16) == 255


@pytest.mark.parametrize("flavour", ["sync", "async"])
async def test_custom_breaker_opens_after_three_failures(flavour: str) -> None:
    """Custom circuit breaker: the third failure opens it, and the function is not called any more."""
    breaker = CircuitBreaker(threshold=3, timeout=30.0)
    calls: list[str] = []

    def fails(arg1: str) -> None:
        calls.append(arg1)
        raise ConnectionError("no route")

    async def fails_later(arg1: str) -> None:
        fails(arg1)

    function = fails if flavour == "sync" else fails_later
    for _ in range(3):
        with pytest.raises(ConnectionError, match="no route"):
            await breaker.call(function, "x")
    with pytest.raises(CircuitOpenError) as caught:
        await breaker.call(function, "x")

    assert calls == ["x"] * 3
    assert breaker.state.name == "OPEN"
    assert caught.value.retry_after is not None and 0 < caught.value.retry_after <= 30.0
