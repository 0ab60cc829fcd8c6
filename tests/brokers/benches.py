"""One bench for each broker: its stream under a name of its own, and what the broker itself says about it."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar
from uuid import uuid4

import aio_pika
import nats
from nats.js.api import StreamConfig
from redis.asyncio import Redis

from rxorch.brokers import BrokerStream, amqp_queue, nats_stream, redis_stream
from tests.support.services import AMQP, NATS, REDIS, Service

__all__ = ["BENCHES", "LEASE", "AmqpBench", "Bench", "NatsBench", "RedisBench", "until"]

LEASE = 0.4
"""Seconds after which Redis and NATS give away what they have not heard of."""
_PATIENCE = 30.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Asks a broker again and again."""
    async with asyncio.timeout(_PATIENCE):
        while not await condition():
            await asyncio.sleep(0.01)


class Bench(ABC):
    """A queue or stream of one test. ``args`` make the stream in another process too."""

    service: ClassVar[Service]
    function: ClassVar[str]

    def __init__(self) -> None:
        self.name = f"test-{uuid4().hex}"
        self.lease = LEASE

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Keywords of the stream."""

    def stream(self, given: Any = None, **more: Any) -> BrokerStream:
        """A reader."""
        make = {"redis_stream": redis_stream, "nats_stream": nats_stream, "amqp_queue": amqp_queue}
        return make[self.function](given or self.service.url, self.name, **{**self.options(), **more})  # type: ignore[operator,no-any-return]

    async def put(self, *values: Any) -> None:
        """Publishes JSON."""
        await self.publish(*[json.dumps(value).encode() for value in values])

    @abstractmethod
    async def open(self) -> None:
        """Connects, and makes what is read from."""

    @abstractmethod
    async def publish(self, *bodies: bytes) -> None:
        """Publishes."""

    @abstractmethod
    async def waiting(self) -> int:
        """Messages that nobody has been given."""

    @abstractmethod
    async def undone(self) -> int:
        """Messages that are not done with, when no stream is open."""

    @abstractmethod
    async def client(self) -> Any:
        """What a stream takes in the place of a url."""

    @abstractmethod
    async def close(self) -> None:
        """Deletes everything."""


class RedisBench(Bench):
    service = REDIS
    function = "redis_stream"

    def options(self) -> dict[str, Any]:
        return {"group": "group", "claim_idle": self.lease}

    async def open(self) -> None:
        self.redis = Redis.from_url(self.service.url)
        await self.redis.xgroup_create(self.name, "group", id="0", mkstream=True)

    async def publish(self, *bodies: bytes) -> None:
        async with self.redis.pipeline(transaction=False) as pipe:
            for body in bodies:
                pipe.xadd(self.name, {"data": body, "kind": "test"})
            await pipe.execute()

    async def waiting(self) -> int:
        (group,) = await self.redis.xinfo_groups(self.name)
        return int(group["lag"])

    async def undone(self) -> int:
        (group,) = await self.redis.xinfo_groups(self.name)
        return int(group["lag"]) + int(group["pending"])

    async def consumers(self) -> list[str]:
        return [each["name"].decode() for each in await self.redis.xinfo_consumers(self.name, "group")]

    async def client(self) -> Redis:
        return self.redis

    async def close(self) -> None:
        await self.redis.delete(self.name)
        await self.redis.aclose()


class NatsBench(Bench):
    service = NATS
    function = "nats_stream"

    def options(self) -> dict[str, Any]:
        return {"durable": "reader", "ack_wait": self.lease}

    async def open(self) -> None:
        self.nats = await nats.connect(self.service.url)
        self.jetstream = self.nats.jetstream()
        await self.jetstream.add_stream(StreamConfig(name=self.name, subjects=[self.name]))

    async def publish(self, *bodies: bytes) -> None:
        for body in bodies:
            await self.jetstream.publish_async(self.name, body, headers={"kind": "test"})
        await self.jetstream.publish_async_completed()

    async def waiting(self) -> int:
        return (await self.jetstream.consumer_info(self.name, "reader")).num_pending or 0

    async def undone(self) -> int:
        info = await self.jetstream.consumer_info(self.name, "reader")
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def client(self) -> Any:
        return self.nats

    async def close(self) -> None:
        await self.jetstream.delete_stream(self.name)
        await self.nats.close()


class AmqpBench(Bench):
    service = AMQP
    function = "amqp_queue"

    def options(self) -> dict[str, Any]:
        return {}

    async def open(self) -> None:
        self.connection = await aio_pika.connect(self.service.url)
        self.channel = await self.connection.channel()
        await self.channel.declare_queue(self.name, durable=True)

    async def publish(self, *bodies: bytes) -> None:
        publish = self.channel.default_exchange.publish
        messages = [aio_pika.Message(body, headers={"kind": "test"}) for body in bodies]
        await asyncio.gather(*[publish(message, self.name) for message in messages])

    async def waiting(self) -> int:
        queue = await self.channel.declare_queue(self.name, passive=True)
        return queue.declaration_result.message_count or 0

    async def undone(self) -> int:
        return await self.waiting()

    async def client(self) -> Any:
        return self.connection

    async def close(self) -> None:
        await self.channel.queue_delete(self.name)
        await self.connection.close()


BENCHES: dict[str, type[Bench]] = {"redis": RedisBench, "nats": NatsBench, "amqp": AmqpBench}
