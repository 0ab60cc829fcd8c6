"""Descriptions and values that were made to do harm, or do it by chance."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from rxorch import ApiConfigurationError
from rxorch.openapi.choices import Choice
from tests.openapi.building import one, request, schema_type


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


REF = ref("It")


def nested(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def test_unions_within_unions_try_each_value_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0
    decide = Choice._decide

    def counted(self: Choice, value: Any) -> Any:
        nonlocal tried
        tried += 1
        assert tried < 1000
        return decide(self, value)

    monkeypatch.setattr(Choice, "_decide", counted)
    options = [
        {"type": "object", "required": ["a"], "properties": {"a": REF}},
        {"type": "object", "required": ["a"], "properties": {"a": REF, "k": {"type": "string"}}},
        {"type": "integer"},
    ]
    kind: TypeAdapter[Any] = TypeAdapter(schema_type({"oneOf": options}))
    value = kind.validate_python(nested(20, 1))
    for _ in range(20):
        value = value.a
    assert (value, tried) == (1, 21)
    with pytest.raises(ValidationError) as caught:
        kind.validate_python(nested(20, "x"))
    assert tried == 42
    assert len(str(caught.value.errors()[0]["msg"])) < 300


def test_a_union_that_is_one_of_its_own_alternatives() -> None:
    kind: TypeAdapter[Any] = TypeAdapter(schema_type({"oneOf": [REF, {"type": "string"}]}))
    assert kind.validate_python("ok") == "ok"
    with pytest.raises(ValidationError):
        kind.validate_python([])


@pytest.mark.parametrize("beside", [{"example": {"$ref": "other.yaml#/x"}}, {"x-note": {"$ref": "#/none"}}])
def test_references_in_examples_and_extensions_are_none(beside: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, **beside}
    endpoints = one(method="post", body=REF, schemas={"It": schema})
    assert request(endpoints, {"a": 1}).body == b'{"a":1}'


def test_a_property_may_be_called_as_a_keyword_is() -> None:
    properties = {"$ref": {"type": "string"}, "readOnly": {"type": "boolean"}, "example": REF}
    endpoints = one(method="post", body=REF, schemas={"It": {"properties": properties}})
    assert request(endpoints, {"$ref": "x", "readOnly": True}).body == b'{"$ref":"x","readOnly":true}'


def chain(length: int, link: Callable[[Any], Any], end: Any) -> dict[str, Any]:
    """Schemas ``It``, ``S1``, ``S2`` ... each of which refers to the next one."""
    names = ["It", *(f"S{i}" for i in range(1, length))]
    links = {name: link(ref(after)) for name, after in pairwise(names)}
    return {**links, names[-1]: end}


def test_schemas_that_hold_twice_are_merged_once() -> None:
    end = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    schemas = chain(40, lambda after: {"allOf": [after, after]}, end)
    kind: TypeAdapter[Any] = TypeAdapter(schema_type(schemas.pop("It"), **schemas))
    assert kind.validate_python({"a": 1}).a == 1
    with pytest.raises(ValidationError):
        kind.validate_python({})


def test_the_text_of_types_that_use_others_twice_is_short() -> None:
    def link(after: Any) -> Any:
        return {
            "oneOf": [{"type": "array", "items": after}, {"type": "object", "additionalProperties": after}]
        }

    content = {"application/json": {"schema": REF}}
    endpoints = one(schemas=chain(40, link, {"type": "string"}), responses={"200": {"content": content}})
    assert endpoints.answer("call").startswith("list[list[")
    assert len(endpoints.answer("call")) < 600
    assert len(endpoints.source()) < 20_000
    compile(endpoints.source(), "made.py", "exec")


def deep(depth: int) -> Any:
    schema: Any = {}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def answering(schema: Any) -> dict[str, Any]:
    return {"200": {"content": {"application/json": {"schema": schema}}}}


@pytest.mark.parametrize(
    "ask",
    [
        lambda endpoints: endpoints["call"],
        lambda endpoints: endpoints.models["It"],
        lambda endpoints: endpoints.takes("call"),
        lambda endpoints: endpoints.answer("call"),
        lambda endpoints: endpoints.source(),
    ],
)
def test_what_is_nested_too_deeply_is_told(ask: Callable[[Any], Any]) -> None:
    schema = deep(5000)
    endpoints = one(schemas={"It": schema}, responses=answering(schema), body=schema)
    with pytest.raises(ApiConfigurationError, match="nested too deeply"):
        ask(endpoints)


def test_a_deep_reference_and_a_deep_extension_are_told() -> None:
    kind: TypeAdapter[Any] = TypeAdapter(schema_type({"properties": {"a": ref("Deep")}}, Deep=deep(5000)))
    with pytest.raises(ValidationError, match="the schema Deep is nested too deeply"):
        kind.validate_python({"a": []})
    with pytest.raises(ApiConfigurationError, match="the description is nested too deeply"):
        one({"name": "a", "in": "query", "x-deep": deep(5000)})


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [REF]},
        {"allOf": [REF], "nullable": True},
        {"anyOf": [REF]},
        {"anyOf": [REF, {"type": "null"}]},
        {"allOf": [ref("Other")]},
    ],
)
def test_a_schema_that_is_only_itself_fits_nothing(schema: Any) -> None:
    kind: TypeAdapter[Any] = TypeAdapter(schema_type(schema, Other={"allOf": [REF]}))
    with pytest.raises(ValidationError):
        kind.validate_python(1)


@pytest.mark.parametrize("index", ["9" * 5000, "²", "1"])
def test_a_reference_to_an_item_that_there_is_not(index: str) -> None:
    with pytest.raises(ApiConfigurationError, match="refers to"):
        schema_type(ref(f"Other/enum/{index}"), Other={"enum": [1]})


def test_lone_surrogates_are_values_but_no_names() -> None:
    kind: TypeAdapter[Any] = TypeAdapter(schema_type({"enum": ["\ud800", "a"]}))
    assert kind.validate_python("\ud800") == "\ud800"
    with pytest.raises(ApiConfigurationError, match="the schema It has a property whose name is no text"):
        schema_type({"properties": {"\ud800": {}}})
