"""The routes: running a flow once, for a query, or for a stream of inputs."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from rxorch.orchestrator import APIOrchestrator
from rxorch.server.answering import answer_of, json_bytes, problem_of, status_of
from rxorch.server.bodies import InputLines, json_of, query_of
from rxorch.server.describing import described
from rxorch.server.metrics_text import metrics_text
from rxorch.server.openapi_document import openapi_document
from rxorch.server.problems import Problem, internal_problem
from rxorch.server.state import ServerState
from rxorch.sources import BadInput
from rxorch.stream import Run

__all__ = ["Routes"]

_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Routes:
    """The handlers of one application."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        flow = "/orchestrations/{name}"
        app.router.add_get("/healthz", self.healthz, name="healthz")
        app.router.add_get("/readyz", self.readyz, name="readyz")
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/openapi.json", self.openapi)
        app.router.add_get(flow, self.read, allow_head=False)
        app.router.add_post(flow, self.run)
        app.router.add_get(f"{flow}/description", self.description)
        app.router.add_post(f"{flow}/stream", self.stream)

    async def healthz(self, request: web.Request) -> web.Response:
        """The process is alive."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """It takes requests."""
        if self._state.is_open and not self._state.is_draining:
            return web.Response(text="ready\n")
        raise Problem(503, "the server takes no requests now", close=True)

    async def metrics(self, request: web.Request) -> web.Response:
        """The figures of all flows, for Prometheus."""
        return web.Response(body=metrics_text(self._state).encode(), headers={"Content-Type": _METRICS})

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of these routes."""
        return _json(200, openapi_document(self._state))

    async def description(self, request: web.Request) -> web.Response:
        """What a flow calls, and what it costs at worst."""
        name = request.match_info["name"]
        return _json(200, described(name, self._flow(name), readable=name in self._state.readable))

    async def run(self, request: web.Request) -> web.Response:
        """Runs a flow for the JSON value in the body."""
        orchestrator = self._flow(request.match_info["name"])
        with self._state.run():
            return await _answer(orchestrator, await json_of(request, self._state.limits))

    async def read(self, request: web.Request) -> web.Response:
        """Runs a flow for the query parameters."""
        name = request.match_info["name"]
        orchestrator = self._flow(name)
        if name not in self._state.readable:
            raise Problem(405, "this flow is run by POST", headers={"Allow": "POST"})
        with self._state.run():
            return await _answer(orchestrator, query_of(request))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Runs a flow for each line of the body; a line of the answer for each, as they end."""
        orchestrator = self._flow(request.match_info["name"])
        state = self._state
        lines = InputLines(request, state.limits)
        with state.run():
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/x-ndjson",
                    "Cache-Control": "no-store",
                    "X-Content-Type-Options": "nosniff",
                }
            )
            try:
                await response.prepare(request)
                await self._stream_to(response, orchestrator, lines)
            except ConnectionError:  # the client is gone, or takes nothing
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def _stream_to(
        self, response: web.StreamResponse, orchestrator: APIOrchestrator, lines: InputLines
    ) -> None:
        problem = await self._records(response, orchestrator, lines)
        if problem is None and not lines.ended:
            problem = Problem(503, "the server is shutting down; inputs after these were not read")
        if problem is not None:
            response.force_close()
            await self._write(response, {"problem": problem.document()})
        await response.write_eof()

    async def _records(
        self, response: web.StreamResponse, orchestrator: APIOrchestrator, lines: InputLines
    ) -> Problem | None:
        """Writes the records; returns why it ended before its time."""
        fail_fast = orchestrator.config.fail_fast
        async with orchestrator.stream(aiter(lines)) as runs:
            self._state.streams.add(runs)
            try:
                async for run in runs:
                    await self._write(response, _record(run, fail_fast=fail_fast))
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
            raise Problem(404, "there is no orchestration of this name")
        return found


async def _answer(orchestrator: APIOrchestrator, data: Any) -> web.Response:
    run = await orchestrator.record(data)  # which has the outcomes beside what a merger makes of them
    status = status_of(run, fail_fast=orchestrator.config.fail_fast)
    if status >= 400:
        raise problem_of(run, status)
    return _json(status, answer_of(run))


def _record(run: Run, *, fail_fast: bool) -> dict[str, Any]:
    status = status_of(run, fail_fast=fail_fast)
    record = {"index": run.index, "status": status}
    if status < 400:
        return {**record, **answer_of(run)}
    if isinstance(run.input, BadInput):
        detail = "this line is not valid JSON, or too long"
        return {**record, "problem": Problem(422, detail, more={"line": run.input.line}).document()}
    return {**record, "problem": problem_of(run, status).document()}


def _line(record: dict[str, Any]) -> bytes:
    try:
        return json_bytes(record) + b"\n"
    except ValueError as error:
        left = {"index": record.get("index"), "status": 500, "problem": internal_problem(error).document()}
        return json_bytes(left) + b"\n"


def _json(status: int, value: Any) -> web.Response:
    return web.Response(status=status, body=json_bytes(value), content_type="application/json")
