"""Draws waterfall.svg and waterfall.png: a trip over unreliable services, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rxorch import ApiClient, APIEndpoint, RateLimiter, Response, graph
from rxorch import operators as rxo
from rxorch.draw import Waterfall, record
from rxorch.testing import MockTransport
from rxorch_operators.testing import run_virtual

HERE = Path(__file__).parent


def after(milliseconds: float, answer: Any) -> Callable[[Any], Awaitable[Any]]:
    """An answer that takes its time."""

    async def later(request: Any) -> Any:
        await asyncio.sleep(milliseconds / 1000)
        return answer

    return later


SERVICES = {
    "geo": after(124, {"city": "Oslo"}),
    "fx": [after(136, 503), after(103, 503), after(94, {"rate": 11.3})],
    "weather": [after(900, {}), after(144, {"sky": "clear"})],
    "flights": [after(77, Response(429, headers={"Retry-After": "0.1"})), after(231, {"business": False})],
    "hotels": [after(400, {}), after(110, {"hotels": 7})],
    "cars": after(96, {"cars": 2}),
    "visa": after(60, {"visa": False}),
    "lounge": {},
    "legal": after(67, 404),
}


def call(name: str, **policies: Any) -> APIEndpoint:
    """An endpoint of the trip."""
    return APIEndpoint(name=name, url=f"https://api.example.com/{name}", retry_jitter="none", **policies)


async def trip() -> Waterfall:
    """Makes the trip, and draws it."""
    geo, slow = call("geo", cache_ttl=60), RateLimiter(1, 0.4, burst=1)
    flow = graph(
        call("fx", retry_delay=0.08),
        call("weather", timeout=0.35, retry_delay=0.08),
        call("flights"),
        call("visa", rate_limiter=slow),
        call("legal", rate_limiter=slow, error_handler=lambda error: {}),
        call("lounge", depends_on=["flights"], condition=lambda data: data["flights"]["business"]),
    )
    async with ApiClient(MockTransport(SERVICES), max_in_flight=5) as client:
        client.defaults.random.seed(8)
        with record(client) as recording:
            await client.call(geo)
            hotels = client.observe(call("hotels"))({}).pipe(rxo.hedge(delay=0.15))
            flown = flow.execute({}, client)
            await asyncio.gather(flown, rxo.last_of(hotels), client.call(call("cars")), client.call(geo))
    return recording.waterfall(title="trip")


def draw() -> Waterfall:
    """The picture."""
    return run_virtual(trip())


if __name__ == "__main__":
    for suffix in (".svg", ".png"):
        draw().save(HERE / f"waterfall{suffix}")
