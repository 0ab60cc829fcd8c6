"""The part of the OpenAPI description that tells of runs, sagas and pictures."""

from __future__ import annotations

from typing import Any, Final

from rxorch.saga import SagaState
from rxorch.server.openapi_parts import OUTCOMES, REFERENCE, content, operation, text_parameter
from rxorch.server.run_book import FlowState
from rxorch.server.state import ServerState

__all__ = ["add_runs"]

_STATES: Final = sorted({state.value for state in (*FlowState, *SagaState)})
_JSON: Final = "application/json"
_TIME: Final = {"type": "number", "description": "Seconds since 1970."}
_RUN: Final = {"$ref": REFERENCE.format(model="rxorch.Run")}
_ERROR: Final = {
    "type": ["object", "null"],
    "required": ["type"],
    "properties": {"type": {"type": "string"}},
}
_STEP: Final = {
    "type": "object",
    "description": "A step of a saga, or its undoing.",
    "required": ["step", "undo", "status", "attempt", "key", "began_at", "ended_at", "error"],
    "properties": {
        "step": {"type": "string"},
        "undo": {"type": "boolean"},
        "status": {"enum": ["started", "waiting", "completed", "failed", "unknown", "skipped"]},
        "attempt": {"type": "integer"},
        "key": {"type": "string", "description": "The idempotency key of its requests."},
        "began_at": _TIME,
        "ended_at": {**_TIME, "type": ["number", "null"]},
        "error": _ERROR,
    },
}
_RUN_SCHEMA: Final = {
    "type": "object",
    "description": "A run. In a list it is without outcomes, steps and result.",
    "required": ["id", "flow", "kind", "state", "began", "ended", "duration", "problem"],
    "properties": {
        "id": {"type": "string"},
        "flow": {"type": "string", "description": "Name of the orchestration."},
        "kind": {"enum": ["flow", "saga"]},
        "state": {"enum": _STATES},
        "began": _TIME,
        "ended": {**_TIME, "type": ["number", "null"]},
        "duration": {"type": ["number", "null"], "description": "Seconds."},
        "problem": {"type": ["object", "null"], "description": "Problem details of one that failed."},
        "outcomes": OUTCOMES,
        "steps": {"type": "array", "items": _STEP},
        "result": {"description": "Of one that is completed, as long as it is kept."},
    },
}
_PAGE: Final = {
    "type": "object",
    "required": ["runs", "next"],
    "properties": {
        "runs": {"type": "array", "items": _RUN},
        "next": {"type": ["string", "null"], "description": "What `after` of the next page is."},
    },
}
_SIGNAL: Final = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 200}, "value": {}},
}
_FIRST: Final = {"type": "object", "required": ["first"], "properties": {"first": {"type": "boolean"}}}
_MANY: Final = {
    "type": "object",
    "required": ["orchestrations"],
    "properties": {"orchestrations": {"type": "array", "items": {"type": "object"}}},
}
_EVENT: Final = {
    "type": "object",
    "description": "Each event; its data is JSON.",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
}
_ID: Final = text_parameter("id", "path", required=True, minLength=1, maxLength=200)
_PREFER: Final = text_parameter(
    "Prefer", "header", description="`respond-async`: answered 202 at once, and the run goes on."
)
_KEY: Final = text_parameter(
    "Idempotency-Key", "header", description="The id of the run.", pattern="^[!-~]{1,200}$"
)


def add_runs(state: ServerState, document: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Adds what there is beside the flows.

    Args:
        state: Of the application.
        document: Is added to.
        inputs: Schemas of the inputs of those orchestrations that have a type.
    """
    paths: dict[str, Any] = document["paths"]
    accepted = {"202": content("It has begun", _JSON, _RUN)}
    for name in state.flows:
        run = paths[f"/orchestrations/{name}"]["post"]
        run["responses"].update(accepted)
        run.setdefault("parameters", []).append(_PREFER)
        paths[f"/orchestrations/{name}/picture"] = _picture(f"picture.{name}", f"Picture of {name}", name)
    for name in state.sagas:
        paths |= _saga(name, inputs.get(name, {}), accepted)
    paths |= _runs([*state.flows, *state.sagas])
    document["components"]["schemas"]["rxorch.Run"] = _RUN_SCHEMA


def _saga(name: str, schema: dict[str, Any], accepted: dict[str, Any]) -> dict[str, Any]:
    path = f"/orchestrations/{name}"
    answers = {"200": content("It is completed", _JSON, _RUN), **accepted}
    run = operation(f"run.{name}", f"Run {name}", answers, tag=name, parameters=[_PREFER, _KEY])
    run["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    about = {"200": content("Its steps", _JSON, {"type": "object"})}
    return {
        path: {"post": run},
        f"{path}/description": {"get": operation(f"describe.{name}", f"Describe {name}", about, tag=name)},
        f"{path}/picture": _picture(f"picture.{name}", f"Picture of {name}", name),
    }


def _runs(names: list[str]) -> dict[str, Any]:
    run = "/runs/{id}"
    pages = [
        text_parameter("flow", enum=names),
        {"name": "state", "in": "query", "schema": {"type": "array", "items": {"enum": _STATES}}},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
        text_parameter("after"),
    ]
    seen = {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    }
    shown, begun = {"200": content("The run", _JSON, _RUN)}, {"202": content("The run", _JSON, _RUN)}
    signal = _of_run("signal", "Tell a run of a saga something", {"200": content("Told", _JSON, _FIRST)})
    signal["requestBody"] = {"required": True, "content": {_JSON: {"schema": _SIGNAL}}}
    return {
        "/orchestrations": {"get": _listed("orchestrations", "All orchestrations", _MANY)},
        "/runs": {"get": _listed("runs", "Runs, the newest first", _PAGE, pages)},
        run: {"get": _of_run("run", "A run", shown)},
        f"{run}/events": {"get": _of_run("events", "What happens in a run", _events(), seen)},
        f"{run}/picture": _picture("run.picture", "A run as a picture", "runs", _ID),
        f"{run}/cancel": {"post": _of_run("cancel", "End a run, or have it undone", begun)},
        f"{run}/signal": {"post": signal},
        f"{run}/retry": {"post": _of_run("retry", "Go on with a dead letter", begun)},
        "/live": {"get": operation("live", "What the server does", _events(), tag="server")},
    }


def _listed(name: str, text: str, schema: dict[str, Any], query: Any = ()) -> dict[str, Any]:
    return operation(name, text, {"200": content(text, _JSON, schema)}, tag="runs", parameters=query)


def _of_run(name: str, text: str, answers: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    return operation(f"runs.{name}", text, answers, tag="runs", parameters=[_ID, *more])


def _events() -> dict[str, Any]:
    return {"200": content("Server-sent events", "text/event-stream", _EVENT)}


def _picture(name: str, text: str, tag: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    answers = {"200": content("A picture", "image/svg+xml", {"type": "string"})}
    return {"get": operation(name, text, answers, tag=tag, parameters=parameters)}
