"""Draws report.html and flow_after.svg: orders that go through an unreliable shop, in virtual time."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from rxorch import APIEndpoint, APIOrchestrator, Response, graph
from rxorch.draw import FlowPicture, Report, flow_picture, record, report
from rxorch.testing import MockTransport
from rxorch_operators.testing import run_virtual

HERE = Path(__file__).parent
API = "https://shop.example.com"


def shop() -> MockTransport:
    """Services that take their time and now and then fail; the same each time."""
    chance = random.Random(8)

    async def answer(request: Any) -> Any:
        name = request.url.path.split("/")[1]
        await asyncio.sleep(chance.lognormvariate(-3, 0.5))
        busy = chance.random() < (0.35 if name == "messages" else 0.06)
        if name == "payments" and chance.random() < 0.03:
            return 402
        return Response(503) if busy else {"ok": True, "large": chance.random() < 0.2}

    return MockTransport(answer)


def is_large(data: Any) -> bool:
    """Large orders are checked."""
    return bool(data["quote"]["large"])


def orders() -> APIOrchestrator:
    """What happens to an order."""

    def call(name: str, path: str, **more: Any) -> APIEndpoint:
        return APIEndpoint(name=name, url=f"{API}/{path}", retry_delay=0.05, retry_jitter="none", **more)

    flow = graph(
        call("user", "users/{user}"),
        call("product", "products/{sku}", cache_ttl=60),
        call("quote", "quotes", depends_on=["user", "product"]),
        call("check", "checks", depends_on=["quote"], condition=is_large),
        call("payment", "payments", method="POST", idempotent=True, depends_on=["quote", "check"]),
        call("message", "messages", depends_on=["payment"], error_handler=lambda error: {}),
    )
    return APIOrchestrator(flow, transport=shop(), circuit_breaker_threshold=5, circuit_breaker_timeout=0.5)


async def _run() -> tuple[FlowPicture, Report]:
    async with orders() as orchestrator:
        with record(orchestrator) as recording:
            inputs = ({"user": number, "sku": number % 9} for number in range(400))
            async with orchestrator.stream(inputs, max_concurrent=8) as runs:
                async for _ in runs:
                    pass
            picture = flow_picture(orchestrator, after=recording, title="400 orders")
            return picture, report(orchestrator, recording, title="400 orders", inputs=runs.statistics())


def draw() -> tuple[FlowPicture, Report]:
    """The flow after the stream, and the report about it."""
    return run_virtual(_run())


if __name__ == "__main__":
    picture, page = draw()
    picture.save(HERE / "flow_after.svg")
    page.save(HERE / "report.html")
