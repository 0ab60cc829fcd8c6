"""Large public descriptions (see specs/README.md): each operation becomes an endpoint with valid requests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from pydantic import TypeAdapter

from rxorch.endpoint.build import RequestBuilder
from rxorch.openapi import EndpointSet, endpoints_from_openapi
from tests.openapi.examples import Examples, NoExample

SPECS = Path(__file__).parent / "specs"


class Wanted(NamedTuple):
    """What is known of a description."""

    endpoints: int
    without_example: int = 0
    """Operations for which the tests cannot make up data (patterns)."""
    skipped: int = 0


WANTED = {
    "github.json.gz": Wanted(1223, 4, 0),
    "stripe.json.gz": Wanted(452, 0, 0),
    "digitalocean.json.gz": Wanted(290, 0, 0),
    "kubernetes.json.gz": Wanted(845, 0, 0),
    "asana.json.gz": Wanted(167, 0, 0),
    "box.json.gz": Wanted(260, 0, 0),
    "twilio.json.gz": Wanted(195, 7, 0),
    "plaid.json.gz": Wanted(200, 0, 0),
    "gitea.json.gz": Wanted(346, 0, 0),
    "openai.json.gz": Wanted(271, 0, 0),
    "adyen_checkout.json.gz": Wanted(25, 0, 0),
    "petstore.yaml": Wanted(20, 0, 0),
    "petstore_3_1.json": Wanted(20, 0, 0),
    "parameters_style.json": Wanted(24, 0, 1),
    "schema_types.json": Wanted(23, 2, 0),
    "discriminators.json": Wanted(10, 0, 0),
    "polymorphism.json": Wanted(13, 0, 0),
    "security.json": Wanted(15, 0, 0),
}


def description(name: str) -> Mapping[str, Any]:
    content = (SPECS / name).read_bytes()
    content = gzip.decompress(content) if name.endswith(".gz") else content
    found: Mapping[str, Any] = yaml.safe_load(content) if name.endswith(".yaml") else json.loads(content)
    return found


def endpoints_of(raw: Mapping[str, Any]) -> EndpointSet:
    servers = raw.get("servers") or [{"url": "/"}]
    relative = not servers[0]["url"].startswith("http")
    return endpoints_from_openapi(raw, base_url="https://api.example.com/openapi.json" if relative else None)


@pytest.mark.parametrize("name", WANTED)
def test_every_operation_makes_a_valid_request(name: str) -> None:
    raw = description(name)
    endpoints = endpoints_of(raw)
    examples = Examples(raw)
    without_example = 0
    for each, operation in endpoints.operations.items():
        try:
            data = examples.data(operation)
        except NoExample:
            without_example += 1
            continue
        request = RequestBuilder(endpoints[each]).build(data)
        assert request.method == operation.method
        assert "{" not in str(request.url)
        sends = operation.body is not None and operation.body.get("required")
        assert (request.body is not None) >= bool(sends), each
        assert ("Content-Type" in request.headers) == (request.body is not None), each
    assert Wanted(len(endpoints), without_example, len(endpoints.skipped)) == WANTED[name]


@pytest.mark.parametrize("name", WANTED)
def test_every_answer_that_fits_its_schema_is_read(name: str) -> None:
    raw = description(name)
    endpoints = endpoints_of(raw)
    examples = Examples(raw, sent=False)
    for each, operation in endpoints.operations.items():
        adapter = endpoints[each].adapter
        try:
            answers = [] if adapter is None else list(examples.answers(operation))
        except NoExample:
            continue
        for answer in answers:
            adapter.validate_python(answer)


@pytest.mark.parametrize("name", WANTED)
def test_every_type_compiles(name: str) -> None:
    endpoints = endpoints_of(description(name))
    for kinds in (endpoints.models, endpoints.input_models):
        for each in kinds:
            TypeAdapter(kinds[each]).rebuild(force=True)
    for each in endpoints:
        for kind in endpoints.takes(each).values():
            TypeAdapter(kind)


def test_the_counts_are_those_of_the_descriptions() -> None:
    """What is made and what is skipped is together what stands in ``paths``."""
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    for name, wanted in WANTED.items():
        paths = description(name)["paths"]
        assert wanted.endpoints + wanted.skipped == sum(
            len(methods & set(item)) for item in paths.values()
        ), name
