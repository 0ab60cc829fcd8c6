"""Methods that may change something: when they are repeated, under which key, and what became of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import ApiClient
from rxorch.errors import ApiError, ApiNetworkError, ApiTimeoutError
from rxorch.events import CallFinished
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, turns
from tests.support.loopback import Loopback, reset_connection
from tests.support.loopback import in_turn as served_in_turn
from tests.support.virtual_time import now
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
        (RESET, {"idempotent": True}, (3, "unknown")),
        (in_turn(RESET, REFUSED), {"idempotency_key": "k"}, (3, "unknown")),
        (in_turn(RESET, 400), {"idempotency_key": "k"}, (2, "unknown")),
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
    ("method", "status"),
    [("POST", "unknown"), ("PATCH", "unknown"), ("PUT", "unknown"), ("GET", "cancelled")],
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
