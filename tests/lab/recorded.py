"""A service that fails by plan, and what is recorded of calls to it, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator
from rxorch.errors import ApiError
from rxorch.events import Event
from rxorch.http import Request, Response
from rxorch_operators.testing import run_virtual

Plan = Callable[[float, int], tuple[float, int]]
"""From the time and the number of a request to its seconds and its status."""


class Planned:
    """A transport that does as a plan says."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sends = 0

    async def send(self, request: Request) -> Response:
        request.sent = True
        self.sends += 1
        seconds, status = self.plan(asyncio.get_running_loop().time(), self.sends)
        await asyncio.sleep(seconds)
        return Response(status)

    async def aclose(self) -> None:
        pass


def config(**fields: Any) -> APIOrchestrationConfig:
    user = APIEndpoint(name="user", url="https://api.example.com/users/{id}", **fields)
    return APIOrchestrationConfig(endpoints=[user], circuit_breaker_threshold=None, retry_budget=False)


def recorded(given: APIOrchestrationConfig, plan: Plan, calls: int = 40, every: float = 1.0) -> list[Event]:
    """The events of calls that begin one after another, whether those before have ended or not."""

    async def made() -> list[Event]:
        events: list[Event] = []
        async with APIOrchestrator(given, transport=Planned(plan)) as orchestrator:
            orchestrator.events.subscribe(events.append)

            async def one(number: int) -> None:
                try:
                    await orchestrator.execute({"id": number})
                except ApiError:
                    pass

            runs = []
            for number in range(calls):
                runs.append(asyncio.create_task(one(number)))
                await asyncio.sleep(every)
            await asyncio.gather(*runs)
        return events

    return run_virtual(made())
