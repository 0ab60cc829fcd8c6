"""With orjson installed a body means the same as without it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from rxorch import ApiValidationError
from rxorch.endpoint import encoding


class Colour(Enum):
    RED = "red"


LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**66),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.uuids(),
    st.sampled_from(Colour),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)
)


def both(value: Any) -> tuple[Any, Any]:
    """What a body says when written with orjson, and without."""
    assert encoding._orjson_dumps() is not None, "orjson belongs to the developer set-up (extra speed)"
    fast = encoding.encode_body(value, as_json=True).content
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_orjson_dumps", lambda: None)
        plain = encoding.encode_body(value, as_json=True).content
    return from_json(fast), from_json(plain)


@given(st.dictionaries(st.text(), VALUES) | st.lists(VALUES))
def test_a_body_means_the_same_with_orjson(value: Any) -> None:
    try:
        fast, plain = both(value)
    except ApiValidationError:  # a lone surrogate: refused either way
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoding, "_orjson_dumps", lambda: None)
            with pytest.raises(ApiValidationError):
                encoding.encode_body(value, as_json=True)
        return
    assert fast == plain


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_with_orjson_too(number: float) -> None:
    with pytest.raises(ApiValidationError, match="not finite"):
        encoding.encode_body({"price": [number]})


def test_types_with_two_spellings_are_left_to_pydantic() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    value = {"at": at, "day": date(2026, 1, 2), "key": UUID(int=7), "sum": Decimal("1.10"), "c": Colour.RED}
    fast, plain = both(value)
    assert fast == plain
    assert fast["at"] == "2026-01-02T03:04:05Z"


def test_orjson_is_what_writes_a_plain_body() -> None:
    assert encoding._fast_json({"id": 7, "name": "Ada"}) == b'{"id":7,"name":"Ada"}'
    assert encoding._fast_json({"id": None}) is None
