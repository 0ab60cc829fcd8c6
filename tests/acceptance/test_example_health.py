"""Complete example 3: the health of seven services, each on a host of its own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator, OrchestrationMode
from tests.acceptance.witness import Witness
from tests.support.loopback import Loopback

SERVICES = ["auth", "user", "payment", "inventory", "shipping", "notification", "analytics"]


async def health_check_all_services(hosts: dict[str, str]) -> dict[str, Any]:
    services = ["auth", "user", "payment", "inventory", "shipping", "notification", "analytics"]
    endpoints = [
        APIEndpoint(
            name=service,
            url=f"{hosts[service]}/health",
            method="GET",
            timeout=2.0,
            retry_count=0,
            error_handler=lambda e: {"status": "down", "error": str(e)},
        )
        for service in services
    ]
    config = APIOrchestrationConfig(
        endpoints=endpoints,
        mode=OrchestrationMode.PARALLEL,
        max_concurrent=10,
        total_timeout=5.0,
        fail_fast=False,
        result_merger=lambda results: {endpoints[i].name: results[i] for i in range(len(results))},
    )
    orchestrator = APIOrchestrator(config)
    health_status = await orchestrator.execute({})

    healthy = sum(1 for s in health_status.values() if s.get("status") == "ok")
    total = len(health_status)
    return {
        "healthy": healthy,
        "total": total,
        "percentage": (healthy / total) * 100,
        "services": health_status,
    }


async def checked(witness: Witness, sick: dict[str, int], gone: set[str]) -> dict[str, Any]:
    """Run the example; ``sick`` services answer their status, ``gone`` ones have closed their port."""
    hosts: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for service in SERVICES:
            handler = witness.answers(service, {"status": "ok"}, status=sick.get(service, 200))
            loopback = Loopback({"GET /health": handler})
            if service in gone:
                async with loopback:
                    hosts[service] = loopback.url
            else:
                hosts[service] = (await stack.enter_async_context(loopback)).url
        return await health_check_all_services(hosts)


async def test_all_services_healthy() -> None:
    """Health check: seven services asked, all of them well."""
    witness = Witness()
    report = await checked(witness, sick={}, gone=set())

    assert (report["healthy"], report["total"], report["percentage"]) == (7, 7, 100.0)
    assert list(report["services"]) == SERVICES
    assert sorted(witness.names()) == sorted(SERVICES)


async def test_some_services_down() -> None:
    """Health check: what is down is reported as down by the error handler, asked once, and hides nobody."""
    witness = Witness()
    report = await checked(witness, sick={"payment": 503, "analytics": 500}, gone={"shipping"})

    assert (report["healthy"], report["total"]) == (4, 7)
    assert report["percentage"] == 4 / 7 * 100
    down = {name: s["error"] for name, s in report["services"].items() if s["status"] == "down"}
    assert list(down) == ["payment", "shipping", "analytics"]
    assert "503" in down["payment"] and "500" in down["analytics"]
    assert down["shipping"]
    assert (witness.count("payment"), witness.count("analytics"), witness.count("shipping")) == (1, 1, 0)
