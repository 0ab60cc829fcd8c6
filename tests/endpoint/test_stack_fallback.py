"""The error handler in the stack: what it is given, and what its value counts as."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import ApiClient, CircuitBreaker
from rxorch.errors import (
    ApiHttpError,
    ApiValidationError,
)
from rxorch.events import CallFinished
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, turns
from tests.support.watch import Watch


async def failure(client: ApiClient, endpoint: Any, data: Any = None) -> Any:
    """The error of a call."""
    with pytest.raises(Exception) as caught:
        await client.call(endpoint, {} if data is None else data)
    return caught.value


@virtual_time
async def test_a_handler_stands_outside_of_everything() -> None:
    """It gets the error after the retries, with all its facts, and its value counts as degraded."""
    seen: list[Any] = []
    client = ApiClient(FakeTransport({"api": 503}))
    watch = Watch(client.events)

    def handler(error: Exception) -> str:
        seen.append(error)
        return "substitute"

    endpoint = api(error_handler=handler, retry_delay=0.0)
    assert await client.call(endpoint) == "substitute"
    (error,) = seen
    assert (type(error), error.status_code, error.attempts) == (ApiHttpError, 503, 3)
    end = watch.last(CallFinished)
    assert (end.status, end.degraded, end.error, end.attempts) == ("ok", True, error, 3)


@pytest.mark.parametrize("value", [None, 0, [], {"a": 1}])
async def test_whatever_a_handler_returns_is_the_value(value: Any) -> None:
    client = ApiClient(FakeTransport({"api": 404}))
    assert await client.call(api(error_handler=lambda error: value)) == value


async def test_a_handler_may_take_nothing_or_the_context_too() -> None:
    client = ApiClient(FakeTransport(otherwise=404))
    assert await client.call(api("none", error_handler=lambda: "x")) == "x"
    assert await client.call(
        api("both", error_handler=lambda error, context: (error.status_code, context))
    ) == (
        404,
        None,
    )


@virtual_time
async def test_a_handler_gets_the_errors_of_the_policies_too() -> None:
    kinds: list[str] = []

    def note(error: Exception) -> None:
        kinds.append(type(error).__name__)

    breaker = CircuitBreaker()
    breaker.force_open()
    client = ApiClient(FakeTransport(otherwise=Hold()))
    await client.call(api("total", error_handler=note, total_timeout=1.0))
    await client.call(api("attempt", error_handler=note, timeout=1.0, retry_count=0))
    await client.call(api("open", error_handler=note, circuit_breaker=breaker))
    assert kinds == ["ApiTimeoutError", "ApiTimeoutError", "ApiCircuitOpenError"]


async def test_a_handler_gets_what_was_wrong_with_the_input() -> None:
    """Nothing was sent, and there is no request to speak of."""
    transport = FakeTransport()
    seen: list[Any] = []
    endpoint = api("user", "http://shop.test/{id}", error_handler=lambda error: seen.append(error))
    await ApiClient(transport).call(endpoint, {})
    (error,) = seen
    assert isinstance(error, ApiValidationError)
    assert (error.endpoint, error.attempts, transport.calls) == ("user", 0, [])


async def test_a_handler_gets_what_the_model_refused() -> None:
    class User(BaseModel):
        id: int

    client = ApiClient(FakeTransport(otherwise={"id": "x"}))
    assert await client.call(api(model=User, error_handler=lambda error: error.errors[0]["loc"])) == ("id",)


async def test_a_handler_that_fails_replaces_the_error_and_keeps_it_as_cause() -> None:
    def handler(error: Exception) -> None:
        raise LookupError("no substitute")

    client = ApiClient(FakeTransport({"api": 404}))
    watch = Watch(client.events)
    error = await failure(client, api(error_handler=handler))
    assert type(error) is LookupError
    assert isinstance(error.__cause__, ApiHttpError) and error.__cause__.status_code == 404
    end = watch.last(CallFinished)
    assert (end.status, end.degraded, end.error) == ("failed", False, error)


async def test_a_handler_may_raise_the_error_again() -> None:
    def handler(error: Exception) -> None:
        raise error

    error = await failure(ApiClient(FakeTransport({"api": 404})), api(error_handler=handler))
    assert error.status_code == 404
    assert error.__cause__ is not error


async def test_a_handler_is_not_asked_about_a_success() -> None:
    client = ApiClient(FakeTransport())
    assert await client.call(api(error_handler=lambda error: 1 / 0)) == {"ok": True}


async def test_a_handler_is_not_asked_about_a_cancellation() -> None:
    seen: list[Any] = []
    client = ApiClient(FakeTransport({"api": Hold()}))
    subscription = client.observe(api(error_handler=seen.append))({}).subscribe(seen.append, seen.append)
    await turns()
    subscription.dispose()
    await turns()
    assert seen == []
