"""The Python module that is written of a description: it is clean, it imports, and it does the same."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rxorch.endpoint.build import RequestBuilder
from rxorch.endpoint.model import APIEndpoint
from rxorch.openapi import EndpointSet, endpoints_from_openapi
from rxorch.openapi.folding import fold
from tests.openapi.building import described
from tests.openapi.examples import Examples, NoExample
from tests.openapi.test_specs import description, endpoints_of

NAMES = [
    "petstore.yaml",
    "petstore_3_1.json",
    "parameters_style.json",
    "schema_types.json",
    "discriminators.json",
    "polymorphism.json",
    "adyen_checkout.json.gz",
    "asana.json.gz",
]


def module_of(source: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("made_of_a_description")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where pydantic looks names up
    exec(compile(source, "made.py", "exec"), module.__dict__)
    return module


def declared(module: ModuleType) -> dict[str, APIEndpoint]:
    return {each.name: each for each in vars(module).values() if isinstance(each, APIEndpoint)}


def sent(endpoint: APIEndpoint, data: Any) -> tuple[Any, ...]:
    request = RequestBuilder(endpoint).build(data)
    headers = {name: text for name, text in request.headers.items() if name != "Idempotency-Key"}
    multipart = headers.get("Content-Type", "").startswith("multipart")
    return request.method, str(request.url), None if multipart else (headers, request.body)


@pytest.mark.parametrize("name", NAMES)
def test_it_sends_what_the_description_sends(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = description(name)
    endpoints = endpoints_of(raw)
    made = declared(module_of(endpoints.source(name), monkeypatch))
    assert set(made) == set(endpoints)
    examples = Examples(raw)
    for each, operation in endpoints.operations.items():
        try:
            data = examples.data(operation)
        except NoExample:
            continue
        assert sent(made[each], data) == sent(endpoints[each], data)


@pytest.mark.parametrize("name", [*NAMES, "github.json.gz"])
def test_it_is_clean(name: str, tmp_path: Path) -> None:
    path = tmp_path / "made.py"
    path.write_text(endpoints_of(description(name)).source(name), encoding="utf-8")
    rules = [
        "--isolated",
        "--select",
        "E,F,I,UP,B",
        "--ignore",
        "E501",
        "--target-version",
        "py311",
        "--no-cache",
    ]
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "All checks passed!\n"), run.stdout[-2000:]


def source_of(paths: Mapping[str, Any], schemas: Mapping[str, Any] | None = None) -> str:
    return endpoints_from_openapi(described(paths, schemas)).source("shop.yaml")


def answering(schema: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"/a": {"get": {"operationId": "a", "responses": {"200": {"content": content}}}}}


def test_names_that_types_have_are_no_names_of_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {
        "date": {"type": "string", "format": "date"},
        "list": {"type": "array", "items": {"type": "string"}},
        "str": {"type": "string"},
        "Part": {"$ref": "#/components/schemas/Part"},
        "Any": {},
    }
    schemas = {"Thing": {"properties": fields}, "Part": {"properties": {"n": {"type": "integer"}}}}
    module = module_of(source_of(answering({"$ref": "#/components/schemas/Thing"}), schemas), monkeypatch)
    given = {"date": "2026-01-31", "list": ["a"], "str": "s", "Part": {"n": 1}, "Any": 1}
    value = module.a.adapter.validate_python(given)
    assert (value.date.day, value.list_, value.str_, value.Part_.n, value.Any_) == (31, ["a"], "s", 1, 1)
    assert value.model_dump(mode="json") == given


def test_models_that_contain_themselves_and_names_that_python_has(monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = {
        "Field": {"properties": {"class": {"$ref": "#/components/schemas/Field"}, "x-y": {"type": "integer"}}}
    }
    paths = answering({"type": "array", "items": {"$ref": "#/components/schemas/Field"}})
    paths["/b"] = {
        "get": {"operationId": "import"},
        "put": {"operationId": "2nd"},
        "post": {"operationId": "int"},
    }
    module = module_of(source_of(paths, schemas), monkeypatch)
    (value,) = module.a.adapter.validate_python([{"class": {"x-y": 2}}])
    assert value.class_.x_y == 2
    assert (module.import_.name, module.operation_2nd.name, module.int_2.name) == ("import", "2nd", "int")


def test_models_that_are_merged_again_and_again_are_written_once() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"allOf": [{"$ref": "#/components/schemas/Node"}, {"required": ["next"]}]}},
    }
    source = source_of(answering({"$ref": "#/components/schemas/Node"}), {"Node": node})
    assert [line for line in source.splitlines() if line.startswith(("class", "    next"))] == [
        "class Node(DescribedModel):",
        "    next: NodeNext | None = None",
        "class NodeNext(DescribedModel):",
        "    next: NodeNext",
    ]


def test_texts_of_the_description_cannot_leave_their_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = '"""\nraise SystemExit\n"""\\'
    schemas = {"T": {"description": evil, "properties": {'a"\n\\': {"enum": ["'\"\n\\", "\u2028"]}}}}
    raw = described(answering({"$ref": "#/components/schemas/T"}), schemas)
    raw["info"]["title"] = evil
    raw["paths"]["/a"]["get"] |= {"summary": evil, "operationId": evil}
    raw["paths"]["/a"]["get"]["parameters"] = [
        {"name": "q\n'\"", "in": "query", "schema": {"pattern": evil, "type": "string"}}
    ]
    source = endpoints_from_openapi(raw).source('x"""\nraise SystemExit')
    module = module_of(source, monkeypatch)
    assert len(declared(module)) == 1
    assert not any(isinstance(node, ast.Raise) for node in ast.walk(ast.parse(source)))


