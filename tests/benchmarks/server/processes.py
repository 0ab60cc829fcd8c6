"""Processes on one pinned core, and the CPU time that they have used."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from tests.benchmarks.server.installed import PEERS, node_peers, python_peers

__all__ = ["LOAD_CORE", "SERVERS", "SERVER_CORE", "Running", "Server", "free_port", "get_json", "started"]

ROOT: Final = Path(__file__).parents[3]
SERVER_CORE: Final = "0"
LOAD_CORE: Final = "1"
_OURS: Final = "/orchestrations/profile"
_READY_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Server:
    """One that is measured: its command, given port and upstream, and the path of the aggregator."""

    name: str
    program: str
    path: str = "/profile"
    argument: str | None = None

    def command(self, port: int, upstream: str) -> list[str]:
        """The whole command, made once what it needs is installed."""
        more = [] if self.argument is None else [self.argument]
        if self.program.endswith(".js"):
            return ["node", str(node_peers() / self.program), str(port), upstream]
        if self.program.endswith(".py"):
            return [str(python_peers()), str(PEERS / self.program), *more, str(port), upstream]
        flows = f"{PEERS.parent / 'flows.py'}:profile"
        return [sys.executable, "-m", "rxorch", "serve", flows, "--port", str(port), "--readable", "profile"]

    def environment(self, upstream: str) -> dict[str, str]:
        """What it finds in its environment."""
        ours = {"BENCHMARK_UPSTREAM": upstream, "BENCHMARK_TRANSPORT": self.argument or "aiohttp"}
        found = os.pathsep.join([str(ROOT), str(ROOT / "operators")])
        return {**os.environ, "PYTHONPATH": found, "NODE_ENV": "production", **ours}


SERVERS: Final = (
    Server("rxorch", "rxorch", _OURS),
    Server("rxorch, pyreqwest", "rxorch", _OURS, "pyreqwest"),
    Server("aiohttp by hand", "bare_aiohttp.py"),
    Server("FastAPI + httpx", "fastapi_app.py", argument="httpx"),
    Server("FastAPI + aiohttp", "fastapi_app.py", argument="aiohttp"),
    Server("Express + axios", "express_axios.js"),
    Server("Fastify + undici", "fastify_undici.js"),
)


@dataclass
class Running:
    """A process that answers on a port."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """CPU time so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(
    command: Sequence[str], port: int, core: str, ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Starts a process on a core; inside of the block it answers `ready`."""
    pinned = ["taskset", "-c", core, *command]
    with (
        tempfile.TemporaryFile() as told,
        subprocess.Popen(pinned, cwd=ROOT, env=environment, stdout=told, stderr=told) as process,
    ):
        running = Running(process, port)
        try:
            _wait_until_ready(running, ready, told)
            yield running
        finally:
            process.kill()


def _wait_until_ready(running: Running, path: str, told: IO[bytes]) -> None:
    until = time.monotonic() + _READY_SECONDS
    while True:
        try:
            get_json(running.url + path)
        except (OSError, urllib.error.URLError):
            if running.process.poll() is not None or time.monotonic() > until:
                told.seek(0)
                text = told.read().decode(errors="replace")[-2000:]
                raise RuntimeError(f"{running.process.args!r} does not answer: {text}") from None
            time.sleep(0.05)
        else:
            return


def get_json(url: str) -> Any:
    """The JSON at a url."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
