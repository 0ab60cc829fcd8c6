"""From an answer to a value: the order of the steps, and what each of them refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from rxorch.endpoint.reading import AnswerReader
from rxorch.errors import ApiHttpError, ApiRateLimitError, ApiValidationError
from rxorch.http import Response
from tests.support.fake_transport import api, reply


class User(BaseModel):
    """What an answer should look like."""

    id: int
    name: str = "nobody"


def read(response: Response, context: Any = None, **fields: Any) -> Any:
    return AnswerReader.of(api("user", **fields)).read(response, context)


def test_the_steps_come_in_their_order() -> None:
    """parse, then response_key, then model, then transform_output."""
    seen: list[Any] = []

    def parse(response: Response) -> Any:
        seen.append(response.text)
        return {"data": {"user": {"id": "7"}}}

    def transform(user: User) -> Any:
        seen.append(user)
        return user.id * 2

    value = read(
        reply(200, "raw"),
        response_parser=parse,
        response_key="data.user",
        model=User,
        transform_output=transform,
    )
    assert seen == ['"raw"', User(id=7)]
    assert value == 14


def test_a_transform_of_two_parameters_gets_the_context() -> None:
    context = {"auth": {"token": "t"}}
    assert read(reply(200, 1), context, transform_output=lambda value, context: (value, context)) == (
        1,
        context,
    )


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (reply(200, {"id": 7}), {"id": 7}),
        (reply(201, [1]), [1]),
        (reply(206, None), None),
        (reply(204), None),
        (reply(299, 0), 0),
        (Response(200, b"hello", {"Content-Type": "text/plain"}), "hello"),
        (Response(200, b"\x00\x01", {"Content-Type": "image/png"}), b"\x00\x01"),
    ],
)
def test_every_status_of_the_200s_is_a_success(response: Response, value: Any) -> None:
    assert read(response) == value


@pytest.mark.parametrize("status", [100, 199, 300, 304, 399, 400, 404, 418, 500, 599])
def test_every_other_status_is_an_error(status: int) -> None:
    def never(response: Response) -> Any:
        raise AssertionError("the parser is for successes")

    with pytest.raises(ApiHttpError) as caught:
        read(reply(status, {"why": "no"}, {"X-Request-Id": "r1"}), response_parser=never)
    error = caught.value
    assert type(error) is ApiHttpError
    assert (error.status_code, error.endpoint, error.retry_after) == (status, "user", None)
    assert error.body == '{"why": "no"}'
    assert error.headers["x-request-id"] == "r1"


def test_a_redirect_says_that_it_is_not_followed() -> None:
    with pytest.raises(ApiHttpError, match="redirects are not followed"):
        read(reply(302, headers={"Location": "http://elsewhere.test/"}))


def test_too_many_requests_is_a_rate_limit_error_and_an_http_error() -> None:
    with pytest.raises(ApiRateLimitError) as caught:
        read(reply(429, headers={"Retry-After": "7"}))
    assert isinstance(caught.value, ApiHttpError)
    assert (caught.value.status_code, caught.value.retry_after) == (429, 7.0)


def test_a_hint_may_be_a_date() -> None:
    sent = datetime(2030, 1, 1, tzinfo=UTC)
    headers = {
        "Date": format_datetime(sent, usegmt=True),
        "Retry-After": format_datetime(sent + timedelta(seconds=30), usegmt=True),
    }
    with pytest.raises(ApiHttpError) as caught:
        read(reply(503, headers=headers))
    assert caught.value.retry_after == 30.0


def test_a_rate_limit_header_is_a_hint_where_the_limit_is_the_reason() -> None:
    with pytest.raises(ApiHttpError) as caught:
        read(reply(429, headers={"X-RateLimit-Reset": "12", "X-RateLimit-Remaining": "0"}))
    assert caught.value.retry_after == 12.0
    with pytest.raises(ApiHttpError) as caught:
        read(reply(500, headers={"X-RateLimit-Reset": "12", "X-RateLimit-Remaining": "9"}))
    assert caught.value.retry_after is None


def test_the_body_of_an_error_is_kept_in_part() -> None:
    with pytest.raises(ApiHttpError) as caught:
        read(Response(500, b"x" * 10_000, {"Content-Type": "text/plain"}))
    assert caught.value.body == "x" * 500


def test_a_key_that_leads_nowhere_names_endpoint_path_and_keys() -> None:
    with pytest.raises(ApiValidationError) as caught:
        read(reply(200, {"data": {"items": []}}), response_key="data.user")
    message = str(caught.value)
    assert "data.user" in message and "'items'" in message and "'user'" in message
    assert caught.value.errors[0]["loc"] == ("data", "user")


def test_a_key_may_lead_to_none() -> None:
    assert read(reply(200, {"data": None}), response_key="data") is None


def test_a_value_of_the_wrong_shape_is_named_and_not_quoted() -> None:
    class Card(BaseModel):
        number: int
        pin: SecretStr

    with pytest.raises(ApiValidationError) as caught:
        read(reply(200, {"number": "canary-4242", "pin": 7}), model=Card)
    error = caught.value
    assert error.endpoint == "user"
    assert [fault["loc"] for fault in error.errors] == [("number",), ("pin",)]
    assert "canary" not in f"{error!r} {error} {error.errors}"
    assert error.__cause__ is None and error.__suppress_context__  # no traceback shows pydantic's own


def test_a_model_may_be_any_type() -> None:
    assert read(reply(200, [{"id": 1}, {"id": "2"}]), model=list[User]) == [User(id=1), User(id=2)]
    assert read(reply(200, "7"), model=int) == 7


def test_an_empty_answer_is_validated_like_any_other() -> None:
    with pytest.raises(ApiValidationError):
        read(reply(204), model=User)
    assert read(reply(204), model=User | None) is None


def test_json_that_is_none_is_a_validation_error() -> None:
    with pytest.raises(ApiValidationError):
        read(Response(200, b"<html>", {"Content-Type": "application/json"}))
