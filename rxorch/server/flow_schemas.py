"""The JSON schemas of what flows take and give: those of their types, else of the models of endpoints."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic.json_schema import JsonSchemaMode

from rxorch.endpoint import APIEndpoint
from rxorch.orchestrator import APIOrchestrator
from rxorch.server.openapi_parts import REFERENCE
from rxorch.server.state import ServerState

__all__ = ["FlowSchemas"]

_Key = tuple[str, str, str]


class FlowSchemas:
    """The schemas of all flows of an application.

    Attributes:
        inputs: By flow; those that have no type are not there.
        results: By flow.
        models: What they refer to, by name.
    """

    def __init__(self, state: ServerState) -> None:
        given: list[tuple[_Key, JsonSchemaMode, TypeAdapter[Any]]] = []
        for flow, contract in state.contracts.items():
            if contract.input is not None:
                given.append(((flow, "input", ""), "validation", contract.input))
            if contract.output is not None:
                given.append(((flow, "output", ""), "serialization", contract.output))
        for flow, orchestrator in state.flows.items():
            given.extend(
                ((flow, "endpoint", each.name), "serialization", each.adapter)
                for each in orchestrator.flow.endpoints()
                if each.adapter is not None and _has_schema(each)
            )
        schemas, definitions = TypeAdapter.json_schemas(given, ref_template=REFERENCE)
        self._by_key = {key: schema for (key, _), schema in schemas.items()}
        self.models: dict[str, Any] = definitions.get("$defs", {})
        self.inputs = {key[0]: schema for key, schema in self._by_key.items() if key[1] == "input"}
        self.results = {flow: self._result(flow, orchestrator) for flow, orchestrator in state.flows.items()}

    def _result(self, flow: str, orchestrator: APIOrchestrator) -> dict[str, Any]:
        output = self._by_key.get((flow, "output", ""))
        if output is not None:
            return output
        config = orchestrator.config
        if config.result_merger is not None or config.result_transformer is not None:
            return {}
        names = [each.name for each in orchestrator.flow.endpoints()]
        known = {name: self._by_key.get((flow, "endpoint", name), {}) for name in names}
        properties = {
            name: {"anyOf": [schema, {"type": "null"}]} if schema else {} for name, schema in known.items()
        }
        return {"type": "object", "required": names, "properties": properties}

    def fields(self, flow: str) -> list[dict[str, Any]]:
        """The fields of the input of a flow, as query parameters."""
        schema = self.inputs.get(flow, {})
        while "$ref" in schema:
            schema = self.models[schema["$ref"].rpartition("/")[2]]
        required = schema.get("required", ())
        fields = [
            {"name": name, "in": "query", "required": name in required, "schema": each}
            for name, each in schema.get("properties", {}).items()
        ]
        for field in fields:
            if "description" in field["schema"]:
                field["description"] = field["schema"]["description"]
        return fields


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
