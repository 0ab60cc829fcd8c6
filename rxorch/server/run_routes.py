"""The routes of runs: what became of them, what happens in them, and what can be done with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import web
from pydantic_core import to_json

from rxorch.errors import ApiValidationError
from rxorch.saga import RunRecord, Saga, SagaError, SagaState, UnknownRunError
from rxorch.server.answering import json_response
from rxorch.server.bodies import json_of
from rxorch.server.event_stream import Frames, frame, last_event_id, send_events
from rxorch.server.pictures import flow_run_picture, saga_run_picture, svg_response
from rxorch.server.preferences import is_run_id
from rxorch.server.problems import Problem
from rxorch.server.run_book import KeptRun
from rxorch.server.run_documents import flow_document, flow_summary, saga_document, saga_summary
from rxorch.server.run_listing import page_of, query_of_runs
from rxorch.server.saga_desk import SagaDesk, journal_problem
from rxorch.server.state import ServerState
from rxorch.storage import StorageError
from rxorch_operators import to_async_iterable

__all__ = ["RunRoutes"]

Found: TypeAlias = tuple[str, Saga, RunRecord]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LONGEST_NAME: Final = 200


class RunRoutes:
    """The handlers of runs.

    Args:
        state: Of the application.
        desk: Its sagas.
    """

    def __init__(self, state: ServerState, desk: SagaDesk) -> None:
        self._state = state
        self._desk = desk

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        run = "/runs/{id:[^/]+}"
        app.router.add_get("/runs", _guarded(self.list), allow_head=False)
        app.router.add_get(run, _guarded(self.show), allow_head=False)
        app.router.add_get(f"{run}/events", _guarded(self.events), allow_head=False)
        app.router.add_get(f"{run}/picture", _guarded(self.picture), allow_head=False)
        app.router.add_post(f"{run}/cancel", _guarded(self.cancel))
        app.router.add_post(f"{run}/signal", _guarded(self.signal))
        app.router.add_post(f"{run}/retry", _guarded(self.retry))

    async def list(self, request: web.Request) -> web.Response:
        """Runs, the newest first."""
        state = self._state
        query = query_of_runs(request, [*state.flows, *state.sagas])
        return json_response(200, await page_of(state, query))

    async def show(self, request: web.Request) -> web.Response:
        """What became of a run."""
        found = await self._found(request)
        if isinstance(found, KeptRun):
            return json_response(200, flow_document(found))
        return json_response(200, await _document(*found))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """What happens in a run, from its first event or from behind the one that was seen last."""
        number = last_event_id(request)
        found = await self._found(request)
        if isinstance(found, KeptRun):
            return await send_events(request, self._state, _flow_frames(found, number))
        name, saga, run = found
        return await send_events(request, self._state, _saga_frames(name, saga, run.run_id, number))

    async def picture(self, request: web.Request) -> web.Response:
        """A run as a picture."""
        found = await self._found(request)
        if isinstance(found, KeptRun):
            svg = flow_run_picture(found)
            if svg is None:
                raise Problem(404, "there is no picture of this run: its events are not written down")
            return svg_response(svg)
        _, saga, run = found
        return svg_response(saga_run_picture(saga, run, await saga.steps(run.run_id)))

    async def cancel(self, request: web.Request) -> web.Response:
        """Ends a run of a flow that is in the background; has one of a saga undone."""
        found = await self._found(request)
        if isinstance(found, KeptRun):
            if found.task is None:
                why = "is over" if found.is_over else "belongs to the request that began it"
                raise Problem(409, f"the run {why}")
            found.task.cancel()
            return json_response(202, flow_document(found))
        name, saga, run = found
        if not run.state.is_over:
            run = await saga.cancel(run.run_id)
            self._desk.follow(name, saga.run(run.run_id))
        if run.state.is_over:
            raise Problem(409, "the run is over")
        return json_response(202, await _document(name, saga, run))

    async def signal(self, request: web.Request) -> web.Response:
        """Tells a run of a saga something."""
        told = await json_of(request, self._state.limits)
        _, saga, run = await self._saga_run(request, "no run of a flow waits for a signal")
        if not isinstance(told, dict) or not {"name"} <= told.keys() <= {"name", "value"}:
            raise Problem(422, "give an object with name and value")
        if not isinstance(told["name"], str) or not 1 <= len(told["name"]) <= _LONGEST_NAME:
            raise Problem(422, f"name: give a text of 1 to {_LONGEST_NAME} characters")
        if run.state.is_over:
            raise Problem(409, "the run is over")
        try:
            is_first = await saga.signal(run.run_id, told["name"], told.get("value"))
        except ApiValidationError:
            raise Problem(422, "a journal cannot keep this value") from None
        return json_response(200, {"first": is_first})

    async def retry(self, request: web.Request) -> web.Response:
        """Goes on with a dead letter."""
        name, saga, run = await self._saga_run(request, "a run of a flow is begun anew by its route")
        if run.state is not SagaState.FAILED:
            raise Problem(409, "the run is no dead letter")
        again = await saga.retry_dead_letter(run.run_id)
        self._desk.follow(name, again)
        return json_response(202, await _document(name, saga, await again.status()))

    async def _found(self, request: web.Request) -> KeptRun | Found:
        run_id = request.match_info["id"]
        found = self._state.book.find(run_id) or (
            await self._desk.find(run_id) if is_run_id(run_id) else None
        )
        if found is None:
            raise Problem(404, "there is no run of this id, or no more")
        return found

    async def _saga_run(self, request: web.Request, refusal: str) -> Found:
        found = await self._found(request)
        if isinstance(found, KeptRun):
            raise Problem(409, refusal)
        return found


def _guarded(handler: Handler) -> Handler:
    """A handler that says what is wrong with a saga or a journal."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except UnknownRunError:
            raise Problem(404, "there is no run of this id, or no more") from None
        except SagaError:  # it has changed meanwhile, or its saga has other steps now
            raise Problem(409, "that cannot be done with this run") from None
        except StorageError as error:
            raise journal_problem(error) from None

    return handle


async def _document(name: str, saga: Saga, run: RunRecord) -> dict[str, Any]:
    return saga_document(name, run, await saga.steps(run.run_id))


async def _flow_frames(run: KeptRun, number: int) -> Frames:
    while True:
        is_over = run.is_over
        new = [] if run.events is None else run.events.after(number)
        if new:
            number = new[-1][0]
            yield b"".join(frame(kind, data, n) for n, kind, data in new)
        if is_over:
            break
        if not new:
            await run.changed()
    yield frame("end", to_json(flow_summary(run)))


async def _saga_frames(name: str, saga: Saga, run_id: str, number: int) -> Frames:
    try:
        async with to_async_iterable(saga.run(run_id).events) as events:
            async for event in events:
                if event.number > number:
                    yield frame(event.kind, to_json(_shown(event.at, event.data)), event.number)
    except SagaError:  # nobody here drives it: it is not over, and goes on elsewhere
        return
    yield frame("end", to_json(saga_summary(name, await saga.status(run_id))))


def _shown(at: float, data: dict[str, Any]) -> dict[str, Any]:
    """What may be shown: the text of an error or of a reason may quote anything."""
    shown = {key: value for key, value in data.items() if key not in ("error", "reason")}
    if "error" in data:
        shown["error"] = {"type": data["error"].get("type", "")}
        if data["error"].get("step"):
            shown["error"]["step"] = data["error"]["step"]
    return {"at": round(at, 6), **shown}
