"""Error handling: stopping at the first error or at a rate of errors, substitutes, and retries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from rxorch import (
    APIEndpoint,
    ApiError,
    ApiHttpError,
    APIOrchestrationConfig,
    APIOrchestrator,
    ErrorThresholdExceeded,
    OrchestrationMode,
    OutcomeStatus,
)
from tests.acceptance.witness import Company, Witness
from tests.support.loopback import Loopback


async def test_fail_fast_stops_at_the_first_error() -> None:
    """Error threshold with fail_fast: the first error is raised, with what was done so far on it."""
    witness = Witness()
    routes = {
        "GET /first": witness.answers("first", {"n": 1}),
        "GET /second": witness.answers("second", status=404),
        "GET /third": witness.answers("third"),
    }
    async with Loopback(routes) as server:
        endpoints = [
            APIEndpoint(name=name, url=f"{server.url}/{name}") for name in ("first", "second", "third")
        ]
        config = APIOrchestrationConfig(endpoints=endpoints, error_threshold=0.1, fail_fast=True)
        with pytest.raises(ApiHttpError) as caught:
            await APIOrchestrator(config).execute({})

    assert witness.names() == ["first", "second"]
    assert (caught.value.status_code, caught.value.endpoint) == (404, "second")
    assert caught.value.result is not None
    assert caught.value.result["first"] == {"n": 1}


async def test_fail_fast_cuts_off_what_is_in_flight() -> None:
    """fail_fast in PARALLEL: the others are in the house when one fails, and the server sees them leave."""
    witness, company = Witness(), Company(3)

    async def hang(_: web.Request) -> web.StreamResponse:
        await company.wait()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    routes = {"GET /bad": witness.answers("bad", status=404, company=company), "GET /hang/{n}": hang}
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=f"hang{n}", url=f"{server.url}/hang/{n}") for n in range(2)]
        endpoints.append(APIEndpoint(name="bad", url=f"{server.url}/bad"))
        config = APIOrchestrationConfig(endpoints=endpoints, mode=OrchestrationMode.PARALLEL, fail_fast=True)
        with pytest.raises(ApiHttpError) as caught:
            await APIOrchestrator(config).execute({})
        await server.until_disconnected()

        assert server.closed_early == 2
    assert caught.value.endpoint == "bad"
    assert {caught.value.result.outcomes[f"hang{n}"].status for n in range(2)} == {OutcomeStatus.CANCELLED}


async def test_without_fail_fast_the_rest_goes_on() -> None:
    """fail_fast=False: a failed endpoint is None in its place and stands in ``errors``."""
    witness = Witness()
    routes = {
        "GET /first": witness.answers("first", status=404),
        "GET /second": witness.answers("second", {"n": 2}),
    }
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=name, url=f"{server.url}/{name}") for name in ("first", "second")]
        config = APIOrchestrationConfig(endpoints=endpoints, fail_fast=False)
        result = await APIOrchestrator(config).execute({})

    assert dict(result) == {"first": None, "second": {"n": 2}}
    assert list(result.errors) == ["first"]
    assert not result.ok
    assert result.outcomes["first"].status is OutcomeStatus.FAILED


async def test_a_failed_dependency_skips_its_dependants() -> None:
    """depends_on with fail_fast=False: the dependants are not called, and name the first cause."""
    witness = Witness()
    routes = {
        "GET /auth": witness.answers("auth", status=403),
        "GET /user": witness.answers("user"),
        "GET /other": witness.answers("other"),
    }
    async with Loopback(routes) as server:
        config = APIOrchestrationConfig(
            endpoints=[
                APIEndpoint(name="auth", url=f"{server.url}/auth"),
                APIEndpoint(name="user", url=f"{server.url}/user", depends_on=["auth"]),
                APIEndpoint(name="profile", url=f"{server.url}/user", depends_on=["user"]),
                APIEndpoint(name="other", url=f"{server.url}/other"),
            ],
            mode=OrchestrationMode.HYBRID,
        )
        result = await APIOrchestrator(config).execute({})

    assert sorted(witness.names()) == ["auth", "other"]
    assert sorted(result.skipped) == ["profile", "user"]
    assert all("auth" in str(reason) for reason in result.skipped.values())


async def test_error_threshold_ends_a_stream() -> None:
    """Error threshold: once twenty calls were made, more than 10 % errors end a stream."""
    witness = Witness()
    every_fifth = [404, 200, 200, 200, 200] * 20
    async with Loopback({"GET /item/{n}": witness.answers("item", status=every_fifth)}) as server:
        config = APIOrchestrationConfig(
            endpoints=[APIEndpoint(name="item", url=f"{server.url}/item/{{n}}")], error_threshold=0.1
        )
        orchestrator = APIOrchestrator(config)
        seen: list[bool] = []
        with pytest.raises(ErrorThresholdExceeded) as caught:
            async for run in orchestrator.stream(({"n": n} for n in range(100)), max_concurrent=1):
                seen += [run.ok]

    assert 20 <= witness.count("item") <= 22
    assert seen[:6] == [False, True, True, True, True, False]
    assert caught.value.counts


async def test_error_threshold_lets_a_good_stream_pass() -> None:
    """Error threshold: 5 % errors do not end a stream that tolerates 10 %."""
    witness = Witness()
    every_twentieth = ([200] * 19 + [404]) * 3
    async with Loopback({"GET /item/{n}": witness.answers("item", status=every_twentieth)}) as server:
        config = APIOrchestrationConfig(
            endpoints=[APIEndpoint(name="item", url=f"{server.url}/item/{{n}}")], error_threshold=0.1
        )
        inputs = ({"n": n} for n in range(60))
        runs = [run async for run in APIOrchestrator(config).stream(inputs, max_concurrent=1)]

    assert sum(run.ok for run in runs) == 57
    assert len(runs) == witness.count("item") == 60


async def failing(status: int | list[int], **arguments: Any) -> tuple[Witness, Any]:
    """One execute of one endpoint called ``api`` whose service answers ``status``."""
    witness = Witness()
    method = arguments.get("method", "GET")
    async with Loopback({f"{method} /": witness.answers("api", {"fine": True}, status=status)}) as server:
        endpoint = APIEndpoint(name="api", url=f"{server.url}", **arguments)
        config = APIOrchestrationConfig(endpoints=[endpoint], circuit_breaker_threshold=50)
        return witness, await APIOrchestrator(config).execute({})


async def test_error_handler_supplies_a_value() -> None:
    """Per-endpoint error handling: the handler's value stands in, and is marked as degraded."""
    _, result = await failing(404, error_handler=lambda e: {"error": str(e), "fallback": "default_value"})

    assert result["api"]["fallback"] == "default_value"
    assert "404" in result["api"]["error"]
    assert result.outcomes["api"].degraded
    assert not result.errors


