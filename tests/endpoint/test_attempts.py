"""The attempts of all calls of an endpoint are one composition, and know their calls apart."""

from __future__ import annotations

import asyncio
from typing import Any

from rxorch import ApiClient
from rxorch.errors import ApiHttpError
from rxorch.events import AttemptFailed, CallFinished, RateLimitWaiting, RetryWaiting
from rxorch.http import Request
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, api
from tests.support.watch import Watch


def by_path(request: Request) -> Any:
    """The last part of the path is the status."""
    return int(request.url.name)


@virtual_time
async def test_calls_at_once_have_attempts_errors_and_events_of_their_own() -> None:
    client = ApiClient(FakeTransport({"api": by_path}), breaker_threshold=None)
    watch = Watch(client.events)
    limits = {"rate_limit": 2, "rate_limit_window": 1.0}
    endpoint = api("api", "http://shop.test/{status}", retry_count=2, retry_jitter="none", **limits)
    statuses = [503, 204, 404]
    answers = await asyncio.gather(
        *(client.call(endpoint, {"status": status}) for status in statuses), return_exceptions=True
    )
    errors = [answer for answer in answers if isinstance(answer, ApiHttpError)]
    assert [(error.status_code, error.attempts, error.url) for error in errors] == [
        (503, 3, "http://shop.test/503"),
        (404, 1, "http://shop.test/404"),
    ]
    ends = {event.call: event.attempts for event in watch.of(CallFinished)}
    assert sorted(ends.values()) == [1, 1, 3]
    failed = [event.call for event in watch.of(AttemptFailed)]
    assert sorted(map(failed.count, ends)) == [0, 1, 3]
    repeated = {event.call for event in watch.of(RetryWaiting)}
    assert repeated == {number for number, attempts in ends.items() if attempts == 3}
    assert {event.call for event in watch.of(RateLimitWaiting)} <= set(ends)
    assert watch.of(RateLimitWaiting)


@virtual_time
async def test_callers_of_a_shared_call_get_its_facts() -> None:
    client = ApiClient(FakeTransport({"api": 500}), breaker_threshold=None)
    endpoint = api(retry_count=1, retry_jitter="none", cache_ttl=60.0)
    answers = await asyncio.gather(*(client.call(endpoint) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ApiHttpError] * 3
    assert client.sends == 2
