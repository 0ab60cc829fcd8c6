"""Many clients for a while, on a server whose upstreams fail; what it answers, why, and how it ends.

    python -m tests.server.soak [--clients 256] [--seconds 60]

The server is `rxorch serve` in a process of its own. Prints the answers by status and reason, the faults of
the upstream, and the server's memory at a third of the time and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp

from rxorch import APIOrchestrator
from tests.server.faults import FaultyServices, aggregator, explained

__all__ = ["Tally", "clients", "flows", "soak"]

ROOT: Final = Path(__file__).parents[2]
_UPSTREAM: Final = "SOAK_UPSTREAM"
_IMPATIENT: Final = 20
"""One request of so many is left by its client before it is answered."""


def flows() -> dict[str, APIOrchestrator]:
    """What `rxorch serve` serves."""
    return {"profile": aggregator(os.environ[_UPSTREAM])}


@dataclass
class Tally:
    """What the clients saw.

    Attributes:
        answers: By status and reason.
        broken: Requests without an answer on a connection that the server had taken before, or while nobody
            had told it to end; by kind of error.
        refused: Requests on a new connection that the server, at its end, did not take.
        left: Requests whose client did not wait.
    """

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    left: int = 0

    def __str__(self) -> str:
        rows = [f"{count:9,}  {status}  {why}" for (status, why), count in sorted(self.answers.items())]
        rows += [f"{count:9,}  no answer: {kind}" for kind, count in sorted(self.broken.items())]
        rows += [f"{self.refused:9,}  not taken at the end", f"{self.left:9,}  left by their clients"]
        return "\n".join(rows)


async def clients(url: str, count: int, stop: asyncio.Event, tally: Tally) -> None:
    """So many clients at once, each with one request after another; each ends after the one under way."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_note_new)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session,
        asyncio.TaskGroup() as group,
    ):
        for number in range(count):
            group.create_task(_client(session, f"{url}/orchestrations/profile", number, stop, tally))


async def _note_new(session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
    context.trace_request_ctx["new"] = True


async def _client(
    session: aiohttp.ClientSession, url: str, number: int, stop: asyncio.Event, tally: Tally
) -> None:
    turn = number
    while not stop.is_set():
        turn += 1
        patience = 0.02 if turn % _IMPATIENT == 0 else 30.0
        asked: dict[str, Any] = {"params": {"id": turn}} if turn % 2 else {"json": {"id": turn}}
        asked["trace_request_ctx"] = facts = {"new": False}
        try:
            async with (
                asyncio.timeout(patience),
                session.request("GET" if turn % 2 else "POST", url, **asked) as response,
            ):
                body = await response.read()
        except TimeoutError:
            tally.left += 1
        except aiohttp.ClientError as error:
            if stop.is_set() and facts["new"]:
                tally.refused += 1
            else:
                tally.broken[type(error).__name__] += 1
        else:
            tally.answers[response.status, explained(response.status, body)] += 1


@dataclass
class Soaked:
    """How it went: MiB of the server at a third of the time and at the end, seconds of its draining."""

    tally: Tally
    faults: Counter[str]
    memory: tuple[float, float]
    draining: float
    code: int
    connections: int
    told: str


async def soak(count: int, seconds: float) -> Soaked:
    """Puts the load on `rxorch serve`, and ends it by a signal while requests are under way."""
    services, tally, stop = FaultyServices(), Tally(), asyncio.Event()
    async with services.server() as upstream:
        async with _served(upstream.url, count) as (process, url):
            load = asyncio.create_task(clients(url, count, stop, tally))
            await _unless_it_fails(load, seconds / 3)
            early = _memory(process.pid)
            await _unless_it_fails(load, seconds * 2 / 3)
            late = _memory(process.pid)
            stop.set()
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            _, told = await process.communicate()
            draining = time.monotonic() - begun
            await load
            assert process.returncode is not None
        await upstream.until_disconnected()
        left = upstream.connections + upstream.in_flight
    return Soaked(tally, services.done, (early, late), draining, process.returncode, left, told.decode())


async def _unless_it_fails(load: asyncio.Task[None], seconds: float) -> None:
    await asyncio.wait([load], timeout=seconds)
    if load.done():
        load.result()


@asynccontextmanager
async def _served(upstream: str, count: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    found = os.pathsep.join([str(ROOT), str(ROOT / "operators")])
    command = ["-m", "rxorch", "serve", f"{__file__}:flows", "--port", "0", "--readable", "profile"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--max-concurrent", str(max(1, count * 3 // 4)), cwd=ROOT,
        env={**os.environ, "PYTHONPATH": found, _UPSTREAM: upstream}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        first = (await process.stderr.readline()).decode()
        address = re.match(r"serving on (\S+);", first)
        assert address is not None, first + (await process.stderr.read()).decode()
        yield process, address[1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _memory(pid: int) -> float:
    """MiB that a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    done = asyncio.run(soak(given.clients, given.seconds))
    print(done.tally)
    print("the upstream:", ", ".join(f"{count:,} {kind}" for kind, count in done.faults.most_common()))
    early, late = done.memory
    third = given.seconds / 3
    print(f"memory of the server: {early:.1f} MiB at {third:.0f} s, {late:.1f} MiB at {given.seconds:.0f} s")
    print(f"drained in {done.draining:.2f} s, exit code {done.code}, {done.connections} connections left")
    print(done.told, end="")


if __name__ == "__main__":
    main()