async def test_error_handler_that_fails_replaces_the_error() -> None:
    """Per-endpoint error handling: its own exception is the error, the first one its cause."""

    def handler(_: Exception) -> None:
        raise LookupError("no substitute")

    _, result = await failing(404, error_handler=handler)

    chain: list[BaseException] = []
    error: BaseException | None = result.errors["api"]
    while error is not None:
        chain.append(error)
        error = error.__cause__
    assert any(isinstance(link, LookupError) for link in chain)
    assert any(isinstance(link, ApiHttpError) for link in chain)


async def test_retry_until_it_works() -> None:
    """Retry configuration: two failures, then success, seen as three attempts at the server."""
    witness, result = await failing(
        [503, 500, 200], retry_count=3, retry_delay=0.001, retry_on=[500, 502, 503, 504]
    )

    assert result["api"] == {"fine": True}
    assert witness.count("api") == 3
    assert result.outcomes["api"].attempts == 3


@pytest.mark.parametrize("retry_count", [0, 1, 2, 3])
async def test_retry_count_is_the_number_of_repetitions(retry_count: int) -> None:
    """Retry configuration: retry_count=3 means four attempts, and the error knows it."""
    witness, result = await failing(
        502, retry_count=retry_count, retry_delay=0.001, retry_on=[500, 502, 503, 504]
    )

    assert witness.count("api") == retry_count + 1
    error = result.errors["api"]
    assert isinstance(error, ApiError)
    assert (error.status_code, error.attempts) == (502, retry_count + 1)


async def test_retry_on_decides_which_statuses() -> None:
    """Retry configuration: a status that is not listed is final."""
    witness, _ = await failing(429, retry_count=3, retry_delay=0.001, retry_on=[500, 502, 503, 504])

    assert witness.count("api") == 1


async def test_unsafe_methods_are_not_repeated_after_a_500() -> None:
    """Retry: a POST that may have been executed is not sent twice unless asked for."""
    witness, _ = await failing(500, method="POST", retry_count=3, retry_delay=0.001)

    assert witness.count("api") == 1


async def test_repeated_post_carries_one_idempotency_key() -> None:
    """Retry configuration: an explicit retry_on repeats a POST, under one key in all attempts."""
    witness, result = await failing(
        [500, 500, 200], method="POST", retry_count=3, retry_delay=0.001, retry_on=[500]
    )

    assert result["api"] == {"fine": True}
    keys = {call.headers.get("Idempotency-Key") for call in witness.calls}
    assert witness.count("api") == 3
    assert len(keys) == 1 and None not in keys


def test_the_documented_retry_settings_are_accepted() -> None:
    """Retry configuration: the values shown, exponential from one second."""
    endpoint = APIEndpoint(
        name="api",
        url="https://api.example.com",
        retry_count=3,
        retry_delay=1.0,
        retry_on=[500, 502, 503, 504],
    )

    assert set(endpoint.retry_on or ()) == {500, 502, 503, 504}
