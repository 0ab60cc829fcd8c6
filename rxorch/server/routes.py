"""The routes: running a flow once, or for a query, and what a probe asks."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NoReturn

from aiohttp import web

from rxorch.orchestrator import APIOrchestrator
from rxorch.server.answering import answered, json_response
from rxorch.server.beginning import Beginning
from rxorch.server.bodies import json_of, query_of
from rxorch.server.booking import booked
from rxorch.server.contracts import Contract
from rxorch.server.live import Live
from rxorch.server.metrics_text import metrics_text
from rxorch.server.openapi_document import openapi_document
from rxorch.server.orchestration_routes import OrchestrationRoutes
from rxorch.server.preferences import is_plain, refuse_key
from rxorch.server.problems import Problem
from rxorch.server.run_routes import RunRoutes
from rxorch.server.saga_desk import SagaDesk
from rxorch.server.state import ServerState
from rxorch.server.stream_route import StreamRoute
from rxorch.storage import StorageError

__all__ = ["Routes"]

_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE: Final = 1.0
"""Seconds that the figures wait for a journal: who asks for them waits for 10, as a rule."""


class Routes:
    """The handlers of one application.

    Args:
        state: Of the application.
        desk: Its sagas.
    """

    def __init__(self, state: ServerState, desk: SagaDesk) -> None:
        self._state = state
        self._desk = desk
        self._beginning = Beginning(state, desk, _answer)
        self._others = (
            StreamRoute(state),
            OrchestrationRoutes(state),
            RunRoutes(state, desk),
            Live(state, desk),
        )

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        flow = "/orchestrations/{name}"
        app.router.add_get("/healthz", self.healthz, name="healthz")
        app.router.add_get("/readyz", self.readyz, name="readyz")
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/openapi.json", self.openapi)
        app.router.add_get(flow, self.read, allow_head=False)
        app.router.add_post(flow, self.run)
        app.router.add_route("*", flow, self.by_other_method)
        for others in self._others:
            others.add_to(app)

    async def by_other_method(self, request: web.Request) -> NoReturn:
        """Says by which methods a flow is run; the router would name those of all flows."""
        name = request.match_info["name"]
        self._state.found(name)
        allow = "GET, POST" if name in self._state.readable else "POST"
        raise Problem(405, "not by this method", headers={"Allow": allow})

    async def healthz(self, request: web.Request) -> web.Response:
        """The process is alive."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """It takes requests."""
        if self._state.is_open and not self._state.is_draining:
            return web.Response(text="ready\n")
        raise Problem(503, "the server takes no requests now", close=True)

    async def metrics(self, request: web.Request) -> web.Response:
        """The figures of all flows and sagas, for Prometheus."""
        text = metrics_text(self._state, dead_letters=await self._dead_letters())
        return web.Response(body=text.encode(), headers={"Content-Type": _METRICS})

    async def _dead_letters(self) -> int | None:
        if not self._state.sagas:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._desk.dead_letters()
        except (StorageError, TimeoutError):  # all that the journal does not say is still of use
            return None

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of these routes."""
        return json_response(200, openapi_document(self._state))

    async def run(self, request: web.Request) -> web.Response:
        """Runs a flow or a saga for the JSON value in the body."""
        state, name = self._state, request.match_info["name"]
        if name in state.sagas or not is_plain(request):
            begun = await self._beginning.begin(request, name)
            if begun is not None:
                return begun
        orchestrator = self._state.flow(name)
        contract = state.contracts[name]
        with state.run():
            data = await json_of(request, state.limits, contract)
            return await booked(state, name, _answer(orchestrator, contract, data))

    async def read(self, request: web.Request) -> web.Response:
        """Runs a flow for the query parameters."""
        name = request.match_info["name"]
        orchestrator = self._state.flow(name)
        if name not in self._state.readable:
            raise Problem(405, "this flow is run by POST", headers={"Allow": "POST"})
        refuse_key(request)
        with self._state.run():
            contract = self._state.contracts[name]
            data = query_of(request, contract)
            return await booked(self._state, name, _answer(orchestrator, contract, data))


async def _answer(orchestrator: APIOrchestrator, contract: Contract, data: Any) -> web.Response:
    run = await orchestrator.record(data)  # which has the outcomes beside what a merger makes of them
    return json_response(*answered(run, contract, fail_fast=orchestrator.config.fail_fast))
