"""What a flow takes and gives, as pydantic types: inputs are checked before a run, results after it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import from_json, to_json

from rxorch.errors import ApiConfigurationError, ApiValidationError

__all__ = ["ANYTHING", "Contract", "plain"]

_NO_TYPES: Final = (PydanticInvalidForJsonSchema, PydanticUserError, PydanticUndefinedAnnotation, NameError)
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?")
_DEEPEST: Final = 8
_SCALARS: Final = frozenset({"string", "number", "integer", "boolean", "null"})


class Contract:
    """What one flow takes and gives. Without types: anything.

    Args:
        name: Of the flow, for messages.
        input: Type of its input, None: any.
        output: Type of its result, None: any.

    Attributes:
        input: The adapter of the type; None: any input.
        output: Likewise for results.

    Raises:
        ApiConfigurationError: JSON cannot express a type.
    """

    def __init__(self, name: str = "", input: Any = None, output: Any = None) -> None:
        self._name = name
        self.input = None if input is None else _adapter(input, f"flows: {name!r}: input")
        self.output = None if output is None else _adapter(output, f"flows: {name!r}: output")
        self._schema: dict[str, Any] = {} if self.input is None else self.input.json_schema()

    def of_json(self, text: bytes, value: Any) -> Any:
        """The input that a JSON text is.

        Args:
            text: The text.
            value: What it is without types.

        Raises:
            ApiValidationError: It does not fit. Shows nothing of it.
        """
        if self.input is None:
            return value
        try:
            checked = self._checked(self.input, text, value)
        except ValidationError as error:
            raise ApiValidationError.from_pydantic(error) from None
        return _finite(self.input.dump_python(checked, mode="json", warnings=False))

    @staticmethod
    def _checked(adapter: TypeAdapter[Any], text: bytes, value: Any) -> Any:
        try:
            return adapter.validate_json(text)
        except ValidationError as error:
            if all(fault["type"] != "int_type" for fault in error.errors(include_url=False)):
                raise
        # A strict integer refuses 7.0, which is one in JSON Schema.
        return adapter.validate_json(to_json(_whole(value)))

    def of_query(self, query: Mapping[str, list[str]]) -> Any:
        """The input that query parameters are: texts, or what the types of the fields make of them.

        Raises:
            ApiValidationError: It does not fit. Shows nothing of it.
        """
        if self.input is None:
            return {name: texts[0] if len(texts) == 1 else texts for name, texts in query.items()}
        fields = self.fields
        value = {name: self._of_texts(fields.get(name, {}), texts) for name, texts in query.items()}
        return self.of_json(to_json(value), value)

    def _of_texts(self, schema: dict[str, Any], texts: list[str]) -> Any:
        kinds, items = _kinds(schema, self._definitions)
        is_list = "array" in kinds and not kinds & (_SCALARS - {"null"})
        if len(texts) > 1 or is_list:
            return [_scalar(text, items) for text in texts]
        return _scalar(texts[0], kinds)

    def shaped(self, result: Any) -> Any:
        """A result, as the type of results shows it.

        Raises:
            ApiValidationError: It does not fit. Shows nothing of it.
        """
        if self.output is None:
            return result
        text = to_json(result, inf_nan_mode="null", fallback=plain)
        try:
            checked = self.output.validate_json(text)
        except ValidationError as error:
            raise ApiValidationError.from_pydantic(error) from None
        return self.output.dump_python(checked, mode="json", by_alias=True, warnings=False)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the input, each with its schema; empty if it has none."""
        schema = _resolved(self._schema, self._definitions)
        fields: dict[str, Any] = schema.get("properties", {})
        return fields

    @property
    def _definitions(self) -> dict[str, Any]:
        definitions: dict[str, Any] = self._schema.get("$defs", {})
        return definitions

    def check_query(self) -> None:
        """Refuses an input that query parameters cannot be.

        Raises:
            ApiConfigurationError: Names the field.
        """
        if self.input is None:
            return
        where = f"flows: {self._name!r}: input: GET reads it from query parameters"
        if _resolved(self._schema, self._definitions).get("type") != "object":
            raise ApiConfigurationError(
                f"{where}; give a model with fields, or leave the flow out of readable"
            )
        for name, schema in self.fields.items():
            kinds, items = _kinds(schema, self._definitions)
            if "object" in kinds or not items <= _SCALARS:
                raise ApiConfigurationError(
                    f"{where}, which are texts, numbers and lists of them; {name!r} is more than that"
                )


