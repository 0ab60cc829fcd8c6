from __future__ import annotations

import functools
import uuid
from collections import UserDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from rxorch.endpoint.values import (
    MISSING,
    DottedPath,
    UnfitValueError,
    call_with_context,
    check_parser,
    extract,
    text_of,
)
from rxorch.errors import ApiConfigurationError, ApiValidationError

CANARY = "canary-f00d"


class Profile(BaseModel):
    id: int

    @property
    def secret(self) -> str:
        return CANARY


class Plain:
    id = 7


# --- dotted paths


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("a", {"a": 1}, 1),
        ("a.b.c", {"a": {"b": {"c": None}}}, None),
        ("items.0.id", {"items": [{"id": 7}]}, 7),
        ("items.-1", {"items": (1, 2)}, 2),
        ("0.a", [{"a": 1}], 1),
        ("user.id", {"user": Profile(id=3)}, 3),
        ("a.b", UserDict({"a": MappingProxyType({"b": 1})}), 1),
        ("queue.1", {"queue": deque([1, 2])}, 2),
        ("auth.v2.token", {"auth.v2": {"token": "t"}}, "t"),
        ("auth.v2.token", {"auth": {}, "auth.v2": {"token": "t"}}, "t"),
        ("a.b", {"a": {"b": 1}, "a.b": 2}, 1),
        ("0", {"0": "key"}, "key"),
    ],
)
def test_path_finds(path: str, value: Any, found: Any) -> None:
    assert DottedPath(path).find(value) == found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {}),
        ("a", None),
        ("a", 7),
        ("id", Plain()),
        ("__class__", {}),
        ("user.__class__", {"user": Profile(id=1)}),
        ("user.secret", {"user": Profile(id=1)}),
        ("user.model_fields", {"user": Profile(id=1)}),
        ("text.0", {"text": "abc"}),
        ("bytes.0", {"bytes": b"abc"}),
        ("items.2", {"items": [1, 2]}),
        ("items.-3", {"items": [1, 2]}),
        ("items.--1", {"items": [1, 2]}),
        ("items.x", {"items": [1, 2]}),
        pytest.param("items." + "9" * 5000, {"items": [1, 2]}, id="huge index"),
        ("items.\u0661", {"items": [1, 2]}),
        ("a.b", {"a": {}, "b": 1}),
    ],
)
def test_path_reaches_data_and_nothing_else(path: str, value: Any) -> None:
    assert DottedPath(path).find(value) is MISSING


def test_path_does_not_make_a_defaultdict_grow() -> None:
    data: defaultdict[str, list[int]] = defaultdict(list)

    assert DottedPath("a.b").find(data) is MISSING
    assert not data


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", ".".join("a" * 33)])
def test_malformed_paths_are_refused(text: str) -> None:
    with pytest.raises(ApiConfigurationError, match="path"):
        DottedPath(text)


def nested(value: Any, keys: list[str]) -> Any:
    return functools.reduce(lambda inner, key: {key: inner}, reversed(keys), value)


@settings(deadline=None)
@given(
    st.lists(st.text(min_size=1).filter(lambda key: "." not in key), min_size=1, max_size=8), st.integers()
)
def test_every_key_of_a_nested_mapping_is_reached(keys: list[str], value: int) -> None:
    assert DottedPath(".".join(keys)).find(nested(value, keys)) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"data": {"count": CANARY, "rows": [CANARY]}}, "'data' has keys 'count', 'rows'"),
        ({"data": {}}, "'data' has no keys"),
        ({"data": [CANARY, CANARY]}, "'data' is a list of 2"),
        ({"data": CANARY}, "'data' is of type str"),
        ({"data": None}, "'data' is None"),
        ({"data": Profile(id=1)}, "'data' has fields 'id'"),
        ([CANARY], "the answer is a list of 1"),
        ({7: CANARY, "other": CANARY}, "the answer has keys int, 'other'"),
    ],
)
def test_extract_tells_where_it_ended_and_which_keys_are_there(value: Any, told: str) -> None:
    with pytest.raises(ApiValidationError) as caught:
        extract(value, "data.items.0", endpoint="posts")

    error = caught.value
    assert error.message == f"response_key 'data.items.0' leads nowhere: {told}"
    assert "endpoint 'posts'" in str(error)
    assert error.errors[0]["loc"] == ("data", "items", "0")
    assert CANARY not in repr(error) + str(error.errors)


