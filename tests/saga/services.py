"""The services of a saga on a loopback server: they know keys, and write down their effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from rxorch import APIEndpoint
from rxorch_operators import RetryPolicy
from tests.support.loopback import Loopback, reset_connection

__all__ = ["QUICK", "Services", "serving"]

QUICK = RetryPolicy(max_attempts=3, base=0.001, cap=0.002, jitter="none", max_elapsed=None)


@dataclass
class Services:
    """``POST /do/{step}`` and ``POST /undo/{step}``, with effects that are counted by key.

    Attributes:
        effects: What each key did: "reserve", or "undo reserve".
        log: The effects in their order.
        bodies: What came with each effect.
        answers: What is answered instead, in turn, before the service works: a status, "reset" (without an
            effect), "lost" (with an effect, and no answer), or "odd" (with an effect, and an answer
            that is no JSON).
        gates: Steps that have no effect before their event is set.
    """

    effects: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    bodies: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    server: Loopback = field(init=False)

    def __post_init__(self) -> None:
        self.server = Loopback({"* /{kind}/{step}": self._answer})

    @property
    def done(self) -> list[str]:
        """Steps with an effect that is not undone."""
        undone = {text.removeprefix("undo ") for text in self.log if text.startswith("undo ")}
        return [text for text in self.log if not text.startswith("undo ") and text not in undone]

    @property
    def asked(self) -> list[str]:
        """All requests in their order."""
        return [
            seen.path.lstrip("/").replace("undo/", "undo ").replace("do/", "") for seen in self.server.seen
        ]

    def headers(self, name: str) -> list[str | None]:
        """A header of all requests."""
        return [seen.headers.get(name) for seen in self.server.seen]

    def step(self, name: str, *, undo: bool = True, **fields: Any) -> APIEndpoint:
        """An endpoint of a service, with what undoes it."""
        url = self.server.url
        base: dict[str, Any] = {"method": "POST", "retry_count": 0, "circuit_breaker": False}
        back = APIEndpoint(name=f"un{name}", url=f"{url}/undo/{name}", **base) if undo else None
        fields = {"url": f"{url}/do/{name}", **base, "compensate_with": back, **fields}
        return APIEndpoint(name=name, **fields)

    async def _answer(self, request: web.Request) -> Any:
        kind, step = request.match_info["kind"], request.match_info["step"]
        text = step if kind == "do" else f"undo {step}"
        gate = self.gates.get(text)
        if gate is not None:
            await gate.wait()
        answers = self.answers.get(text, [])
        answer = answers.pop(0) if answers else None
        if answer == "reset":
            await reset_connection(request)
        if isinstance(answer, int):
            return answer
        key = request.headers.get("Idempotency-Key", f"none {len(self.log)}")
        if key not in self.effects:
            self.effects[key] = text
            self.log.append(text)
            self.bodies[text] = await request.json()
        if answer == "lost":
            await reset_connection(request)
        if answer == "odd":
            return web.Response(text="{", content_type="application/json")
        return {"id": f"{text} 1"}


@asynccontextmanager
async def serving() -> AsyncIterator[Services]:
    """Services that end with the block."""
    services = Services()
    async with services.server:
        yield services
