"""The aggregator as a flow, for `rxorch serve`: on aiohttp, and on pyreqwest."""

from __future__ import annotations

import os

from rxorch import APIEndpoint, APIOrchestrator, parallel

UPSTREAM = os.environ["BENCHMARK_UPSTREAM"]


def profile() -> dict[str, APIOrchestrator]:
    """The flow, with every policy that is on by default, on the transport that the environment names."""
    flow = parallel(
        APIEndpoint(name="user", url=UPSTREAM + "/users/{id}"),
        APIEndpoint(name="orders", url=UPSTREAM + "/orders/{id}"),
    )
    transport = os.environ.get("BENCHMARK_TRANSPORT", "aiohttp")
    return {"profile": APIOrchestrator(flow, transport=transport)}  # type: ignore[arg-type]
