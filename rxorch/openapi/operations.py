"""The operations of a description: their names, urls, parameters and bodies. No types are made here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rxorch.endpoint.template import Template
from rxorch.errors import ApiConfigurationError
from rxorch.http.headers import FORBIDDEN_HEADERS, check_headers
from rxorch.openapi.document import Document, Raw
from rxorch.openapi.names import Names, endpoint_name, path_name, placeholder_name
from rxorch.openapi.parameters import Place, style_of
from rxorch.openapi.servers import Servers

__all__ = ["Operation", "ParameterPart", "operations_of"]

_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_PLACES: Final[tuple[Place, ...]] = ("path", "query", "header", "cookie")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")

_NOT_GIVEN: Final = FORBIDDEN_HEADERS | {"accept", "content-type", "authorization"}
"""Headers that are no parameters: OpenAPI says so of three, the transport sets the others."""


@dataclass(frozen=True, slots=True)
class ParameterPart:
    """A parameter as the description has it.

    Attributes:
        key: under which the data of a call has it.
        placeholder: in our templates.
    """

    name: str
    place: Place
    required: bool
    style: str
    explode: bool
    as_json: bool
    schema: Any
    key: str = ""
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: of its endpoint.
        method: in capitals.
        path: as the description has it.
        url: template with our placeholders.
        parameters: checked as to their form.
        body: of the request; None without one.
        raw: the operation as it was written.
        tags: of the operation.
        summary: one line, or nothing.
    """

    name: str
    method: str
    path: str
    url: str
    parameters: tuple[ParameterPart, ...]
    body: Raw | None
    raw: Raw
    tags: tuple[str, ...]
    summary: str

    @property
    def title(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


def operations_of(document: Document, servers: Servers) -> tuple[list[Operation], dict[str, str]]:
    """Return the operations, and for those that cannot be made the reason, by method and path."""
    made: list[Operation] = []
    skipped: dict[str, str] = {}
    names = Names()
    for method, path, item, raw in _entries(document):
        title = f"{method.upper()} {path}"
        try:
            operation = _operation(document, servers, method, path, item, raw)
        except ApiConfigurationError as error:
            skipped[title] = error.message
            continue
        made.append(replace(operation, name=names.free(operation.name)))
    return made, skipped


def _entries(document: Document) -> Iterator[tuple[str, str, Raw, Any]]:
    paths = document.raw.get("paths")
    for path, item in (paths or {}).items() if isinstance(paths, Mapping) else ():
        if not path.startswith("/"):  # an extension
            continue
        resolved = document.resolve(item)
        if isinstance(resolved, Mapping):
            for method, operation in resolved.items():
                if method in _METHODS:
                    yield method, path, resolved, operation


def _operation(
    document: Document, servers: Servers, method: str, path: str, item: Raw, raw: Any
) -> Operation:
    if method == "trace":
        raise ApiConfigurationError("TRACE echoes the request with its credentials and is not supported")
    _check_form(document, raw)
    parts = _parameters(document, item, raw, path)
    sent = path.partition("#")[0]  # a fragment is never sent: some put one there to have the same path twice
    placeholders = {part.name: part for part in parts if part.place == "path"}
    url = servers.url(raw, item) + _PLACEHOLDER.sub(
        lambda found: _written(placeholders[found.group(1)]), sent
    )
    Template(url)
    given = raw.get("operationId")
    name = endpoint_name(given) if isinstance(given, str) else ""
    body = document.resolve(raw.get("requestBody"))
    tags = raw.get("tags")
    return Operation(
        name=name or path_name(method, path),
        method=method.upper(),
        path=path,
        url=url,
        parameters=parts,
        body=body if isinstance(body, Mapping) and body.get("content") else None,
        raw=raw,
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        summary=_line(raw.get("summary")),
    )


def _line(text: Any) -> str:
    return " ".join(text.split()) if isinstance(text, str) else ""


def _written(part: ParameterPart) -> str:
    before = {"label": ".", "matrix": f";{part.name}="}.get(part.style, "")
    return f"{before}{{{part.placeholder}}}"


def _check_form(document: Document, raw: Any) -> None:
    """Let openapi-pydantic read the operation; schemas and answers are read with more patience."""
    from pydantic import ValidationError

    try:
        part = {**_without_schemas(raw), "responses": {}} if isinstance(raw, Mapping) else raw
        document.kinds.Operation.model_validate(part)
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
        raise ApiConfigurationError(f"not an operation of OpenAPI: {place or 'it is no mapping'}") from None


def _without_schemas(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            str(key): {} if key == "schema" else _without_schemas(child)
            for key, child in part.items()
            if key not in ("callbacks", "responses", "example", "examples")
        }
    return [_without_schemas(each) for each in part] if isinstance(part, list) else part


def _parameters(document: Document, item: Raw, raw: Raw, path: str) -> tuple[ParameterPart, ...]:
    """Those of the path item and of the operation, which win; in the order of places."""
    found: dict[tuple[str, str], ParameterPart] = {}
    in_path = list(dict.fromkeys(_PLACEHOLDER.findall(path)))
    for level in (item, raw):
        listed = level.get("parameters")
        for each in listed if isinstance(listed, list) else ():
            part = _part(document, document.resolve(each))
            if part is not None and (part.place != "path" or part.name in in_path):
                found[part.place, part.name] = part
    for name in in_path:  # some descriptions forget to declare one
        found.setdefault(
            ("path", name), ParameterPart(name, "path", True, "simple", False, False, {"type": "string"})
        )
    if any(place == "header" and name.lower() == "cookie" for place, name in found) and any(
        place == "cookie" for place, _ in found
    ):
        raise ApiConfigurationError("the header parameter Cookie stands beside parameters in cookies")
    ordered = sorted(found.values(), key=lambda part: _PLACES.index(part.place))
    return tuple(_named(ordered, has_body=raw.get("requestBody") is not None))


def _part(document: Document, raw: Any) -> ParameterPart | None:
    """One parameter; None for a header that is none."""
    if not isinstance(raw, Mapping) or raw.get("in") not in _PLACES or not isinstance(raw.get("name"), str):
        raise ApiConfigurationError("a parameter has no name, or no place that is known")
    name, place = raw["name"], raw["in"]
    if place == "header" and name.lower() in _NOT_GIVEN:
        return None
    if place == "header":
        check_headers({name: ""})
    if place == "cookie" and (not name.isascii() or not name.isprintable() or set(name) & set(' ",;=\\')):
        raise ApiConfigurationError("a cookie has a name that no cookie can have")
    style = style_of(place, raw.get("style"))
    content = raw.get("content")
    as_json = isinstance(content, Mapping) and bool(content)
    schema = raw.get("schema")
    if isinstance(content, Mapping) and content:
        first = next(iter(content.values()))
        schema = first.get("schema") if isinstance(first, Mapping) else None
    if style is None:
        raise ApiConfigurationError(f"the {place} parameter {name!r} has a style that is not known there")
    explode = raw.get("explode")
    explodes = explode if isinstance(explode, bool) else style in ("form", "deepObject")
    if (
        style == "matrix"
        and explodes
        and _kind(document, schema) not in ("string", "integer", "number", "boolean")
    ):
        raise ApiConfigurationError(
            f"the path parameter {name!r} is an exploded matrix, which is not supported"
        )
    required = raw.get("required") is True or place == "path"
    return ParameterPart(name, place, required, style, explodes, as_json, schema)


def _kind(document: Document, schema: Any) -> Any:
    resolved = document.resolve(schema)
    return resolved.get("type") if isinstance(resolved, Mapping) else None


def _named(parts: list[ParameterPart], *, has_body: bool) -> Iterator[ParameterPart]:
    """Give each its key and placeholder. Of two with one name, one becomes ``query_id``."""
    keys, placeholders = Names(), Names()
    taken = {"body"} if has_body else set()
    for reserved in ("content-type", "cookie"):
        placeholders.free(reserved)
    for part in parts:
        key = part.name if part.name not in taken else f"{part.place}_{part.name}"
        taken.add(key)
        yield replace(part, key=keys.free(key), placeholder=placeholders.free(placeholder_name(part.name)))