def test_extract_names_only_so_many_keys() -> None:
    with pytest.raises(ApiValidationError) as caught:
        extract({f"key{i}": i for i in range(1000)} | {"k" * 1000: 1}, "absent")

    assert len(str(caught.value)) < 400
    assert "and 981 more" in str(caught.value)


def test_extract_returns_none_where_there_is_none() -> None:
    assert extract({"data": None}, "data") is None


# --- texts


class Tier(Enum):
    GOLD = "gold"
    NUMBER = 2
    BAD = object()


class Colour(StrEnum):
    RED = "red"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "overridden"


class Odd(int):
    def __repr__(self) -> str:
        return "overridden"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        ("", ""),
        (7, "7"),
        (-7, "-7"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2025, 1, 31), "2025-01-31"),
        (datetime(2025, 1, 31, 12, tzinfo=UTC), "2025-01-31T12:00:00+00:00"),
        (Tier.GOLD, "gold"),
        (Tier.NUMBER, "2"),
        (Colour.RED, "red"),
        (Loud("own"), "own"),
        (Odd(3), "3"),
    ],
)
def test_text_of_single_values(value: Any, text: str) -> None:
    assert text_of(value) == text
    assert type(text_of(value)) is str


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        pytest.param(10**5000, id="huge"),
        b"bytes",
        [CANARY],
        {"a": CANARY},
        Plain(),
        Plain,
        Tier.BAD,
    ],
)
def test_what_has_no_plain_text_is_refused(value: Any) -> None:
    with pytest.raises(UnfitValueError) as caught:
        text_of(value)
    assert CANARY not in str(caught.value)


# --- callables


class Both:
    def __call__(self, data: Any, context: Any) -> Any:
        return data, context


def with_star(*args: Any) -> Any:
    return args


def with_default_context(data: Any, context: Any = "none") -> Any:
    return data, context


@pytest.mark.parametrize(
    ("fn", "result"),
    [
        (lambda data: data, "d"),
        (lambda data, context: (data, context), ("d", "c")),
        (lambda: "nothing", "nothing"),
        (lambda data, i=3: (data, i), ("d", 3)),
        (lambda data, *, i=3: (data, i), ("d", 3)),
        (with_default_context, ("d", "c")),
        (with_star, ("d",)),
        (Both(), ("d", "c")),
        (functools.partial(lambda a, data: (a, data), "a"), ("a", "d")),
        (str.upper, "D"),
        (str, "d"),
        (len, 1),
        (list, ["d"]),
    ],
)
def test_a_callable_gets_what_it_takes(fn: Callable[..., Any], result: Any) -> None:
    assert call_with_context(fn)("d", "c") == result


def test_the_number_of_parameters_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_with_context(lambda data, context: data)
    monkeypatch.setattr("inspect.signature", None)

    assert call(1, None) == 1


async def coroutine_function(data: Any) -> Any: ...


async def generator_function(data: Any) -> Any:
    yield data


class AsyncCallable:
    async def __call__(self, data: Any) -> Any: ...


@pytest.mark.parametrize(
    "fn",
    [coroutine_function, generator_function, AsyncCallable(), functools.partial(coroutine_function)],
)
def test_async_functions_are_refused(fn: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="condition must be a plain function, not async"):
        call_with_context(fn, label="condition")
    with pytest.raises(ApiConfigurationError, match="not async"):
        check_parser(fn, label="response_parser")


def test_a_coroutine_is_no_answer() -> None:
    """A lambda around an async function cannot be told by its look; a coroutine would pass for true."""
    call = call_with_context(lambda data: coroutine_function(data), label="condition")

    with pytest.raises(ApiConfigurationError, match="condition returned a coroutine"):
        call(1, None)


@pytest.mark.parametrize("fn", [lambda a, b, c: 0, lambda data, *, needed: 0, Profile])
def test_parameters_that_cannot_be_filled_are_refused(fn: Any) -> None:
    with pytest.raises(ApiConfigurationError, match=r"transform_input must take \(data\)"):
        call_with_context(fn, label="transform_input")


def test_what_is_not_callable_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="must be callable"):
        call_with_context(CANARY)  # type: ignore[arg-type]


@pytest.mark.parametrize("fn", [lambda: 0, lambda a, b: 0])
def test_a_parser_takes_one_parameter(fn: Any) -> None:
    check_parser(lambda response: response, label="response_parser")
    with pytest.raises(ApiConfigurationError, match="response_parser must take exactly one parameter"):
        check_parser(fn, label="response_parser")
