"""The routes: running a flow once, for a query, or for a stream of inputs."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NoReturn

from aiohttp import web

from rxorch.orchestrator import APIOrchestrator
from rxorch.server.answering import answered, json_bytes, json_response
from rxorch.server.bodies import InputLines, json_of, query_of
from rxorch.server.booking import booked
from rxorch.server.contracts import Contract
from rxorch.server.live import Live
from rxorch.server.metrics_text import metrics_text
from rxorch.server.openapi_document import openapi_document
from rxorch.server.orchestration_routes import OrchestrationRoutes
from rxorch.server.preferences import is_plain
from rxorch.server.problems import Problem, internal_problem
from rxorch.server.run_routes import RunRoutes
from rxorch.server.saga_desk import SagaDesk
from rxorch.server.saga_routes import Beginning
from rxorch.server.state import ServerState
from rxorch.sources import BadInput
from rxorch.storage import StorageError
from rxorch.stream import Run

__all__ = ["Routes"]

_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


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
        self._others = (OrchestrationRoutes(state), RunRoutes(state, desk), Live(state, desk))

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
        app.router.add_post(f"{flow}/stream", self.stream)
        for others in self._others:
            others.add_to(app)

    async def by_other_method(self, request: web.Request) -> NoReturn:
        """Says by which methods a flow is run; the router would name those of all flows."""
        name = request.match_info["name"]
        if name not in self._state.contracts:
            raise Problem(404, "there is no orchestration of this name")
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
            return await self._desk.dead_letters()
        except StorageError:  # all that the journal does not say is still of use
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
        orchestrator = self._flow(name)
        contract = state.contracts[name]
        with state.run():
            data = await json_of(request, state.limits, contract)
            return await booked(state, name, _answer(orchestrator, contract, data))

    async def read(self, request: web.Request) -> web.Response:
        """Runs a flow for the query parameters."""
        name = request.match_info["name"]
        orchestrator = self._flow(name)
        if name not in self._state.readable:
            raise Problem(405, "this flow is run by POST", headers={"Allow": "POST"})
        with self._state.run():
            contract = self._state.contracts[name]
            data = query_of(request, contract)
            return await booked(self._state, name, _answer(orchestrator, contract, data))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Runs a flow for each line of the body; a line of the answer for each, as they end."""
        name = request.match_info["name"]
        orchestrator = self._flow(name)
        state = self._state
        contract = state.contracts[name]
        lines = InputLines(request, state.limits, contract)
        with state.run():
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/x-ndjson",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                    "X-Content-Type-Options": "nosniff",
                }
            )
            try:
                await response.prepare(request)
                await self._stream_to(response, orchestrator, lines, contract)
            except ConnectionError:  # the client is gone, or takes nothing
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def _stream_to(
        self,
        response: web.StreamResponse,
        orchestrator: APIOrchestrator,
        lines: InputLines,
        contract: Contract,
    ) -> None:
        problem = await self._records(response, orchestrator, lines, contract)
        if problem is None and not lines.ended:
            problem = Problem(503, "the server is shutting down; inputs after these were not read")
        if problem is not None:
            response.force_close()
            await self._write(response, {"problem": problem.document()})
        await response.write_eof()

    async def _records(
        self,
        response: web.StreamResponse,
        orchestrator: APIOrchestrator,
        lines: InputLines,
        contract: Contract,
    ) -> Problem | None:
        """Writes the records; returns why it ended before its time."""
        fail_fast = orchestrator.config.fail_fast
        async with orchestrator.stream(aiter(lines)) as runs:
            self._state.streams.add(runs)
            try:
                async for run in runs:
                    await self._write(response, _record(run, contract, fail_fast=fail_fast))
            except Problem as problem:
                return problem
            except ConnectionError:
                raise
            except Exception as error:
                return internal_problem(error)
            finally:
                self._state.streams.discard(runs)
        return None

    async def _write(self, response: web.StreamResponse, record: dict[str, Any]) -> None:
        """Writes a line, as soon as the client takes it."""
        try:
            async with asyncio.timeout(self._state.limits.idle_seconds):
                await response.write(_line(record))
        except TimeoutError:
            raise ConnectionResetError("the client takes nothing") from None

    def _flow(self, name: str) -> APIOrchestrator:
        found = self._state.flows.get(name)
        if found is None:
            if name in self._state.sagas:
                raise Problem(405, "a saga is run by POST, one input at a time", headers={"Allow": "POST"})
            raise Problem(404, "there is no orchestration of this name")
        return found


async def _answer(orchestrator: APIOrchestrator, contract: Contract, data: Any) -> web.Response:
    run = await orchestrator.record(data)  # which has the outcomes beside what a merger makes of them
    return json_response(*answered(run, contract, fail_fast=orchestrator.config.fail_fast))


def _record(run: Run, contract: Contract, *, fail_fast: bool) -> dict[str, Any]:
    try:
        if isinstance(run.input, BadInput):
            raise _bad_line(run.input)
        status, answer = answered(run, contract, fail_fast=fail_fast)
    except Problem as problem:
        return {"index": run.index, "status": problem.status, "problem": problem.document()}
    return {"index": run.index, "status": status, **answer}


def _bad_line(given: BadInput) -> Problem:
    if given.error.errors:
        detail = "this line does not fit the flow"
        return Problem(422, detail, more={"line": given.line, "errors": given.error.errors})
    return Problem(422, "this line is not valid JSON, or too long", more={"line": given.line})


def _line(record: dict[str, Any]) -> bytes:
    try:
        return json_bytes(record) + b"\n"
    except ValueError as error:
        left = {"index": record.get("index"), "status": 500, "problem": internal_problem(error).document()}
        return json_bytes(left) + b"\n"
