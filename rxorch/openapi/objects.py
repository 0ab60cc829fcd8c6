"""Schemas of objects as models of pydantic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Optional

from pydantic import BaseModel, ConfigDict, Field, create_model

from rxorch.errors import ApiConfigurationError
from rxorch.openapi.directions import Direction
from rxorch.openapi.document import Document, Raw
from rxorch.openapi.names import Names, field_name

__all__ = ["ClosedModel", "DescribedModel", "WrittenField", "model_of"]

_PLAIN: Final = (str, int, float, bool)

TypeOf = Callable[[Any, Direction, str], Any]


class DescribedModel(BaseModel):
    """Base of all models that are made of a description.

    Unknown fields are kept. A field may be given by the name of the property or by that of the attribute.
    None in an optional field means that it is left out, unless the field is one of ``nullable``.
    """

    model_config = ConfigDict(
        extra="allow",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        protected_namespaces=(),
        defer_build=True,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
    )

    nullable: ClassVar[frozenset[str]] = frozenset()
    """Names of the optional fields in which None is a value that is sent."""

    written: ClassVar[Mapping[str, WrittenField]] = {}
    """The fields as the description has them."""

    def model_post_init(self, context: Any, /) -> None:
        """Take out of the fields that were set those whose None means that they are left out."""
        fields, given = type(self).model_fields, self.__dict__
        for name in [each for each in self.model_fields_set if given.get(each, self) is None]:
            if name not in self.nullable and not fields[name].is_required():
                self.model_fields_set.discard(name)


@dataclass(frozen=True)
class WrittenField:
    """A field of a model, as source needs it.

    Attributes:
        kind: its type, without None for an optional one.
        title: name of the property.
        required: whether an object must have it.
        default: of an optional one.
        exclude: whether it is never sent.
    """

    kind: Any
    title: str
    required: bool
    default: Any = None
    exclude: bool = False


class ClosedModel(DescribedModel):
    """A model whose schema forbids unknown fields."""

    model_config = ConfigDict(extra="forbid")


def model_of(
    schema: Raw, direction: Direction, name: str, type_of: TypeOf, document: Document
) -> type[BaseModel]:
    """Make the model of a schema that has properties.

    Args:
        schema: of type object.
        direction: of the values.
        name: of the class; free.
        type_of: makes the type of a property.
        document: what references lead into.
    """
    required = set(_texts(schema.get("required")))
    names = Names()
    fields: dict[str, Any] = {}
    nullable: set[str] = set()
    written: dict[str, WrittenField] = {}
    for title, part in _properties(schema, required):
        if _text(title) != title:
            raise ApiConfigurationError(f"the schema {name} has a property whose name is no text")
        attribute = names.free(field_name(title))
        kind = type_of(part, direction, f"{name}{title[:1].upper()}{title[1:]}")
        one_way = _one_way(part, direction, document)
        details: dict[str, Any] = {} if attribute == title else {"alias": title}
        if one_way and direction == "request":
            details["exclude"] = True
        exclude = bool(details.get("exclude"))
        if title in required and not one_way:
            written[attribute] = WrittenField(kind, title, True, None, exclude)
            fields[attribute] = (kind, Field(**details))
            continue
        details["default"] = _default(part)
        written[attribute] = WrittenField(kind, title, False, details["default"], exclude)
        if _may_be_null(part, document):
            nullable.add(attribute)
        fields[attribute] = (Optional[kind], Field(**details))  # noqa: UP045 - may be an Annotated
    closed = schema.get("additionalProperties") is False and direction == "request"
    model = create_model(
        name,
        __base__=ClosedModel if closed else DescribedModel,
        __doc__=_text(schema.get("description")),
        __module__=__name__,
        **fields,
    )
    model.nullable, model.written = frozenset(nullable), written
    return model


def _properties(schema: Raw, required: set[str]) -> Iterator[tuple[str, Any]]:
    yield from schema["properties"].items()
    yield from ((title, True) for title in sorted(required - set(schema["properties"])))


def _one_way(part: Any, direction: Direction, document: Document) -> bool:
    """Whether a property goes the other way only: by itself, what it refers to, or one of its ``allOf``."""
    key = "readOnly" if direction == "request" else "writeOnly"
    seen: set[int] = set()
    waiting = [part]
    while waiting:
        schema = waiting.pop()
        if not isinstance(schema, Mapping) or id(schema) in seen:
            continue
        seen.add(id(schema))
        reference = schema.get("$ref")
        if isinstance(reference, str):
            waiting.append(document.at(reference))
        if isinstance(reference, str) and document.is_3_0:
            continue  # there, what stands beside a reference is ignored
        if schema.get(key) is True:
            return True
        waiting.extend(_list(schema.get("allOf")))
    return False


def _may_be_null(part: Any, document: Document) -> bool:
    schema = document.resolve(part)
    if not isinstance(schema, Mapping):
        return True
    kinds = schema.get("type")
    if schema.get("nullable") is True or kinds == "null" or (isinstance(kinds, list) and "null" in kinds):
        return True
    if None in _list(schema.get("enum")):
        return True
    # Where a union may say it, deep inside, what is given is sent: rather that than to lose a null.
    return any(key in schema for key in ("oneOf", "anyOf", "allOf", "const")) or not (
        {*schema} & {"type", "enum"}
    )


def _default(part: Any) -> Any:
    """The default of a plain value; that of a date, say, would need to be read first."""
    value = part.get("default") if isinstance(part, Mapping) and "format" not in part else None
    return value if isinstance(value, _PLAIN) else None


def _texts(value: Any) -> list[str]:
    return [each for each in _list(value) if isinstance(each, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    """A text; without lone surrogates, which no class takes for its docstring."""
    return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else None
