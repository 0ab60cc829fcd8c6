"""The events of a call: which, in which order, with which facts."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from reactivex import operators as ops

from rxorch import ApiClient
from rxorch import operators as rxo
from rxorch.errors import ApiHttpError
from rxorch.events import (
    AttemptFailed,
    AttemptStarted,
    CallFinished,
    CallStarted,
    Event,
    PermitWaiting,
    RateLimitWaiting,
    RetryWaiting,
)
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, reply, turns
from tests.support.watch import Watch


async def watched(answers: Any, **fields: Any) -> Watch:
    """What is told of one call."""
    client = ApiClient(FakeTransport({"api": answers}), breaker_threshold=None)
    watch = Watch(client.events)
    await asyncio.gather(client.call(api(**fields)), return_exceptions=True)
    return watch


@virtual_time
async def test_a_success() -> None:
    watch = await watched({"id": 7})
    assert watch.kinds == ["CallStarted", "AttemptStarted", "CallFinished"]
    end = watch.last(CallFinished)
    assert (end.status, end.attempts, end.status_code, end.error) == ("ok", 1, 200, None)
    assert not end.degraded and not end.cached


@virtual_time
async def test_a_success_after_two_failures() -> None:
    watch = await watched(in_turn(503, 500, {}), retry_jitter="none")
    assert watch.kinds == [
        "CallStarted",
        *("AttemptStarted", "AttemptFailed", "RetryWaiting") * 2,
        "AttemptStarted",
        "CallFinished",
    ]
    assert [event.attempt for event in watch.of(AttemptStarted)] == [1, 2, 3]
    assert [event.attempt for event in watch.of(AttemptFailed)] == [1, 2]
    start = watch.events[0].at
    assert [round(event.at - start, 6) for event in watch.of(AttemptStarted)] == [0.0, 1.0, 1.4]
    end = watch.last(CallFinished)
    assert (round(end.duration, 6), end.attempts, end.status_code) == (1.4, 3, 200)


@virtual_time
async def test_a_failure() -> None:
    watch = await watched(404)
    assert watch.kinds == ["CallStarted", "AttemptStarted", "AttemptFailed", "CallFinished"]
    end = watch.last(CallFinished)
    assert isinstance(end.error, ApiHttpError)
    assert (end.status, end.status_code, end.error.endpoint) == ("failed", 404, "api")


@virtual_time
async def test_a_timeout_tells_how_long_the_attempt_took() -> None:
    watch = await watched(Hold(), timeout=2.0, retry_count=0)
    failed = watch.last(AttemptFailed)
    assert (failed.duration, getattr(failed.error, "kind", None)) == (2.0, "attempt")
    end = watch.last(CallFinished)
    assert (end.status_code, end.duration) == (None, 2.0)


@virtual_time
async def test_the_status_code_is_the_one_of_the_last_attempt() -> None:
    watch = await watched(in_turn(503, Hold()), timeout=2.0, retry_count=1, retry_delay=0.0)
    assert watch.last(CallFinished).status_code is None


@virtual_time
async def test_an_input_that_cannot_be_sent() -> None:
    client = ApiClient(FakeTransport())
    watch = Watch(client.events)
    await asyncio.gather(client.call(api("user", "http://shop.test/{id}"), {}), return_exceptions=True)
    assert watch.kinds == ["CallStarted", "CallFinished"]
    assert (watch.last(CallFinished).status, watch.last(CallFinished).attempts) == ("failed", 0)


@virtual_time
async def test_a_wait_for_the_limit() -> None:
    client = ApiClient(FakeTransport())
    endpoint = api(rate_limit=1, rate_limit_window=60.0)
    await client.call(endpoint)
    watch = Watch(client.events)
    await client.call(endpoint)
    assert watch.kinds == ["CallStarted", "RateLimitWaiting", "AttemptStarted", "CallFinished"]
    assert watch.last(RateLimitWaiting).wait == pytest.approx(60.0)


@virtual_time
async def test_an_answer_from_memory() -> None:
    client = ApiClient(FakeTransport())
    await client.call(api(cache_ttl=60.0))
    watch = Watch(client.events)
    await client.call(api(cache_ttl=60.0))
    assert watch.kinds == ["CallStarted", "CacheHit", "CallFinished"]


@virtual_time
async def test_an_open_circuit() -> None:
    client = ApiClient(FakeTransport({"api": 500}), breaker_threshold=1)
    await asyncio.gather(client.call(api(retry_count=0)), return_exceptions=True)
    watch = Watch(client.events)
    await asyncio.gather(client.call(api(retry_count=0)), return_exceptions=True)
    assert watch.kinds == ["CallStarted", "CallFinished"]


@virtual_time
async def test_a_call_that_was_cut_off() -> None:
    client = ApiClient(FakeTransport({"api": Hold()}))
    watch = Watch(client.events)
    subscription = client.observe(api())({}).subscribe()
    await asyncio.sleep(3.0)
    subscription.dispose()
    subscription.dispose()
    assert watch.kinds == ["CallStarted", "AttemptStarted", "CallFinished"]
    end = watch.last(CallFinished)
    assert (end.status, end.duration, end.attempts, end.error) == ("cancelled", 3.0, 1, None)


@virtual_time
async def test_the_events_of_one_call_share_a_number() -> None:
    client = ApiClient(FakeTransport(lag=3))
    watch = Watch(client.events)
    await asyncio.gather(*(client.call(api(name)) for name in "abc"))
    numbers = {event.endpoint: {e.call for e in watch.of(Event)} for event in watch.events}
    by_call = {event.call: event.endpoint for event in watch.events}
    assert len(by_call) == 3 and set(by_call.values()) == set("abc") == set(numbers)
    assert all(by_call[event.call] == event.endpoint for event in watch.events)
    assert all(event.run is None for event in watch.events)


@virtual_time
async def test_the_wait_of_a_refused_answer_is_told_too() -> None:
    watch = await watched(
        in_turn("pending", "done"), retry_if=lambda a: a.value == "pending", retry_delay=0.0
    )
    assert watch.kinds == ["CallStarted", "AttemptStarted", "RetryWaiting", "AttemptStarted", "CallFinished"]
    assert watch.last(RetryWaiting).error is None


@virtual_time
async def test_a_listener_that_fails_breaks_nothing_and_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    client = ApiClient(FakeTransport({"api": in_turn(503, {"fine": True})}))
    heard: list[Event] = []

    def broken(event: Event) -> None:
        heard.append(event)
        raise LookupError("my own mistake")

    client.events.subscribe(broken)
    watch = Watch(client.events)
    with caplog.at_level(logging.ERROR, "rxorch"):
        assert await client.call(api(retry_delay=0.0)) == {"fine": True}
    assert len(heard) == 1
    assert len(watch.events) == 6
    assert [record.name for record in caplog.records] == ["rxorch"]


@virtual_time
async def test_who_asks_for_any_kinds_hears_them() -> None:
    client = ApiClient(FakeTransport({"api": in_turn({}, 503, {})}))
    heard: list[Event] = []
    client.events.subscribe(heard.append, kinds=[AttemptStarted, AttemptFailed])
    await client.call(api(retry_jitter="none"))  # with which its attempts are composed
    await client.call(api(retry_jitter="none"))
    assert [type(event).__name__ for event in heard] == [
        *("AttemptStarted",), *("AttemptStarted", "AttemptFailed", "AttemptStarted"),
    ]  # fmt: skip


@virtual_time
async def test_a_listener_that_comes_late_hears_the_end() -> None:
    """Who asks for finished calls only, and when, changes nothing for the call."""
    hold = Hold()
    client = ApiClient(FakeTransport({"api": hold}))
    task = asyncio.create_task(client.call(api()))
    await turns()
    ends: list[Event] = []
    client.events.subscribe(ends.append, kinds=[CallFinished])
    hold.answer({})
    await task
    assert [type(event) for event in ends] == [CallFinished]


@virtual_time
async def test_a_listener_that_cancels_the_call_it_hears_of() -> None:
    client = ApiClient(transport := FakeTransport(lag=3))
    subscriptions: list[Any] = []
    seen: list[Any] = []

    def cut(event: Event) -> None:
        if type(event) is AttemptStarted:
            subscriptions[0].dispose()

    client.events.subscribe(cut)
    watch = Watch(client.events)
    subscriptions.append(client.observe(api())({}).subscribe(seen.append, seen.append))
    await turns()
    assert seen == [] and transport.in_flight == 0
    assert watch.statuses == ["cancelled"]
    assert client.runtimes["api"].calls_in_flight == 0


@virtual_time
async def test_started_is_told_before_anything_is_asked() -> None:
    client = ApiClient(FakeTransport())
    watch = Watch(client.events)
    client.observe(api())({}).subscribe().dispose()
    assert watch.kinds == ["CallStarted", "CallFinished"]
    assert watch.of(CallStarted)[0].endpoint == "api"


@virtual_time
async def test_a_wait_that_the_server_asked_for_is_told_from_ones_own() -> None:
    watch = await watched(in_turn(reply(429, None, {"Retry-After": "7"}), 503, {}), retry_jitter="none")
    assert [event.asked for event in watch.of(RetryWaiting)] == [True, False]


@virtual_time
async def test_who_waits_for_a_permit_is_told_and_who_has_one_is_not() -> None:
    hold = Hold()
    client = ApiClient(FakeTransport({"a": hold, "b": {}}), max_in_flight=1)
    watch = Watch(client.events)
    first = asyncio.ensure_future(client.call(api("a")))
    await turns()
    second = asyncio.ensure_future(client.call(api("b")))
    await turns()
    assert [event.endpoint for event in watch.of(PermitWaiting)] == ["b"]
    hold.answer({})
    await asyncio.gather(first, second)
    of_second = [type(event).__name__ for event in watch.events if event.endpoint == "b"]
    assert of_second == ["CallStarted", "PermitWaiting", "AttemptStarted", "CallFinished"]


@virtual_time
async def test_a_hedge_says_which_one_it_is_and_how_late_the_first_call_was() -> None:
    hold = Hold()
    client = ApiClient(FakeTransport({"api": in_turn(hold, hold, {})}))
    watch = Watch(client.events)
    endpoint = api(timeout=None, circuit_breaker=False)
    async with client:
        call = client.observe(endpoint)({}).pipe(ops.map(dict), rxo.hedge(delay=0.5, max_hedges=2))
        assert await rxo.last_of(call) == {}
        assert await client.call(api("other")) == {"ok": True}
    started = watch.of(CallStarted)
    assert [(event.hedge, round(event.late, 6)) for event in started] == [(0, 0), (1, 0.5), (2, 1.0), (0, 0)]
    assert hold.cancelled == 2
