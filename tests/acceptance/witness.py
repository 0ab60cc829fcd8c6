"""What a loopback service saw and said: the evidence that the acceptance tests read.

The tests judge from the side of the services: which calls came, in which order, with which bodies,
and how many were in the house at once.  Nothing here looks into the orchestrator.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATIENCE = 10.0
"""Seconds that a handler waits for its company before it answers 500; only a failing test gets there."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the service received it; ``body`` is decoded JSON, or ``None`` when empty."""

    name: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Witness:
    """Makes handlers and writes down each call (``calls``), and comings and goings (``trail``)."""

    calls: list[Call] = field(default_factory=list)
    trail: list[str] = field(default_factory=list)

    def answers(
        self,
        name: str,
        payload: Any = None,
        *,
        status: int | list[int] = 200,
        linger: float = 0.0,
        company: Company | None = None,
    ) -> Handler:
        """A handler that answers ``payload`` (or ``payload(call)``) as JSON.

        ``status`` may be a list: one status per call, the last one for all further calls.
        ``linger`` keeps the call in the house for that many seconds; ``company`` until others came.
        """
        statuses = status if isinstance(status, list) else [status]

        async def handler(request: web.Request) -> web.StreamResponse:
            call = await self._note(name, request)
            turn = min(self.count(name), len(statuses)) - 1
            if company is not None:
                await company.wait()
            if linger:
                await asyncio.sleep(linger)
            answer = payload(call) if callable(payload) else payload
            self.trail.append(f"-{name}")
            return web.json_response({"from": name} if answer is None else answer, status=statuses[turn])

        return handler

    async def _note(self, name: str, request: web.Request) -> Call:
        self.trail.append(f"+{name}")
        raw = await request.read()
        body = json.loads(raw) if raw else None
        call = Call(name, request.method, request.path, dict(request.query), dict(request.headers), body)
        self.calls.append(call)
        return call

    def count(self, name: str) -> int:
        """How many calls came for ``name``."""
        return sum(call.name == name for call in self.calls)

    def names(self) -> list[str]:
        """The names of the calls in the order in which they came."""
        return [call.name for call in self.calls]

    def last(self, name: str) -> Call:
        """The latest call for ``name``."""
        return [call for call in self.calls if call.name == name][-1]


class Company:
    """Holds handlers until ``size`` of them are in the house together: proof of overlap without a clock."""

    def __init__(self, size: int) -> None:
        self._barrier = asyncio.Barrier(size)

    async def wait(self) -> None:
        """Return when the company is complete; raise (an HTTP 500) when it never gets complete."""
        async with asyncio.timeout(PATIENCE):
            await self._barrier.wait()
