"""What `client.observe(endpoint)` with every policy on costs per request, against bare aiohttp.

5,000 small GETs, 100 in flight, the server in a process of its own; CPU time of this process only, rounds in
alternation on the same kind of loop. Bare aiohttp is what one would write by hand: a worker pool around
`async with session.get(url) as response: await response.json()`.
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

from rxorch import ApiClient, APIEndpoint, IOMetrics
from rxorch import operators as rxo

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


async def ours(base: str) -> None:
    """The factory with retry, breaker, limiter, timeout and metrics."""
    user = APIEndpoint(name="user", url=base + "/users/{id}", rate_limit=10**9, timeout=30.0, retry_count=2)
    metrics = IOMetrics()
    async with ApiClient() as client:
        client.events.subscribe(metrics.on_event, kinds=IOMetrics.KINDS)
        call = client.observe(user)
        inputs = rxo.from_iterable({"id": number} for number in range(REQUESTS))
        await rxo.last_of(inputs.pipe(rxo.flat_map_bounded(call, max_concurrent=IN_FLIGHT)))
    assert metrics.snapshot().calls == REQUESTS


def measure(
    sides: dict[str, Callable[[str], Awaitable[None]]], rounds: int, runner: Callable[..., object]
) -> dict[str, float]:
    """Median CPU microseconds per request of each side."""
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
    return {name: statistics.median(values) for name, values in figures.items()}


def main(rounds: int = 5, *, uvloop: bool = False) -> dict[str, float]:
    """Measures both sides; the ratio is ours / bare."""
    runner: Callable[..., object] = asyncio.run
    if uvloop:
        import uvloop as fast

        runner = fast.run
    medians = measure({"bare": bare, "ours": ours}, rounds, runner)
    medians["ours / bare"] = medians["ours"] / medians["bare"]
    return medians


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    for name, value in main(options.rounds, uvloop=options.uvloop).items():
        print(f"{name:>12}  {value:8.2f}")
