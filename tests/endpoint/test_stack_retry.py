"""Repetition in the stack: waits, hints, keys, the budget, and what became of an order nobody answered."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from rxorch import ApiClient, RateLimiter
from rxorch.endpoint import CallDefaults, Caller
from rxorch.errors import ApiError, ApiHttpError, ApiNetworkError, ApiRateLimitError, ApiTimeoutError
from rxorch.events import CallFinished, RetryWaiting
from rxorch_operators import RetryPolicy
from rxorch_operators.errors import RetryBudgetExhaustedError
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, reply, turns
from tests.support.loopback import Loopback, reset_connection
from tests.support.loopback import in_turn as served_in_turn
from tests.support.virtual_time import now, virtual_time
from tests.support.watch import Watch

RESET = ApiNetworkError("reset", sent=True)
REFUSED = ApiNetworkError("refused", sent=False)


async def sends(answers: Any, method: str = "POST", data: Any = None, **fields: Any) -> tuple[int, str]:
    """How many attempts a call of the api makes, and how it ends."""
    transport = FakeTransport({"api": answers})
    client = ApiClient(transport, breaker_threshold=None)
    watch = Watch(client.events)
    try:
        await client.call(api(method=method, retry_delay=0.0, **fields), data or {})
    except ApiError:
        pass
    return len(transport.calls), watch.last(CallFinished).status


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


@virtual_time
async def test_a_shared_limiter_is_told_for_all_who_share_it() -> None:
    limiter = RateLimiter(100, 1.0, burst=50)
    script = {"first": reply(503, headers={"Retry-After": "20"})}
    client = ApiClient(transport := FakeTransport(script))
    with pytest.raises(ApiHttpError):
        await client.call(api("first", retry_count=0, rate_limiter=limiter))
    await client.call(api("second", rate_limiter=limiter))
    assert transport.waits == [20.0]


# -- unsafe methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "fields", "expected"),
    [
        (in_turn(REFUSED, {}), {}, (2, "ok")),
        (in_turn(503, 429, {}), {}, (3, "ok")),
        (RESET, {}, (1, "unknown")),
        (500, {}, (1, "failed")),
        (in_turn(500, {}), {"retry_on": [500]}, (2, "ok")),
        (in_turn(RESET, {}), {"retry_on": [500]}, (1, "unknown")),
        (in_turn(500, RESET, {}), {"idempotent": True}, (3, "ok")),
        (in_turn(500, RESET, {}), {"idempotency_key": "order-{id}"}, (3, "ok")),
        (RESET, {"idempotency_key": None}, (1, "unknown")),
        (in_turn(503, RESET), {}, (2, "unknown")),
        (in_turn(REFUSED, RESET), {}, (2, "unknown")),
        (in_turn(503, REFUSED), {}, (3, "failed")),
        (RESET, {"idempotent": True}, (3, "failed")),
        (RESET, {"idempotency_key": "k"}, (3, "unknown")),
        (REFUSED, {}, (3, "failed")),
        (404, {}, (1, "failed")),
    ],
)
@virtual_time
async def test_a_post_is_repeated_where_nothing_can_have_happened(
    answers: Any, fields: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert await sends(answers, data={"id": 7}, **fields) == expected


@pytest.mark.parametrize("answers", [RESET, 500, REFUSED])
@virtual_time
async def test_a_get_that_fails_has_failed(answers: Any) -> None:
    """Nothing can have happened: never unknown."""
    assert await sends(answers, "GET") == (3, "failed")


@virtual_time
async def test_a_post_that_ran_out_of_time_is_not_repeated() -> None:
    """It was sent, and no answer came: nobody knows."""
    assert await sends(Hold(), timeout=1.0) == (1, "unknown")
    assert now() == 1.0


@virtual_time
async def test_a_post_whose_total_time_ran_out_is_unknown() -> None:
    assert await sends(Hold(), total_timeout=1.0) == (1, "unknown")


@virtual_time
async def test_a_post_that_ran_out_of_time_before_it_was_sent_is_repeated() -> None:
    """A server that cannot be reached: no harm done."""

    class Unreachable(FakeTransport):
        async def send(self, request: Any) -> Any:
            self.calls.append(request)
            await asyncio.get_running_loop().create_future()

    transport = Unreachable()
    client = ApiClient(transport)
    watch = Watch(client.events)
    with pytest.raises(ApiTimeoutError):
        await client.call(api(method="POST", timeout=1.0, retry_delay=0.0))
    assert (len(transport.calls), watch.statuses) == (3, ["failed"])


@virtual_time
async def test_only_the_latest_attempt_counts_for_whether_it_was_sent() -> None:
    """The first was refused by the server, the second never left: that is a failure, and is repeated."""

    class ThenUnreachable(FakeTransport):
        async def send(self, request: Any) -> Any:
            if not self.calls:
                return await super().send(request)
            self.calls.append(request)
            return await asyncio.get_running_loop().create_future()

    transport = ThenUnreachable({"api": 503})
    client = ApiClient(transport)
    watch = Watch(client.events)
    with pytest.raises(ApiTimeoutError):
        await client.call(api(method="POST", timeout=1.0, retry_delay=0.0))
    assert (len(transport.calls), watch.statuses) == (3, ["failed"])


@pytest.mark.parametrize(
    ("method", "status"), [("POST", "unknown"), ("PATCH", "unknown"), ("PUT", "cancelled")]
)
async def test_an_order_cut_off_on_its_way_is_unknown(method: str, status: str) -> None:
    client = ApiClient(FakeTransport({"api": Hold()}))
    watch = Watch(client.events)
    subscription = client.observe(api(method=method))({}).subscribe()
    await turns()
    subscription.dispose()
    assert watch.statuses == [status]
    assert watch.last(CallFinished).attempts == 1


async def test_an_order_cut_off_before_it_was_sent_is_cancelled() -> None:
    client = ApiClient(FakeTransport())
    watch = Watch(client.events)
    client.observe(api(method="POST"))({}).subscribe().dispose()
    assert watch.statuses == ["cancelled"]


@virtual_time
async def test_an_order_cut_off_in_a_wait_is_cancelled() -> None:
    """What went out before was answered: nothing was done."""
    client = ApiClient(FakeTransport({"api": 503}))
    watch = Watch(client.events)
    subscription = client.observe(api(method="POST", retry_delay=10.0, retry_jitter="none"))({}).subscribe()
    await asyncio.sleep(5.0)
    subscription.dispose()
    assert watch.statuses == ["cancelled"]


async def test_a_real_connection_that_breaks_leaves_an_order_unknown() -> None:
    async with Loopback({"POST /order": reset_connection}) as server, ApiClient() as client:
        watch = Watch(client.events)
        with pytest.raises(ApiNetworkError) as caught:
            await client.call(api("order", f"{server.url}/order", method="POST"), {"id": 7})
        assert (server.total, watch.statuses) == (1, ["unknown"])
        assert caught.value.sent and caught.value.attempts == 1


async def test_a_real_server_that_is_silent_gets_an_order_once() -> None:
    async def silent(request: Any) -> Any:
        await asyncio.get_running_loop().create_future()

    async with Loopback({"POST /order": silent}) as server, ApiClient() as client:
        watch = Watch(client.events)
        with pytest.raises(ApiTimeoutError):
            await client.call(api("order", f"{server.url}/order", method="POST", timeout=0.05), {"id": 7})
        await server.until_disconnected()
        assert (server.total, client.sends, watch.statuses) == (1, 1, ["unknown"])


# -- keys ----------------------------------------------------------------------------------------------


def keys(transport: FakeTransport) -> list[str | None]:
    return [request.headers.get("Idempotency-Key") for request in transport.calls]


@virtual_time
async def test_all_attempts_of_a_post_carry_the_same_key_and_each_call_its_own() -> None:
    transport = FakeTransport({"api": in_turn(503, 503, {}, 503, {})})
    client = ApiClient(transport, retry_budget=False)
    endpoint = api(method="POST", retry_delay=0.0)
    await client.call(endpoint, {})
    await client.call(endpoint, {})
    first, second = set(keys(transport)[:3]), set(keys(transport)[3:])
    assert len(first) == len(second) == 1 and first != second
    assert None not in first | second


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"idempotency_key": "order-{id}"}, "order-7"),
        ({"idempotency_key": lambda data: f"o{data['id']}"}, "o7"),
        ({"idempotency_key": lambda data, context: f"{data['id']}/{context}"}, "7/None"),
        ({"idempotency_key": None}, None),
        ({"retry_count": 0}, None),
        ({"headers": {"idempotency-key": "mine"}}, None),
        ({"method": "PUT"}, None),
        ({"method": "GET"}, None),
        ({"method": "GET", "idempotency_key": "always"}, "always"),
    ],
)
@virtual_time
async def test_where_a_key_comes_from(fields: dict[str, Any], key: str | None) -> None:
    transport = FakeTransport({"api": in_turn(503, {})})
    client = ApiClient(transport)
    endpoint = api(**{"method": "POST", "retry_delay": 0.0, **fields})
    await asyncio.gather(client.call(endpoint, {"id": 7}), return_exceptions=True)
    assert set(keys(transport)) == {key}
    if "headers" in fields:
        assert {request.headers["idempotency-key"] for request in transport.calls} == {"mine"}


async def test_a_key_reaches_a_real_server_in_every_attempt() -> None:
    routes = {"POST /order": served_in_turn(503, 503, {"done": True})}
    async with Loopback(routes) as server, ApiClient() as client:
        await client.call(api("order", f"{server.url}/order", method="POST", retry_delay=0.0), {})
        assert server.total == 3
        assert len({request.headers["Idempotency-Key"] for request in server.seen}) == 1


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
