"""CPU per small GET: a bare aiohttp session, AioHttpTransport, PyreqwestTransport; on asyncio and on uvloop.

The server runs in a process of its own; what counts is the CPU time of this process, with the thread of
pyreqwest in it. Rounds go in alternation, each on a loop of its own.

    python -m tests.benchmarks.transports --requests 2000 --rounds 5
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
from yarl import URL

from rxorch.http import AioHttpTransport, Request
from rxorch.http.pyreqwest_transport import PyreqwestTransport
from rxorch.http.transport import Transport
from tests.benchmarks.http_client import SERVER

IN_FLIGHT = 50

Get = Callable[[str], Awaitable[bytes]]


async def measure(get: Get, base: str, count: int) -> float:
    """Microseconds of CPU per request."""
    left = iter(range(count))

    async def work() -> None:
        for number in left:
            await get(f"{base}/users/{number}")

    await get(f"{base}/users/warm")
    begun = time.process_time()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return (time.process_time() - begun) / count * 1e6


async def bare_session(base: str, count: int) -> float:
    async with aiohttp.ClientSession() as session:

        async def get(url: str) -> bytes:
            async with session.get(url) as response:
                return await response.read()

        return await measure(get, base, count)


def transport(make: Callable[[], Transport]) -> Callable[[str, int], Awaitable[float]]:
    async def run(base: str, count: int) -> float:
        transport = make()

        async def get(url: str) -> bytes:
            return (await transport.send(Request("GET", URL(url, encoded=True)))).content

        try:
            return await measure(get, base, count)
        finally:
            await transport.aclose()

    return run


WAYS: dict[str, Callable[[str, int], Awaitable[float]]] = {
    "bare aiohttp session": bare_session,
    "AioHttpTransport": transport(AioHttpTransport),
    "AioHttpTransport, no reuse": transport(lambda: AioHttpTransport(connection_reuse=False)),
    "PyreqwestTransport, reuse": transport(lambda: PyreqwestTransport(connection_reuse=True)),
    "PyreqwestTransport (default: no reuse)": transport(PyreqwestTransport),
}


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        return found
    return {**found, "uvloop": uvloop.new_event_loop}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    command, pipe = [sys.executable, "-c", SERVER], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        base = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        try:
            for loop, make_loop in loops().items():
                taken: dict[str, list[float]] = {name: [] for name in WAYS}
                for _ in range(options.rounds):
                    for name, way in WAYS.items():
                        with asyncio.Runner(loop_factory=make_loop) as runner:
                            taken[name].append(runner.run(_run(way, base, options.requests)))
                bare = statistics.median(taken["bare aiohttp session"])
                for name, times in taken.items():
                    median = statistics.median(times)
                    print(f"{loop:8} {name:40} {median:6.0f} us  x{median / bare:.2f}")
        finally:
            server.terminate()


async def _run(way: Callable[[str, int], Awaitable[float]], base: str, count: int) -> float:
    return await way(base, count)


if __name__ == "__main__":
    main()
