"""The set of endpoints: names, choice, what is skipped, how it shows itself; bodies and answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiConfigurationError, ApiValidationError
from rxorch.endpoint.build import RequestBuilder
from rxorch.http.body import StreamedBody
from rxorch.http.multipart import FilePart
from rxorch.openapi import endpoints_from_openapi
from tests.draw.checked import Checked
from tests.openapi.building import described, one, request

ROOT = Path(__file__).parents[2]

PATHS: dict[str, Any] = {
    "/users": {"get": {"operationId": "users/list", "tags": ["users"], "summary": "All <b>users</b>"}},
    "/users/{id}": {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
        "get": {"tags": ["users"]},
        "put": {"operationId": "users/list"},
        "trace": {"operationId": "echo"},
        "delete": {"parameters": "none"},
    },
    "/": {"get": {}},
    "x-more": {"get": {}},
}


def test_names() -> None:
    assert list(endpoints_from_openapi(described(PATHS))) == [
        "users_list",
        "get_users_by_id",
        "users_list_2",
        "get_root",
    ]


def test_what_is_skipped_says_why() -> None:
    assert endpoints_from_openapi(described(PATHS)).skipped == {
        "DELETE /users/{id}": "not an operation of OpenAPI: parameters",
        "TRACE /users/{id}": "TRACE echoes the request with its credentials and is not supported",
    }


def test_a_fragment_of_a_path_is_not_sent() -> None:
    paths = {"/#Action=A": {"get": {"operationId": "A"}}, "/#Action=B": {"get": {"operationId": "B"}}}
    assert {each.url for each in endpoints_from_openapi(described(paths)).values()} == {
        "https://api.example.com/v1/"
    }


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"include": "get_*"}, ["get_users_by_id", "get_root"]),
        ({"include": ["PUT /users/*", "users_list"]}, ["users_list", "users_list_2"]),
        ({"tags": ["users"]}, ["users_list", "get_users_by_id"]),
        ({"tags": "users", "include": "get_*"}, ["get_users_by_id"]),
    ],
)
def test_a_choice(options: dict[str, Any], wanted: list[str]) -> None:
    assert list(endpoints_from_openapi(described(PATHS), **options)) == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include": "nobody"}, "include: no operation is called 'nobody'"),
        ({"tags": ["user"]}, "tags: no operation has the tag 'user'"),
        ({"extra": "allow"}, "extra is 'forbid' or 'ignore'"),
        ({"settings": {"url": "https://x"}}, "settings: 'url' comes from the description"),
    ],
)
def test_wrong_choices(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiConfigurationError) as caught:
        endpoints_from_openapi(described(PATHS), **options)
    assert message in str(caught.value)


def test_settings_are_those_of_all_endpoints() -> None:
    endpoints = endpoints_from_openapi(
        described(PATHS), settings={"timeout": 5.0, "retry_count": 4, "headers": {"User-Agent": "me"}}
    )
    for endpoint in endpoints.values():
        assert (endpoint.timeout, endpoint.max_attempts, endpoint.headers) == (5.0, 5, {"User-Agent": "me"})
    with pytest.raises(
        ApiConfigurationError, match=r"operation GET /users: tmeout: unknown field; did you mean"
    ):
        endpoints_from_openapi(described(PATHS), settings={"tmeout": 5})["users_list"]


def test_it_is_a_mapping_that_makes_each_endpoint_once() -> None:
    endpoints = endpoints_from_openapi(described(PATHS))
    assert endpoints["get_root"] is endpoints["get_root"]
    assert ("get_root" in endpoints, "nobody" in endpoints, len(endpoints)) == (True, False, 4)
    for mapping, key in ((endpoints, "nobody"), (endpoints.models, "Nobody")):
        with pytest.raises(KeyError):
            mapping[key]
    assert repr(endpoints) == "<EndpointSet 'Shop': 4 endpoints, 2 skipped>"


def test_the_table_for_notebooks_is_escaped() -> None:
    table = endpoints_from_openapi(described(PATHS))._repr_mimebundle_()["text/html"]
    assert "All &lt;b&gt;users&lt;/b&gt;" in table
    assert "<b>" not in table
    assert table.count("<tr>") == 5
    checked = Checked(table)
    assert (checked.wrong, checked.open) == ([], [])
    assert "4 endpoints" in checked.text and "2 skipped" in checked.text


def test_a_large_table_is_cut() -> None:
    paths = {f"/a{i}": {"get": {}} for i in range(205)}
    table = endpoints_from_openapi(described(paths))._repr_mimebundle_()["text/html"]
    assert (table.count("<tr>"), "and 5 more" in table) == (201, True)


def test_an_endpoint_for_a_place_in_an_orchestration() -> None:
    endpoints = endpoints_from_openapi(described(PATHS))
    adapted = endpoints.adapted(
        "get_users_by_id",
        lambda data, context: {"id": context["login"]["user"]},
        name="me",
        depends_on=["login"],
    )
    built = RequestBuilder(adapted).build({"anything": 1}, {"login": {"user": 7}})
    assert (adapted.name, built.endpoint, built.url.path) == ("me", "me", "/v1/users/7")
    with pytest.raises(ApiValidationError, match=r"path parameter 'id'.*endpoint 'me'"):
        RequestBuilder(adapted).build({}, {"login": {"user": "x"}})


def test_importing_rxorch_does_not_import_what_the_extra_has() -> None:
    code = "import sys, rxorch; print({'openapi_pydantic', 'yaml', 'rxorch.openapi'} & set(sys.modules))"
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'operators')]!r}\n{code}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(("module", "name"), [("openapi_pydantic.v3", "a.json"), ("yaml", "a.yaml")])
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, name: str
) -> None:
    (tmp_path / name).write_text('{"openapi": "3.1.0"}')
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ApiConfigurationError, match=r'pip install "rxorch\[openapi\]"'):
        endpoints_from_openapi(tmp_path / name)


# Bodies


def test_a_body_of_an_operation_without_parameters_is_the_data() -> None:
    endpoints = one(method="post", body={"type": "array", "items": {"type": "integer"}})
    assert request(endpoints, ["1", 2]).body == b"[1,2]"
    with pytest.raises(ApiValidationError, match=r"body\.0: Input should be a valid integer"):
        request(endpoints, ["x"])


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        ({"type": "string"}, "text", b'"text"'),
        ({}, b"bytes", b'"bytes"'),
        (
            {"properties": {"at": {"type": "string", "format": "date"}}},
            {"at": "2026-01-31"},
            b'{"at":"2026-01-31"}',
        ),
        ({"properties": {"a-b": {}}}, {"a_b": 1, "c": None}, b'{"a-b":1,"c":null}'),
    ],
)
def test_json_bodies(schema: Any, value: Any, wanted: bytes) -> None:
    built = request(one(method="post", body=schema), value)
    assert (built.body, built.headers["Content-Type"]) == (wanted, "application/json")


def test_a_body_that_cannot_be_json_is_refused() -> None:
    endpoints = one(method="post", body={"type": "object"})
    with pytest.raises(ApiValidationError, match="not finite"):
        request(endpoints, {"a": float("nan")})
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with pytest.raises(ApiValidationError):
        request(endpoints, loop)


def test_a_json_type_of_its_own_is_named() -> None:
    endpoints = one(method="patch", body={"type": "object"}, media_type="application/merge-patch+json")
    assert request(endpoints, {"a": 1}).headers["Content-Type"] == "application/merge-patch+json"


def test_forms() -> None:
    properties = {"a": {"type": "string"}, "ids": {"type": "array"}, "deep": {"type": "object"}}
    form = {"type": "object", "properties": properties}
    endpoints = one(method="post", body=form, media_type="application/x-www-form-urlencoded")
    built = request(endpoints, {"a": "x&y", "ids": [1, 2], "deep": {"b": {"c": 1}}})
    assert built.body == b"a=x%26y&ids=1&ids=2&deep%5Bb%5D%5Bc%5D=1"
    assert built.headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_multipart() -> None:
    binary = {"type": "string", "format": "binary"}
    properties = {
        "file": binary,
        "more": {"type": "array", "items": binary},
        "meta": {"type": "object"},
        "n": {},
    }
    form = {"type": "object", "required": ["file"], "properties": properties}
    endpoints = one(method="post", body=form, media_type="multipart/form-data")
    data = {"file": b"0", "more": [FilePart(b"1,2", "a.csv", "text/csv")], "meta": {"a": 1}, "n": True}
    built = request(endpoints, data)
    kind, _, boundary = built.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    assert isinstance(built.body, StreamedBody)
    parts = b"".join([piece async for piece in built.body.pieces()]).decode().split(f"--{boundary}")
    shown = [part.strip("\r\n").replace("Content-Disposition: form-data; ", "") for part in parts]
    assert [tuple(part.split("\r\n")) for part in shown] == [
        ("",),
        ('name="file"; filename="file"', "Content-Type: application/octet-stream", "", "0"),
        ('name="more"; filename="a.csv"', "Content-Type: text/csv", "", "1,2"),
        ('name="meta"', "", '{"a":1}'),
        ('name="n"', "", "true"),
        ("--",),
    ]
    with pytest.raises(ApiValidationError, match=r"body\.file: Field required"):
        request(endpoints, {"n": 1})


def test_other_bodies_are_sent_as_they_are_given() -> None:
    endpoints = one(method="put", body={}, media_type="image/png")
    built = request(endpoints, b"png")
    assert (built.body, built.headers["Content-Type"]) == (b"png", "image/png")
    with pytest.raises(
        ApiValidationError, match="image/png is sent as given: bytes, text or a StreamedBody, not dict"
    ):
        request(endpoints, {})


def test_an_operation_without_a_body_sends_none() -> None:
    endpoints = one({"name": "q", "in": "query", "schema": {}}, method="post")
    assert request(endpoints, {"q": 1}).body is None
    with pytest.raises(ApiValidationError, match="body: no such parameter"):
        request(endpoints, {"body": {}})


# Answers


def answers(**responses: Any) -> Any:
    return one(responses={status.removeprefix("s"): each for status, each in responses.items()})["call"]


def content(schema: Any, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": "", "content": {media_type: {"schema": schema}}}


def test_the_type_of_an_answer() -> None:
    text, number = content({"type": "string"}), content({"type": "integer"})
    assert answers(s200=text, s400=number).model is str
    assert answers(s200=text, s202=text).model is str
    assert answers(s2XX=number).model is int
    assert answers(s204={"description": ""}).model is None
    assert answers(s200=content({}, "text/plain")).model is None
    assert answers(default=text).model is None
    some = answers(s200=number, s201=content({"type": "array"}), s204={"description": ""}).adapter
    assert [some.validate_python(value) for value in (1, [1], None)] == [1, [1], None]


def test_what_is_asked_for() -> None:
    assert answers(s200=content({}, "text/csv")).headers == {"Accept": "text/csv"}
    assert answers(s200=content({}, "application/hal+json")).headers == {"Accept": "application/hal+json"}
    assert answers(s200=content({})).headers is None
