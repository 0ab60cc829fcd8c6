"""Runs of flows on the books: answered at once, or in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final, TypeAlias

from aiohttp import web
from pydantic_core import to_json

from rxorch.server.problems import Problem, internal_problem
from rxorch.server.run_book import FlowState, KeptRun
from rxorch.server.run_events import CURRENT
from rxorch.server.state import ServerState

__all__ = ["RUN_ID", "Answering", "begun", "booked"]

Answering: TypeAlias = Coroutine[Any, Any, web.Response]
"""Runs a flow, and gives the answer. Raises a `Problem` if there is none."""

RUN_ID: Final = "X-Run-Id"
_STATES: Final = {200: FlowState.COMPLETED, 206: FlowState.PARTIAL}


async def booked(state: ServerState, flow: str, answering: Answering) -> web.Response:
    """Runs a flow for who waits for its answer, which names the run.

    Raises:
        Problem: It gave nothing.
    """
    book = state.book
    run = book.begin(flow)
    is_watched = state.events[flow].wants_every
    if is_watched:
        CURRENT.set(run)
    try:
        response = await answering
    except Exception as error:
        raise _failed(state, run, error) from None
    except asyncio.CancelledError:
        book.end(run, FlowState.CANCELLED)
        raise
    finally:
        if is_watched:
            CURRENT.set(None)
    _done(state, run, response)
    response.headers[RUN_ID] = run.id
    return response


def begun(state: ServerState, flow: str, answering: Callable[[], Answering]) -> KeptRun:
    """Runs a flow in the background, and writes down what happens. It belongs to the server.

    Raises:
        Problem: There are too many runs.
    """
    state.take_run()
    run = state.book.begin(flow)
    events = state.events[flow]
    events.want()
    context = copy_context()
    context.run(CURRENT.set, run)
    run.task = task = asyncio.create_task(answering(), name=f"run {run.id} of {flow}", context=context)
    state.enter(task)

    def ended(task: asyncio.Task[web.Response]) -> None:
        # A callback, since a task that is cancelled before its first step runs no code of ours.
        state.leave(task)
        state.runs -= 1
        if task.cancelled():
            state.book.end(run, FlowState.CANCELLED)
        elif (error := task.exception()) is not None:
            _failed(state, run, error)
        else:
            _done(state, run, task.result())
        events.leave()

    task.add_done_callback(ended)
    return run


def _done(state: ServerState, run: KeptRun, response: web.Response) -> None:
    body = response.body
    state.book.end(run, _STATES[response.status], body if isinstance(body, bytes) else None)


def _failed(state: ServerState, run: KeptRun, error: BaseException) -> Problem:
    problem = error if isinstance(error, Problem) else internal_problem(error)
    state.book.end(run, FlowState.FAILED, problem=to_json(problem.document(), inf_nan_mode="null"))
    problem.headers[RUN_ID] = run.id
    return problem
