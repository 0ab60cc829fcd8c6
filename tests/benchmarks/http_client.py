"""What `client.observe(endpoint)` with every policy on costs per request, against what is written by hand.

5,000 small GETs, 100 in flight, the server in a process of its own; CPU time of this process with all its
threads, rounds in alternation on the same kind of loop. The sides:

- bare: a worker pool around `async with session.get(url) as response: await response.json()` of aiohttp;
- hand-made: the same under the retry of stamina, the breaker of purgatory, the limiter of aiolimiter and
  `asyncio.timeout`. It has no metrics;
- ours: retry, breaker, limiter, timeout and metrics, on our transport over aiohttp's parser;
- ours on pyreqwest: the same on reqwest, with connections that are kept, as all other sides keep them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import stamina
from aiolimiter import AsyncLimiter
from purgatory import AsyncCircuitBreakerFactory

from rxorch import ApiClient, APIEndpoint, IOMetrics
from rxorch import operators as rxo
from rxorch.http.pyreqwest_transport import PyreqwestTransport
from rxorch.http.transport import Transport

REQUESTS = 5_000
IN_FLIGHT = 100

SERVER = """
import asyncio, sys
from aiohttp import web

async def user(request):
    return web.json_response({"id": request.match_info["id"], "name": "Ada", "active": True})

async def main():
    app = web.Application()
    app.router.add_get("/users/{id}", user)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()

asyncio.run(main())
"""


async def bare(base: str) -> None:
    """Worker pool on one default aiohttp session."""
    numbers = iter(range(REQUESTS))
    async with aiohttp.ClientSession() as session:

        async def worker() -> None:
            for number in numbers:
                async with session.get(f"{base}/users/{number}") as response:
                    response.raise_for_status()
                    await response.json()

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def hand_made(base: str) -> None:
    """The same worker pool, its calls under four policies of three libraries."""
    stamina.instrumentation.set_on_retry_hooks([])  # as ours, which logs nothing either
    numbers = iter(range(REQUESTS))
    limiter, breakers = AsyncLimiter(10**9, 1), AsyncCircuitBreakerFactory()
    async with aiohttp.ClientSession() as session:

        @stamina.retry(on=(aiohttp.ClientError, TimeoutError), attempts=3, timeout=None)
        async def user(number: int) -> object:
            async with (
                await breakers.get_breaker("user"),
                limiter,
                asyncio.timeout(30.0),
                session.get(f"{base}/users/{number}") as response,
            ):
                response.raise_for_status()
                return await response.json()

        async def worker() -> None:
            for number in numbers:
                await user(number)

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def ours(base: str, transport: Transport | None = None) -> None:
    """The factory with retry, breaker, limiter, timeout and metrics."""
    user = APIEndpoint(name="user", url=base + "/users/{id}", rate_limit=10**9, timeout=30.0, retry_count=2)
    metrics = IOMetrics()
    async with ApiClient(transport) as client:
        client.events.subscribe(metrics.on_event, kinds=IOMetrics.KINDS)
        call = client.observe(user)
        inputs = rxo.from_iterable({"id": number} for number in range(REQUESTS))
        await rxo.last_of(inputs.pipe(rxo.flat_map_bounded(call, max_concurrent=IN_FLIGHT)))
    assert metrics.snapshot().successes == REQUESTS


async def ours_on_pyreqwest(base: str) -> None:
    """The same on the other transport."""
    transport = PyreqwestTransport(limit=0, connection_reuse=True)
    try:
        await ours(base, transport)
    finally:
        await transport.aclose()


SIDES: dict[str, Callable[[str], Awaitable[None]]] = {
    "bare": bare,
    "hand-made": hand_made,
    "ours": ours,
    "ours on pyreqwest": ours_on_pyreqwest,
}


def measure(
    sides: dict[str, Callable[[str], Awaitable[None]]], rounds: int, runner: Callable[..., object]
) -> dict[str, list[float]]:
    """CPU microseconds per request of each side, one figure for each round."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        base = f"http://127.0.0.1:{int(server.stdout.readline())}"
        figures: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                gc.collect()
                started = time.process_time()
                runner(side(base))
                figures[name].append((time.process_time() - started) / REQUESTS * 1e6)
        server.stdin.close()  # type: ignore[union-attr]
    return figures


def main(rounds: int = 5, *, uvloop: bool = False) -> dict[str, float]:
    """Measures all sides; the ratios are those to bare, each the median of its rounds."""
    runner: Callable[..., object] = asyncio.run
    if uvloop:
        import uvloop as fast

        runner = fast.run
    figures = measure(SIDES, rounds, runner)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, values in figures.items():
        if name != "bare":
            ratios = [value / bare for value, bare in zip(values, figures["bare"], strict=True)]
            medians[f"{name} / bare"] = statistics.median(ratios)
    return medians


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    for name, value in main(options.rounds, uvloop=options.uvloop).items():
        print(f"{name:>24}  {value:8.2f}")
