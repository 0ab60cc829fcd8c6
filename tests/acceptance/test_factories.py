"""Factory functions: orchestrators from a list of names and addresses."""

from __future__ import annotations

from contextlib import AsyncExitStack

from rxorch import create_parallel_aggregator, create_sequential_api_chain
from tests.acceptance.witness import Company, Witness
from tests.support.loopback import Loopback


async def test_sequential_api_chain() -> None:
    """create_sequential_api_chain: one after another, the shared headers on every call."""
    witness = Witness()
    routes = {f"* /{name}": witness.answers(name, linger=0.01) for name in ("auth", "user", "profile")}
    async with Loopback(routes) as server:
        orchestrator = create_sequential_api_chain(
            endpoints=[
                ("auth", f"{server.url}/auth"),
                ("user", f"{server.url}/user"),
                ("profile", f"{server.url}/profile"),
            ],
            headers={"API-Key": "secret"},
        )
        result = await orchestrator.execute({"username": "user@example.com"})

    assert witness.trail == ["+auth", "-auth", "+user", "-user", "+profile", "-profile"]
    assert [call.headers["API-Key"] for call in witness.calls] == ["secret"] * 3
    assert dict(result) == {name: {"from": name} for name in ("auth", "user", "profile")}


async def test_sequential_api_chain_addresses_are_templates() -> None:
    """create_sequential_api_chain: an address may use the input and what came before."""
    witness = Witness()
    routes = {
        "GET /auth/{name}": witness.answers("auth", {"token": "t-9"}),
        "GET /user/{token}": witness.answers("user"),
    }
    async with Loopback(routes) as server:
        orchestrator = create_sequential_api_chain(
            endpoints=[
                ("auth", f"{server.url}/auth/{{username}}"),
                ("user", f"{server.url}/user/{{auth.token}}"),
            ]
        )
        result = await orchestrator.execute({"username": "user@example.com"})

    assert result.ok
    assert [call.path for call in witness.calls] == ["/auth/user@example.com", "/user/t-9"]


async def test_parallel_aggregator() -> None:
    """create_parallel_aggregator: three hosts asked together, ``execute()`` without an argument."""
    witness, company = Witness(), Company(3)
    async with AsyncExitStack() as hosts:
        url1, url2, url3 = [
            (
                await hosts.enter_async_context(
                    Loopback({"GET /data": witness.answers(name, {"of": name}, company=company)})
                )
            ).url
            for name in ("service1", "service2", "service3")
        ]
        orchestrator = create_parallel_aggregator(
            endpoints=[
                ("service1", f"{url1}/data"),
                ("service2", f"{url2}/data"),
                ("service3", f"{url3}/data"),
            ],
            max_concurrent=3,
            timeout=10.0,
        )
        aggregated = await orchestrator.execute()

    assert dict(aggregated) == {name: {"of": name} for name in ("service1", "service2", "service3")}


async def test_parallel_aggregator_keeps_to_its_cap() -> None:
    """create_parallel_aggregator: max_concurrent is what the server sees at most."""
    witness, company = Witness(), Company(2)
    routes = {f"GET /{n}": witness.answers(f"s{n}", company=company) for n in range(6)}
    async with Loopback(routes) as server:
        orchestrator = create_parallel_aggregator(
            endpoints=[(f"s{n}", f"{server.url}/{n}") for n in range(6)], max_concurrent=2, timeout=10.0
        )
        aggregated = await orchestrator.execute()

        assert server.peak == 2
    assert len(aggregated) == 6
