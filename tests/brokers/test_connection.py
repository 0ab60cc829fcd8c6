"""Connections that are lost, that are refused, and what is said about them."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from typing import Any

import pytest
from yarl import URL

from rxorch import ApiConfigurationError, ApiError, ApiNetworkError
from rxorch import operators as rxo
from rxorch.brokers import Message, amqp_queue, nats_stream, redis_stream
from tests.brokers.benches import BENCHES, Bench, until
from tests.brokers.proxy import Proxy

SECRET = "hunter22"
ONCE = rxo.RetryPolicy(max_attempts=2, base=0.0, cap=0.0)


def through(proxy: Proxy, bench: Bench) -> str:
    return str(URL(bench.service.url).with_port(proxy.port))


async def done_with(bench: Bench) -> None:
    async def done() -> bool:
        return await bench.undone() == 0

    await until(done)


async def finish(bench: Bench) -> None:
    """Acks all that is left, until nothing is."""

    async def ack_all() -> None:
        async with bench.stream() as stream:
            async for message in stream:
                await message.ack()

    while True:
        rest = asyncio.ensure_future(ack_all())
        await done_with(bench)
        rest.cancel()
        await asyncio.gather(rest, return_exceptions=True)
        if await bench.undone() == 0:  # else one was under way, and its reader gave it back
            return


async def test_a_lost_connection_is_made_again(bench: Bench) -> None:
    await bench.put({"n": 0}, {"n": 1})
    often = rxo.RetryPolicy(base=0.01)
    async with (
        Proxy(bench.service.port) as proxy,
        bench.stream(through(proxy, bench), prefetch=2, retry=often) as stream,
    ):
        messages = aiter(stream)
        first = await anext(messages)
        made = proxy.made
        await proxy.cut()
        await bench.put({"n": 2})
        await first.ack()
        seen = {0}
        while seen != {0, 1, 2}:
            message = await anext(messages)
            assert isinstance(message, Message)
            seen.add(message["n"])
            await message.ack()
        assert proxy.made > made
    await finish(bench)


async def test_who_cannot_be_reached_again_is_an_error(bench: Bench) -> None:
    await bench.put({"n": 0})
    async with (
        Proxy(bench.service.port) as proxy,
        bench.stream(through(proxy, bench), retry=ONCE) as stream,
    ):
        messages = aiter(stream)
        message = await anext(messages)
        await proxy.shut()
        for _ in range(2):
            with pytest.raises(ApiNetworkError, match="cannot be reached"):
                await anext(messages)
        assert not await message.ack()
    await finish(bench)


@pytest.mark.parametrize("kind", list(BENCHES))
async def test_who_does_not_listen_is_an_error_without_the_password(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bench = BENCHES[kind]()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = str(
            URL(bench.service.url).with_port(nobody.getsockname()[1]).with_user("me").with_password(SECRET)
        )
        stream = bench.stream(url, retry=ONCE)
        with pytest.raises(ApiNetworkError, match=r"cannot be reached \(\w+\) \[2 attempts\]") as caught:
            await stream.__aenter__()
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(stream)
    assert SECRET not in told
    assert f"***@127.0.0.1:{URL(url).port}" in str(caught.value)


@pytest.mark.parametrize("bench", ["redis", "amqp"], indirect=True)
async def test_a_wrong_password_is_told_at_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = str(URL(bench.service.url).with_user("nobody").with_password(SECRET))
    with pytest.raises(ApiConfigurationError, match="refuses user or password") as caught:
        await bench.stream(url).__aenter__()
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caplog.text


@pytest.mark.parametrize("bench", ["nats", "amqp"], indirect=True)
async def test_what_is_not_there_is_told_at_once(bench: Bench) -> None:
    name = f"{bench.name}-other"
    stream: Any = (
        amqp_queue(bench.service.url, name)
        if bench.function == "amqp_queue"
        else nats_stream(bench.service.url, name, durable="reader")
    )
    with pytest.raises(ApiConfigurationError, match=name):
        await stream.__aenter__()


@pytest.mark.parametrize("bench", ["amqp"], indirect=True)
async def test_a_queue_that_is_deleted_ends_the_iteration(bench: Bench) -> None:
    async with bench.stream() as stream:
        reading = asyncio.ensure_future(anext(aiter(stream)))
        await bench.close()
        with pytest.raises(ApiConfigurationError, match="there is no"):
            await reading
    await bench.open()


@pytest.mark.parametrize("bench", ["redis"], indirect=True)
async def test_a_stream_that_is_deleted_ends_the_iteration(bench: Bench) -> None:
    async with bench.stream() as stream:
        reading = asyncio.ensure_future(anext(aiter(stream)))
        await bench.close()
        with pytest.raises(ApiError, match=r"cannot be read \(ResponseError\)"):
            await reading
    await bench.open()


@pytest.mark.parametrize("bench", ["amqp"], indirect=True)
async def test_a_queue_that_another_has_for_itself_is_told_at_once(bench: Bench) -> None:
    connection = await bench.client()
    channel = await connection.channel()
    queue = await channel.declare_queue(f"{bench.name}-own", exclusive=True)
    with pytest.raises(ApiConfigurationError, match="the broker refuses it"):
        await amqp_queue(bench.service.url, queue.name).__aenter__()
    await channel.close()


@pytest.mark.parametrize("kind", list(BENCHES))
async def test_a_password_that_is_not_encoded_is_not_shown(kind: str) -> None:
    bench = BENCHES[kind]()
    url = f"{URL(bench.service.url).scheme}://me:hunter22/half@second@127.0.0.1:1/"
    stream = bench.stream(url, retry=ONCE)
    with pytest.raises(ApiError) as caught:
        await stream.__aenter__()
    told = "".join(traceback.format_exception(caught.value)) + repr(stream)
    assert "hunter22" not in told and "half" not in told and "***@127.0.0.1:1" in told


async def test_opening_can_be_cancelled_at_any_moment(bench: Bench) -> None:
    for turns in range(40):
        opening = asyncio.ensure_future(bench.stream().__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        (left,) = await asyncio.gather(opening, return_exceptions=True)
        if not isinstance(left, BaseException):
            await left.aclose()
        else:
            assert isinstance(left, asyncio.CancelledError)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: redis_stream("redis://h", "s", group=""), "group: give a text"),
        (lambda: redis_stream("redis://h", "s", group="g", prefetch=0), "prefetch: give a whole number"),
        (lambda: redis_stream("redis://h", "s", group="g", claim_idle=0), "claim_idle: give seconds"),
        (lambda: redis_stream("redis://h", "s", group="g", start="1"), "start: give"),  # type: ignore[arg-type]
        (lambda: redis_stream("http://h", "s", group="g"), "url: give redis:// or rediss:// or unix://"),
        (lambda: nats_stream("me:hunter22@h", "s", durable="d"), "url: give nats:// or tls://"),
        (lambda: nats_stream("nats://h", "", durable="d"), "subject: give a text"),
        (lambda: nats_stream("nats://h", "s", durable="d", ack_wait=True), "ack_wait: give seconds"),
        (lambda: amqp_queue("amqp://h", "q", prefetch=70_000), "prefetch: AMQP takes at most 65,535"),
        (lambda: amqp_queue("amqp://h", "q", retry=3), "retry: give a RetryPolicy"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ApiConfigurationError, match=message):
        make()


@pytest.mark.parametrize("module", ["redis", "nats", "aio_pika"])
def test_a_client_that_is_not_installed_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = {"redis": "redis", "nats": "nats", "aio_pika": "amqp"}[module]

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr("rxorch.brokers.broker.import_module", missing)
    with pytest.raises(ApiConfigurationError, match=rf"install it with: pip install 'rxorch\[{kind}\]'"):
        BENCHES[kind]().stream()
