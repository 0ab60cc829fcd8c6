"""What an operation answers: the type of its value, and the media types that it may be asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Optional

from rxorch.openapi.bodies import is_json
from rxorch.openapi.choices import Choice
from rxorch.openapi.document import Raw
from rxorch.openapi.schemas import SchemaTypes

__all__ = ["accept_of", "answer_type"]


def answer_type(types: SchemaTypes, operation: Raw, name: str) -> Any:
    """Return the type of the value of an operation; None where no success has JSON.

    Several successes with JSON make a union; one without a body makes None possible.

    Args:
        types: makes the types.
        operation: as it was written.
        name: what a model without a name is called.
    """
    kinds: list[Any] = []
    seen: list[Any] = []
    may_be_empty = False
    for response in _successes(types, operation):
        content = response.get("content")
        if not isinstance(content, Mapping) or not content:
            may_be_empty = True
            continue
        schema = _json_schema(content)
        if schema is None:
            return None  # it may come as text or bytes too: nothing can be promised
        if schema not in seen:
            seen.append(schema)
            kinds.append(_named_or_made(types, schema, name))
    if not kinds or Any in kinds:
        return None
    kind = kinds[0] if len(kinds) == 1 else Annotated[Any, Choice(kinds)]
    return Optional[kind] if may_be_empty else kind  # noqa: UP045 - kind may be an Annotated


def accept_of(types: SchemaTypes, operation: Raw) -> str | None:
    """Return the Accept header for an operation that does not answer with plain JSON; None for all others."""
    offered: dict[str, None] = {}
    for response in _successes(types, operation):
        content = response.get("content")
        offered.update(dict.fromkeys(content if isinstance(content, Mapping) else ()))
    plain = {media.partition(";")[0].strip().lower() for media in offered}
    if not offered or "application/json" in plain or any("*" in media for media in plain):
        return None
    return ", ".join(sorted(offered, key=lambda media: not is_json(media)))


def _successes(types: SchemaTypes, operation: Raw) -> Iterator[Raw]:
    responses = operation.get("responses")
    for status, response in responses.items() if isinstance(responses, Mapping) else ():
        resolved = types.document.resolve(response)
        if str(status).startswith("2") and isinstance(resolved, Mapping):
            yield resolved


def _json_schema(content: Raw) -> Any:
    """The schema of JSON in an answer; None where there is none, or where it may not be JSON."""
    for media_type, media in content.items():
        if isinstance(media, Mapping) and "schema" in media and (is_json(media_type) or media_type == "*/*"):
            return media["schema"]
    return None


def _named_or_made(types: SchemaTypes, schema: Any, name: str) -> Any:
    if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        return types.named(schema["$ref"], "response")
    return types.type_of(schema, "response", name)
