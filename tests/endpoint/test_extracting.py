"""Taking a part of an answer: dotted paths, JMESPath, and which of the two a text is."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch.endpoint.extracting import Expression, extractor, path_or_expression
from rxorch.endpoint.values import DottedPath
from rxorch.errors import ApiConfigurationError, ApiValidationError

ANSWER = {
    "items": [{"id": 1, "on": True}, {"id": 2, "on": False}],
    "@id": "x",
    "$ref": "y",
    "a-b": {"c d": 3},
    "none": None,
    "any*": 5,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("items.0.id", 1),
        ("@id", "x"),
        ("$ref", "y"),
        ("a-b.c d", 3),
        ("none", None),
        ("any*", 5),
        ("items[0].id", 1),
        ("items[-1].id", 2),
        ("items[*].id", [1, 2]),
        ("items[?on].id", [1]),
        ("items[?on].id | [0]", 1),
        ("{first: items[0].id}", {"first": 1}),
        ("length(items)", 2),
        ("@.items[1].id", 2),
        ('"a-b"."c d"', 3),
        ("items[*].absent", []),
    ],
)
def test_a_text_is_a_path_or_an_expression(text: str, value: Any) -> None:
    assert extractor(text)(ANSWER) == value


def test_plain_paths_stay_paths() -> None:
    assert isinstance(path_or_expression("data.items.0"), DottedPath)
    assert isinstance(path_or_expression("data.items[0]"), Expression)


@pytest.mark.parametrize(
    "text", ["items[0", "a || ", "f(x", "{a", "length(", "`", "[" * 400 + "0" + "]" * 400]
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ApiConfigurationError, match="neither a dotted path nor a valid JMESPath"):
        path_or_expression(text)


@pytest.mark.parametrize("text", ["a" * 999 + "[0]", "|".join(["a[0]"] * 70), "!" * 70 + "(a)"])
def test_an_expression_has_bounds(text: str) -> None:
    with pytest.raises(ApiConfigurationError, match=r"at most (1000 characters|64 deep)"):
        path_or_expression(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nosuch(items)", r"JMESPath has no function nosuch\(\)$"),
        ("items[?lenght(id)]", r"no function lenght\(\); did you mean length\(\)\?"),
        ("{a: [length(a, b)]}", r"length\(\) takes 1 arguments, not 2"),
        ("merge()", r"merge\(\) takes at least 1 arguments, not 0"),
        ("map(&nope(@), items)", "no function nope"),
    ],
)
def test_functions_are_checked_before_there_is_data(text: str, message: str) -> None:
    with pytest.raises(ApiConfigurationError, match=message):
        path_or_expression(text)
    assert extractor("merge(a, b, c) && not_null(a)")({"a": {}, "b": {}, "c": {}}) == {}


def test_a_text_in_backticks_without_quotes_is_one() -> None:
    assert extractor("[`on`]")({}) == ["on"]


@pytest.mark.parametrize("text", ["items[9]", "nothing[0]", "none || absent", "items[0].absent"])
def test_nothing_found_is_an_error(text: str) -> None:
    with pytest.raises(ApiValidationError, match="finds nothing in the answer"):
        extractor(text)(ANSWER)


@pytest.mark.parametrize("text", ["length(items[0].id)", "sum(items[*].on)", "abs(secret[0])"])
def test_a_type_that_does_not_fit_is_an_error_that_quotes_nothing(text: str) -> None:
    with pytest.raises(ApiValidationError, match="does not fit the types of the answer") as caught:
        extractor(text, endpoint="user")({**ANSWER, "secret": ["s3cret"]})
    assert "s3cret" not in str(caught.value) and caught.value.__cause__ is None
    assert caught.value.endpoint == "user"
