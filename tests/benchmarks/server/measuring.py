"""Rounds of load on each server in turn, and what they come to."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.server.processes import (
    LOAD_CORE,
    SERVER_CORE,
    SERVERS,
    Running,
    Server,
    free_port,
    get_json,
    started,
)
from tests.benchmarks.server.upstream import ORDERS, USER

__all__ = ["Figures", "measured"]

_REPORT: Final = str(Path(__file__).parent / "report.lua")
_CHECKED: Final = (1, 7, 90210)


@dataclass(frozen=True)
class Round:
    """One round: requests per second, CPU of the server each, latencies in milliseconds, errors."""

    rate: float
    cpu: float
    p50: float
    p99: float
    errors: int


@dataclass(frozen=True)
class Figures:
    """What a server did in its rounds."""

    rounds: tuple[Round, ...]

    @property
    def errors(self) -> int:
        """Of all rounds: answers that were none, or not 200."""
        return sum(each.errors for each in self.rounds)

    def median(self, name: str) -> float:
        """The median of what a `Round` has under this name."""
        return statistics.median(getattr(each, name) for each in self.rounds)

    def least_cpu(self) -> float:
        """Microseconds of CPU for a request in the round that was disturbed least."""
        return min(each.cpu for each in self.rounds)

    def rate_to(self, other: Figures) -> float:
        """Requests per second in ratio to those of another: the median of the rounds, which alternate."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(own.rate / its.rate for own, its in pairs)


def measured(names: Sequence[str], *, rounds: int, seconds: int, connections: int) -> dict[str, Figures]:
    """The figures of the servers of these names. Their answers are compared before and after each round."""
    chosen = [server for server in SERVERS if server.name in names]
    taken: dict[str, list[Round]] = {server.name: [] for server in chosen}
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(_upstream()).url
        running = {server: stack.enter_context(_started(server, upstream)) for server in chosen}
        for server, process in running.items():
            _load(server, process, seconds=1, connections=connections)  # warm
        for _ in range(rounds):
            for server, process in running.items():
                _check_answers(server, process)
                taken[server.name].append(_load(server, process, seconds, connections))
                _check_answers(server, process)
    return {name: Figures(tuple(each)) for name, each in taken.items()}


@contextlib.contextmanager
def _upstream() -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.server.upstream", str(port)]
    with started(command, port, LOAD_CORE, "/users/1") as running:
        yield running


@contextlib.contextmanager
def _started(server: Server, upstream: str) -> Iterator[Running]:
    port = free_port()
    command, environment = server.command(port, upstream), server.environment(upstream)
    with started(command, port, SERVER_CORE, f"{server.path}?id=1", environment) as running:
        yield running


def _load(server: Server, process: Running, seconds: int, connections: int) -> Round:
    url = f"{process.url}{server.path}?id=7"
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", _REPORT]
    before = process.cpu_seconds()
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "wrk", *options, url], check=True, capture_output=True, text=True
    )
    spent = process.cpu_seconds() - before
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    report = json.loads(line.removeprefix("REPORT "))
    requests = report["requests"]
    return Round(
        rate=requests / report["microseconds"] * 1e6,
        cpu=spent / requests * 1e6 if requests else 0.0,
        p50=report["p50"] / 1e3,
        p99=report["p99"] / 1e3,
        errors=report["not_2xx"] + report["sockets"] + report["timeouts"] + (not requests),
    )


def _check_answers(server: Server, process: Running) -> None:
    for number in _CHECKED:
        answer: Any = get_json(f"{process.url}{server.path}?id={number}")
        given = answer.get("result", answer)
        wanted = {"user": json.loads(USER % b"%d" % number), "orders": json.loads(_orders(number))}
        if given != wanted:
            raise AssertionError(f"{server.name} answered {given!r}, not {wanted!r}")


def _orders(number: int) -> bytes:
    text = b"%d" % number
    return ORDERS % (text, text)
