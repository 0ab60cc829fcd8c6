"""An endpoint that is asked again and again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from reactivex import operators as ops

from rxorch import ApiClient, ApiConfigurationError, ApiHttpError
from rxorch import operators as rxo
from rxorch.sources import poll
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, turns
from tests.support.loopback import in_turn as served_in_turn
from tests.support.virtual_time import now

JOB = api("job", retry_count=0)


async def polled(transport: FakeTransport, **options: Any) -> list[Any]:
    async with ApiClient(transport) as client:
        return [value async for value in rxo.to_async_iterable(poll(client, JOB, every=2.0, **options))]


@virtual_time
async def test_from_start_to_start() -> None:
    transport = FakeTransport({"job": in_turn(1, 2, 3)})
    assert await polled(transport, max_calls=3) == [1, 2, 3]
    assert transport.times == [0.0, 2.0, 4.0]


@virtual_time
async def test_until_it_is_what_one_waits_for() -> None:
    transport = FakeTransport({"job": in_turn("queued", "running", "done", "never")})
    assert await polled(transport, until=lambda state: state == "done") == ["queued", "running", "done"]
    assert now() == 4.0


@virtual_time
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (True, [{"v": 1, "at": 0}, {"v": 1, "at": 1}, {"v": 2, "at": 1}]),
        (lambda page: page["v"], [{"v": 1, "at": 0}, {"v": 2, "at": 1}]),
    ],
)
async def test_only_what_has_changed(changed: Any, expected: list[Any]) -> None:
    pages = [{"v": 1, "at": 0}, {"v": 1, "at": 0}, {"v": 1, "at": 1}, {"v": 2, "at": 1}, {"v": 2, "at": 1}]
    transport = FakeTransport({"job": in_turn(*pages)})
    assert await polled(transport, max_calls=5, changed=changed) == expected


@virtual_time
async def test_an_error_ends_it_or_is_told() -> None:
    with pytest.raises(ApiHttpError):
        await polled(FakeTransport({"job": in_turn(1, 500, 3)}))
    errors: list[Any] = []
    transport = FakeTransport({"job": in_turn(1, 500, 3)})
    assert await polled(transport, max_calls=3, on_error=errors.append) == [1, 3]
    assert [error.status_code for error in errors] == [500]


@virtual_time
async def test_a_slow_consumer_delays_the_next_call() -> None:
    transport = FakeTransport({"job": in_turn(1, 2)})
    async with ApiClient(transport) as client:
        async for _ in rxo.to_async_iterable(poll(client, JOB, every=2.0, max_calls=2)):
            await asyncio.sleep(5.0)
    assert transport.times == [0.0, 5.0]


async def test_disposal_cancels_the_call() -> None:
    hold = Hold()
    async with ApiClient(FakeTransport({"job": hold})) as client:
        polling = asyncio.ensure_future(anext(rxo.to_async_iterable(poll(client, JOB, every=1.0))))
        await turns()
        polling.cancel()
        await asyncio.wait([polling])
    assert hold.cancelled == 1


async def test_a_real_server(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /job": served_in_turn({"n": 1}, {"n": 2}, {"n": 3})})
    job = api("job", f"{server.url}/job")
    async with ApiClient() as client:
        numbers = poll(client, job, every=0.001, until=lambda page: page["n"] == 3).pipe(
            ops.map(lambda p: p["n"])
        )
        assert [n async for n in rxo.to_async_iterable(numbers)] == [1, 2, 3]
    assert server.hits["/job"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every: give seconds above 0"),
        ({"every": float("inf")}, "every: give seconds"),
        ({"max_calls": 0}, "max_calls: give a whole number"),
        ({"until": 7}, "until"),
        ({"changed": "yes"}, "changed"),
    ],
)
def test_arguments_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiConfigurationError, match=message):
        poll(ApiClient(FakeTransport()), JOB, **{"every": 1.0, **options})
    with pytest.raises(ApiConfigurationError, match="a stream sends by itself"):
        poll(ApiClient(FakeTransport()), api("feed", stream="sse"), every=1.0)
