"""Repetition in the stack: waits, hints, counts and the budget."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from rxorch import ApiClient, RateLimiter
from rxorch.endpoint import CallDefaults, Caller
from rxorch.errors import ApiHttpError, ApiNetworkError, ApiRateLimitError
from rxorch.events import RetryWaiting
from rxorch_operators import RetryPolicy
from rxorch_operators.errors import RetryBudgetExhaustedError
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, api, in_turn, reply, turns
from tests.support.virtual_time import now
from tests.support.watch import Watch

RESET = ApiNetworkError("reset", sent=True)


# -- waits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "answers", "gaps"),
    [
        ({}, (500, 500), [0.2, 0.4]),
        ({}, (502, RESET), [0.2, 0.4]),
        ({}, (503, 503), [1.0, 2.0]),
        ({}, (429, 429), [1.0, 2.0]),
        ({}, (503, 500), [1.0, 0.4]),
        ({}, (500, 503), [0.2, 2.0]),
        ({"retry_delay": 0.5}, (503, 429), [0.5, 1.0]),
        ({"retry_delay": 0.0}, (503, 500), [0.0, 0.0]),
        ({"retry_delay": 25.0}, (500, 503), [25.0, 25.0]),
    ],
)
@virtual_time
async def test_the_waits_grow_from_their_base(
    fields: dict[str, Any], answers: tuple[Any, Any], gaps: list[float]
) -> None:
    """0.2 s, or 1 s after 429 and 503 unless a delay is given; doubled; at most 20 s or the delay."""
    transport = FakeTransport({"api": in_turn(*answers, {})})
    await ApiClient(transport).call(api(retry_jitter="none", **fields))
    assert transport.waits == gaps


@virtual_time
async def test_429_to_the_end_is_a_rate_limit_error_and_an_http_error() -> None:
    transport = FakeTransport({"api": 429})
    with pytest.raises(ApiRateLimitError) as caught:
        await ApiClient(transport).call(api(retry_jitter="none"))
    assert isinstance(caught.value, ApiHttpError)
    assert (caught.value.status_code, caught.value.attempts, now()) == (429, 3, 3.0)


@virtual_time
async def test_a_policy_of_its_own_rules_alone() -> None:
    transport = FakeTransport({"api": in_turn(503, 500, 429, {})})
    policy = RetryPolicy(max_attempts=4, base=3.0, factor=1.0, jitter="none")
    await ApiClient(transport).call(api(retry=policy))
    assert transport.waits == [3.0, 3.0, 3.0]


@virtual_time
async def test_the_jitter_is_spread_below_the_wait() -> None:
    transport = FakeTransport(otherwise=503)
    client = Caller(transport, defaults=CallDefaults(random=Random(7), retry_budget=False))
    for number in range(20):
        with pytest.raises(ApiHttpError):
            await client.call(api(f"e{number}", retry_count=1))
    gaps = transport.waits[::2]
    assert all(0.0 <= gap <= 1.0 for gap in gaps)
    assert len(set(gaps)) == 20 and max(gaps) > 0.5 > min(gaps)


@virtual_time
async def test_no_wait_ends_a_minute_after_the_first_attempt() -> None:
    transport = FakeTransport({"api": 500})
    with pytest.raises(ApiHttpError):
        await ApiClient(transport).call(api(retry_delay=40.0, retry_jitter="none", retry_count=5))
    assert (transport.waits, now()) == ([40.0], 40.0)


@pytest.mark.parametrize("status", [429, 503, 500])
@virtual_time
async def test_what_the_server_asks_for_is_waited_and_a_little_more(status: int) -> None:
    script = in_turn(reply(status, headers={"Retry-After": "5"}), {})
    transport = FakeTransport({"api": script})
    await ApiClient(transport).call(api(retry_jitter="none"))
    (gap,) = transport.waits
    assert 5.0 < gap <= 5.5


@virtual_time
async def test_two_who_are_told_the_same_do_not_come_back_together() -> None:
    transport = FakeTransport(otherwise=reply(503, headers={"Retry-After": "5"}))
    client = Caller(transport, defaults=CallDefaults(retry_budget=False))
    calls = [client.call(api(f"e{number}", retry_count=1)) for number in range(20)]
    await asyncio.gather(*calls, return_exceptions=True)
    assert len(set(transport.times)) == 1 + 20


@virtual_time
async def test_a_hint_counts_more_than_a_delay_of_the_endpoint() -> None:
    transport = FakeTransport({"api": in_turn(reply(503, headers={"Retry-After": "0"}), {})})
    await ApiClient(transport).call(api(retry_delay=30.0, retry_jitter="none"))
    assert 0.0 <= transport.waits[0] <= 0.1


@pytest.mark.parametrize("nonsense", ["-5", "soon", ""])
@virtual_time
async def test_a_hint_that_is_none_is_none(nonsense: str) -> None:
    transport = FakeTransport({"api": in_turn(reply(503, headers={"Retry-After": nonsense}), {})})
    await ApiClient(transport).call(api(retry_jitter="none"))
    assert transport.waits == [1.0]


@virtual_time
async def test_a_hint_too_far_away_fails_at_once_and_is_told() -> None:
    transport = FakeTransport({"api": reply(429, headers={"Retry-After": "61"})})
    with pytest.raises(ApiRateLimitError) as caught:
        await ApiClient(transport).call(api())
    assert (caught.value.retry_after, caught.value.attempts, now()) == (61.0, 1, 0.0)


@virtual_time
async def test_a_hint_beyond_the_deadline_fails_at_once() -> None:
    transport = FakeTransport({"api": reply(503, headers={"Retry-After": "10"})})
    with pytest.raises(ApiHttpError):
        await ApiClient(transport).call(api(total_timeout=10.0))
    assert (transport.sends, now()) == (1, 0.0)


@pytest.mark.parametrize("shared", [False, True])
@virtual_time
async def test_a_hint_holds_for_all_calls_of_the_endpoint(shared: bool) -> None:
    """It is fed to the limiter, the endpoint's own or one that it shares."""
    limit = {"rate_limiter": RateLimiter(100, 1.0, burst=50)} if shared else {"rate_limit": 100}
    transport = FakeTransport({"api": in_turn(reply(429, headers={"Retry-After": "20"}), {})})
    client = ApiClient(transport)
    with pytest.raises(ApiRateLimitError):
        await client.call(api(retry_count=0, **limit))
    await client.call(api("other"))
    assert now() == 0.0  # the others were not told to wait
    await client.call(api(retry_count=0, **limit))
    assert now() == 20.0


