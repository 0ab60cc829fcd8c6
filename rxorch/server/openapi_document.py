"""The OpenAPI 3.1 description of the routes, made of the flows and their types."""

from __future__ import annotations

from typing import Any

from rxorch.orchestrator import APIOrchestrator
from rxorch.server.describing import takes
from rxorch.server.flow_schemas import FlowSchemas
from rxorch.server.openapi_parts import OUTCOMES, SCHEMAS, content, operation, text_parameter
from rxorch.server.openapi_runs import add_runs
from rxorch.server.state import ServerState

__all__ = ["openapi_document"]

_SERVER = "server"


def openapi_document(state: ServerState) -> dict[str, Any]:
    """The description, as plain values."""
    schemas = FlowSchemas(state)
    paths: dict[str, Any] = {
        path: {"get": operation(name, text, {"200": content(text, kind, schema)}, tag=_SERVER)}
        for path, name, text, kind, schema in (
            ("/healthz", "healthz", "The process is alive", "text/plain", {"type": "string"}),
            ("/readyz", "readyz", "It takes requests", "text/plain", {"type": "string"}),
            ("/metrics", "metrics", "Figures for Prometheus", "text/plain", {"type": "string"}),
            ("/openapi.json", "openapi", "This description", "application/json", {"type": "object"}),
        )
    }
    for name, orchestrator in state.flows.items():
        paths |= _paths(state, name, orchestrator, schemas)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Orchestrations", "version": "1"},
        "paths": paths,
        "components": {"schemas": {**schemas.models, **SCHEMAS}},
    }
    if state.token is not None:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            paths[path]["get"]["security"] = []
    add_runs(state, document, schemas.inputs)
    return document


def _paths(
    state: ServerState, name: str, orchestrator: APIOrchestrator, schemas: FlowSchemas
) -> dict[str, Any]:
    path = f"/orchestrations/{name}"
    answer = {
        "type": "object",
        "required": ["result", "outcomes", "duration"],
        "properties": {
            "result": schemas.results[name],
            "outcomes": OUTCOMES,
            "duration": {"type": "number", "description": "Seconds."},
        },
    }
    answers = {
        "200": content("Nothing was lost", "application/json", answer),
        "206": content("Some endpoints gave a value, others failed", "application/json", answer),
    }
    run = operation(f"run.{name}", f"Run {name}", answers, tag=name)
    run["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": schemas.inputs.get(name) or _input(orchestrator)}},
    }
    operations: dict[str, Any] = {"post": run}
    if name in state.readable:
        fields = schemas.fields(name) or [text_parameter(key) for key in takes(orchestrator)]
        operations["get"] = operation(f"read.{name}", f"Read {name}", answers, tag=name, parameters=fields)
    about = {"200": content("What it calls and costs", "application/json", {"type": "object"})}
    return {
        path: operations,
        f"{path}/description": {"get": operation(f"describe.{name}", f"Describe {name}", about, tag=name)},
        f"{path}/stream": {"post": _stream(name, schemas.inputs.get(name) or _input(orchestrator), answer)},
    }


def _stream(name: str, line: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    kind = "application/x-ndjson"
    record = {
        "type": "object",
        "properties": {
            "index": {"type": "integer"},
            "status": {"type": "integer"},
            **answer["properties"],
            "problem": {"$ref": "#/components/schemas/rxorch.Problem"},
        },
    }
    # OpenAPI has schemas for the lines of a text from 3.2 on (`itemSchema`).
    records = content("A record for each line, as they end", kind, {})
    records["content"][kind]["x-itemSchema"] = record
    stream = operation(f"stream.{name}", f"Run {name} for each line", {"200": records}, tag=name)
    stream["requestBody"] = {
        "required": True,
        "content": {kind: {"schema": {}, "x-itemSchema": line}},
    }
    return stream


def _input(orchestrator: APIOrchestrator) -> dict[str, Any]:
    """What templates say of the input of a flow without a type; some may be filled from elsewhere."""
    keys = takes(orchestrator)
    return {"properties": {key: {} for key in keys}} if keys else {}
