"""Where a description comes from, its version and references, and the url of its server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiConfigurationError
from rxorch.openapi import endpoints_from_openapi, loading
from tests.openapi.building import described

PATHS = {"/a": {"get": {"operationId": "a", "responses": {}}}}


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def url(servers: Any, **options: Any) -> str:
    return endpoints_from_openapi(described(PATHS, servers=servers), **options)["a"].url


# Files


def test_json_and_yaml_by_their_names_or_by_what_is_in_them(tmp_path: Path) -> None:
    raw = json.dumps(described(PATHS))
    for name in ("api.json", "api.yaml", "api", "api.yml"):  # JSON is YAML too
        assert list(endpoints_from_openapi(str(written(tmp_path / name, raw)))) == ["a"]


def test_yaml_is_read_by_the_rules_of_openapi(tmp_path: Path) -> None:
    text = """
        openapi: 3.0.0
        info: {title: t, version: 2026-01-31}
        servers: [{url: https://api.example.com}]
        paths:
          /a:
            get:
              operationId: on
              responses:
                200:
                  description: x
                  content: {application/json: {schema: {enum: [yes, no, 12:30, 010]}}}
              parameters: [&p {name: q, in: query, schema: {type: integer, minimum: 1, maximum: 1e1}}]
            put: {operationId: off, parameters: [*p]}
    """
    found = loading.load_source(written(tmp_path / "api.yaml", text))
    endpoints = endpoints_from_openapi(found)
    assert list(endpoints) == ["on", "off"]
    assert endpoints["on"].model.__args__ == ("yes", "no", "12:30", "010")
    assert found["info"]["version"] == "2026-01-31"
    assert found["paths"]["/a"]["put"]["parameters"][0]["schema"]["maximum"] == 10.0


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "a.json: not valid JSON (line 1)"),
        ("a.json", "[" * 100_000, "a.json: nested too deeply"),
        ("a.yaml", "a: ]", "a.yaml: not valid YAML (line 1)"),
        ("a.yaml", "a: !!python/object/apply:os.system [ls]", "a.yaml: not valid YAML (line 1)"),
        ("a.yaml", BOMB, "a.yaml: more than 5000000 values"),
        ("a.yaml", "a: &a [*a]", "a.yaml: an alias leads into itself"),
        ("a.yaml", "- a", "a.yaml: not an OpenAPI description: its top is no mapping"),
        ("a.yaml", "", "a.yaml: not an OpenAPI description: its top is no mapping"),
    ],
)
def test_what_cannot_be_read_says_so(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ApiConfigurationError) as caught:
        endpoints_from_openapi(written(tmp_path / name, text))
    assert str(caught.value) == message


def test_files_that_are_missing_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiConfigurationError, match=r"cannot read 'none\.json': No such file"):
        endpoints_from_openapi(tmp_path / "none.json")
    with pytest.raises(ApiConfigurationError, match="a path or a mapping, not int"):
        endpoints_from_openapi(7)  # type: ignore[arg-type]
    monkeypatch.setattr(loading, "MAX_BYTES", 10)
    with pytest.raises(ApiConfigurationError, match="larger than"):
        endpoints_from_openapi(written(tmp_path / "a.json", json.dumps(described(PATHS))))


# Versions and references


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"swagger": "2.0"}, "this is Swagger 2.0"),
        ({"openapi": "3.2.0"}, "not an OpenAPI description of version 3.0 or 3.1"),
        ({"openapi": "4"}, "not an OpenAPI description"),
        ({}, "not an OpenAPI description"),
        (described({"/a": {"$ref": "other.yaml#/a"}}), "refers to another file ('other.yaml#/a')"),
        (described({}, {"A": {"$ref": "https://x.example.com/a.json"}}), "refers to another file"),
        (described({}, {"A": {"$ref": "#/components/schemas/B"}}), "which it does not have"),
        (
            described({}, {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}),
            "lead in a circle",
        ),
    ],
)
def test_what_is_refused(raw: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ApiConfigurationError) as caught:
        endpoints_from_openapi(raw)
    assert message in str(caught.value)


def test_names_and_examples_are_no_references() -> None:
    schemas = {
        "A": {
            "properties": {"$ref": {"type": "string"}, "default": {"$ref": "#/components/schemas/B~1c%20d"}}
        },
        "B/c d": {"type": "object", "example": {"$ref": "nowhere"}, "x-y": {"$ref": "nowhere"}},
    }
    model = endpoints_from_openapi(described({}, schemas)).models["A"]
    assert model.model_validate({"$ref": "x", "default": {}}).default == {}


def test_references_to_parameters_bodies_answers_and_paths() -> None:
    operation = {
        "parameters": [{"$ref": "#/components/parameters/Id"}],
        "requestBody": {"$ref": "#/components/requestBodies/Thing"},
        "responses": {"200": {"$ref": "#/components/responses/Number"}},
    }
    number = {"content": {"application/json": {"schema": {"type": "integer"}}}}
    components = {
        "parameters": {"Id": {"name": "id", "in": "query", "schema": {"type": "integer"}}},
        "requestBodies": {"Thing": number},
        "responses": {"Number": number},
        "pathItems": {"Item": {"post": operation}},
    }
    raw = described({"/a": {"$ref": "#/components/pathItems/Item"}})
    endpoints = endpoints_from_openapi({**raw, "components": components})
    assert endpoints.takes("post_a") == {"id": int, "body": int}
    assert endpoints["post_a"].model is int


# Servers

REGION = {
    "url": "https://{region}.example.com/{base}/",
    "variables": {"region": {"default": "eu", "enum": ["eu", "us"]}, "base": {"default": "v1"}},
}


def test_the_first_server_with_its_variables() -> None:
    assert url([REGION, {"url": "https://other.example.com"}]) == "https://eu.example.com/v1/a"
    assert url([REGION], variables={"region": "us"}) == "https://us.example.com/v1/a"


def test_another_server_by_position_or_url() -> None:
    servers = [{"url": "https://one.example.com"}, REGION]
    assert url(servers, server=1) == "https://eu.example.com/v1/a"
    assert url(servers, server=REGION["url"]) == "https://eu.example.com/v1/a"
    assert url(servers, server="http://127.0.0.1:8000/x/") == "http://127.0.0.1:8000/x/a"


def test_a_relative_url_needs_a_base() -> None:
    for servers, wanted in (([{"url": "/v2"}], "/v2/a"), ([{"url": "./v2"}], "/docs/v2/a"), ([], "/a")):
        assert (
            url(servers, base_url="https://api.example.com/docs/api.json")
            == f"https://api.example.com{wanted}"
        )
        with pytest.raises(ApiConfigurationError, match="give base_url"):
            url(servers)


def test_servers_of_paths_and_operations_come_first() -> None:
    operation = {"operationId": "a", "servers": [{"url": "https://op.example.com"}]}
    paths = {
        "/a": {
            "servers": [{"url": "https://path.example.com"}],
            "get": operation,
            "put": {"operationId": "b"},
        }
    }
    endpoints = endpoints_from_openapi(described(paths))
    assert endpoints["a"].url == "https://op.example.com/a"
    assert endpoints["b"].url == "https://path.example.com/a"
    fixed = endpoints_from_openapi(described(paths), server="https://test.example.com")
    assert {endpoint.url for endpoint in fixed.values()} == {"https://test.example.com/a"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"server": 3}, "server: the description has 1 servers, none at 3"),
        ({"server": "ftp://x"}, "give base_url"),
        ({"base_url": "https://x.example.com"}, "base_url: the url of the server is absolute already"),
        ({"variables": {"region": "mars"}}, "variables: 'region' must be one of 'eu', 'us'"),
        ({"variables": {"regio": "us"}}, "variables: no server has a variable 'regio'"),
    ],
)
def test_wrong_choices_of_a_server(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiConfigurationError) as caught:
        url([REGION], **options)
    assert message in str(caught.value)