def test_what_a_description_says_of_parameters_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = [
        {"name": "a.b", "in": "path", "required": True, "schema": {"type": "array"}, "style": "label"},
        {"name": "f", "in": "query", "schema": {"type": "object"}, "style": "deepObject"},
        {"name": "c", "in": "query", "schema": {"type": "array"}, "explode": False},
        {"name": "j", "in": "query", "content": {"application/json": {"schema": {"type": "array"}}}},
        {"name": "v", "in": "header", "required": True, "schema": {"const": "2"}},
        {"name": "c", "in": "cookie", "schema": {"type": "integer"}},
    ]
    raw = described({"/x/{a.b}": {"get": {"operationId": "a", "parameters": parameters}}})
    endpoints: EndpointSet = endpoints_from_openapi(raw)
    module = module_of(endpoints.source(), monkeypatch)
    data = {"a.b": [1, 2], "f": {"x": 1}, "c": [1, 2], "j": [1], "cookie_c": 3}
    assert sent(module.a, data) == sent(endpoints["a"], data)


def test_folding() -> None:
    kind = "Annotated[list[str], Field(min_length=1)] | dict[str, 'a, b'] | None"
    line = f"    name: {kind} = Field(None, alias='x')"
    assert fold(line, 44) == (
        "    name: (\n"
        "        Annotated[\n"
        "            list[str],\n"
        "            Field(min_length=1),\n"
        "        ]\n"
        "        | dict[str, 'a, b']\n"
        "        | None\n"
        "    ) = Field(None, alias='x')"
    )


def model_in(properties: Any, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Any:
    """The model ``Thing`` of the module, with which answers are read."""
    schemas = {"Thing": {"type": "object", "properties": properties, **more}}
    source = source_of(answering({"$ref": "#/components/schemas/Thing"}), schemas)
    source.encode()
    module = module_of(source, monkeypatch)
    return module.Thing


@pytest.mark.parametrize(
    ("text", "doc"),
    [
        *[
            ('The "pet"', 'The "pet"'),
            ('"', '"'),
            ('a""""', "a'''\""),
            ("back\\", "back\\"),
            ('b\\"', 'b\\"'),
        ],
        *[("a\0b", "ab"), ("a\ud800b", "ab"), ("a\u202eb\u2028c", "ab c"), ("👨\u200d👩", "👨\u200d👩")],
    ],
)
def test_descriptions_that_no_docstring_may_have(
    text: str, doc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_in({"a": {}}, monkeypatch, description=text).__doc__ == doc
    raw = described({"/a": {"get": {"operationId": "a", "summary": text}}})
    raw["info"]["title"] = text
    module_of(endpoints_from_openapi(raw).source(text), monkeypatch)


@pytest.mark.parametrize("text", ["👨\u200d👩\u200d👧", "😀\n", "\u2028\x00\x7f\x85", "\U000e0001"])
def test_texts_are_written_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_in({text: {"enum": [text]}}, monkeypatch, required=[text])
    assert model.model_validate({text: text}).model_dump() == {text: text}


def test_numbers_that_json_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    infinite = {"type": "number", "default": float("inf"), "maximum": float("inf")}
    model = model_in({"a": infinite, "b": {"type": "number", "default": float("nan")}}, monkeypatch)
    value = model.model_validate({})
    assert value.a == float("inf")
    assert value.b != value.b


def test_no_two_fields_have_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["int", "int_", "int__", "Thing_", "Thing", "ﬁ", "fi", "K", "\u212a"]
    for order in (names, names[::-1]):
        model = model_in({name: {"type": "integer", "nullable": True} for name in order}, monkeypatch)
        given = {name: i for i, name in enumerate(names)}
        value = model.model_validate(given)
        assert (value.model_dump(), len(model.model_fields)) == (given, len(names))
        assert model.model_validate({"int": None}).model_dump(exclude_unset=True) == {"int": None}
