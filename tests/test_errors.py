"""The error tree: what catches what, what survives pickling, and what ``str`` says."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from rxorch import errors
from rxorch.errors import (
    ApiAddressRefusedError,
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiConfigurationError,
    ApiDependencyError,
    ApiError,
    ApiGraphQLError,
    ApiHttpError,
    ApiNetworkError,
    ApiProtocolError,
    ApiRateLimitError,
    ApiResponseTooLargeError,
    ApiTimeoutError,
    ApiValidationError,
    ErrorThresholdExceeded,
    GraphQLFault,
)
from rxorch_operators import errors as operator_errors

DETAILS: dict[str, Any] = {
    "endpoint": "user",
    "url": "https://api.example.com/users/7",
    "attempts": 3,
    "elapsed": 1.25,
    "retry_after": 2.5,
    "result": {"auth": {"ok": True}},
}
EXAMPLES: list[ApiError] = [
    ApiError("no luck", **DETAILS),
    ApiHttpError(503, body="busy", headers={"Retry-After": "2"}, **DETAILS),
    ApiRateLimitError(429, "slow down", {"Retry-After": "9"}, name="global", **DETAILS),
    ApiNetworkError("the connection was lost", sent=True, **DETAILS),
    ApiProtocolError("not HTTP", sent=True, **DETAILS),
    ApiAddressRefusedError("the address of the host is not allowed", **DETAILS),
    ApiResponseTooLargeError(1024, **DETAILS),
    ApiTimeoutError(limit=2.0, kind="each", **DETAILS),
    ApiCircuitOpenError(name="payment", **DETAILS),
    ApiBulkheadFullError(limit=20, queue=5, **DETAILS),
    ApiValidationError("wrong", errors=[{"loc": ("a", 0), "msg": "m", "type": "t"}], **DETAILS),
    ApiGraphQLError(
        "no", [GraphQLFault("no such user", ("user", 0), "NOT_FOUND")], {"user": None}, **DETAILS
    ),
    ApiDependencyError(cause_endpoint="auth", **DETAILS),
    ErrorThresholdExceeded(counts={"ok": 1, "failed": 9}, **DETAILS),
    ApiConfigurationError("wrong", **DETAILS),
]


def test_the_examples_cover_the_whole_tree() -> None:
    public = [cls for name in errors.__all__ if inspect.isclass(cls := getattr(errors, name))]
    assert {type(error) for error in EXAMPLES} == {cls for cls in public if issubclass(cls, ApiError)}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_details_are_attributes_and_survive_pickling_and_copying(error: ApiError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert vars(twin) == vars(error)
        assert twin.args == error.args
        assert str(twin) == str(error)
        for name, value in DETAILS.items():
            assert getattr(twin, name) == value


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_str_is_one_line_that_names_endpoint_url_and_attempts(error: ApiError) -> None:
    text = str(error)
    assert "\n" not in text
    assert "'user'" in text
    assert "https://api.example.com/users/7" in text
    assert "3 attempts" in text


@pytest.mark.parametrize("cls", [type(error) for error in EXAMPLES], ids=lambda cls: cls.__name__)
def test_every_error_can_be_made_with_next_to_nothing(cls: type[ApiError]) -> None:
    error = cls(1) if cls in (ApiHttpError, ApiResponseTooLargeError) else cls()  # type: ignore[arg-type]
    assert (error.endpoint, error.url, error.attempts, error.elapsed) == (None, None, 0, None)
    assert (error.retry_after, error.result) == (None, None)
    assert str(error)


def test_attributes_can_be_set_later_and_show() -> None:
    error = ApiHttpError(500)
    error.endpoint, error.attempts, error.result = "user", 1, {"done": 2}
    assert str(error) == "HTTP 500 [endpoint 'user', 1 attempt]"
    assert pickle.loads(pickle.dumps(error)).result == {"done": 2}


def test_an_unknown_detail_is_refused() -> None:
    with pytest.raises(TypeError, match="endpint"):
        ApiNetworkError("x", endpint="user")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("cls", "bases"),
    [
        (ApiHttpError, (ApiError,)),
        (ApiRateLimitError, (ApiHttpError, operator_errors.RateLimitExceededError)),
        (ApiProtocolError, (ApiNetworkError,)),
        (ApiTimeoutError, (operator_errors.TimeoutExceededError, TimeoutError)),
        (ApiCircuitOpenError, (operator_errors.CircuitOpenError,)),
        (ApiBulkheadFullError, (operator_errors.BulkheadFullError,)),
        (ApiValidationError, (ValueError,)),
        (ApiConfigurationError, (ValueError,)),
    ],
)
def test_they_are_caught_as(cls: type[ApiError], bases: tuple[type[BaseException], ...]) -> None:
    assert issubclass(cls, ApiError)
    assert all(issubclass(cls, base) for base in bases)


def test_the_body_is_an_excerpt_and_headers_are_case_insensitive() -> None:
    error = ApiHttpError(500, body="x" * 10_000, headers={"Content-Type": "text/plain"})
    assert len(error.body) == 500
    assert error.headers["content-type"] == "text/plain"
    assert "xxx" not in str(error)
    assert "xxx" not in repr(error)


def test_a_limiter_of_ours_has_no_status() -> None:
    error = ApiRateLimitError(name="global", retry_after=0.25)
    assert error.status_code is None
    assert str(error) == "rate limit 'global' is used up; try again in 250 ms"


def test_a_line_break_in_a_message_does_not_break_the_line() -> None:
    assert str(ApiError("one\ntwo\r\n  three")) == "one two three"


class Login(BaseModel):
    name: str
    age: int


def test_pydantic_faults_come_without_the_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Login.model_validate({"name": ["hunter2"], "age": "hunter2"})
    error = ApiValidationError.from_pydantic(caught.value, endpoint="login")
    assert [fault["loc"] for fault in error.errors] == [("name",), ("age",)]
    assert set(error.errors[0]) == {"loc", "msg", "type"}
    assert str(error).startswith("name: Input should be a valid string (and 1 more)")
    assert "hunter2" not in f"{error} {error!r} {vars(error)}"


def test_faults_are_stripped_of_whatever_else_they_hold() -> None:
    fault = {"loc": ["a"], "msg": "m", "type": "t", "input": "hunter2", "ctx": {"x": "hunter2"}}
    assert ApiValidationError("x", errors=[fault]).errors == [{"loc": ("a",), "msg": "m", "type": "t"}]
