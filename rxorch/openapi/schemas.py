"""``SchemaTypes``: from the schemas of a description to types of pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Optional, Union

from rxorch.openapi.choices import Choice, Discriminator, Later
from rxorch.openapi.directions import Direction, Directions
from rxorch.openapi.document import Document, Raw
from rxorch.openapi.merging import ANNOTATIONS, merge_all, without
from rxorch.openapi.names import Names, class_name
from rxorch.openapi.objects import model_of
from rxorch.openapi.scalars import constant_type, limited, number_type, text_type

__all__ = ["SchemaTypes"]

_SCALARS: Final = frozenset({"string", "integer", "number", "boolean", "null"})
_BESIDE: Final = frozenset(
    {*ANNOTATIONS, "$ref", "default", "readOnly", "writeOnly", "nullable", "deprecated"}
)


class SchemaTypes:
    """Makes types of schemas, each component once for each direction that it differs in.

    Read are: types, ``nullable``, ``enum``, ``const``, formats, limits, patterns, ``properties`` and
        ``required``,
    ``items``, ``additionalProperties``, ``allOf``, ``oneOf``, ``anyOf``, ``discriminator``, ``default``,
    ``readOnly`` and ``writeOnly``. Not checked are: ``not``, ``if``, ``uniqueItems``, ``contains``,
    ``prefixItems``, ``patternProperties``, ``propertyNames`` and what depends on other properties.

    Args:
        document: the description.

    Example:
        >>> document = Document({"openapi": "3.1.0"})
        >>> SchemaTypes(document).type_of(
        ...     {"type": ["array", "null"], "items": {"type": "integer"}}, "response", "x"
        ... )
        typing.Optional[list[int]]
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._directions = Directions(document)
        self._named: dict[tuple[str, Direction], Any] = {}
        self._merged: dict[tuple[int, Direction], tuple[Raw, Later]] = {}
        self._names = Names()

    def type_of(self, schema: Any, direction: Direction, name: str) -> Any:
        """Return the type of a schema.

        Args:
            schema: as it stands in the description.
            direction: whether values are sent (``"request"``) or come back (``"response"``).
            name: what a model is called when the schema makes one and has no name of its own.
        """
        if not isinstance(schema, Mapping):
            return Any
        if isinstance(schema.get("$ref"), str):
            if self.document.is_3_0 or not set(schema) - _BESIDE:
                return self._or_null(schema, self._referred(schema["$ref"], direction))
            return self.type_of(merge_all(self.document, schema), direction, name)
        if isinstance(schema.get("allOf"), list):
            return self._all_of(schema, direction, name)
        return self._or_null(schema, self._simple(schema, direction, name))

    def named(self, reference: str, direction: Direction) -> Any:
        """Return the type that a reference leads to."""
        if direction == "request" and not self._directions.differs(reference):
            direction = "response"
        key = (reference, direction)
        if key not in self._named:
            schema = self.document.at(reference)
            name = class_name(reference.rpartition("/")[2]) + ("Input" if direction == "request" else "")
            self._named[key] = self._polymorphic(schema, direction, name) or self.type_of(
                schema, direction, name
            )
        return self._named[key]

    def _referred(self, reference: str, direction: Direction) -> Any:
        schema = self.document.resolve({"$ref": reference})
        if _is_scalar(schema):
            return self.named(reference, direction)
        title = class_name(reference.rpartition("/")[2])
        return Annotated[Any, Later(title, lambda: self.named(reference, direction))]

    def _all_of(self, schema: Raw, direction: Direction, name: str) -> Any:
        if _says_more(schema):
            return self._or_null(schema, self.type_of(schema["allOf"][0], direction, name))
        return self.type_of(merge_all(self.document, schema), direction, name)

    def _nested(self, schema: Any, direction: Direction, name: str) -> Any:
        """The type of a schema inside another one.

        Where schemas are merged it is made later, like that of a reference: merged again and again, a schema
            that
        has itself in one of its properties would never come to an end.
        """
        if isinstance(schema, Mapping) and isinstance(schema.get("allOf"), list) and not _says_more(schema):
            key = (id(schema), direction)
            if key not in self._merged:  # with the schema, so that nothing else is given its id
                later = Later(class_name(name), lambda: self.type_of(schema, direction, name))
                self._merged[key] = schema, later
            return Annotated[Any, self._merged[key][1]]
        return self.type_of(schema, direction, name)

    def _or_null(self, schema: Raw, kind: Any) -> Any:
        return Optional[kind] if schema.get("nullable") is True else kind  # noqa: UP045 - kind may be an Annotated

    def _simple(self, schema: Raw, direction: Direction, name: str) -> Any:
        if "const" in schema:
            return constant_type([schema["const"]])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return constant_type(schema["enum"])
        for key in ("oneOf", "anyOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                return self._union(schema, key, direction, name)
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return _union_of([self._by_type(kind, schema, direction, name) for kind in kinds])
        return self._by_type(kinds, schema, direction, name)

    def _by_type(self, kind: Any, schema: Raw, direction: Direction, name: str) -> Any:
        if kind == "string":
            return text_type(schema)
        if kind in ("integer", "number"):
            return number_type(schema, whole=kind == "integer")
        if kind == "boolean":
            return bool
        if kind == "null":
            return None
        if kind == "array" or (kind is None and "items" in schema):
            return self._array(schema, direction, name)
        if kind == "object" or "properties" in schema or "additionalProperties" in schema:
            return self._object(schema, direction, name)
        return Any

    def _array(self, schema: Raw, direction: Direction, name: str) -> Any:
        item = self._nested(schema.get("items"), direction, f"{name}Item")
        kind: Any = list
        return _sized(kind[item], schema, "minItems", "maxItems")

    def _object(self, schema: Raw, direction: Direction, name: str) -> Any:
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and properties:
            return model_of(
                schema, direction, self._names.free(class_name(name)), self._nested, self.document
            )
        more = schema.get("additionalProperties")
        values: Any = self._nested(more, direction, f"{name}Value")
        kind: Any = dict
        return _sized(kind[str, values], schema, "minProperties", "maxProperties")

    def _union(self, schema: Raw, key: str, direction: Direction, name: str) -> Any:
        base = without(schema, "oneOf", "anyOf", "nullable", *ANNOTATIONS)
        options = schema[key]
        if all(
            isinstance(each, Mapping) and not set(each) - ANNOTATIONS - {"required", "not"}
            for each in options
        ):
            return self._simple(base, direction, name)  # says which properties go together: not checked
        if "properties" in base or "required" in base:
            base.pop("discriminator", None)
            options = [{"allOf": [base, each]} for each in options]
        made = [self._nested(each, direction, f"{name}Option{i}") for i, each in enumerate(options, 1)]
        return _union_of(made, self._discriminator(schema, schema[key]))

    def _discriminator(self, schema: Raw, options: list[Any]) -> Discriminator | None:
        given = schema.get("discriminator")
        if not isinstance(given, Mapping) or not isinstance(given.get("propertyName"), str):
            return None
        references = [each.get("$ref") if isinstance(each, Mapping) else None for each in options]
        positions = {name: i for i, name in enumerate(references) if isinstance(name, str)}
        kinds = {reference.rpartition("/")[2]: i for reference, i in positions.items()}
        for tag, target in _mapping(given).items():
            position = positions.get(target, kinds.get(target))
            if position is not None:
                kinds[tag] = position
        return Discriminator(given["propertyName"], kinds)

    def _polymorphic(self, schema: Any, direction: Direction, name: str) -> Any:
        """The type of a parent whose discriminator names its children: one of them, else itself."""
        given = schema.get("discriminator") if isinstance(schema, Mapping) else None
        if not isinstance(given, Mapping) or "oneOf" in schema or "anyOf" in schema:
            return None
        children = [
            (tag, target)
            for tag, target in _mapping(given).items()
            if target.startswith("#") and self._is_other(target, schema)
        ]
        if not children or not isinstance(given.get("propertyName"), str):
            return None
        parent = self.type_of(without(schema, "discriminator"), direction, name)
        kinds = [self._referred(target, direction) for _, target in children]
        discriminator = Discriminator(
            given["propertyName"], {tag: i for i, (tag, _) in enumerate(children)}, len(children)
        )
        return Annotated[Any, Choice([*kinds, parent], discriminator)]

    def _is_other(self, reference: str, schema: Raw) -> bool:
        return self.document.resolve({"$ref": reference}) is not schema


def _says_more(schema: Raw) -> bool:
    """Whether ``allOf`` holds one reference, as is done to give it a description of its own."""
    return len(schema["allOf"]) == 1 and not set(schema) - _BESIDE - {"allOf"}


def _is_scalar(schema: Any) -> bool:
    composed = ("allOf", "oneOf", "anyOf")
    return (
        isinstance(schema, Mapping)
        and isinstance(schema.get("type"), str)
        and schema["type"] in _SCALARS
        and not any(key in schema for key in composed)
    )


def _mapping(discriminator: Raw) -> dict[str, str]:
    given = discriminator.get("mapping")
    return {str(k): v for k, v in given.items() if isinstance(v, str)} if isinstance(given, Mapping) else {}


def _sized(kind: Any, schema: Raw, least: str, most: str) -> Any:
    limits = {"min_length": schema.get(least), "max_length": schema.get(most)}
    given: dict[str, Any] = {key: value for key, value in limits.items() if type(value) is int and value >= 0}
    return limited(kind, **given)


def _union_of(kinds: list[Any], discriminator: Discriminator | None = None) -> Any:
    """The union of types; where pydantic's own decides well, that."""
    if not kinds:
        return Any
    some = [kind for kind in kinds if kind is not None]
    if not some:
        return None
    if len(some) == 1 or all(_is_plain(kind) for kind in some):
        made: Any = Union[tuple(some)]  # noqa: UP007 - made of a list
    else:
        made = Annotated[Any, Choice(some, discriminator)]
    return made if len(some) == len(kinds) else Optional[made]  # noqa: UP045


def _is_plain(kind: Any) -> bool:
    plain = (str, int, float, bool)
    inner = getattr(kind, "__origin__", kind)
    return inner in plain or inner is Literal or kind == int | float
