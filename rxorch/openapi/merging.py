"""``allOf``: several schemas that hold at once, made one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rxorch.openapi.document import Document, Raw

__all__ = ["ANNOTATIONS", "merge_all", "without"]

ANNOTATIONS: Final = frozenset(
    {
        "title",
        "description",
        "example",
        "examples",
        "deprecated",
        "externalDocs",
        "xml",
        "$comment",
        "summary",
    }
)
"""What says something about a schema and restricts nothing."""

_LOWEST: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_HIGHEST: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UNIONS: Final = ("oneOf", "anyOf")


def without(schema: Raw, *keys: str) -> dict[str, Any]:
    """Return a copy of a schema that lacks some keywords."""
    return {key: value for key, value in schema.items() if key not in keys}


def merge_all(document: Document, schema: Raw) -> dict[str, Any]:
    """Return one schema for a schema with ``allOf``, or with a reference and more beside it.

    Properties are those of all parts; one that several parts have must satisfy all of them. Where several
    parts are unions, the first one counts. The discriminator of a part is left out: this schema is what it
    chose.

    Args:
        document: what references lead into.
        schema: the schema; parts that are merged into themselves are left out.
    """
    merged: dict[str, Any] = {}
    parts = list(_parts(document, schema, set()))
    for part in parts:
        for key, value in part.items():
            if key not in merged:
                merged[key] = dict(value) if key == "properties" and isinstance(value, Mapping) else value
            elif merged[key] != value:
                merged[key] = _both(key, merged[key], value)
    unions = [key for key in _UNIONS if key in merged]
    for key in unions[1:]:
        del merged[key]
    if sum("properties" in part for part in parts) > 1:
        merged.pop("additionalProperties", None)  # read to the letter, no object would satisfy such parts
    return merged


def _parts(document: Document, schema: Any, taken: set[int]) -> Iterator[Raw]:
    """The parts that hold at once, none of which has ``allOf`` or a reference.

    Each is taken once: what holds twice says no more, and a chain of schemas that each refer to the next one
    twice would have millions of parts.
    """
    if not isinstance(schema, Mapping) or id(schema) in taken:
        return
    taken.add(id(schema))
    if isinstance(schema.get("$ref"), str):
        target = document.resolve(schema)
        if isinstance(target, Mapping):
            for part in _parts(document, target, taken):
                yield without(part, "discriminator", *ANNOTATIONS)
    together = schema.get("allOf")
    for each in together if isinstance(together, list) else ():
        for part in _parts(document, each, taken):
            yield without(part, "discriminator")
    own = without(schema, "$ref", "allOf")
    if own:
        yield own


def _both(key: str, first: Any, second: Any) -> Any:
    """The value of a keyword when two parts have it."""
    if key == "properties" and isinstance(first, Mapping) and isinstance(second, Mapping):
        return {
            name: {"allOf": [first[name], second[name]]}
            if name in first and name in second and first[name] != second[name]
            else first.get(name, second.get(name))
            for name in {**first, **second}
        }
    if key == "required" and isinstance(first, list) and isinstance(second, list):
        return [*first, *(name for name in second if name not in first)]
    if key == "enum" and isinstance(first, list) and isinstance(second, list):
        return [value for value in first if value in second] or second
    if key == "type":
        return _common_type(first, second)
    if key in _LOWEST | _HIGHEST and isinstance(first, int | float) and isinstance(second, int | float):
        return min(first, second) if key in _LOWEST else max(first, second)
    if key == "nullable":
        return first is True and second is True
    return second if key not in _UNIONS else first


def _common_type(first: Any, second: Any) -> Any:
    a = first if isinstance(first, list) else [first]
    b = second if isinstance(second, list) else [second]
    common = [kind for kind in a if kind in b]
    if not common:
        # An integer is a number. Where nothing fits both, the later part is believed.
        common = ["integer"] if ["integer"] in (a, b) and ["number"] in (a, b) else b
    return common[0] if len(common) == 1 else common
