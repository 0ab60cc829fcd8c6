"""The circuit breaker in the stack: what opens it, what an open one does, and how it closes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import ApiClient, CircuitBreaker
from rxorch.errors import (
    ApiCircuitOpenError,
    ApiHttpError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiTimeoutError,
)
from rxorch.events import AttemptStarted, BreakerChanged
from rxorch_operators import CircuitState, Outcome3
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, reply, turns
from tests.support.virtual_time import now
from tests.support.watch import Watch


class Strict(BaseModel):
    """A shape that no answer here has."""

    never: int


async def fail(client: ApiClient, endpoint: Any, times: int = 1) -> list[Any]:
    """The errors of so many calls."""
    errors = []
    for _ in range(times):
        with pytest.raises(Exception) as caught:
            await client.call(endpoint)
        errors.append(caught.value)
    return errors


def once(**fields: Any) -> Any:
    """An endpoint without repetition."""
    return api(retry_count=0, **fields)


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (500, {}),
        (503, {}),
        (408, {}),
        (ApiNetworkError("down", sent=False), {}),
        (ApiNetworkError("reset", sent=True), {}),
        (Hold(), {"timeout": 1.0}),
    ],
    ids=["500", "503", "408", "refused", "reset", "timeout"],
)
@virtual_time
async def test_what_is_the_services_fault_opens_the_circuit(answer: Any, fields: dict[str, Any]) -> None:
    transport = FakeTransport({"api": answer})
    client = ApiClient(transport, breaker_threshold=3)
    await fail(client, once(**fields), 3)
    (error,) = await fail(client, once(**fields))
    assert isinstance(error, ApiCircuitOpenError)
    assert len(transport.calls) == 3


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (400, {}),
        (404, {}),
        (429, {}),
        (302, {}),
        ({"id": 7}, {"model": Strict}),
        ({"id": 7}, {"response_key": "nowhere"}),
        ({"id": 7}, {"transform_output": lambda value: value / 0}),
    ],
)
@virtual_time
async def test_what_is_not_changes_nothing(answer: Any, fields: dict[str, Any]) -> None:
    transport = FakeTransport({"api": answer})
    client = ApiClient(transport, breaker_threshold=3)
    await fail(client, once(**fields), 10)
    assert len(transport.calls) == 10
    breaker = client.runtimes["api"].breaker
    assert breaker is not None and breaker.state is CircuitState.CLOSED


@virtual_time
async def test_what_is_ignored_does_not_start_the_count_again() -> None:
    transport = FakeTransport({"api": in_turn(500, 500, 404, 500, {})})
    client = ApiClient(transport, breaker_threshold=3)
    await fail(client, once(), 4)
    assert isinstance((await fail(client, once()))[0], ApiCircuitOpenError)


@virtual_time
async def test_a_call_that_was_cut_off_counts_for_nothing() -> None:
    client = ApiClient(FakeTransport({"api": Hold()}), breaker_threshold=1)
    subscription = client.observe(once())({}).subscribe()
    await turns()
    subscription.dispose()
    breaker = client.runtimes["api"].breaker
    assert breaker is not None
    assert breaker.state is CircuitState.CLOSED
    assert client.runtimes["api"].calls_in_flight == 0


@virtual_time
async def test_an_input_that_cannot_be_sent_counts_for_nothing() -> None:
    client = ApiClient(FakeTransport(), breaker_threshold=1)
    await fail(client, api("user", "http://shop.test/{id}"), 3)
    breaker = client.runtimes["user"].breaker
    assert breaker is not None and breaker.state is CircuitState.CLOSED


@virtual_time
async def test_a_call_that_our_own_limit_refused_counts_for_nothing() -> None:
    client = ApiClient(FakeTransport(), breaker_threshold=1)
    endpoint = once(rate_limit=1, total_timeout=1.0)
    await client.call(endpoint)
    (error,) = await fail(client, endpoint)
    assert isinstance(error, ApiRateLimitError)
    breaker = client.runtimes["api"].breaker
    assert breaker is not None and breaker.state is CircuitState.CLOSED


@virtual_time
async def test_an_open_circuit_tells_when_to_come_back_and_lets_a_probe_through_then() -> None:
    transport = FakeTransport({"api": in_turn(500, {"fine": True})})
    client = ApiClient(transport, breaker_threshold=1, breaker_timeout=30.0)
    await fail(client, once())
    await asyncio.sleep(10.0)
    (error,) = await fail(client, once())
    assert error.retry_after == pytest.approx(20.0)
    await asyncio.sleep(20.0)
    assert await client.call(once()) == {"fine": True}
    assert transport.sends == 2


@virtual_time
async def test_probes_are_judged_together_and_close_it() -> None:
    hold = Hold()
    transport = FakeTransport({"api": in_turn(500, hold)})
    client = ApiClient(transport, breaker_threshold=1, breaker_timeout=30.0)
    watch = Watch(client.events)
    await fail(client, once())
    await asyncio.sleep(30.0)
    probes = [asyncio.create_task(client.call(once())) for _ in range(3)]
    await turns()
    (fourth,) = await fail(client, once())
    assert isinstance(fourth, ApiCircuitOpenError)
    hold.answer({})
    await asyncio.gather(*probes)
    changes = [(event.endpoint, event.old, event.new) for event in watch.of(BreakerChanged)]
    assert changes == [
        ("api", "closed", "open"),
        ("api", "open", "half_open"),
        ("api", "half_open", "closed"),
    ]
    assert [round(event.at - watch.events[0].at, 6) for event in watch.of(BreakerChanged)] == [
        0.0,
        30.0,
        30.0,
    ]


@virtual_time
async def test_a_probe_that_was_cut_off_neither_closes_nor_wedges_it() -> None:
    transport = FakeTransport({"api": in_turn(500, Hold(), Hold(), Hold(), {})})
    client = ApiClient(transport, breaker_threshold=1, breaker_timeout=30.0)
    await fail(client, once())
    await asyncio.sleep(30.0)
    probes = [client.observe(once())({}).subscribe() for _ in range(3)]
    await turns()
    for probe in probes:
        probe.dispose()
    breaker = client.runtimes["api"].breaker
    assert breaker is not None and breaker.state is CircuitState.HALF_OPEN
    assert await client.call(once()) == {}


@virtual_time
async def test_each_endpoint_has_its_own_unless_it_shares_one() -> None:
    shared = CircuitBreaker(threshold=2)
    client = ApiClient(FakeTransport(otherwise=500), breaker_threshold=2)
    first = api("first", retry_count=0, circuit_breaker=shared)
    second = api("second", retry_count=0, circuit_breaker=shared)
    third = api("third", retry_count=0)
    await fail(client, first)
    await fail(client, second)
    assert isinstance((await fail(client, first))[0], ApiCircuitOpenError)
    assert not isinstance((await fail(client, third))[0], ApiCircuitOpenError)


@pytest.mark.parametrize("off", ["endpoint", "client"])
@virtual_time
async def test_it_may_be_switched_off(off: str) -> None:
    client = ApiClient(FakeTransport({"api": 500}), breaker_threshold=None if off == "client" else 1)
    endpoint = once(circuit_breaker=False) if off == "endpoint" else once()
    await fail(client, endpoint, 5)
    assert client.runtimes["api"].breaker is None


@virtual_time
async def test_one_of_its_own_may_say_itself_what_counts() -> None:
    own = CircuitBreaker(threshold=1, classify=lambda result: Outcome3.IGNORED)
    strict = CircuitBreaker(threshold=1, classify=lambda result: Outcome3.FAILURE)
    client = ApiClient(FakeTransport({"own": 500}))
    await fail(client, api("own", retry_count=0, circuit_breaker=own), 3)
    assert own.state is CircuitState.CLOSED
    await client.call(api("strict", circuit_breaker=strict))
    assert strict.state is CircuitState.OPEN


@virtual_time
async def test_a_circuit_that_opens_ends_the_repetitions() -> None:
    transport = FakeTransport({"api": 500})
    client = ApiClient(transport, breaker_threshold=2)
    watch = Watch(client.events)
    (error,) = await fail(client, api(retry_count=5, retry_delay=0.0))
    assert isinstance(error, ApiCircuitOpenError)
    assert (transport.sends, error.attempts, len(watch.of(AttemptStarted))) == (2, 2, 2)


@virtual_time
async def test_a_timeout_of_the_whole_call_counts_as_a_call_cut_off() -> None:
    """Only the attempt's own time says something about the service."""
    client = ApiClient(FakeTransport({"api": Hold()}), breaker_threshold=1)
    (error,) = await fail(client, once(timeout=10.0, total_timeout=1.0))
    assert isinstance(error, ApiTimeoutError) and error.kind == "total"
    breaker = client.runtimes["api"].breaker
    assert breaker is not None and breaker.state is CircuitState.CLOSED
    assert now() == 1.0


@virtual_time
async def test_an_answer_that_is_too_late_for_its_state_changes_nothing() -> None:
    hold = Hold()
    transport = FakeTransport({"api": in_turn(hold, 500, 500)})
    client = ApiClient(transport, breaker_threshold=1, breaker_timeout=30.0)
    late = asyncio.create_task(client.call(once()))
    await turns()
    await fail(client, once())
    hold.answer(reply(200, {}))
    await late
    assert isinstance((await fail(client, once()))[0], ApiCircuitOpenError)


@virtual_time
async def test_who_meets_the_circuit_that_his_own_attempts_opened_learns_what_opened_it() -> None:
    client = ApiClient(FakeTransport({"api": 500}), breaker_threshold=1)
    (error,) = await fail(client, api())
    assert isinstance(error, ApiCircuitOpenError) and error.attempts == 1
    cause = error.__cause__
    assert isinstance(cause, ApiHttpError) and (cause.status_code, cause.endpoint) == (500, "api")
    (second,) = await fail(client, api())
    assert not isinstance(second.__cause__, ApiHttpError)  # it has made no attempt
