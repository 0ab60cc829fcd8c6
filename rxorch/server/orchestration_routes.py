"""The routes that tell what there is: all orchestrations, each with its description and its picture."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from rxorch.endpoint import APIEndpoint
from rxorch.saga import Saga
from rxorch.server.answering import json_response
from rxorch.server.describing import described
from rxorch.server.pictures import orchestration_picture, svg_response
from rxorch.server.state import ServerState

__all__ = ["OrchestrationRoutes"]


class OrchestrationRoutes:
    """The handlers.

    Args:
        state: Of the application.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        one = "/orchestrations/{name}"
        app.router.add_get("/orchestrations", self.list, allow_head=False)
        app.router.add_get(f"{one}/description", self.description)
        app.router.add_get(f"{one}/picture", self.picture, allow_head=False)

    async def list(self, request: web.Request) -> web.Response:
        """All there are."""
        names = [*self._state.flows, *self._state.sagas]
        return json_response(200, {"orchestrations": [self._described(name) for name in names]})

    async def description(self, request: web.Request) -> web.Response:
        """What one calls, and what it costs at worst."""
        return json_response(200, self._described(request.match_info["name"]))

    async def picture(self, request: web.Request) -> web.Response:
        """One as a picture."""
        name = request.match_info["name"]
        return svg_response(orchestration_picture(name, self._state.found(name)))

    def _described(self, name: str) -> dict[str, Any]:
        found = self._state.found(name)
        if isinstance(found, Saga):
            return _saga(name, found)
        return {"kind": "flow", **described(name, found, readable=name in self._state.readable)}


def _saga(name: str, saga: Saga) -> dict[str, Any]:
    steps = saga.definition.steps.values()
    return {
        "kind": "saga",
        "name": name,
        "readable": False,
        "steps": [
            {
                "name": step.name,
                "method": step.endpoint.method if isinstance(step.endpoint, APIEndpoint) else None,
                "depends_on": list(step.endpoint.depends_on),
                "is_undone": step.compensation is not None,
                "pivot": step.pivot,
                "retriable": step.retriable,
            }
            for step in steps
        ],
    }
