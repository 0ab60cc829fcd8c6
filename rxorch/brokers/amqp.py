"""``amqp_queue``: the messages of an AMQP 0-9-1 queue, as RabbitMQ has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any, ClassVar, Final

from rxorch.brokers.broker import Broker, check_text, load
from rxorch.brokers.broker_stream import BrokerStream, Received, check_options
from rxorch.brokers.message import Decode, Delivery, message_of, parse_json
from rxorch.errors import ApiConfigurationError
from rxorch_operators import RetryPolicy

__all__ = ["amqp_queue"]

_MOST_PREFETCHED: Final = 65_535
_CONNECTING: Final = 10.0
"""Seconds that a connection may take to be made."""
_HANDSHAKE: Final = 1.0
"""Seconds that one which nobody wants any more may take to be made, so that it can be closed."""


def amqp_queue(
    url_or_connection: Any,
    queue: str,
    *,
    prefetch: int = 100,
    decode: Decode = parse_json,
    retry: RetryPolicy | None = None,
) -> BrokerStream:
    """The messages of an AMQP queue. Needs `rxorch[amqp]`.

    The queue must be there. What is unsettled when the connection ends, be it that the reader was killed, is
    delivered again.

    Args:
        url_or_connection: `amqp://` or `amqps://`; or an `aio_pika` connection, which is not closed.
        queue: Its name.
        prefetch: Messages at most that are read and not yet settled, up to 65,535.
        decode: Makes of a body the input; JSON by default. What it raises makes a `BadMessage`.
        retry: How often and how long to try to connect; 10 attempts with waits up to 30 s by default.

    Returns:
        What is read inside `async with`. On leaving, unsettled messages go back to the queue.

    Raises:
        ApiConfigurationError: An argument that cannot work, or aio-pika is not installed.

    >>> amqp_queue("amqp://guest:guest@127.0.0.1/", "orders")
    <AmqpQueue 'orders' at amqp://***@127.0.0.1/>
    """
    policy = check_options(prefetch, retry)
    if prefetch > _MOST_PREFETCHED:
        raise ApiConfigurationError(f"prefetch: AMQP takes at most {_MOST_PREFETCHED:,}")
    check_text(queue=queue)
    return BrokerStream(AmqpQueue(url_or_connection, queue, decode), prefetch, policy)


class AmqpQueue(Broker):
    """A consumer of a queue, with a channel of its own."""

    forgets: ClassVar[bool] = True
    schemes: ClassVar[tuple[str, ...]] = ("amqp", "amqps")

    def __init__(self, given: Any, queue: str, decode: Decode) -> None:
        super().__init__(given, queue)
        self._pika = load("aio_pika", "amqp")
        self._errors = errors = load("aio_pika.exceptions", "amqp")
        self.lost = (errors.AMQPError, errors.ChannelInvalidStateError, OSError, TimeoutError)
        self._decode = decode
        self._channel: Any = None
        self._arrived: asyncio.Queue[Any] = asyncio.Queue()
        self._keys = count()
        self._settles: Any = None

    async def open(self, prefetch: int, settles: Any) -> None:
        self._settles = settles
        errors = self._errors
        try:
            if self.url is not None:
                # Not the one that reconnects: what was delivered on the connection before could not be told
                # from what the new one delivers.
                self._client = await self._connected()
            self._channel = channel = await self.client.channel()
            arrived: asyncio.Queue[Any] = asyncio.Queue()
            self._arrived = arrived
            channel.close_callbacks.add(lambda *_: arrived.put_nowait(None))
            cancelled = getattr(await channel.get_underlay_channel(), "on_consumer_cancel_callbacks", None)
            if cancelled is not None:  # as when the queue is deleted
                cancelled.add(lambda *_: arrived.put_nowait(None))
            await channel.set_qos(prefetch_count=prefetch)
            queue = await channel.get_queue(self.source)
            await queue.consume(arrived.put)
        except (errors.ProbableAuthenticationError, errors.AuthenticationError) as error:
            raise ApiConfigurationError(f"{self}: the broker refuses user or password") from error
        except errors.ChannelNotFoundEntity as error:
            raise ApiConfigurationError(f"queue: there is no {self}; declare it first") from error
        except errors.ChannelClosed as error:
            raise ApiConfigurationError(f"{self}: the broker refuses it ({type(error).__name__})") from error

    async def _connected(self) -> Any:
        """A new connection. Cancelled at the wrong moment, aiormq loses it with its tasks and its socket.

        So the handshake, once begun, is let come to its end, for a second at most.
        """
        connecting = asyncio.ensure_future(self._pika.connect(self.url, timeout=_CONNECTING))
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            await asyncio.wait([connecting], timeout=_HANDSHAKE)
            connecting.cancel()
            await asyncio.wait([connecting])
            if not connecting.cancelled() and connecting.exception() is None:
                await connecting.result().close()
            raise

    async def read(self, room: int) -> Sequence[Received]:
        arrived = [await self._arrived.get()]
        while len(arrived) < room and not self._arrived.empty():
            arrived.append(self._arrived.get_nowait())
        if None in arrived:
            raise self._errors.ChannelInvalidStateError("the channel is closed")
        return [self._message(message) for message in arrived]

    def _message(self, message: Any) -> Received:
        headers = dict(message.headers)
        # A quorum queue counts the deliveries before, a classic one tells that there were some.
        before = headers.get("x-delivery-count", int(bool(message.redelivered)))
        message_id = message.message_id or str(message.delivery_tag)
        delivery = Delivery(next(self._keys), message_id, before + 1, headers, message, self._settles)
        return message_of(self.source, message.body, delivery, self._decode)

    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        if done:
            await delivery.raw.ack()
        else:
            await delivery.raw.reject(requeue=requeue)
        return True

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        try:
            if channel is not None and not channel.is_closed:
                await channel.close()
        finally:
            if self.url is not None and self._client is not None:
                client, self._client = self._client, None
                await client.close()
