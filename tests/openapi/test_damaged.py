"""A damaged description is refused, or its operations are: nothing else comes of it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from rxorch import ApiConfigurationError
from rxorch.openapi import endpoints_from_openapi
from tests.openapi.test_specs import description

REF = {"$ref": "#/components/schemas/Pet"}
JUNK: list[Any] = [
    *(None, True, 0, -1, 1.5, "x", "", [], {}, [None], {"a": 1}, REF, [{"type": "string"}], "#/x"),
    *({"type": ["string"]}, {"type": {"a": 1}}, ["a", "b"], {"allOf": None}, {"oneOf": [1]}, {"enum": [[]]}),
    *({"properties": {"a": None}}, {"allOf": [{"type": {}}, {"type": []}]}),
]
NAMES = [
    "petstore.yaml",
    "discriminators.json",
    "polymorphism.json",
    "schema_types.json",
    "parameters_style.json",
]


def places(part: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a description."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, child in items:
        yield (*place, key)
        yield from places(child, (*place, key))


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_told(name: str) -> None:
    whole = description(name)
    dice = random.Random(name)
    everywhere = list(places(whole))
    refused = 0
    for _ in range(30):
        raw: Any = copy.deepcopy(whole)
        *above, last = dice.choice(everywhere)
        part = raw
        for key in above:
            part = part[key]
        part[last] = copy.deepcopy(dice.choice(JUNK))
        try:
            endpoints = endpoints_from_openapi(raw, server="https://api.example.com")
        except ApiConfigurationError:
            refused += 1
            continue
        endpoints._repr_mimebundle_()
        for each in endpoints:
            try:
                assert endpoints[each].name == each
                endpoints.takes(each)
            except ApiConfigurationError:
                refused += 1
        assert all(
            models[key] is not ... for models in (endpoints.models, endpoints.input_models) for key in models
        )
    assert refused < 30  # most damage is somewhere where it does no harm
