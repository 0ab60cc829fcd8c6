"""A first attempt that nobody listens to is made in one link; all else is as with the links of `attempts`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rxorch import ApiClient
from rxorch.endpoint import EndpointCall
from rxorch.endpoint.call import LOOSE
from rxorch.errors import ApiNetworkError
from rxorch_operators import RetryPolicy
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, turns

FAILING = {
    "a value": lambda: {"x": 1},
    "an answer that is refused": lambda: 404,
    "one failure": lambda: in_turn(503, {"x": 1}),
    "failures without end": lambda: 503,
    "a rate limit": lambda: in_turn(429, {"x": 1}),
    "no answer": Hold,  # until its time is over
    "a network error": lambda: ApiNetworkError("down", sent=False),
    "an error of the transport": lambda: ValueError("strange"),
    "a cancellation that nobody asked for": lambda: asyncio.CancelledError(),
}


def facts_of(error: BaseException | None) -> tuple[Any, ...]:
    fields = ("status_code", "attempts", "endpoint", "url", "__notes__")
    cause = None if error is None else facts_of(error.__cause__) if error.__cause__ else type(error)
    elapsed = getattr(error, "elapsed", None)
    facts = (getattr(error, field, None) for field in fields)
    return (type(error), str(error), cause, elapsed and round(elapsed, 3), *facts)


async def what_comes_of(script: Any, *, listener: bool, calls: int = 3, **fields: Any) -> tuple[Any, ...]:
    transport = FakeTransport({"api": script})
    async with ApiClient(transport, breaker_threshold=4) as client:
        if listener:
            client.events.subscribe(lambda event: None)
        again = {} if "retry" in fields else {"retry_count": 2, "retry_jitter": "none"}
        endpoint = api("api", **{"timeout": 5.0, **again, **fields})
        ends: list[Any] = []
        begun = asyncio.get_running_loop().time()
        for _ in range(calls):
            try:
                ends.append(await client.call(endpoint))
            except BaseException as error:
                ends.append(facts_of(error))
        runtime = client.runtime(endpoint)
        assert (runtime.first_try is not None, runtime.calls_in_flight) == (True, 0)
        breaker = None if runtime.breaker is None else runtime.breaker.statistics()
        if breaker is not None and breaker.retry_after is not None:
            breaker = replace(breaker, retry_after=round(breaker.retry_after, 3))
        times = [round(time - begun, 3) for time in transport.times]
        budget = client.budget_of("shop.test").statistics(asyncio.get_running_loop().time())
        return ends, times, runtime.retries, runtime.sends, breaker, budget


@pytest.mark.parametrize("fields", [{}, {"retry_count": 0}, {"circuit_breaker": False}], ids=str)
@pytest.mark.parametrize("script", FAILING.values(), ids=FAILING)
@virtual_time
async def test_what_comes_of_a_call_is_the_same_with_a_listener_and_without(
    script: Callable[[], Any], fields: dict[str, Any]
) -> None:
    alone = await what_comes_of(script(), listener=False, **fields)
    assert alone == await what_comes_of(script(), listener=True, **fields)


@virtual_time
async def test_the_time_for_repetitions_is_counted_from_its_beginning() -> None:
    patience = RetryPolicy(max_attempts=9, base=1.0, factor=1.0, jitter="none", max_elapsed=2.5)
    fields: dict[str, Any] = {"retry": patience, "circuit_breaker": False}
    alone = await what_comes_of(Hold(), listener=False, **fields, timeout=0.5)
    assert alone == await what_comes_of(Hold(), listener=True, **fields, timeout=0.5)
    assert alone[1] == [0.0, 1.5, 2.0, 3.5, 4.0, 5.5]


@virtual_time
async def test_it_needs_no_limit() -> None:
    script = in_turn({"x": 1}, 503, {"x": 2})
    ends, *_ = await what_comes_of(script, listener=False, calls=2, timeout=None)
    assert ends == [{"x": 1}, {"x": 2}]


@virtual_time
async def test_a_circuit_that_opens_is_asked_as_ever() -> None:
    alone = await what_comes_of(503, listener=False, calls=8, retry_count=0)
    assert alone == await what_comes_of(503, listener=True, calls=8, retry_count=0)
    assert alone[3] == 4


@pytest.mark.parametrize("listener", [False, True])
async def test_a_call_that_is_disposed_gives_its_permit_back_and_counts_for_nothing(listener: bool) -> None:
    hold = Hold()
    script = in_turn({"x": 1}, hold)
    async with ApiClient(FakeTransport({"api": script}), breaker_threshold=1) as client:
        if listener:
            client.events.subscribe(lambda event: None)
        endpoint = api(retry_count=1)
        await client.call(endpoint)  # with which its attempts are composed
        subscription = EndpointCall(client.runtime(endpoint), {}, LOOSE).subscribe()
        await turns()
        subscription.dispose()
        await turns()
        breaker = client.runtime(endpoint).breaker
        assert breaker is not None
        assert (hold.cancelled, hold.waiting, breaker.statistics().calls, breaker.state.name) == (
            1,
            0,
            0,
            "CLOSED",
        )


@pytest.mark.parametrize("answer", [{"x": 1}, 404], ids=["a value", "a failure"])
async def test_a_call_is_freed_without_the_collector(answer: Any) -> None:
    async with ApiClient(FakeTransport({"api": answer}), breaker_threshold=None) as client:
        endpoint = api(retry_count=1)

        async def many() -> None:
            for _ in range(50):
                try:
                    await client.call(endpoint)
                except Exception as error:
                    error.__traceback__ = None

        await many()
        gc.collect()
        gc.disable()
        try:
            await many()
            left = gc.collect()
        finally:
            gc.enable()
    assert left < 50
