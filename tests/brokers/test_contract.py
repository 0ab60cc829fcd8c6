"""What holds for every broker, on the real servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiConfigurationError, ApiValidationError
from rxorch.brokers import BadMessage, Message, acknowledged
from rxorch.brokers.message import Delivery
from rxorch.sources import BadInput
from tests.brokers.benches import Bench, RedisBench, until
from tests.support.fake_transport import FakeTransport
from tests.support.streams import streaming

ROOT = Path(__file__).parents[2]

READER = """
import asyncio, json, sys
from rxorch import brokers

async def main(function, url, name, options, count):
    async with getattr(brokers, function)(url, name, **options) as stream:
        messages = aiter(stream)
        for _ in range(count):
            await anext(messages)
        print("reading", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*json.loads(sys.argv[1])))
"""


def numbers(count: int, start: int = 0) -> list[dict[str, int]]:
    return [{"n": n} for n in range(start, start + count)]


async def nothing_undone(bench: Bench) -> None:
    async def done() -> bool:
        return await bench.undone() == 0

    await until(done)


async def test_messages_are_delivered_and_acked(bench: Bench) -> None:
    await bench.put(*numbers(3))
    async with bench.stream() as stream:
        messages = aiter(stream)
        seen = [await anext(messages) for _ in range(3)]
        assert seen == numbers(3)
        first = seen[0]
        assert isinstance(first, Message) and first.attempts == 1 and first.id
        assert first.headers["kind"] == "test"
        assert stream.unsettled == 3
        assert [await message.ack() for message in seen] == [True] * 3
        assert stream.unsettled == 0
        assert not await first.ack() and not await first.reject()
    await nothing_undone(bench)


async def test_messages_that_come_later_are_delivered(bench: Bench) -> None:
    async with bench.stream() as stream:
        waiting = asyncio.ensure_future(anext(aiter(stream)))
        await bench.put({"late": True})
        message = await waiting
        assert message == {"late": True}
        await message.ack()
    await nothing_undone(bench)


async def test_what_is_not_acked_when_the_stream_is_left_comes_again(bench: Bench) -> None:
    await bench.put(*numbers(5))
    bench.lease = 600.0  # nobody waits for it
    async with bench.stream(prefetch=4) as stream:
        async for message in stream:
            await message.ack()
            break
    assert not await message.ack()
    async with bench.stream() as stream:
        messages = aiter(stream)
        again = [await anext(messages) for _ in range(4)]
        assert sorted(json.dumps(each) for each in again) == [json.dumps(each) for each in numbers(4, 1)]
        assert max(each.attempts for each in again) == 2
        for each in again:
            await each.ack()
    await nothing_undone(bench)


async def test_what_a_killed_reader_had_comes_again(bench: Bench) -> None:
    await bench.put(*numbers(3))
    what = [bench.function, bench.service.url, bench.name, bench.options(), 3]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "operators")])
    reader = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        READER,
        json.dumps(what),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert reader.stdout is not None
    assert await reader.stdout.readline() == b"reading\n"
    reader.send_signal(signal.SIGKILL)
    await reader.communicate()
    async with bench.stream() as stream:
        messages = aiter(stream)
        again = [await anext(messages) for _ in range(3)]
        assert sorted(each["n"] for each in again if isinstance(each, Message)) == [0, 1, 2]
        assert {each.attempts for each in again} == {2}
        for each in again:
            await each.ack()
    await nothing_undone(bench)


async def test_what_is_rejected_comes_again(bench: Bench) -> None:
    await bench.put({"n": 1})
    bench.lease = 600.0  # nobody waits for it
    async with bench.stream() as stream:
        messages = aiter(stream)
        assert await (await anext(messages)).reject()
        again = await anext(messages)
        assert again == {"n": 1} and again.attempts == 2
        await again.ack()
    await nothing_undone(bench)


async def test_what_is_rejected_for_good_does_not(bench: Bench) -> None:
    await bench.put(*numbers(2))
    async with bench.stream() as stream:
        messages = aiter(stream)
        assert await (await anext(messages)).reject(requeue=False)
        assert await anext(messages) == {"n": 1}
    async with bench.stream() as stream:
        again = await anext(aiter(stream))
        assert again == {"n": 1}
        await again.ack()
    await nothing_undone(bench)


async def test_no_more_than_prefetch_are_unsettled(bench: Bench) -> None:
    async with bench.stream(prefetch=5) as stream:
        await bench.put(*numbers(20))

        async def full() -> bool:
            return stream.unsettled == 5

        messages = aiter(stream)
        for settled in range(15):
            await until(full)
            assert await bench.waiting() == 20 - 5 - settled
            await (await anext(messages)).ack()
        for _ in range(5):
            await (await anext(messages)).ack()
    await nothing_undone(bench)


async def test_one_at_a_time(bench: Bench) -> None:
    await bench.put(*numbers(4))
    async with bench.stream(prefetch=1) as stream:
        messages = aiter(stream)
        for n in range(4):
            message = await anext(messages)
            assert message == {"n": n} and stream.unsettled == 1
            await message.ack()
    await nothing_undone(bench)


@pytest.mark.parametrize("bench", ["redis", "nats"], indirect=True)
async def test_what_is_worked_on_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: asyncio.Queue[None] = asyncio.Queue()
    await bench.put({"slow": True})
    async with bench.stream(prefetch=1) as stream:
        message = await anext(aiter(stream))
        extend = stream._broker.extend

        async def counted(deliveries: Sequence[Delivery]) -> None:
            await extend(deliveries)
            renewed.put_nowait(None)

        monkeypatch.setattr(stream._broker, "extend", counted)
        async with bench.stream() as other:
            for _ in range(10):  # three leases
                await renewed.get()
            assert other.unsettled == 0
            assert await message.ack()
    await nothing_undone(bench)


async def test_what_cannot_be_decoded_is_a_bad_message(bench: Bench) -> None:
    await bench.publish(b'{"card": 4711', b"[1]", b'{"n": NaN}', b"\xff")
    async with bench.stream() as stream:
        messages = aiter(stream)
        bad, value, not_json, no_text = [await anext(messages) for _ in range(4)]
        assert value == {"value": [1]}
        for each in (bad, not_json, no_text):
            assert isinstance(each, BadMessage) and isinstance(each, BadInput)
            assert isinstance(each.error, ApiValidationError)
            assert str(each.error) == f"{bench.name}, message {each.id}: it is no JSON"
            assert "4711" not in repr(each)
            assert await each.reject(requeue=False)
        assert "4711" not in repr(value)
        await value.ack()
    await nothing_undone(bench)


async def test_messages_are_decoded_as_one_likes(bench: Bench) -> None:
    await bench.publish(b"a,b", b"\xff")
    async with bench.stream(decode=lambda body: {"fields": body.decode().split(",")}) as stream:
        messages = aiter(stream)
        good, bad = [await anext(messages), await anext(messages)]
        assert good == {"fields": ["a", "b"]}
        assert isinstance(bad, BadMessage) and str(bad.error).endswith("decode raised UnicodeDecodeError")
        await good.ack()
        await bad.reject(requeue=False)
    await nothing_undone(bench)


async def test_a_cancelled_reader_loses_nothing(bench: Bench) -> None:
    async with bench.stream() as stream:
        for n in range(10):
            reading = asyncio.ensure_future(anext(aiter(stream)))
            await bench.put({"n": n})
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if not reading.cancelled():
                await reading.result().ack()
                continue
            message = await anext(aiter(stream))
            assert message == {"n": n}
            await message.ack()
    await nothing_undone(bench)


async def test_a_block_that_is_cancelled_is_left_in_order(bench: Bench) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async with bench.stream() as stream:
            async for _ in stream:
                reading.set()

    await bench.put(*numbers(2))
    task = asyncio.ensure_future(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with bench.stream() as stream:
        messages = aiter(stream)
        for _ in range(2):
            await (await anext(messages)).ack()
    await nothing_undone(bench)


async def test_it_is_read_inside_its_block(bench: Bench) -> None:
    stream = bench.stream()
    with pytest.raises(ApiConfigurationError, match="not open: read it inside `async with`"):
        aiter(stream)
    async with stream:
        with pytest.raises(ApiConfigurationError, match="open already"):
            await stream.__aenter__()
        waiting = asyncio.ensure_future(anext(aiter(stream)))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await waiting
    async with stream:
        await bench.put({"n": 1})
        await (await anext(aiter(stream))).ack()
    await nothing_undone(bench)


async def test_a_client_that_is_given_stays_open(bench: Bench) -> None:
    await bench.put(*numbers(2))
    for n in range(2):
        async with bench.stream(await bench.client(), prefetch=1) as stream:
            message = await anext(aiter(stream))
            assert message == {"n": n}
            await message.ack()
    await nothing_undone(bench)


async def test_thousands_through_a_stream_of_runs(bench: Bench) -> None:
    count = 5000
    transport = FakeTransport({"item": {}})
    seen: Counter[int] = Counter()
    publishing = asyncio.ensure_future(bench.put(*numbers(count)))
    async with bench.stream(prefetch=100) as orders:
        runs = acknowledged(streaming(transport).stream(orders, max_concurrent=50))
        async for run in runs:
            assert run.ok and run.input.attempts == 1
            seen[run.input["n"]] += 1
            if len(seen) == count:
                assert await run.input.ack()  # handed out, and not yet settled
                break
        await runs.aclose()
        await publishing
        assert orders.unsettled == 0
    assert set(seen.values()) == {1} and len(transport.of("item")) == count
    await nothing_undone(bench)


async def test_runs_are_settled_as_they_ended(bench: Bench) -> None:
    tries: Counter[str] = Counter()

    def answer(request: Any) -> Any:
        tries[request.url.path] += 1
        return 404 if request.url.path == "/3" or tries[request.url.path] < 2 else {}

    transport = FakeTransport({"item": answer})
    await bench.put({"n": 1}, {"n": 2}, {"n": 3})
    await bench.publish(b"{")
    ended: list[tuple[str, bool]] = []
    async with bench.stream() as orders:
        runs = acknowledged(streaming(transport).stream(orders, max_concurrent=2), max_attempts=2)
        async with runs:
            async for run in runs:
                bad = isinstance(run.input, BadMessage)
                ended.append(("bad" if bad else run.input["n"], run.ok))
                if len(ended) == 7:
                    await run.input.reject(requeue=False) if not run.ok else await run.input.ack()
                    break
    assert Counter(ended) == {
        (1, False): 1, (1, True): 1, (2, False): 1, (2, True): 1, (3, False): 2, ("bad", False): 1,
    }  # fmt: skip
    await nothing_undone(bench)


@pytest.mark.parametrize("bench", ["redis"], indirect=True)
async def test_a_consumer_of_redis_leaves_the_group(bench: Bench) -> None:
    assert isinstance(bench, RedisBench)
    await bench.put(*numbers(3))
    async with bench.stream() as stream:
        await anext(aiter(stream))
        assert len(await bench.consumers()) == 1
    assert await bench.consumers() == ["returned"]
    async with bench.stream() as stream:
        messages = aiter(stream)
        for _ in range(3):
            await (await anext(messages)).ack()
    assert await bench.consumers() == ["returned"]
