"""The route that runs a flow for each line of a body, and answers with a line for each."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from rxorch.orchestrator import APIOrchestrator
from rxorch.server.answering import answered, json_bytes
from rxorch.server.bodies import InputLines
from rxorch.server.contracts import Contract
from rxorch.server.guarding import dress
from rxorch.server.preferences import refuse_key
from rxorch.server.problems import Problem, internal_problem
from rxorch.server.state import ServerState
from rxorch.sources import BadInput
from rxorch.stream import Run

__all__ = ["StreamRoute"]


class StreamRoute:
    """The handler.

    Args:
        state: Of the application.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def add_to(self, app: web.Application) -> None:
        """Adds the route."""
        app.router.add_post("/orchestrations/{name}/stream", self.stream)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Runs a flow for each line of the body; a line of the answer for each, as they end."""
        name = request.match_info["name"]
        orchestrator = self._state.flow(name)
        refuse_key(request)
        state = self._state
        contract = state.contracts[name]
        lines = InputLines(request, state.limits, contract)
        with state.run():
            response = web.StreamResponse(
                headers={"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"}
            )
            dress(state, request, response)
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
