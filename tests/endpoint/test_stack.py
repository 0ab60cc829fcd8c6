"""The policy stack: which policy stands outside of which, and what an error says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import ApiClient, CircuitBreaker, RateLimiter
from rxorch.errors import (
    ApiCircuitOpenError,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiTimeoutError,
)
from rxorch.events import AttemptFailed
from rxorch_operators import CircuitOpenError, RateLimitExceededError, TimeoutExceededError
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, reply, turns
from tests.support.virtual_time import now
from tests.support.watch import Watch


async def failure(client: ApiClient, endpoint: Any, data: Any = None) -> Any:
    """The error of a call."""
    with pytest.raises(Exception) as caught:
        await client.call(endpoint, {} if data is None else data)
    return caught.value


# -- order ---------------------------------------------------------------------------------------------


@virtual_time
async def test_an_answer_from_memory_costs_no_permit() -> None:
    """cache is outside of breaker and limit."""
    limiter = RateLimiter(1, 3600.0)
    breaker = CircuitBreaker()
    client = ApiClient(FakeTransport())
    endpoint = api(cache_ttl=60.0, rate_limiter=limiter, circuit_breaker=breaker)
    for _ in range(5):
        await client.call(endpoint)
    breaker.force_open()
    await client.call(endpoint)
    assert limiter.statistics().granted == 1
    assert now() == 0.0


@virtual_time
async def test_every_attempt_is_paid_to_the_limiter() -> None:
    """retry is outside of the limit."""
    transport = FakeTransport({"api": in_turn(500, 500, {})})
    endpoint = api(rate_limit=1, rate_limit_window=10.0, retry_delay=0.5, retry_jitter="none")
    await ApiClient(transport).call(endpoint)
    assert transport.waits == [10.0, 10.0]


@virtual_time
async def test_every_attempt_is_seen_by_the_breaker() -> None:
    """retry is outside of the breaker."""
    breaker = CircuitBreaker(threshold=3)
    client = ApiClient(FakeTransport({"api": 500}))
    await failure(client, api(circuit_breaker=breaker, retry_delay=0.0))
    assert breaker.state.name == "OPEN"


@virtual_time
async def test_an_open_circuit_sends_nothing_and_takes_no_permit_of_the_limit() -> None:
    """The breaker is outside of the limit, and its refusal is not repeated."""
    limiter, breaker = RateLimiter(10), CircuitBreaker(timeout=30.0, name="shop")
    breaker.force_open()
    transport = FakeTransport()
    client = ApiClient(transport)
    error = await failure(client, api(circuit_breaker=breaker, rate_limiter=limiter))
    assert isinstance(error, ApiCircuitOpenError) and isinstance(error, CircuitOpenError)
    assert (error.endpoint, error.name, error.attempts) == ("api", "shop", 0)
    assert (transport.calls, limiter.statistics().granted, now()) == ([], 0, 0.0)


@virtual_time
async def test_waiting_for_the_limit_is_not_part_of_the_attempts_time() -> None:
    """The limit is outside of the attempt timeout."""
    client = ApiClient(FakeTransport())
    endpoint = api(rate_limit=1, rate_limit_window=60.0, timeout=1.0)
    await client.call(endpoint)
    await client.call(endpoint)
    assert now() == 60.0


@virtual_time
async def test_waiting_for_a_permit_is_not_part_of_the_attempts_time() -> None:
    """The bulkhead is outside of the attempt timeout."""
    hold = Hold()
    transport = FakeTransport({"slow": hold})
    client = ApiClient(transport, max_in_flight=1)
    first = asyncio.create_task(client.call(api("slow", timeout=None)))
    await turns()
    second = asyncio.create_task(client.call(api("quick", timeout=1.0)))
    await asyncio.sleep(5.0)
    assert transport.names == ["slow"]
    hold.answer({})
    await asyncio.gather(first, second)


@virtual_time
async def test_each_attempt_has_its_own_time() -> None:
    client = ApiClient(transport := FakeTransport({"api": Hold()}))
    error = await failure(client, api(timeout=2.0, retry_count=2, retry_delay=0.5, retry_jitter="none"))
    assert isinstance(error, ApiTimeoutError)
    assert (error.kind, error.limit, error.attempts) == ("attempt", 2.0, 3)
    assert transport.waits == [2.5, 3.0]
    assert now() == 2.0 + 0.5 + 2.0 + 1.0 + 2.0
    assert transport.in_flight == 0


@virtual_time
async def test_the_total_time_holds_over_attempts_and_waits() -> None:
    client = ApiClient(transport := FakeTransport({"api": in_turn(500, Hold())}))
    endpoint = api(total_timeout=3.0, timeout=30.0, retry_delay=2.0, retry_jitter="none")
    error = await failure(client, endpoint)
    assert isinstance(error, ApiTimeoutError) and isinstance(error, TimeoutExceededError)
    assert isinstance(error, TimeoutError)
    assert (error.kind, error.limit, error.attempts, error.elapsed) == ("total", 3.0, 2, 3.0)
    assert now() == 3.0
    await turns()
    assert transport.in_flight == 0


@virtual_time
async def test_no_wait_goes_past_the_deadline() -> None:
    """A retry that could not start in time: the last error at once, and not a timeout later."""
    client = ApiClient(transport := FakeTransport({"api": 500}))
    endpoint = api(total_timeout=3.0, retry_delay=2.0, retry_count=5, retry_jitter="none")
    error = await failure(client, endpoint)
    assert isinstance(error, ApiHttpError)
    assert (error.attempts, transport.sends, now()) == (2, 2, 2.0)


@virtual_time
async def test_a_limit_that_cannot_grant_before_the_deadline_fails_at_once() -> None:
    client = ApiClient(transport := FakeTransport())
    endpoint = api(rate_limit=1, rate_limit_window=60.0, total_timeout=10.0)
    await client.call(endpoint)
    error = await failure(client, endpoint)
    assert isinstance(error, ApiRateLimitError) and isinstance(error, RateLimitExceededError)
    assert isinstance(error, ApiHttpError)
    assert (error.status_code, error.name, error.endpoint) == (None, "api", "api")
    assert error.retry_after == pytest.approx(60.0)
    assert (transport.sends, now()) == (1, 0.0)


@virtual_time
async def test_an_answer_from_memory_needs_no_time() -> None:
    """The total time is outside of the cache, and an expired one still lets an answer through at once."""
    client = ApiClient(FakeTransport())
    endpoint = api(cache_ttl=60.0, total_timeout=5.0)
    await client.call(endpoint)
    await asyncio.sleep(30.0)
    await client.call(endpoint)
    assert now() == 30.0


# -- what an error says --------------------------------------------------------------------------------


async def test_an_error_carries_the_facts_of_its_call() -> None:
    client = ApiClient(FakeTransport({"api": 400}))
    error = await failure(client, api("api", "http://shop.test/x?token=canary&page=2"))
    assert (error.endpoint, error.attempts) == ("api", 1)
    assert error.url == "http://shop.test/x?token=***&page=2"
    assert error.elapsed >= 0.0
    assert "canary" not in str(error)


async def test_an_error_of_the_transport_keeps_what_it_knows() -> None:
    known = ApiNetworkError("down", sent=False, endpoint="inner", url="http://inner/", elapsed=7.0)
    error = await failure(ApiClient(FakeTransport({"api": known})), api(retry_count=0))
    assert error is known
    assert (error.endpoint, error.url, error.elapsed, error.attempts) == ("inner", "http://inner/", 7.0, 1)


@virtual_time
async def test_an_error_of_a_policy_has_the_operators_error_as_cause() -> None:
    client = ApiClient(FakeTransport({"api": Hold()}))
    error = await failure(client, api(timeout=1.0, retry_count=0))
    assert type(error.__cause__) is TimeoutExceededError
    assert error.__cause__.kind == "attempt"


async def test_an_error_of_the_users_own_function_passes_with_a_note() -> None:
    def parse(response: Any) -> Any:
        raise KeyError("mine")

    error = await failure(ApiClient(FakeTransport()), api(response_parser=parse))
    assert type(error) is KeyError
    assert error.__notes__ == ["in endpoint 'api'"]


async def test_data_nested_without_end_is_a_validation_error() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    error = await failure(ApiClient(FakeTransport()), api(method="POST"), nested)
    assert isinstance(error, ApiError)
    assert error.endpoint == "api"


async def test_a_task_that_somebody_else_cancelled_is_a_cancellation_and_no_failure() -> None:
    """Neither retried nor handed to a handler."""

    async def cancelled(request: Any) -> Any:
        raise asyncio.CancelledError

    class Breaking(FakeTransport):
        async def send(self, request: Any) -> Any:
            self.calls.append(request)
            await turns(1)
            raise asyncio.CancelledError

    client = ApiClient(transport := Breaking())
    watch = Watch(client.events)
    with pytest.raises(asyncio.CancelledError):
        await client.call(api(error_handler=lambda error: "substitute"))
    assert len(transport.calls) == 1
    assert watch.statuses == ["cancelled"]
    assert client.runtimes["api"].calls_in_flight == 0


# -- transforms ----------------------------------------------------------------------------------------


async def test_transform_input_feeds_url_params_and_body() -> None:
    """What it returns takes the place of the data for this call."""
    transport = FakeTransport()
    endpoint = api(
        "order",
        "http://shop.test/orders/{number}",
        method="POST",
        params={"who": "{name}"},
        transform_input=lambda data: {"number": data["id"] + 1, "name": "Ada"},
    )
    await ApiClient(transport).call(endpoint, {"id": 7})
    assert transport.paths("order") == ["/orders/8?who=Ada"]
    assert transport.bodies("order") == [{"number": 8, "name": "Ada"}]


async def test_a_body_of_its_own_gets_the_transformed_data() -> None:
    transport = FakeTransport()
    endpoint = api(
        method="POST", transform_input=lambda data: data["inner"], body=lambda data: {"wrapped": data}
    )
    await ApiClient(transport).call(endpoint, {"inner": 7})
    assert transport.bodies("api") == [{"wrapped": 7}]


async def test_a_get_sends_no_body_whatever_its_data() -> None:
    transport = FakeTransport()
    await ApiClient(transport).call(api(), {"id": 7})
    assert transport.calls[0].body is None


async def test_the_request_is_built_once_for_all_attempts() -> None:
    built: list[Any] = []
    client = ApiClient(FakeTransport({"api": in_turn(500, 500, {})}))
    endpoint = api(transform_input=built.append, retry_delay=0.0)
    await client.call(endpoint, {"id": 7})
    assert built == [{"id": 7}]


# -- retry_if ------------------------------------------------------------------------------------------


@virtual_time
async def test_an_answer_that_is_refused_is_asked_for_again() -> None:
    """`retry_if` sees status, headers and the value as the endpoint would return it."""
    seen: list[Any] = []

    def pending(answer: Any) -> bool:
        seen.append((answer.status, answer.headers["X-Turn"], answer.value))
        return bool(answer.value != "done")

    script = in_turn(
        reply(202, {"state": "queued"}, {"x-turn": "1"}), reply(200, {"state": "done"}, {"x-turn": "2"})
    )
    transport = FakeTransport({"api": script})
    endpoint = api(retry_if=pending, response_key="state", retry_delay=4.0, retry_jitter="none")
    assert await ApiClient(transport).call(endpoint) == "done"
    assert seen == [(202, "1", "queued"), (200, "2", "done")]
    assert transport.waits == [4.0]


@virtual_time
async def test_the_last_answer_is_the_value_even_if_it_was_refused() -> None:
    transport = FakeTransport({"api": "pending"})
    endpoint = api(retry_if=lambda answer: True, retry_delay=0.0)
    assert await ApiClient(transport).call(endpoint) == "pending"
    assert transport.sends == 3


async def test_retry_if_that_raises_is_the_error() -> None:
    error = await failure(ApiClient(FakeTransport()), api(retry_if=lambda answer: 1 / 0))
    assert type(error) is ZeroDivisionError
    assert error.__notes__ == ["in endpoint 'api'"]


async def test_a_failed_attempt_is_told_as_it_was() -> None:
    client = ApiClient(FakeTransport({"api": in_turn(500, {})}))
    watch = Watch(client.events)
    await client.call(api(retry_delay=0.0))
    (failed,) = watch.of(AttemptFailed)
    assert isinstance(failed.error, ApiHttpError)
    assert (failed.attempt, failed.error.status_code) == (1, 500)
