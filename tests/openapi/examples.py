"""Example values for schemas, made of the schema alone: what the importer makes of it is not asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from rxorch.openapi.operations import Operation

__all__ = ["Examples", "NoExample"]

_FORMATS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "uuid": "0b7d8f0e-6c5a-4a57-9b1e-3d8f2c6a4e11",
    "email": "ada@example.com",
    "uri": "https://example.com/a",
    "url": "https://example.com/a",
    "ipv4": "192.0.2.1",
    "byte": "aGk=",
}
_DEEPEST = 12


class NoExample(Exception):
    """There is no simple value that fits."""


class Examples:
    """Makes the smallest values that fit schemas: only what is required, the first of several."""

    def __init__(self, raw: Mapping[str, Any], *, sent: bool = True) -> None:
        self.raw = raw
        self.left_out = "readOnly" if sent else "writeOnly"

    def data(self, operation: Operation, *, everything: bool = False) -> Any:
        """Data for a call: what is required, or everything that is not too deep."""
        values = {
            part.key: self.value(part.schema)
            or ({"x": "y"} if part.place == "path" else self.value(part.schema))
            for part in operation.parameters
            if part.required or everything
        }
        body = operation.body
        if body is None or not (body.get("required") or everything):
            return values if operation.parameters else None
        content = body["content"]
        media = next(m for m in ("application/json", *content) if m in content)
        schema = (content[media] or {}).get("schema")
        text = not re.search(r"json|form", media)
        value: Any = "text" if text else self.value(schema)
        return {**values, "body": value} if values or operation.parameters else value

    def answers(self, operation: Operation) -> Iterator[Any]:
        """A value for each success that has JSON."""
        for status, response in (operation.raw.get("responses") or {}).items():
            content = self.resolve(response).get("content") or {} if str(status).startswith("2") else {}
            media = next((each for name, each in content.items() if "json" in name), {})
            if "schema" in media:
                yield self.value(media["schema"])

    def resolve(self, schema: Any) -> Any:
        while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
            found: Any = self.raw
            for key in schema["$ref"][2:].split("/"):
                key = unquote(key.replace("~1", "/").replace("~0", "~"))
                found = found[int(key)] if isinstance(found, list) else found[key]
            schema = found
        return schema

    def value(self, schema: Any, depth: int = 0) -> Any:
        schema = self.resolve(schema)
        if depth > _DEEPEST:
            raise NoExample("too deep")
        if not isinstance(schema, Mapping):
            return "x"
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        if schema.get("allOf"):
            return self.all_of(schema, depth)
        for key in ("oneOf", "anyOf"):
            if schema.get(key):
                return self.one_of(schema, key, depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        return self.by_type(kind, schema, depth)

    def all_of(self, schema: Mapping[str, Any], depth: int) -> Any:
        parts = list(self.flat(schema, depth))
        union = next((key for part in parts for key in ("oneOf", "anyOf") if part.get(key)), None)
        if union is not None:
            base = [{key: each for key, each in part.items() if key != union} for part in parts]
            options = next(part[union] for part in parts if part.get(union))
            return self.first_of([{"allOf": [*base, option]} for option in options], depth)
        kinds = {json.dumps(part["type"]) for part in parts if "type" in part}
        if len(kinds) > 1:
            raise NoExample("several types at once")
        merged: dict[str, Any] = {}
        for part in parts:
            merged |= {key: each for key, each in part.items() if key not in ("properties", "required")}
        properties: dict[str, Any] = {}
        for part in parts:
            for name, each in (part.get("properties") or {}).items():
                properties[name] = {"allOf": [properties[name], each]} if name in properties else each
        if properties:
            merged["properties"] = properties
        required = [name for part in parts for name in part.get("required") or ()]
        return self.value({**merged, "required": required} if required else merged, depth + 1)

    def flat(self, schema: Any, depth: int) -> Iterator[Mapping[str, Any]]:
        """The parts of a schema that hold at once."""
        schema = self.resolve(schema)
        if depth > _DEEPEST:
            raise NoExample("too deep")
        if not isinstance(schema, Mapping):
            return
        for part in schema.get("allOf") or ():
            yield from self.flat(part, depth + 1)
        yield {key: each for key, each in schema.items() if key != "allOf"}

    def one_of(self, schema: Mapping[str, Any], key: str, depth: int) -> Any:
        rest = {name: each for name, each in schema.items() if name != key}
        return self.first_of([{"allOf": [rest, option]} for option in schema[key]], depth)

    def first_of(self, options: list[Any], depth: int) -> Any:
        for option in options:
            try:
                value = self.value(option, depth + 1)
            except NoExample:
                continue
            if value is not None:
                return value
        raise NoExample("no option")

    def by_type(self, kind: Any, schema: Mapping[str, Any], depth: int) -> Any:
        if kind == "object" or (kind is None and ("properties" in schema or "required" in schema)):
            required = schema.get("required") or ()
            properties = schema.get("properties") or {}
            return {
                name: self.value(properties.get(name, True), depth + 1)
                for name in required
                if not (self.resolve(properties.get(name)) or {}).get(self.left_out)
            }
        if kind == "array" or (kind is None and "items" in schema):
            return [self.value(schema.get("items"), depth + 1)] * max(1, schema.get("minItems") or 1)
        if kind in ("integer", "number"):
            return self.number(schema)
        if kind == "boolean":
            return True
        if kind == "null":
            return None
        return self.text(schema)

    def number(self, schema: Mapping[str, Any]) -> Any:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        step = schema.get("multipleOf") or 1
        if isinstance(low, int | float) and not isinstance(low, bool):
            high = schema.get("maximum", low + 1)
            whole = -(-low // step) * step  # the first step that is not below
            return min(high, whole if whole > low or "minimum" in schema else whole + step)
        high = schema.get("maximum")
        return min(high, step) if isinstance(high, int | float) else step

    def text(self, schema: Mapping[str, Any]) -> Any:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        least, most = schema.get("minLength") or 1, schema.get("maxLength") or 10_000
        pattern = schema.get("pattern")
        hexadecimal = re.fullmatch(r"\^?(\w*:?)\[[\w-]+\]\{(\d+)\}\$?", pattern or "")
        candidates = [hexadecimal[1] + "0" * int(hexadecimal[2])] if hexadecimal else []
        candidates += ["a" * least, "1" * least, *map(str, (schema.get("example"), schema.get("default")))]
        candidates += [
            "A" * least,
            "a1",
            "1.0",
            "1.0.0",
            "en",
            "EN",
            "USD",
            "2026-01-31",
            "https://example.com/a",
            "+4912345678",
            "pets/a",
            "a:b:c",
        ]
        for text in candidates:
            if least <= len(text) <= most and (pattern is None or _fits(pattern, text)):
                return text
        raise NoExample(f"pattern {pattern}")


def _fits(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True
