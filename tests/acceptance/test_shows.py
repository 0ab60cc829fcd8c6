"""What the engine promises under load: the cap holds, cancellation leaves nothing, memory stays flat."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator, OrchestrationMode
from tests.acceptance.threaded import ThreadedLoopback
from tests.acceptance.witness import PATIENCE, Company, Witness
from tests.support.loopback import Loopback

ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20


@pytest.mark.parametrize("cap", [5, 10])
async def test_ten_endpoints_in_parallel_fill_the_cap_and_never_pass_it(cap: int) -> None:
    """PARALLEL: ten services of 50 ms each; no call ends before ``cap`` of them are in the house together."""
    witness, company = Witness(), Company(cap)
    routes = {f"GET /{i}": witness.answers(f"s{i}", linger=0.05, company=company) for i in range(10)}
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=f"s{i}", url=f"{server.url}/{i}") for i in range(10)]
        config = APIOrchestrationConfig(
            endpoints=endpoints, mode=OrchestrationMode.PARALLEL, max_concurrent=cap
        )
        result = await APIOrchestrator(config).execute({})

        assert server.peak == cap
        assert server.total == 10
    assert result.ok


async def test_the_cap_holds_without_the_servers_help() -> None:
    """PARALLEL: services of uneven speed; the server still counts never more than five."""
    witness = Witness()
    routes = {f"GET /{i}": witness.answers(f"s{i}", linger=0.002 * (i % 4)) for i in range(40)}
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=f"s{i}", url=f"{server.url}/{i}") for i in range(40)]
        config = APIOrchestrationConfig(
            endpoints=endpoints, mode=OrchestrationMode.PARALLEL, max_concurrent=5
        )
        result = await APIOrchestrator(config).execute({})

        assert 2 <= server.peak <= 5
        assert server.total == 40
    assert len(result) == 40


class Gate:
    """A handler that never answers while it is shut."""

    def __init__(self) -> None:
        self.shut = True

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if self.shut:
            await asyncio.get_running_loop().create_future()
        return web.json_response({"path": request.path})


def hanging(url: str, **changes: Any) -> APIOrchestrator:
    """Six endpoints with every policy that holds something: cap, limits, breaker, cache, retry."""
    endpoints = [
        APIEndpoint(name=f"s{i}", url=f"{url}/{i}", retry_count=2, rate_limit=100_000) for i in range(6)
    ]
    settings: dict[str, Any] = {
        "mode": OrchestrationMode.PARALLEL,
        "max_concurrent": 3,
        "global_rate_limit": 100_000,
        "cache_ttl": 300,
        "total_timeout": PATIENCE,
    }
    return APIOrchestrator(APIOrchestrationConfig(endpoints=endpoints, **(settings | changes)))


async def cancel_in_flight(orchestrator: APIOrchestrator, server: ThreadedLoopback) -> None:
    """Start an execute, let it come to three calls in the house, and cancel it there."""
    task = asyncio.create_task(orchestrator.execute({}))
    await server.until(lambda loopback: loopback.in_flight == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_an_execute_closes_its_connections_and_leaves_no_task() -> None:
    """Cancellation without ``async with``: the server sees three calls cut off, the loop is empty again."""
    gate = Gate()
    with ThreadedLoopback({"GET /{n}": gate}) as server:
        before = asyncio.all_tasks()
        orchestrator = hanging(server.url)
        await cancel_in_flight(orchestrator, server)
        assert asyncio.all_tasks() == before
        assert orchestrator.in_flight == 0
        await server.until(lambda loopback: loopback.connections == loopback.in_flight == 0)
        assert (server.loopback.closed_early, server.loopback.total) == (3, 3)

        gate.shut = False
        result = await orchestrator.execute({})

        assert result.ok
        assert server.loopback.total == 3 + 6


async def test_cancelling_again_and_again_loses_no_permit() -> None:
    """Cancellation: the cap, the breakers and the limiters are whole after five cut-off runs."""
    gate = Gate()
    with ThreadedLoopback({"GET /{n}": gate}) as server:
        async with hanging(server.url, circuit_breaker_threshold=3) as orchestrator:
            for _ in range(5):
                await cancel_in_flight(orchestrator, server)
                await server.until(lambda loopback: loopback.in_flight == 0)
            gate.shut = False
            result = await orchestrator.execute({})

        assert result.ok, result.errors
        await server.until(lambda loopback: loopback.connections == 0)
        assert server.loopback.closed_early == 15
        assert server.loopback.peak == 3


async def test_leaving_a_stream_cuts_off_what_is_in_flight() -> None:
    """Cancellation: ``break`` out of ``async for`` ends every call of the stream."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.match_info["n"] != "0":
            await asyncio.get_running_loop().create_future()
        return web.json_response({})

    with ThreadedLoopback({"GET /{n}": answer}) as server:
        before = asyncio.all_tasks()
        config = APIOrchestrationConfig(endpoints=[APIEndpoint(name="item", url=f"{server.url}/{{n}}")])
        orchestrator = APIOrchestrator(config)
        runs = orchestrator.stream(({"n": n} for n in range(100)), max_concurrent=4)
        async for run in runs:
            assert run.ok
            await server.until(lambda loopback: loopback.in_flight >= 3)
            break
        await runs.aclose()

        assert asyncio.all_tasks() == before
        await server.until(lambda loopback: loopback.connections == loopback.in_flight == 0)
        assert server.loopback.closed_early in (3, 4)


async def stream_in_a_process(inputs: int, *, limit: float) -> dict[str, int]:
    """Run ``stream_memory.py`` on its own, so that the memory measured is the stream's and not pytest's.

    A stream that stands still is killed after ``limit`` seconds.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.acceptance.stream_memory",
        str(inputs),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "operators")])},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limit):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    report: dict[str, int] = json.loads(output)
    return report


def judge(report: dict[str, int], inputs: int) -> None:
    assert report["runs"] == report["sends"] == inputs
    assert report["ok"] == inputs
    assert report["peak_in_flight"] == 100
    assert report["most_ahead"] <= 101
    assert report["growth"] < 20 * MEGABYTE


async def test_a_long_stream_stays_within_bounds() -> None:
    """stream: 20,000 inputs from a generator; the source is never far ahead, and memory stays flat."""
    judge(await stream_in_a_process(20_000, limit=150), 20_000)


@pytest.mark.soak
async def test_a_very_long_stream_stays_within_bounds() -> None:
    """stream: the same with 200,000 inputs."""
    judge(await stream_in_a_process(200_000, limit=900), 200_000)
