"""Instructions that a server needs for one request, counted by valgrind: the same on a machine that is busy.

    python -m tests.benchmarks.server.instructions [--requests 50]

Counts what the process does itself, the kernel's part not among it, after it is warm; 8 connections at once.
Needs valgrind.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.server.processes import LOAD_CORE, SERVER_CORE, SERVERS, Server, free_port, started

__all__ = ["instructions"]

_CONNECTIONS: Final = 8
_WARM: Final = 100


def instructions(server: Server, requests: int) -> float:
    """Thousands of instructions for one request of the aggregator."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={profile}"]
        back, port = free_port(), free_port()
        upstream = f"http://127.0.0.1:{back}"
        command = [*valgrind, *server.command(port, upstream)]
        services = [sys.executable, "-m", "tests.benchmarks.server.upstream", str(back)]
        path = f"{server.path}?id=7"
        with (
            started(services, back, LOAD_CORE, "/users/1"),
            started(command, port, SERVER_CORE, path, server.environment(upstream)) as running,
        ):
            asyncio.run(_requests(port, path, _WARM))
            _count(running.process.pid, "on")
            asyncio.run(_requests(port, path, requests))
            _count(running.process.pid, "off")
            running.process.send_signal(signal.SIGTERM)
            running.process.wait()
        found = re.search(r"^totals: (\d+)", profile.read_text(), re.MULTILINE)
    assert found is not None, "valgrind has counted nothing"
    return int(found[1]) / (requests * _CONNECTIONS) / 1000


def _count(pid: int, state: str) -> None:
    subprocess.run(["callgrind_control", "-i", state, str(pid)], check=True, capture_output=True)


async def _requests(port: int, path: str, count: int) -> None:
    """So many on each connection, one after another."""
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(_connection(port, path, count))


async def _connection(port: int, path: str, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert b" 200 OK" in head and length is not None, head
        await reader.readexactly(int(length[1]))
    writer.close()
    await writer.wait_closed()


def main(names: Sequence[str] = ("rxorch", "aiohttp by hand")) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=50, help="on each connection")
    given = parser.parse_args()
    for server in SERVERS:
        if server.name in names:
            print(f"{server.name}: {instructions(server, given.requests):,.0f} thousand instructions each")


if __name__ == "__main__":
    main()
