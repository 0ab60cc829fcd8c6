"""The OpenAPI 3.1 description of the routes; the schemas of results are those of the endpoints' models."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from rxorch.endpoint import APIEndpoint
from rxorch.orchestrator import APIOrchestrator
from rxorch.server.describing import takes
from rxorch.server.problems import PROBLEM_JSON
from rxorch.server.state import ServerState

__all__ = ["openapi_document"]

_REFERENCE: Final = "#/components/schemas/{model}"
_OUTCOME: Final = {
    "type": "object",
    "required": ["status", "provenance", "attempts", "duration"],
    "properties": {
        "status": {"enum": ["ok", "failed", "skipped", "cancelled", "unknown"]},
        "provenance": {"enum": ["fresh", "cached", "fallback", "skipped", "missing"]},
        "attempts": {"type": "integer"},
        "duration": {"type": "number", "description": "Seconds."},
        "reason": {"type": "string"},
        "error": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string"}, "upstream_status": {"type": "integer"}},
        },
    },
}
_OUTCOMES: Final = {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Outcome"}}
_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "id": {"type": "string"},
        "outcomes": _OUTCOMES,
    },
}


def openapi_document(state: ServerState) -> dict[str, Any]:
    """The description, as plain values."""
    results, models = _results(state)
    paths: dict[str, Any] = {
        path: {"get": _operation(name, text, {"200": _content(text, kind, {})})}
        for path, name, text, kind in (
            ("/healthz", "healthz", "The process is alive", "text/plain"),
            ("/readyz", "readyz", "It takes requests", "text/plain"),
            ("/metrics", "metrics", "Figures for Prometheus", "text/plain"),
            ("/openapi.json", "openapi", "This description", "application/json"),
        )
    }
    for name, orchestrator in state.flows.items():
        paths |= _paths(state, name, orchestrator, results[name])
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Orchestrations", "version": "1"},
        "paths": paths,
        "components": {"schemas": {**models, "Outcome": _OUTCOME, "Problem": _PROBLEM}},
    }
    if state.token is not None:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            paths[path]["get"]["security"] = []
    return document


def _paths(
    state: ServerState, name: str, orchestrator: APIOrchestrator, result: dict[str, Any]
) -> dict[str, Any]:
    path = f"/orchestrations/{name}"
    answer = {
        "type": "object",
        "required": ["result", "outcomes", "duration"],
        "properties": {"result": result, "outcomes": _OUTCOMES, "duration": {"type": "number"}},
    }
    answers = {
        "200": _content("Nothing was lost", "application/json", answer),
        "206": _content("Some endpoints gave a value, others failed", "application/json", answer),
    }
    run = _operation(f"run.{name}", f"Run {name}", answers)
    run["requestBody"] = {"required": True, "content": {"application/json": {"schema": _input(orchestrator)}}}
    stream = _operation(
        f"stream.{name}",
        f"Run {name} for each line",
        {"200": _content("A record for each line, as they end", "application/x-ndjson", {})},
    )
    stream["requestBody"] = {"required": True, "content": {"application/x-ndjson": {"schema": {}}}}
    about = {"200": _content("What it calls and costs", "application/json", {"type": "object"})}
    operations: dict[str, Any] = {"post": run}
    if name in state.readable:
        operations["get"] = _operation(f"read.{name}", f"Read {name}", answers)
        operations["get"]["parameters"] = [
            {"name": key, "in": "query", "schema": {"type": "string"}} for key in takes(orchestrator)
        ]
    return {
        path: operations,
        f"{path}/description": {"get": _operation(f"describe.{name}", f"Describe {name}", about)},
        f"{path}/stream": {"post": stream},
    }


def _operation(name: str, summary: str, answers: dict[str, Any]) -> dict[str, Any]:
    problem = _content("A problem", PROBLEM_JSON, {"$ref": "#/components/schemas/Problem"})
    return {"operationId": name, "summary": summary, "responses": {**answers, "default": problem}}


def _content(text: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema}}}


def _input(orchestrator: APIOrchestrator) -> dict[str, Any]:
    keys = takes(orchestrator)
    return {"properties": {key: {} for key in keys}} if keys else {}


def _results(state: ServerState) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The schema of the result of each flow, and the models that they refer to."""
    adapters = {
        (flow, endpoint.name): endpoint.adapter
        for flow, orchestrator in state.flows.items()
        for endpoint in orchestrator.flow.endpoints()
        if endpoint.adapter is not None and _has_schema(endpoint)
    }
    schemas, definitions = TypeAdapter.json_schemas(
        [(key, "serialization", adapter) for key, adapter in adapters.items()], ref_template=_REFERENCE
    )
    results: dict[str, dict[str, Any]] = {}
    for flow, orchestrator in state.flows.items():
        config = orchestrator.config
        if config.result_merger is not None or config.result_transformer is not None:
            results[flow] = {}
            continue
        known = {
            each.name: schemas.get(((flow, each.name), "serialization"), {})
            for each in orchestrator.flow.endpoints()
        }
        properties = {
            name: {"anyOf": [schema, {"type": "null"}]} if schema else {} for name, schema in known.items()
        }
        results[flow] = {"type": "object", "required": list(known), "properties": properties}
    return results, definitions.get("$defs", {})


def _has_schema(endpoint: APIEndpoint) -> bool:
    """Whether the model is the type of the value, and JSON Schema can say it."""
    changed = endpoint.transform_output is not None or endpoint.error_handler is not None
    if changed or endpoint.each or endpoint.stream is not None:
        return False
    try:
        assert endpoint.adapter is not None
        endpoint.adapter.json_schema(mode="serialization")
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return False
    return True
