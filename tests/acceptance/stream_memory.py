"""Stream many inputs through an orchestrator with a fake transport, and report bounds and memory as JSON.

    python -m tests.acceptance.stream_memory 200000

A script, so that the growth of the process is that of the stream.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator
from rxorch.http.request import Request
from rxorch.http.response import Response

MAX_CONCURRENT = 100
SAMPLE_EVERY = 500
HEADERS = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"}))


class EchoTransport:
    """Answers every request after one turn of the loop, without a network."""

    def __init__(self) -> None:
        self.sends = 0
        self.in_flight = 0
        self.peak = 0

    async def send(self, request: Request) -> Response:
        request.sent = True
        self.sends += 1
        self.in_flight += 1
        if self.in_flight > self.peak:
            self.peak = self.in_flight
        try:
            await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        return Response(200, b'{"fine": true}', HEADERS, url=request.url)

    async def aclose(self) -> None:
        """Nothing to close."""


class Ledger:
    """Counts what the source gave and what the consumer got, and the largest difference of the two."""

    def __init__(self) -> None:
        self.given = self.got = self.ok = self.most_ahead = 0

    def inputs(self, count: int) -> Iterator[dict[str, int]]:
        """The source: ``count`` small inputs."""
        for n in range(count):
            self.given += 1
            self.most_ahead = max(self.most_ahead, self.given - self.got)
            yield {"n": n}


def resident() -> int:
    """Resident memory of this process in bytes."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def measure(count: int) -> dict[str, Any]:
    """Warm up with a tenth of ``count`` (at least 2,000), then stream ``count`` and sample the memory."""
    transport, ledger = EchoTransport(), Ledger()
    endpoint = APIEndpoint(name="item", url="http://api.example.com/items/{n}")
    orchestrator = APIOrchestrator(APIOrchestrationConfig(endpoints=[endpoint]), transport=transport)
    warm_up = Ledger().inputs(max(2_000, count // 10))
    async for _ in orchestrator.stream(warm_up, max_concurrent=MAX_CONCURRENT):
        pass
    transport.sends = 0
    gc.collect()
    start = highest = resident()
    async for run in orchestrator.stream(ledger.inputs(count), max_concurrent=MAX_CONCURRENT):
        ledger.got += 1
        ledger.ok += run.ok
        if ledger.got % SAMPLE_EVERY == 0:
            highest = max(highest, resident())
    return {
        "runs": ledger.got,
        "ok": ledger.ok,
        "sends": transport.sends,
        "peak_in_flight": transport.peak,
        "most_ahead": ledger.most_ahead,
        "growth": highest - start,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(measure(int(sys.argv[1]))), sys.stdout)
