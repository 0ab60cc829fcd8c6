"""Memory and sharing in the stack: what is kept, for whom, and who shares a call in flight."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import ApiClient
from rxorch.endpoint import CallDefaults, Caller
from rxorch.errors import ApiConfigurationError, ApiHttpError
from rxorch.events import CacheHit, CallFinished
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, turns
from tests.support.watch import Watch


def counting() -> FakeTransport:
    """Answers with the number of the request."""
    transport = FakeTransport()
    transport._otherwise = lambda request: {"turn": transport.sends}
    return transport


@virtual_time
async def test_a_hit_sends_nothing_and_is_told() -> None:
    client = ApiClient(transport := counting())
    watch = Watch(client.events)
    endpoint = api(cache_ttl=60.0)
    assert await client.call(endpoint) == await client.call(endpoint) == {"turn": 0}
    assert transport.sends == 1
    first, second = watch.of(CallFinished)
    assert (first.cached, first.attempts) == (False, 1)
    assert (second.cached, second.attempts, second.status, second.status_code) == (True, 0, "ok", None)
    assert [event.call for event in watch.of(CacheHit)] == [second.call]


@virtual_time
async def test_what_is_kept_gets_old() -> None:
    client = ApiClient(transport := counting())
    endpoint = api(cache_ttl=60.0)
    await client.call(endpoint)
    await asyncio.sleep(59.9)
    await client.call(endpoint)
    assert transport.sends == 1
    await asyncio.sleep(0.1)
    assert await client.call(endpoint) == {"turn": 1}


@virtual_time
async def test_time_counts_from_the_end_of_the_call() -> None:
    hold = Hold()
    client = ApiClient(transport := FakeTransport({"api": hold}))
    endpoint = api(cache_ttl=10.0, timeout=None)
    task = asyncio.create_task(client.call(endpoint))
    await asyncio.sleep(8.0)
    hold.answer({})
    await task
    await asyncio.sleep(9.0)
    await client.call(endpoint)
    assert transport.sends == 1


@pytest.mark.parametrize(
    ("method", "sends"), [("GET", 1), ("HEAD", 1), ("OPTIONS", 1), ("POST", 2), ("PUT", 2), ("DELETE", 2)]
)
@virtual_time
async def test_the_clients_memory_is_for_safe_methods(method: str, sends: int) -> None:
    client = ApiClient(transport := counting(), cache_ttl=60.0)
    for _ in range(2):
        await client.call(api(method=method))
    assert transport.sends == sends


@virtual_time
async def test_an_endpoint_may_say_so_for_any_method_and_for_itself() -> None:
    client = ApiClient(transport := counting(), cache_ttl=60.0)
    for data in ({"q": 1}, {"q": 1}, {"q": 2}):
        await client.call(api("search", method="POST", cache_ttl=60.0), data)
        await client.call(api("never", cache_ttl=0.0), data)
    assert transport.counts == {"search": 2, "never": 3}


@virtual_time
async def test_orders_that_are_never_kept_are_never_shared_either() -> None:
    """`cache_ttl=0` means that two equal orders at once are two orders."""
    client = ApiClient(transport := FakeTransport(lag=5), cache_ttl=60.0)
    await asyncio.gather(*(client.call(api(method="POST", cache_ttl=0.0), {"id": 7}) for _ in range(2)))
    await asyncio.gather(*(client.call(api("plain", method="POST"), {"id": 7}) for _ in range(2)))
    assert transport.counts == {"api": 2, "plain": 2}


@virtual_time
async def test_two_equal_orders_at_once_are_two_though_their_answers_are_kept() -> None:
    """Of a shared order only one of the callers would know whether it was sent."""
    client = ApiClient(transport := FakeTransport(lag=5))
    endpoint = api(method="POST", cache_ttl=60.0)
    await asyncio.gather(*(client.call(endpoint, {"id": 7}) for _ in range(2)))
    await client.call(endpoint, {"id": 7})
    assert transport.sends == 2


@virtual_time
async def test_two_callers_never_share_an_answer() -> None:
    client = ApiClient(transport := counting())
    endpoint = api(headers={"Authorization": "Bearer {token}"}, cache_ttl=60.0)
    answers = [await client.call(endpoint, {"token": token}) for token in ("ada", "bob", "ada")]
    assert answers == [{"turn": 0}, {"turn": 1}, {"turn": 0}]
    assert transport.sends == 2


@virtual_time
async def test_two_endpoints_never_share_an_answer() -> None:
    client = ApiClient(transport := counting())
    for name in ("a", "b"):
        await client.call(api(name, "http://shop.test/same", cache_ttl=60.0))
    assert transport.sends == 2


@virtual_time
async def test_url_params_and_body_tell_calls_apart() -> None:
    client = ApiClient(transport := counting())
    endpoint = api(
        "s", "http://shop.test/{a}", method="POST", params={"b": "{b}"}, body=lambda d: d["c"], cache_ttl=60.0
    )
    inputs = [
        {"a": 1, "b": 1, "c": 1},
        {"a": 2, "b": 1, "c": 1},
        {"a": 1, "b": 2, "c": 1},
        {"a": 1, "b": 1, "c": 2},
    ]
    for data in (*inputs, *inputs):
        await client.call(endpoint, data)
    assert transport.sends == 4


@virtual_time
async def test_failures_are_not_kept() -> None:
    client = ApiClient(transport := FakeTransport({"api": in_turn(404, {})}))
    endpoint = api(cache_ttl=60.0)
    with pytest.raises(ApiHttpError):
        await client.call(endpoint)
    assert await client.call(endpoint) == {}
    assert transport.sends == 2


@virtual_time
async def test_substitutes_are_not_kept() -> None:
    client = ApiClient(transport := FakeTransport({"api": in_turn(404, {})}))
    endpoint = api(cache_ttl=60.0, error_handler=lambda error: "substitute")
    assert await client.call(endpoint) == "substitute"
    assert await client.call(endpoint) == {}
    assert await client.call(endpoint) == {}
    assert transport.sends == 2


@virtual_time
async def test_a_call_that_was_cut_off_leaves_nothing() -> None:
    hold = Hold()
    client = ApiClient(transport := FakeTransport({"api": in_turn(hold, {})}))
    endpoint = api(cache_ttl=60.0)
    subscription = client.observe(endpoint)({}).subscribe()
    await turns()
    subscription.dispose()
    await turns()
    assert await client.call(endpoint) == {}
    assert (transport.sends, hold.cancelled) == (2, 1)


@virtual_time
async def test_none_is_kept_like_any_value() -> None:
    client = ApiClient(transport := FakeTransport({"api": 204}))
    assert await client.call(api(cache_ttl=60.0)) is None
    assert await client.call(api(cache_ttl=60.0)) is None
    assert transport.sends == 1


@virtual_time
async def test_equal_calls_at_the_same_time_are_one() -> None:
    hold = Hold()
    client = ApiClient(transport := FakeTransport({"api": hold}))
    watch = Watch(client.events)
    tasks = [asyncio.create_task(client.call(api(cache_ttl=60.0))) for _ in range(10)]
    await turns()
    hold.answer({"id": 7})
    assert await asyncio.gather(*tasks) == [{"id": 7}] * 10
    assert transport.sends == 1
    assert sorted(event.attempts for event in watch.of(CallFinished)) == [0] * 9 + [1]
    assert watch.of(CacheHit) == []


@virtual_time
async def test_they_share_its_error_and_nobody_later_does() -> None:
    hold = Hold()
    client = ApiClient(transport := FakeTransport({"api": in_turn(hold, {})}))
    endpoint = api(cache_ttl=60.0, retry_count=0)
    tasks = [asyncio.create_task(client.call(endpoint)) for _ in range(3)]
    await turns()
    hold.answer(500)
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [error.status_code for error in errors if isinstance(error, ApiHttpError)] == [500] * 3
    assert await client.call(endpoint) == {}
    assert transport.sends == 2


@virtual_time
async def test_the_first_ones_cancellation_is_nobody_elses() -> None:
    hold = Hold()
    client = ApiClient(transport := FakeTransport({"api": hold}))
    endpoint = api(cache_ttl=60.0)
    first, second = (asyncio.create_task(client.call(endpoint)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert (transport.in_flight, hold.cancelled) == (1, 0)
    hold.answer({})
    assert await second == {}
    assert first.cancelled() and transport.sends == 1
    assert client.runtimes["api"].calls_in_flight == 0


@virtual_time
async def test_the_last_one_to_leave_cancels_the_call() -> None:
    hold = Hold()
    client = ApiClient(transport := FakeTransport({"api": hold}))
    subscriptions = [client.observe(api(cache_ttl=60.0))({}).subscribe() for _ in range(3)]
    await turns()
    for subscription in subscriptions:
        assert hold.cancelled == 0
        subscription.dispose()
        await turns()
    assert (hold.cancelled, transport.in_flight) == (1, 0)


@virtual_time
async def test_different_callers_do_not_share_a_call() -> None:
    client = ApiClient(transport := FakeTransport(lag=5))
    endpoint = api(headers={"Authorization": "{token}"}, cache_ttl=60.0)
    await asyncio.gather(*(client.call(endpoint, {"token": token}) for token in "abab"))
    assert transport.sends == 2


@virtual_time
async def test_without_memory_nothing_is_shared() -> None:
    client = ApiClient(transport := FakeTransport(lag=5))
    await asyncio.gather(*(client.call(api()) for _ in range(3)))
    assert transport.sends == 3


@virtual_time
async def test_a_generator_may_look_at_the_data() -> None:
    defaults = CallDefaults(cache_ttl=60.0, cache_key_generator=lambda endpoint, data: data["id"] % 2)
    client = Caller(transport := counting(), defaults=defaults)
    endpoint = api("user", "http://shop.test/{id}")
    for number in range(6):
        await client.call(endpoint, {"id": number})
    assert transport.paths("user") == ["/0", "/1"]


@virtual_time
async def test_a_generator_still_keeps_callers_apart() -> None:
    defaults = CallDefaults(cache_ttl=60.0, cache_key_generator=lambda endpoint: "always the same")
    client = Caller(transport := counting(), defaults=defaults)
    endpoint = api(headers={"Authorization": "{token}"})
    for token in "abab":
        await client.call(endpoint, {"token": token})
    assert transport.sends == 2


@virtual_time
async def test_a_generator_that_gives_no_key_fails_the_call_before_it_is_sent() -> None:
    generator: Any = lambda endpoint: ["a list"]  # noqa: E731 - a type checker would refuse it at once
    defaults = CallDefaults(cache_ttl=60.0, cache_key_generator=generator)
    client = Caller(transport := counting(), defaults=defaults)
    with pytest.raises(ApiConfigurationError, match="cache_key_generator"):
        await client.call(api())
    assert await client.call(api("other", error_handler=lambda error: type(error))) is ApiConfigurationError
    assert transport.calls == []


@virtual_time
async def test_clearing_makes_the_next_call_ask_again() -> None:
    client = ApiClient(transport := counting())
    a, b = api("a", cache_ttl=60.0), api("b", cache_ttl=60.0)
    for endpoint in (a, b):
        await client.call(endpoint)
    client.clear_cache("a")
    await client.call(a)
    await client.call(b)
    assert transport.names == ["a", "b", "a"]
    client.clear_all_cache()
    await client.call(b)
    assert transport.names == ["a", "b", "a", "b"]


def test_what_is_kept_outlives_the_loop() -> None:
    client = ApiClient(transport := counting())
    values: list[Any] = [asyncio.run(client.call(api(cache_ttl=3600.0))) for _ in range(2)]
    assert values == [{"turn": 0}] * 2
    assert transport.sends == 1


def test_a_call_in_flight_in_a_loop_that_was_closed_is_not_waited_for() -> None:
    """Two loops one after another: the second must not join a call that can never end."""
    transport = FakeTransport({"api": in_turn(Hold(), {"fine": True})})
    client = ApiClient(transport)
    endpoint = api(cache_ttl=3600.0, timeout=None)
    left: list[Any] = []

    async def leaves_it_behind() -> None:
        left.append(client.observe(endpoint)({}).subscribe())
        await turns()

    asyncio.run(leaves_it_behind())
    assert asyncio.run(client.call(endpoint)) == {"fine": True}


@pytest.mark.parametrize("clear", [lambda client: client.clear_cache("api"), ApiClient.clear_all_cache])
@virtual_time
async def test_a_call_under_way_brings_nothing_back_that_was_cleared(clear: Any) -> None:
    before, after = Hold(), Hold()
    client = ApiClient(transport := FakeTransport({"api": in_turn(before, after)}))
    endpoint = api(cache_ttl=60.0)
    outdated = asyncio.create_task(client.call(endpoint))
    await turns()
    clear(client)
    fresh = asyncio.create_task(client.call(endpoint))
    await turns()
    assert transport.sends == 2  # it did not join the call that began before
    after.answer({"age": "new"})
    assert await fresh == {"age": "new"}
    before.answer({"age": "old"})
    assert await outdated == {"age": "old"}
    assert await client.call(endpoint) == {"age": "new"}
    assert transport.sends == 2
