"""A header whose only placeholder has the value ABSENT is left out; None there stays a mistake."""

from __future__ import annotations

import pytest

from rxorch.endpoint.build import RequestBuilder
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.values import ABSENT
from rxorch.errors import ApiValidationError

ENDPOINT = APIEndpoint(
    name="user",
    url="https://api.example.com/users",
    headers={"X-Whole": "{a}", "X-Part": "v{b}", "X-Fixed": "yes"},
)


def test_it_is_left_out() -> None:
    headers = RequestBuilder(ENDPOINT).build({"a": ABSENT, "b": 1}).headers
    assert "X-Whole" not in headers
    assert (headers["X-Part"], headers["X-Fixed"]) == ("v1", "yes")
    assert RequestBuilder(ENDPOINT).build({"a": 2, "b": 1}).headers["X-Whole"] == "2"


@pytest.mark.parametrize("data", [{"a": None, "b": 1}, {"b": 1}, {"a": 1, "b": ABSENT}])
def test_what_is_missing_or_none_and_a_part_that_is_absent_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(ApiValidationError):
        RequestBuilder(ENDPOINT).build(data)