@pytest.mark.parametrize(
    ("fields", "longest"),
    [({}, 60.0), ({"retry_count": 0}, 60.0), ({"retry": RetryPolicy(max_hint=7.0)}, 7.0)],
)
@virtual_time
async def test_a_hint_without_end_does_not_close_the_endpoint_for_ever(
    fields: dict[str, Any], longest: float
) -> None:
    """The other calls wait as long as a retry would, and then ask again."""
    script = in_turn(reply(429, headers={"Retry-After": "999999999999"}), {})
    client = ApiClient(FakeTransport({"api": script}))
    endpoint = api(rate_limit=100, **fields)
    with pytest.raises(ApiRateLimitError):
        await client.call(endpoint)
    assert now() == 0.0
    assert await client.call(endpoint) == {}
    assert now() == longest


@virtual_time
async def test_a_shared_limiter_is_told_for_all_who_share_it() -> None:
    limiter = RateLimiter(100, 1.0, burst=50)
    script = {"first": reply(503, headers={"Retry-After": "20"})}
    client = ApiClient(transport := FakeTransport(script))
    with pytest.raises(ApiHttpError):
        await client.call(api("first", retry_count=0, rate_limiter=limiter))
    await client.call(api("second", rate_limiter=limiter))
    assert transport.waits == [20.0]


# -- budget --------------------------------------------------------------------------------------------


@virtual_time
async def test_the_budget_ends_the_repetitions_and_says_so() -> None:
    """Three in ten seconds are always allowed."""
    transport = FakeTransport({"api": 500})
    client = ApiClient(transport, breaker_threshold=None)
    with pytest.raises(ApiHttpError) as caught:
        await client.call(api(retry_count=10, retry_delay=0.0))
    assert transport.sends == 1 + 3
    assert isinstance(caught.value.__cause__, RetryBudgetExhaustedError)
    assert caught.value.attempts == 4


@virtual_time
async def test_the_budget_is_shared_by_the_endpoints_of_a_host_and_not_by_hosts() -> None:
    transport = FakeTransport(otherwise=500)
    client = ApiClient(transport, breaker_threshold=None)
    endpoints = [api(name, f"http://{host}/", retry_count=9, retry_delay=0.0) for name, host in HOSTS.items()]
    for endpoint in (*endpoints, endpoints[0]):
        with pytest.raises(ApiHttpError):
            await client.call(endpoint)
    # three for each endpoint, in one purse for each host: the second call to a1 finds that of a.test empty
    assert transport.counts == {"a1": (1 + 3) + 1, "a2": 1 + 3, "b": 1 + 3}


HOSTS = {"a1": "a.test", "a2": "a.test", "b": "b.test"}


@virtual_time
async def test_the_budget_comes_back_and_grows_with_the_calls() -> None:
    transport = FakeTransport({"api": 500})
    client = ApiClient(transport, breaker_threshold=None)
    endpoint = api(retry_count=10, retry_delay=0.0)
    for _ in range(2):
        with pytest.raises(ApiHttpError):
            await client.call(endpoint)
    assert transport.sends == 4 + 1
    await asyncio.sleep(20.0)
    transport.script("api", {})
    await asyncio.gather(*(client.call(endpoint) for _ in range(49)))
    transport.script("api", 500)
    before = transport.sends
    with pytest.raises(ApiHttpError):
        await client.call(endpoint)
    assert transport.sends - before == 1 + 10  # a fifth of 50 calls


@virtual_time
async def test_without_a_budget_every_attempt_is_made() -> None:
    transport = FakeTransport({"api": 500})
    client = ApiClient(transport, breaker_threshold=None, retry_budget=False)
    with pytest.raises(ApiHttpError) as caught:
        await client.call(api(retry_count=10, retry_delay=0.0))
    assert (transport.sends, caught.value.__cause__) == (11, None)


# -- counting ------------------------------------------------------------------------------------------


@virtual_time
async def test_two_calls_never_share_a_count() -> None:
    transport = FakeTransport(otherwise=500)
    client = ApiClient(transport, breaker_threshold=None, retry_budget=False)
    call = client.observe(api(retry_count=2, retry_delay=0.0))({})
    errors: list[Exception] = []
    for _ in range(3):
        call.subscribe(on_error=errors.append)
    await turns(200)
    assert transport.sends == 9
    assert [error.attempts for error in errors if isinstance(error, ApiHttpError)] == [3, 3, 3]
    assert client.runtimes["api"].retries == 6


@virtual_time
async def test_the_waits_are_told() -> None:
    client = ApiClient(FakeTransport({"api": in_turn(503, 500, {})}))
    watch = Watch(client.events)
    await client.call(api(retry_jitter="none"))
    told = [
        (event.attempt, event.wait, getattr(event.error, "status_code", None))
        for event in watch.of(RetryWaiting)
    ]
    assert told == [(1, 1.0, 503), (2, 0.4, 500)]
