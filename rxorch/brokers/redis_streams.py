"""``redis_stream``: the entries of a Redis stream, read by a consumer group."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal
from uuid import uuid4

from rxorch.brokers.broker import Broker, check_text, load
from rxorch.brokers.broker_stream import BrokerStream, Received, check_options
from rxorch.brokers.message import Decode, Delivery, message_of, parse_json
from rxorch.errors import ApiConfigurationError
from rxorch_operators import RetryPolicy

__all__ = ["redis_stream"]

_RETURNED: Final = "returned"
"""The consumer that has what was given back, until somebody claims it."""
_GLANCE: Final = 1.0
"""Seconds between two looks for entries that others have left."""

_LEAVE: Final = """
for _ = 1, 100 do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
  if #pending == 0 then return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
  local claim = {'XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0}
  for _, entry in ipairs(pending) do claim[#claim + 1] = entry[1] end
  for _, word in ipairs({'IDLE', ARGV[4], 'JUSTID'}) do claim[#claim + 1] = word end
  redis.call(unpack(claim))
end
"""
"""Gives all pending entries back and deletes the consumer. In one step: deleted, it takes what it has along.

All, not only those we know of: a read that was cut off may have got some.
"""


def redis_stream(
    url_or_client: Any,
    stream: str,
    *,
    group: str,
    consumer: str | None = None,
    prefetch: int = 100,
    claim_idle: float = 60.0,
    start: Literal["$", "0"] = "0",
    field: str = "data",
    decode: Decode = parse_json,
    retry: RetryPolicy | None = None,
) -> BrokerStream:
    """The entries of a Redis stream, shared among the consumers of a group. Needs `rxorch[redis]`.

    The group is made if it is not there, and the stream with it. Entries that a consumer has left pending for
    `claim_idle` are claimed, also those of one that was killed; what is being worked on here is kept from
    that. An entry stays in the stream: trim it as you like.

    Args:
        url_or_client: `redis://`, `rediss://` or `unix://`; or a `redis.asyncio.Redis`, which is not closed.
        stream: Its key.
        group: The consumer group.
        consumer: Name in the group, which nobody else may have; a new one by default.
        prefetch: Messages at most that are read and not yet settled.
        claim_idle: Seconds, above 0. The same for all consumers of a group.
        start: Where a group that is made begins: "0" with what is there, "$" with what comes.
        field: Field of an entry that has the body; the others are `headers`, as text.
        decode: Makes of a body the input; JSON by default. What it raises makes a `BadMessage`.
        retry: How often and how long to try to connect; 10 attempts with waits up to 30 s by default.

    Returns:
        What is read inside `async with`. On leaving, unsettled messages go to whoever reads, at once.

    Raises:
        ApiConfigurationError: An argument that cannot work, or redis-py is not installed.

    >>> redis_stream("redis://user:secret@127.0.0.1", "orders", group="billing")
    <RedisStreams 'orders' at redis://***@127.0.0.1>
    """
    policy = check_options(prefetch, retry)
    check_text(stream=stream, group=group, consumer=consumer, field=field)
    if isinstance(claim_idle, bool) or not 0.001 <= claim_idle < math.inf:
        raise ApiConfigurationError("claim_idle: give seconds, 0.001 or more")
    if start not in ("$", "0"):
        raise ApiConfigurationError('start: give "0" or "$"')
    name = consumer or f"rxorch-{os.getpid()}-{uuid4().hex[:8]}"
    broker = RedisStreams(url_or_client, stream, group, name, claim_idle, start, field, decode)
    return BrokerStream(broker, prefetch, policy)


class RedisStreams(Broker):
    """A consumer of a group."""

    schemes: ClassVar[tuple[str, ...]] = ("redis", "rediss", "unix")

    def __init__(
        self,
        given: Any,
        stream: str,
        group: str,
        consumer: str,
        claim_idle: float,
        start: str,
        field: str,
        decode: Decode,
    ) -> None:
        super().__init__(given, stream)
        self._redis = load("redis.asyncio", "redis")
        self._errors = load("redis.exceptions", "redis")
        self.lost = (self._errors.ConnectionError, self._errors.TimeoutError, OSError)
        self.lease = claim_idle
        self._idle = max(1, round(claim_idle * 1000))
        self._group = group
        self._consumer = consumer
        self._start = start
        self._field = field
        self._decode = decode
        self._cursor = "0-0"
        self._glance = -math.inf
        self._settles: Any = None

    async def open(self, prefetch: int, settles: Any) -> None:
        self._settles = settles
        if self.url is not None:
            self._client = self._redis.Redis.from_url(self.url)
        try:
            await self.client.xgroup_create(self.source, self._group, id=self._start, mkstream=True)
        except self._errors.AuthenticationError as error:
            raise ApiConfigurationError(f"{self}: Redis refuses user or password") from error
        except self._errors.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise ApiConfigurationError(
                    f"{self}: Redis refuses a group there ({type(error).__name__})"
                ) from error

    async def read(self, room: int) -> Sequence[Received]:
        found = await self._left_by_others(room)
        if found:
            return found
        reply = await self.client.xreadgroup(
            self._group, self._consumer, {self.source: ">"}, count=room, block=self._patience()
        )
        # The older protocol gives pairs, the newer a dict of lists in a list.
        streams = reply.values() if isinstance(reply, dict) else [entries for _, entries in reply or ()]
        entries = [entry for entries in streams for entry in entries]
        if entries and isinstance(entries[0], list):
            entries = [entry for inner in entries for entry in inner]
        return [self._message(entry, 1) for entry in entries if entry[1] is not None]

    async def _left_by_others(self, room: int) -> Sequence[Received]:
        now = asyncio.get_running_loop().time()
        if self._cursor == "0-0" and now < self._glance + min(_GLANCE, self._idle / 2000):
            return ()
        self._glance = now
        cursor, entries, *_ = await self.client.xautoclaim(
            self.source, self._group, self._consumer, self._idle, self._cursor, count=room
        )
        self._cursor = _text(cursor)
        entries = [entry for entry in entries if entry[0] is not None and entry[1] is not None]
        if not entries:
            return ()
        first, last = entries[0][0], entries[-1][0]
        pending = await self.client.xpending_range(
            self.source, self._group, first, last, 10 * len(entries), self._consumer
        )
        deliveries = {_text(each["message_id"]): each["times_delivered"] for each in pending}
        return [self._message(entry, deliveries.get(_text(entry[0]), 2)) for entry in entries]

    def _patience(self) -> int:
        """Milliseconds to wait for an entry: the client must not take the silence for a dead connection."""
        pool = getattr(self.client, "connection_pool", None)
        limit = getattr(pool, "connection_kwargs", {}).get("socket_timeout")
        return max(1, int(1000 * min(_GLANCE, self._idle / 2000, math.inf if limit is None else limit / 2)))

    def _message(self, entry: Any, attempts: int) -> Received:
        entry_id, fields = _text(entry[0]), {_text(name): value for name, value in entry[1].items()}
        body = fields.pop(self._field, None)
        headers = {name: _text(value) for name, value in fields.items()}
        delivery = Delivery(entry_id, entry_id, attempts, headers, None, self._settles)
        return message_of(self.source, _bytes(body), delivery, self._decode)

    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        if requeue and not done:
            await self._claim(_RETURNED, [delivery], idle=self._idle)
            self._glance = -math.inf
            return True
        return bool(await self.client.xack(self.source, self._group, delivery.id))

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        await self._claim(self._consumer, deliveries, idle=0)

    async def leave(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await self.client.eval(_LEAVE, 1, self.source, self._group, self._consumer, _RETURNED, self._idle)
        except self._errors.ResponseError:  # scripts are forbidden
            if deliveries:
                await self._claim(_RETURNED, deliveries, idle=self._idle)

    async def _claim(self, consumer: str, deliveries: Sequence[Delivery], idle: int) -> None:
        ids = [delivery.id for delivery in deliveries]
        # justid: it is no delivery, so it does not count as one
        await self.client.xclaim(self.source, self._group, consumer, 0, ids, idle=idle, justid=True)

    async def close(self) -> None:
        if self.url is not None and self._client is not None:
            client, self._client = self._client, None
            await client.aclose()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes | None:
    return value.encode("utf-8") if isinstance(value, str) else value
