"""Beginning runs that need more than an answer: of sagas, in the background, under a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from aiohttp import web
from pydantic_core import from_json, to_json

from rxorch.errors import ApiValidationError
from rxorch.orchestrator import APIOrchestrator
from rxorch.saga import RunRecord, Saga, SagaDefinitionChangedError, SagaError, SagaRun, SagaState
from rxorch.server.answering import json_response
from rxorch.server.bodies import json_of
from rxorch.server.booking import RUN_ID, Answering, begun
from rxorch.server.contracts import Contract
from rxorch.server.preferences import ACCEPTED, idempotency_key, refuse_key, wants_no_answer
from rxorch.server.problems import Problem
from rxorch.server.run_documents import flow_document, link_of, saga_document, saga_problem
from rxorch.server.saga_desk import SagaDesk, journal_problem
from rxorch.server.state import ServerState
from rxorch.storage import StorageError

__all__ = ["Beginning"]

_Answer: TypeAlias = Callable[[APIOrchestrator, Contract, Any], Answering]
_CHANGED: Final = "that run began with other steps than this saga has now"


class Beginning:
    """Begins runs.

    Args:
        state: Of the application.
        desk: Its sagas.
        answer: Runs a flow for an input, and gives the answer.
    """

    def __init__(self, state: ServerState, desk: SagaDesk, answer: _Answer) -> None:
        self._state = state
        self._desk = desk
        self._answer = answer

    async def begin(self, request: web.Request, name: str) -> web.Response | None:
        """Begins a run of an orchestration.

        Returns:
            The answer; None if it is no such run.
        """
        if name in self._state.sagas:
            return await self._saga(request, name, idempotency_key(request))
        if name not in self._state.flows:
            return None
        refuse_key(request)
        if not wants_no_answer(request):
            return None
        orchestrator = self._state.flows[name]
        contract = self._state.contracts[name]
        data = await json_of(request, self._state.limits, contract)
        run = begun(self._state, name, lambda: self._answer(orchestrator, contract, data))
        return _accepted(run.id, flow_document(run))

    async def _saga(self, request: web.Request, name: str, key: str | None) -> web.Response:
        saga = self._state.sagas[name]
        with self._state.run():
            data = await json_of(request, self._state.limits, self._state.contracts[name])
            try:
                run = await self._desk.start(name, data, key)
                record = await run.status()
                if key is not None and not _is_input(record, data):
                    raise Problem(422, "that Idempotency-Key belongs to a run with another input")
                if wants_no_answer(request):
                    document = saga_document(name, record, await saga.steps(run.run_id))
                    return _accepted(run.run_id, document)
                return await _awaited(name, saga, run)
            except ApiValidationError:
                raise Problem(422, "a journal cannot keep this input") from None
            except SagaDefinitionChangedError:
                raise Problem(409, _CHANGED) from None
            except SagaError:  # it is being closed
                raise Problem(503, "the server is shutting down", close=True) from None
            except StorageError as error:
                raise journal_problem(error) from None


async def _awaited(name: str, saga: Saga, run: SagaRun) -> web.Response:
    """The answer at the end of a run. Who waits no more ends no run."""
    try:
        await run
    except SagaDefinitionChangedError:
        raise Problem(409, _CHANGED) from None
    except (SagaError, StorageError):
        more = {"run": link_of(run.run_id)}
        headers = {RUN_ID: run.run_id, "Retry-After": "5"}
        raise Problem(503, "the run is interrupted, and goes on later", headers=headers, more=more) from None
    record = await run.status()
    if record.state is not SagaState.COMPLETED:
        problem = saga_problem(record)
        problem.headers[RUN_ID] = run.run_id
        raise problem
    document = saga_document(name, record, await saga.steps(run.run_id))
    return json_response(200, document, {RUN_ID: run.run_id})


def _accepted(run_id: str, document: dict[str, Any]) -> web.Response:
    headers = {**ACCEPTED, "Location": link_of(run_id), RUN_ID: run_id}
    return json_response(202, document, headers)


def _is_input(run: RunRecord, data: Any) -> bool:
    """Whether a run began with this input, whatever the order of its keys."""
    given = from_json(to_json({} if data is None else data))
    return _in_order(run.input) == _in_order(given)


def _in_order(value: Any) -> bytes:
    return to_json(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
