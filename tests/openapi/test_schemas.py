"""Schemas as types of pydantic."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from rxorch import ApiValidationError
from rxorch.openapi import endpoints_from_openapi
from tests.openapi.building import described, one, request, schema_type

CAT = {
    "type": "object",
    "required": ["kind"],
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
}
DOG = {
    "type": "object",
    "required": ["kind"],
    "properties": {"kind": {"const": "dog"}, "tricks": {"type": "array"}},
}
REF = "#/components/schemas/"


def ref(name: str) -> dict[str, str]:
    return {"$ref": REF + name}


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1, "x"),
        ({"type": ["string", "null"]}, None, [1]),
        ({"type": "null"}, None, 1),
        ({"type": "array", "items": {"type": "boolean"}}, [True], ["x"]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": "x"}),
        ({"enum": ["a", 1, None]}, None, "b"),
        ({"const": 3}, 3, 4),
        ({"anyOf": [{"type": "integer"}, {"type": "array", "items": {}}]}, ["x"], {}),
        ({"items": {"type": "integer"}}, [1], {}),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1}, {"a": "x"}),
        ({"type": "object", "required": ["a"], "properties": {"b": {}}}, {"a": 1}, {"b": 1}),
        ({"type": "object", "minProperties": 1}, {"a": 1}, {}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, None, 1.5),
    ],
)
def test_what_fits_and_what_does_not(schema: Any, good: Any, bad: Any) -> None:
    kind = schema_type(schema)
    read(kind, good)
    with pytest.raises(ValidationError):
        read(kind, bad)


@pytest.mark.parametrize("schema", [{}, True, {"description": "anything"}, {"not": {"type": "string"}}])
def test_what_says_nothing_is_anything(schema: Any) -> None:
    assert schema_type(schema) is Any


def test_3_0_says_null_in_its_own_way() -> None:
    assert read(schema_type({"type": "string", "nullable": True}, version="3.0.0"), None) is None
    beside = schema_type({"nullable": True, "allOf": [ref("Cat")]}, version="3.0.0", Cat=CAT)
    assert read(beside, None) is None
    assert read(beside, {"kind": "cat"}).kind == "cat"


def test_formats() -> None:
    assert read(schema_type({"type": "string", "format": "date"}), "2026-01-31") == date(2026, 1, 31)
    assert read(
        schema_type({"type": "string", "format": "uuid"}), "0b7d8f0e-6c5a-4a57-9b1e-3d8f2c6a4e11"
    ) == UUID("0b7d8f0e-6c5a-4a57-9b1e-3d8f2c6a4e11")
    for known_as_text in ("uri", "byte", "email", "password", "int64"):
        assert read(schema_type({"type": "string", "format": known_as_text}), "eA==") == "eA=="


def test_a_whole_number_stays_whole() -> None:
    kind = schema_type({"type": "number", "minimum": 0})
    assert (repr(read(kind, 20)), repr(read(kind, 20.5))) == ("20", "20.5")


def test_a_model_knows_its_fields_by_both_names_and_keeps_others() -> None:
    properties = {
        name: {"type": "integer"} for name in ("pet-id", "class", "_links", "json", "model_x", "1st", "größe")
    }
    model = schema_type({"type": "object", "required": ["pet-id"], "properties": properties})
    assert list(model.model_fields) == [
        "pet_id",
        "class_",
        "links",
        "json_",
        "model_x_",
        "field_1st",
        "größe",
    ]
    given = {"pet-id": 1, "class": 2, "_links": 3, "json": 4, "model_x": 5, "1st": 6, "größe": 7, "new": 8}
    value = model.model_validate(given)
    assert (value.pet_id, value.new) == (1, 8)
    assert value.model_dump() == given
    assert model(pet_id=1).model_dump(exclude_unset=True) == {"pet-id": 1}


def test_names_that_are_made_the_same_stay_apart() -> None:
    model = schema_type({"properties": {"a-b": {"type": "integer"}, "a_b": {"type": "string"}}})
    value = model.model_validate({"a-b": 1, "a_b": "x"})
    assert value.model_dump() == {"a-b": 1, "a_b": "x"}


def test_models_with_names_that_are_no_identifiers() -> None:
    schemas = {name: {"properties": {"a": {}}} for name in ("io.k8s.Pod", "io-k8s.Pod", "3d", "def", "None")}
    models = endpoints_from_openapi(described({}, schemas)).models
    names = [models[name].__name__ for name in schemas]
    assert names == ["IoK8sPod", "IoK8sPod_2", "Model3d", "Def", "None_"]


def test_all_of_joins_properties_and_limits() -> None:
    parts = [
        ref("Base"),
        {"properties": {"size": {"minimum": 5}}, "required": ["size"]},
    ]
    base = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer"}, "size": {"type": "integer"}},
    }
    model = schema_type({"allOf": parts, "properties": {"more": {"type": "string"}}}, Base=base)
    assert read(model, {"id": 1, "size": 6, "more": "x"}).size == 6
    for wrong in ({"size": 6}, {"id": 1}, {"id": 1, "size": 4}):
        with pytest.raises(ValidationError):
            read(model, wrong)


def test_all_of_keeps_the_narrower_limit_and_opens_what_its_parts_close() -> None:
    narrow = schema_type(
        {"allOf": [{"type": "integer", "minimum": 5}, {"type": "number", "minimum": 1, "maximum": 9}]}
    )
    assert (read(narrow, 5), read(narrow, 9)) == (5, 9)
    for wrong in (4, 10, 5.5):
        with pytest.raises(ValidationError):
            read(narrow, wrong)
    closed = {name: {"additionalProperties": False, "properties": {name: {}}} for name in "ab"}
    raw = described({}, {"It": {"allOf": list(closed.values())}})
    value = endpoints_from_openapi(raw).input_models["It"].model_validate({"a": 1, "b": 2, "c": 3})
    assert (value.a, value.b, value.c) == (1, 2, 3)


def test_a_closed_schema_differs_between_what_is_sent_and_what_comes_back() -> None:
    schemas = {
        "Closed": {"type": "object", "additionalProperties": False, "properties": {"a": {}}},
        "Around": {"type": "object", "properties": {"closed": ref("Closed")}},
    }
    endpoints = endpoints_from_openapi(described({}, schemas))
    assert endpoints.models["Around"].model_validate({"closed": {"b": 1}}).closed.b == 1
    with pytest.raises(ValidationError, match="Extra inputs"):
        endpoints.input_models["Around"].model_validate({"closed": {"b": 1}})


def test_models_that_contain_themselves() -> None:
    node = {"type": "object", "properties": {"next": ref("It"), "all": {"type": "array", "items": ref("It")}}}
    value = read(schema_type(node), {"next": {"next": {"all": [{"next": None}]}}})
    assert type(value.next.next.all[0]) is type(value)
    through_all_of = {
        "type": "object",
        "properties": {"next": {"allOf": [ref("It"), {"required": ["next"]}]}},
    }
    with pytest.raises(ValidationError, match="Field required"):
        read(schema_type(through_all_of), {"next": {}})
    in_lists = schema_type({"anyOf": [{"type": "string"}, {"type": "array", "items": ref("It")}]})
    assert read(in_lists, [["a"], "b"]) == [["a"], "b"]


@pytest.mark.parametrize("key", ["oneOf", "anyOf"])
def test_a_union_takes_the_type_that_fits_best(key: str) -> None:
    loose = {"type": "object", "properties": {"lives": {"type": "integer"}}}
    kind = schema_type({key: [loose, ref("Cat"), ref("Dog")]}, Cat=CAT, Dog=DOG)
    assert type(read(kind, {"kind": "dog", "tricks": []})).__name__ == "Dog"
    assert type(read(kind, {"kind": "cat", "lives": 9})).__name__ == "Cat"
    with pytest.raises(ValidationError, match="fits none of the 3 alternatives"):
        read(kind, {"lives": "many"})


def test_what_a_type_of_a_union_does_not_know_counts_against_it() -> None:
    wide = {"type": "object", "properties": {name: {} for name in "ab"}}
    other = {"type": "object", "properties": {name: {} for name in "acd"}}
    kind = schema_type({"oneOf": [ref("Wide"), ref("Other")]}, Wide=wide, Other=other)
    assert type(read(kind, {"a": 1, "c": 1})).__name__ == "Other"
    assert type(read(kind, {"a": 1, "b": 1, "c": 1})).__name__ == "Wide"
    either = schema_type({"oneOf": [{"type": "object"}, ref("Wide")]}, Wide=wide)
    assert type(read(either, {"new": 1})).__name__ == "Wide"


def test_a_discriminator_decides_and_its_type_says_what_is_wrong() -> None:
    pet = {"propertyName": "kind", "mapping": {"cat": REF + "Cat", "hound": "Dog"}}
    kind = schema_type({"oneOf": [ref("Cat"), ref("Dog")], "discriminator": pet}, Cat=CAT, Dog=DOG)
    assert type(read(kind, {"kind": "cat"})).__name__ == "Cat"
    with pytest.raises(ValidationError, match="Input should be 'dog'"):
        read(kind, {"kind": "hound"})


def test_a_discriminator_of_a_parent_names_its_children() -> None:
    parent = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string"}},
        "discriminator": {"propertyName": "kind", "mapping": {"cat": REF + "Cat"}},
    }
    cat = {"allOf": [ref("It"), {"type": "object", "properties": {"lives": {"type": "integer"}}}]}
    kind = schema_type(parent, Cat=cat)
    assert read(kind, {"kind": "cat", "lives": "9"}).lives == 9
    assert type(read(kind, {"kind": "fish"})).__name__ == "It"


def test_properties_beside_a_union_belong_to_each_of_it() -> None:
    schema = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer"}},
        "oneOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}],
    }
    kind = schema_type(schema)
    assert read(kind, {"id": 1, "a": "2"}).a == 2
    with pytest.raises(ValidationError):
        read(kind, {"a": 2})
    only_required = {**schema, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert schema_type(only_required).model_validate({"id": 1}).id == 1


def test_what_is_sent_and_what_comes_back_may_differ() -> None:
    account = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "name", "password"],
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "name": {"type": "string"},
            "password": {"type": "string", "writeOnly": True},
        },
    }
    endpoints = endpoints_from_openapi(described({}, {"Account": account, "Same": {"properties": {"a": {}}}}))
    back, sent = endpoints.models["Account"], endpoints.input_models["Account"]
    assert (back.__name__, sent.__name__) == ("Account", "AccountInput")
    assert back.model_validate({"id": 1, "name": "a", "new": 2}).new == 2
    assert sent.model_validate({"id": 1, "name": "a", "password": "p"}).model_dump() == {
        "name": "a",
        "password": "p",
    }
    with pytest.raises(ValidationError, match="Extra inputs"):
        sent.model_validate({"name": "a", "password": "p", "new": 2})
    assert endpoints.models["Same"] is endpoints.input_models["Same"]


def test_null_in_an_optional_field_is_left_out_and_a_null_that_is_allowed_is_sent() -> None:
    model = schema_type({"properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}}})
    assert model.model_validate({"a": None, "b": None}).model_dump(exclude_unset=True) == {"b": None}


def test_defaults_are_those_of_plain_values() -> None:
    properties = {
        "a": {"type": "integer", "default": 3},
        "b": {"type": "string", "format": "date", "default": "2026"},
    }
    value = schema_type({"properties": properties}).model_validate({})
    assert (value.a, value.b, value.model_dump(exclude_unset=True)) == (3, None, {})


def test_3_1_may_say_more_beside_a_reference_and_3_0_may_not() -> None:
    schema = {"$ref": REF + "Text", "maxLength": 2}
    new, old = (
        schema_type(schema, version=version, Text={"type": "string"}) for version in ("3.1.0", "3.0.3")
    )
    assert read(old, "long") == "long"
    with pytest.raises(ValidationError):
        read(new, "long")


def test_an_error_holds_no_value_and_names_the_place() -> None:
    kind = schema_type({"properties": {"pets": {"type": "array", "items": ref("Cat")}}}, Cat=CAT)
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"pets": [{"kind": "s3cret"}]})
    assert caught.value.errors()[0]["loc"] == ("pets", 0, "kind")
    assert "s3cret" not in str(caught.value)


def test_an_error_of_a_whole_value_has_the_name_of_the_model() -> None:
    with pytest.raises(ValidationError) as caught:
        read(schema_type(CAT), [])
    assert ApiValidationError.from_pydantic(caught.value).message.startswith("It: Input should be")


def test_schemas_nested_deeply_are_no_harm() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(80):
        schema = {"type": "object", "properties": {"a": schema}}
    schemas = {f"S{i}": {"properties": {"next": ref(f"S{i + 1}")}} for i in range(3000)} | {
        "S3000": {"type": "object"}
    }
    endpoints = endpoints_from_openapi(described({}, {**schemas, "Deep": schema}))
    assert endpoints.models["S0"].model_validate({"next": {"next": {}}}).next.next is not None
    assert endpoints.models["Deep"].model_validate({"a": {"a": {}}}).a.a is not None


@pytest.mark.parametrize(
    "part",
    [
        {**ref("Text"), "readOnly": True},
        {"allOf": [ref("Read")]},
        {"allOf": [ref("Text"), {"readOnly": True}]},
        {"allOf": [{"allOf": [ref("Read")]}, {"description": "x"}]},
        ref("Behind"),
    ],
)
def test_what_is_read_only_by_a_reference_is_not_sent(part: Any) -> None:
    schemas = {
        "It": {"type": "object", "required": ["a"], "properties": {"a": part, "b": {}}},
        "Text": {"type": "string"},
        "Read": {"type": "string", "readOnly": True},
        "Behind": {"allOf": [ref("Read")]},
    }
    endpoints = one(method="post", body=ref("It"), schemas=schemas)
    assert request(endpoints, {"a": "x", "b": 1}).body == b'{"b":1}'
    assert request(endpoints, {}).body == b"{}"


def test_what_stands_beside_a_reference_of_3_0_is_ignored() -> None:
    schemas = {"It": {"properties": {"a": {**ref("Text"), "readOnly": True}}}, "Text": {"type": "string"}}
    endpoints = one(method="post", body=ref("It"), schemas=schemas, version="3.0.3")
    assert request(endpoints, {"a": "x"}).body == b'{"a":"x"}'


def test_what_is_write_only_by_a_reference_may_lack() -> None:
    schema = {"required": ["a"], "properties": {"a": {**ref("Text"), "writeOnly": True}}}
    read(schema_type(schema, Text={"type": "string"}), {})
