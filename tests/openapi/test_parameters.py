"""Parameters: where they go, how they are written, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from rxorch import ApiValidationError
from tests.openapi.building import one, request, schema_type

LIST = {"type": "array", "items": {"type": "integer"}}
OBJECT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}


def parameter(place: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "in": place,
        "schema": schema,
        **({"required": True} if place == "path" else {}),
        **more,
    }


@pytest.mark.parametrize(
    ("style", "explode", "schema", "value", "wanted"),
    [
        (None, None, {"type": "string"}, "a b&c", "p=a%20b%26c"),
        (None, None, LIST, [1, 2], "p=1&p=2"),
        ("form", False, LIST, [1, 2], "p=1%2C2"),
        ("spaceDelimited", False, LIST, [1, 2], "p=1%202"),
        ("pipeDelimited", False, LIST, [1, 2], "p=1%7C2"),
        ("form", True, OBJECT, {"x": 1, "y": 2}, "x=1&y=2"),
        ("form", False, OBJECT, {"x": 1, "y": 2}, "p=x%2C1%2Cy%2C2"),
        ("deepObject", True, OBJECT, {"x": 1, "y": 2}, "p%5Bx%5D=1&p%5By%5D=2"),
        (None, None, {"type": "boolean"}, True, "p=true"),
        (
            None,
            None,
            {"type": "string", "format": "date-time"},
            "2026-01-31T12:00:00Z",
            "p=2026-01-31T12%3A00%3A00Z",
        ),
        (None, None, {"type": "string"}, None, ""),
        (None, None, {"type": "string"}, 7, "p=7"),
        (None, None, {"type": ["integer", "null"]}, "7", "p=7"),
    ],
)
def test_query(style: str | None, explode: bool | None, schema: Any, value: Any, wanted: str) -> None:
    more = {key: each for key, each in (("style", style), ("explode", explode)) if each is not None}
    built = request(one(parameter("query", schema, **more)), {"p": value})
    assert built.url.raw_query_string == wanted


@pytest.mark.parametrize(
    ("style", "explode", "schema", "value", "wanted"),
    [
        ("simple", False, {"type": "string"}, "../a b", "..%2Fa%20b"),
        ("simple", False, LIST, [1, 2], "1%2C2"),
        ("simple", True, OBJECT, {"x": 1, "y": 2}, "x%3D1%2Cy%3D2"),
        ("label", False, {"type": "integer"}, 5, ".5"),
        ("label", True, LIST, [3, 4], ".3.4"),
        ("matrix", False, {"type": "integer"}, 5, ";p=5"),
        ("matrix", False, LIST, [3, 4], ";p=3%2C4"),
    ],
)
def test_path(style: str, explode: bool, schema: Any, value: Any, wanted: str) -> None:
    endpoints = one(parameter("path", schema, style=style, explode=explode), path="/a/{p}/z")
    assert request(endpoints, {"p": value}).url.raw_path == f"/v1/a/{wanted}/z"


def test_a_path_parameter_with_a_name_that_is_no_placeholder() -> None:
    named = {"name": "user.id:x", "in": "path", "required": True, "schema": {"type": "string"}}
    endpoints = one(named, path="/users/{user.id:x}/{forgotten}")
    assert endpoints["call"].url == "https://api.example.com/v1/users/{user_id_x}/{forgotten}"
    assert request(endpoints, {"user.id:x": 7, "forgotten": "f"}).url.raw_path == "/v1/users/7/f"


def test_headers_and_cookies_are_left_out_when_they_are_not_given() -> None:
    endpoints = one(
        {"name": "X-Ids", "in": "header", "schema": LIST},
        {"name": "sid", "in": "cookie", "schema": {"type": "string"}},
        {"name": "n", "in": "cookie", "schema": {"type": "integer"}},
    )
    built = request(endpoints, {"X-Ids": [1, 2], "sid": "abc", "n": 3})
    assert (built.headers["X-Ids"], built.headers["Cookie"]) == ("1,2", "sid=abc; n=3")
    assert not {"X-Ids", "Cookie"} & set(request(endpoints).headers)


@pytest.mark.parametrize(
    ("place", "value"), [("cookie", "a; admin=1"), ("header", "a\r\nX: 1"), ("path", "..")]
)
def test_no_value_leaves_its_place(place: str, value: str) -> None:
    endpoints = one(parameter(place, {"type": "string"}), path="/a/{p}" if place == "path" else "/a")
    with pytest.raises(
        ApiValidationError, match=r"has (control )?(or other )?characters|leads out of its place"
    ):
        request(endpoints, {"p": value})


def test_headers_that_are_no_parameters_are_not_asked_for() -> None:
    names = ("Accept", "Content-Type", "Authorization", "Host")
    endpoints = one(
        *({"name": n, "in": "header", "required": True, "schema": {"type": "string"}} for n in names)
    )
    assert endpoints.takes("call") == {}


def test_a_parameter_may_be_json() -> None:
    content = {"name": "filter", "in": "query", "content": {"application/json": {"schema": OBJECT}}}
    assert request(one(content), {"filter": {"x": 1}}).url.query["filter"] == '{"x":1}'


@pytest.mark.parametrize(
    ("schema", "value", "kind"),
    [
        ({"type": "integer", "minimum": 1}, 0, "greater_than_equal"),
        ({"type": "integer", "exclusiveMaximum": 5}, 5, "less_than"),
        ({"type": "number", "multipleOf": 0.5}, 0.7, "multiple_of"),
        ({"type": "string", "maxLength": 2}, "abc", "string_too_long"),
        ({"type": "string", "pattern": "^a+$"}, "b", "string_pattern_mismatch"),
        ({"type": "string", "enum": ["on", "off"]}, "maybe", "literal_error"),
        ({"enum": [1.5, {"a": 1}]}, 2, "enum"),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}}, [1], "too_short"),
        ({"type": "string", "format": "uuid"}, "s3cret", "uuid_parsing"),
    ],
)
def test_values_are_checked(schema: Any, value: Any, kind: str) -> None:
    with pytest.raises(ApiValidationError, match="query parameter 'p'") as caught:
        request(one(parameter("query", schema)), {"p": value})
    assert [(fault["loc"][:2], fault["type"]) for fault in caught.value.errors] == [(("query", "p"), kind)]


def test_limits_of_3_0_are_flags() -> None:
    schema = {"type": "integer", "minimum": 1, "exclusiveMinimum": True}
    with pytest.raises(ApiValidationError, match="greater than 1"):
        request(one(parameter("query", schema), version="3.0.3"), {"p": 1})


@pytest.mark.parametrize("pattern", [r"\p{Nope}(", "^(?!x)", "^(?=a)(a+)+$", "(a{1000}){1000}"])
def test_a_pattern_that_may_take_long_is_not_checked(pattern: str) -> None:
    assert request(one(parameter("query", {"type": "string", "pattern": pattern})), {"p": "x" * 50})


@pytest.mark.parametrize("schema", [{"type": "string", "default": "v2"}, {"const": "v2"}, {"enum": ["v2"]}])
def test_what_is_required_and_has_a_default_may_be_left_out(schema: Any) -> None:
    assert request(one(parameter("query", schema, required=True))).url.query_string == "p=v2"
    assert request(one(parameter("query", schema))).url.query_string == ""


def test_two_parameters_of_one_name_and_one_called_body() -> None:
    endpoints = one(
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "id", "in": "query", "schema": {"type": "integer"}},
        {"name": "body", "in": "query", "schema": {"type": "string"}},
        path="/a/{id}",
        method="post",
        body={"type": "object"},
    )
    assert list(endpoints.takes("call")) == ["id", "query_id", "query_body", "body"]
    built = request(endpoints, {"id": 1, "query_id": 2, "query_body": "q", "body": {"a": 1}})
    assert (built.url.raw_path_qs, built.body) == ("/v1/a/1?id=2&body=q", b'{"a":1}')


def test_all_faults_are_told() -> None:
    integer = {"type": "integer"}
    endpoints = one(
        parameter("query", integer), {"name": "q", "in": "header", "required": True, "schema": integer}
    )
    with pytest.raises(ApiValidationError, match=r"\(and 2 more\)") as caught:
        request(endpoints, {"p": "x", "z": 1})
    assert [fault["loc"] for fault in caught.value.errors] == [("z",), ("query", "p"), ("header", "q")]


def test_unknown_keys_may_be_ignored() -> None:
    endpoints = one(parameter("query", LIST), extra="ignore")
    assert request(endpoints, {"p": [1], "auth": {"token": "t"}}).url.query_string == "p=1"


@pytest.mark.parametrize(
    ("step", "value"), [(0.01, 19.99), (0.1, 0.3), (0.5, -1.5), (0.01, 3), (1e-7, 1e300)]
)
def test_fractional_multiples_are_decimal(step: float, value: float) -> None:
    endpoints = one(parameter("query", {"type": "number", "multipleOf": step}))
    assert request(endpoints, {"p": value}).url.query["p"] == str(value)
    for other in (step * 1.5, float("inf")):
        with pytest.raises(ApiValidationError, match="multiple of"):
            request(endpoints, {"p": other})


@pytest.mark.parametrize(
    "schema",
    [
        *({"type": "number", key: float("inf")} for key in ("maximum", "minimum", "multipleOf")),
        {"type": "string", "minLength": -1, "maxLength": -1},
        {"type": "integer", "minimum": 0.5, "maximum": 1.5, "multipleOf": 0.5},
        {"type": "integer", "multipleOf": 0},
        {"type": "array", "minItems": -1, "maxItems": True, "items": {}},
    ],
)
def test_odd_limits_do_no_harm(schema: Any) -> None:
    value = ["1", "1"] if schema["type"] == "array" else "1"
    assert request(one(parameter("query", schema)), {"p": value}).url.query["p"] == "1"


FREE = {"type": "object", "additionalProperties": {}}
PAGE = {"name": "page", "in": "query", "schema": {"type": "integer", "maximum": 5}}


@pytest.mark.parametrize("data", [{"p": {"page": 99}}, {"p": {"page": 99}, "page": 1}])
@pytest.mark.parametrize("order", [1, -1])
def test_an_exploded_object_is_no_other_parameter(data: Any, order: int) -> None:
    endpoints = one(*[parameter("query", FREE), PAGE][::order])
    assert str(request(endpoints, {"p": {"x": 1}, "page": 2}).url).partition("?")[2] in (
        "x=1&page=2",
        "page=2&x=1",
    )
    with pytest.raises(
        ApiValidationError, match="query parameter 'p': the value has a key that is the name of"
    ):
        request(endpoints, data)


def test_two_exploded_objects_have_no_key_in_common() -> None:
    endpoints = one(parameter("query", FREE), {"name": "q", "in": "query", "schema": FREE})
    with pytest.raises(ApiValidationError, match="query parameter 'q': the value has a key"):
        request(endpoints, {"p": {"x": 1}, "q": {"x": 2}})


@pytest.mark.parametrize("kind", ["uuid", "date", "date-time"])
def test_a_fault_says_no_character_of_the_value(kind: str) -> None:
    endpoints = one(parameter("query", {"type": "string", "format": kind}))
    for value in ("ö", "2026-01-32ö", "2026-01-01T99:00:00ö", "12345678-ö"):
        with pytest.raises(ApiValidationError) as caught:
            request(endpoints, {"p": value})
        assert "ö" not in f"{caught.value} {caught.value.errors}"


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [f"value {i}" for i in range(5000)]},
        {"type": "string", "pattern": "p" * 5000},
        {"type": ["number", "boolean"], "multipleOf": 0.5},
        {"type": ["string", "integer"], "enum": [1.5, {}]},
        {"anyOf": [{"type": "number", "multipleOf": 0.5}, {"enum": [{}]}]},
        {"anyOf": [{"type": "number", "multipleOf": 0.5}, {"type": "string", "format": "uuid"}]},
    ],
)
def test_faults_are_short_and_have_nothing_internal(schema: Any) -> None:
    with pytest.raises(ApiValidationError) as caught:
        request(one(parameter("query", schema)), {"p": "ö"})
    text = f"{caught.value} {caught.value.errors}"
    with pytest.raises(ValidationError) as answer:
        TypeAdapter(schema_type(schema)).validate_python("ö")
    text += str(ApiValidationError.from_pydantic(answer.value).message.partition("(")[0])
    assert len(text) < 1200
    for internal in ("function", " at 0x", "partial", "ö"):
        assert internal not in text
