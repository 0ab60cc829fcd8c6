"""Services that fail now and then, in every way that a service can; and what their callers may say of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from aiohttp import web

from rxorch import APIOrchestrationConfig, APIOrchestrator, OrchestrationMode
from rxorch.endpoint import APIEndpoint
from tests.support.loopback import Loopback, reset_connection

__all__ = ["FaultyServices", "Unexplained", "aggregator", "explained"]

_FAULTS: Final = {"ok": 70, "503": 8, "500": 4, "slow": 5, "reset": 6, "cut": 4, "no json": 3}
"""In percent."""

_DOWN_EVERY, _DOWN_FOR = 2_000, 80
"""Of so many requests the last so many are refused, whatever they ask: a breaker opens."""

_CAUSES: Final = {
    "ApiHttpError": "an answer that is an error",
    "ApiNetworkError": "a connection that breaks",
    "ApiProtocolError": "an answer that is cut",
    "ApiTimeoutError": "no answer in time",
    "ApiValidationError": "an answer that is no JSON",
    "ApiCircuitOpenError": "a breaker that was opened by these",
}


class FaultyServices:
    """Users and orders.

    Attributes:
        done: How often each kind of answer was given.
    """

    def __init__(self, seed: int = 7) -> None:
        self.done: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._count = 0

    def server(self) -> Loopback:
        """A server of both."""
        return Loopback({"GET /users/{id}": self.user, "GET /orders/{id}": self.orders})

    async def user(self, request: web.Request) -> Any:
        """A user, with luck."""
        return await self._answer(request, {"id": int(request.match_info["id"]), "name": "Ada"})

    async def orders(self, request: web.Request) -> Any:
        """Orders, with luck."""
        return await self._answer(request, [{"order": 1, "user": int(request.match_info["id"])}])

    async def _answer(self, request: web.Request, value: Any) -> Any:
        self._count += 1
        (fault,) = self._random.choices(list(_FAULTS), list(_FAULTS.values()))
        if self._count % _DOWN_EVERY >= _DOWN_EVERY - _DOWN_FOR:
            fault = "503"
        self.done[fault] += 1
        match fault:
            case "ok":
                return value
            case "slow":
                await asyncio.get_running_loop().create_future()  # until the caller has left
            case "reset":
                await reset_connection(request)
            case "cut":
                await _cut(request)
            case "no json":
                return web.Response(body=b'{"id": ', content_type="application/json")
        return int(fault)


async def _cut(request: web.Request) -> NoReturn:
    """Says that there are 100 bytes, and closes after two."""
    assert request.transport is not None
    request.transport.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}"
    )
    await reset_connection(request)


def aggregator(url: str, timeout: float = 1.0) -> APIOrchestrator:
    """The flow over both, with every policy at work. Breakers open because both are down for a while."""
    policies: dict[str, Any] = {"timeout": timeout, "retry_count": 1, "retry_delay": 0.01}
    endpoints = [
        APIEndpoint(name=name, url=f"{url}/{path}/{{id}}", **policies)
        for name, path in {"user": "users", "orders": "orders"}.items()
    ]
    config = APIOrchestrationConfig(
        endpoints=endpoints,
        mode=OrchestrationMode.PARALLEL,
        circuit_breaker_threshold=25,
        circuit_breaker_timeout=0.2,
        total_timeout=5.0,
    )
    return APIOrchestrator(config)


class Unexplained(Exception):
    """An answer that no policy explains."""


def explained(status: int, body: bytes) -> str:
    """Why an answer is what it is.

    Raises:
        Unexplained: It does not say so, or says what is not true.
    """
    document = json.loads(body) if body else {}
    if status == 503:
        return _refused(document)
    outcomes = document.get("outcomes") or {}
    lost = {name: each for name, each in outcomes.items() if each["provenance"] == "missing"}
    kinds = sorted({each.get("error", {}).get("type", "nothing") for each in lost.values()})
    unknown = set(kinds) - set(_CAUSES)
    wanted = 200
    if lost:
        only_late = kinds == ["ApiTimeoutError"]
        wanted = 206 if len(lost) < len(outcomes) else 504 if only_late else 502
    if unknown or len(outcomes) != 2 or status != wanted:
        raise Unexplained(f"{status} with {outcomes}")
    if status < 400:
        _check_values(document, lost)
    elif document.get("status") != status or not document.get("detail") or not document.get("id"):
        raise Unexplained(f"{status} with {document}")
    return ", ".join(_CAUSES[kind] for kind in kinds) or "all is well"


def _refused(document: Mapping[str, Any]) -> str:
    if not document:
        return "too many connections"
    detail: str = document["detail"]
    if detail not in ("too many runs at once", "the server is shutting down"):
        raise Unexplained(f"503 with {document}")
    return detail


def _check_values(document: Mapping[str, Any], lost: Mapping[str, Any]) -> None:
    result = document["result"]
    for name in ("user", "orders"):
        if (result[name] is None) is not (name in lost):
            raise Unexplained(f"{name} is {result[name]}, and its outcome {document['outcomes'][name]}")