ANYTHING: Final = Contract()
"""The contract of a flow that says nothing about its types."""


def _adapter(given: Any, where: str) -> TypeAdapter[Any]:
    if isinstance(given, str):
        raise ApiConfigurationError(f"{where}: give the type itself, not its name")
    try:
        adapter = TypeAdapter[Any](given)
        schemas = [adapter.json_schema(mode=mode) for mode in ("validation", "serialization")]
    except _NO_TYPES:
        raise ApiConfigurationError(
            f"{where}: JSON cannot express {_culprit(given)}; give a type that pydantic has a JSON schema for"
        ) from None
    if any(map(_has_secret, schemas)):
        raise ApiConfigurationError(
            f"{where}: {_culprit(given)} has a SecretStr or SecretBytes, which are written as asterisks; "
            "give a str"
        )
    return adapter


def _culprit(given: Any) -> str:
    """The field that spoils a model, as far as one can tell; else the type."""
    name = getattr(given, "__name__", None) or repr(given)
    if not (isinstance(given, type) and issubclass(given, BaseModel)):
        return str(name)
    for field, info in given.model_fields.items():
        try:
            if not _has_secret(TypeAdapter[Any](info.annotation or Any).json_schema()):
                continue
        except _NO_TYPES:
            pass
        return f"{name}.{field}"
    return str(name)


def _has_secret(schema: Any) -> bool:
    if isinstance(schema, dict):
        if schema.get("format") == "password" and schema.get("type") == "string":
            return True
        return any(map(_has_secret, schema.values()))
    return isinstance(schema, list) and any(map(_has_secret, schema))


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def _kinds(
    schema: dict[str, Any], definitions: dict[str, Any], depth: int = 0
) -> tuple[frozenset[str], frozenset[str]]:
    """The JSON types of a field, and of the items where it is a list. Empty: any."""
    if depth > _DEEPEST:  # a type that holds itself
        return frozenset(("object",)), frozenset()
    schema = _resolved(schema, definitions)
    kinds: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        more, inner = _kinds(branch, definitions, depth + 1)
        kinds, items = kinds | more, items | inner
    if "type" in schema:
        kinds |= {schema["type"]}
    for inner in (schema.get("items"), *schema.get("prefixItems", ())):
        if isinstance(inner, dict):
            items |= _kinds(inner, definitions, depth + 1)[0]
    return kinds, items


def _scalar(text: str, kinds: frozenset[str]) -> Any:
    """The value that a text stands for, where its field takes no texts; others are left to pydantic."""
    if "string" in kinds or not kinds:
        return text
    if text in ("true", "false") and "boolean" in kinds:
        return text == "true"
    if _NUMBER.fullmatch(text) is not None and kinds & {"integer", "number"}:
        return from_json(text)
    return text


def plain(value: Any) -> Any:
    """What stands for a value that is not of JSON's own types, for `to_json`."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("no JSON")


def _finite(value: Any) -> Any:
    """The value, if JSON can hold its numbers: texts such as "nan" are numbers for pydantic."""
    place = _infinite(value)
    if place is not None:
        fault = {"loc": place, "msg": "Input should be a finite number", "type": "finite_number"}
        raise ApiValidationError("an input has finite numbers", errors=[fault])
    return value


def _whole(value: Any) -> Any:
    """The value with integers in the place of floats that are whole."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list) else value


def _infinite(value: Any) -> tuple[str | int, ...] | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else ()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        place = _infinite(each)
        if place is not None:
            return (key, *place)
    return None
