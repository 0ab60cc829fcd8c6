"""What the OpenAPI description is made of: operations, contents, and the schemas that all of them share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rxorch.server.problems import PROBLEM_JSON

__all__ = ["OUTCOMES", "REFERENCE", "SCHEMAS", "content", "operation", "text_parameter"]

REFERENCE: Final = "#/components/schemas/{model}"
_OUTCOME: Final = {
    "type": "object",
    "description": "How one endpoint ended, and where its value comes from.",
    "required": ["status", "provenance", "attempts", "duration"],
    "properties": {
        "status": {"enum": ["ok", "failed", "skipped", "cancelled", "unknown"]},
        "provenance": {"enum": ["fresh", "cached", "stale", "fallback", "skipped", "missing"]},
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
OUTCOMES: Final = {
    "type": "object",
    "description": "By the name of the endpoint.",
    "additionalProperties": {"$ref": REFERENCE.format(model="rxorch.Outcome")},
}
_PROBLEM: Final = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "id": {"type": "string", "description": "In the log of the server too."},
        "outcomes": OUTCOMES,
        "errors": {
            "type": "array",
            "description": "What is wrong with the input, by field.",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
    },
}
SCHEMAS: Final = {"rxorch.Outcome": _OUTCOME, "rxorch.Problem": _PROBLEM}
"""The shared schemas. No class has a name with a dot, so that no model of a user is in their place."""


def operation(
    name: str, summary: str, answers: dict[str, Any], *, tag: str, parameters: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """An operation; what its answers leave out is answered by a problem.

    Args:
        name: Unique among all operations.
        summary: In one line.
        answers: By status.
        tag: With what it stands on a page.
        parameters: Of path and query.
    """
    problem = content("A problem", PROBLEM_JSON, {"$ref": REFERENCE.format(model="rxorch.Problem")})
    made: dict[str, Any] = {"operationId": name, "summary": summary, "tags": [tag]}
    if parameters := list(parameters):
        made["parameters"] = parameters
    return {**made, "responses": {**answers, "default": problem}}


def content(text: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An answer of a media type; `text` describes it."""
    return {"description": text, "content": {kind: {"schema": schema}}}


def text_parameter(
    name: str, place: str = "query", *, required: bool = False, **schema: Any
) -> dict[str, Any]:
    """A parameter that is a text, with further keywords of its schema."""
    return {"name": name, "in": place, "required": required, "schema": {"type": "string", **schema}}
