"""``EndpointSet``: the endpoints of a description by name, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from rxorch.endpoint.model import APIEndpoint
from rxorch.openapi.building import EndpointMaker
from rxorch.openapi.directions import Direction
from rxorch.openapi.document import Document, not_too_deep
from rxorch.openapi.operations import Operation
from rxorch.openapi.schemas import SchemaTypes
from rxorch.openapi.security import SecurityScheme
from rxorch.openapi.type_source import TypeSource
from rxorch.showing import Shown

__all__ = ["EndpointSet"]

_MOST_TEXT: Final = 500
"""Most characters of a type that is shown."""


class EndpointSet(Mapping[str, APIEndpoint], Shown):
    """Endpoints by name, read-only. Made by ``endpoints_from_openapi``.

    An endpoint and its types are made when it is first asked for, so that a description of a thousand
    operations costs little where a few are called.

    Attributes:
        title: of the API.
        models: names of the schemas in the description to types: of what comes back.
        input_models: the same for what is sent; other types only where the schema differs between the two.
        security: names of the security schemes to what they are.
        skipped: method and path of each operation that could not be made, to the reason.
        operations: names of endpoints to what the description says of them.
    """

    _cards: ClassVar[str] = "rxorch.openapi.cards"

    def __init__(
        self,
        document: Document,
        maker: EndpointMaker,
        types: SchemaTypes,
        operations: Mapping[str, Operation],
        skipped: Mapping[str, str],
        security: Mapping[str, SecurityScheme],
    ) -> None:
        self._maker = maker
        self._made: dict[str, APIEndpoint] = {}
        info = document.raw.get("info")
        self.title = str(info.get("title", "")) if isinstance(info, Mapping) else ""
        self.operations = dict(operations)
        self.skipped = dict(skipped)
        self.security = dict(security)
        self.models: Mapping[str, Any] = _Models(document, types, "response")
        self.input_models: Mapping[str, Any] = _Models(document, types, "request")

    def __getitem__(self, name: str) -> APIEndpoint:
        if name not in self._made:
            self._made[name] = self._maker.endpoint(self.operations[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def __contains__(self, name: object) -> bool:
        return name in self.operations

    def adapted(self, name: str, transform_input: Callable[..., Any], /, **changes: Any) -> APIEndpoint:
        """Return an endpoint whose data a function makes, ahead of the checks: for a place in an
        orchestration.

        Args:
            name: of the endpoint.
            transform_input: from the data (and the context, with two parameters) to the data of the
                operation.
            changes: other fields of the endpoint: ``name``, ``depends_on``, ``retry_count`` ...

        Raises:
            KeyError: there is no such endpoint.
            pydantic.ValidationError: a field is wrong.

        Example:
            >>> from rxorch.openapi import endpoints_from_openapi
            >>> paths = {"/orders/{id}": {"get": {"operationId": "get_order", "responses": {}}}}
            >>> endpoints = endpoints_from_openapi(
            ...     {"openapi": "3.1.0", "paths": paths}, server="https://api.example.com"
            ... )
            >>> order = endpoints.adapted("get_order", lambda data: {"id": data["cart"]["id"]}, retry_count=5)
            >>> order.max_attempts
            6
        """
        operation = self.operations[name]
        operation = replace(operation, name=changes.pop("name", operation.name))
        return self._maker.endpoint(operation, before=transform_input).model_copy(update=changes)

    def takes(self, name: str) -> dict[str, Any]:
        """Return what the data of a call may have: keys to types, the body under ``body``.

        Args:
            name: of the endpoint.
        """
        operation = self.operations[name]
        with not_too_deep():
            kinds = {each.key: each.kind for each in self._maker.parameters(operation)}
            body = self._maker.body(operation)
            return kinds if body is None else {**kinds, "body": body.kind}

    def keys_of(self, name: str) -> list[str]:
        """Return the keys that the data of a call may have; those that may be left out end with ``?``."""
        operation = self.operations[name]
        keys = [part.key if part.required else f"{part.key}?" for part in operation.parameters]
        if operation.body is not None:
            keys.append("body" if operation.body.get("required") is True else "body?")
        return keys

    def answer(self, name: str) -> str:
        """Return the type of what an operation answers, as text; nothing where it is not known.

        Of a long one, the beginning.
        """
        with not_too_deep():
            kind = self._maker.answer(self.operations[name])
            text = "" if kind is None else TypeSource(()).text(kind)
        return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."

    def source(self, name: str = "") -> str:
        """Return the source of a Python module that declares these endpoints and their models.

        Args:
            name: of the file that the description came from, for the docstring of the module.
        """
        from rxorch.openapi.module_source import module_source

        with not_too_deep():
            return module_source(self.operations.values(), self._maker, title=self.title, source=name)

    def __repr__(self) -> str:
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"<EndpointSet {self.title!r}: {len(self)} endpoints{skipped}>"


class _Models(Mapping[str, Any]):
    """The types of the schemas of a description, each made when it is asked for."""

    def __init__(self, document: Document, types: SchemaTypes, direction: Direction) -> None:
        self._schemas = document.components("schemas")
        self._types = types
        self._direction = direction

    def __getitem__(self, name: str) -> Any:
        if name not in self._schemas:
            raise KeyError(name)
        written = name.replace("~", "~0").replace("/", "~1")
        with not_too_deep(f"the schema {name!r}"):
            return self._types.named(f"#/components/schemas/{written}", self._direction)

    def __iter__(self) -> Iterator[str]:
        return iter(self._schemas)

    def __len__(self) -> int:
        return len(self._schemas)

    def __repr__(self) -> str:
        return f"<{len(self)} models>"
