"""``nats_stream``: the messages of a JetStream stream, pulled by a durable consumer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from rxorch.brokers.broker import Broker, check_text, load
from rxorch.brokers.broker_stream import BrokerStream, Received, check_options
from rxorch.brokers.message import Decode, Delivery, message_of, parse_json
from rxorch.errors import ApiConfigurationError
from rxorch_operators import RetryPolicy

__all__ = ["nats_stream"]

_GLANCE: Final = 1.0
"""Seconds that a request for messages waits at the server."""


def nats_stream(
    url_or_client: Any,
    subject: str,
    *,
    durable: str,
    stream: str | None = None,
    prefetch: int = 100,
    ack_wait: float = 60.0,
    decode: Decode = parse_json,
    retry: RetryPolicy | None = None,
) -> BrokerStream:
    """The messages of a JetStream stream, shared among the readers of a consumer. Needs `rxorch[nats]`.

    The consumer is made if it is not there, the stream is not. A message that nobody settles is delivered
    again after the consumer's ack wait; what is being worked on here is kept from that.

    Args:
        url_or_client: `nats://` or `tls://`; or a connected `nats.aio.client.Client`, which is not closed.
        subject: Which messages; it may have wildcards.
        durable: Name of the consumer.
        stream: Name of the stream; the one that has the subject by default.
        prefetch: Messages at most that are read and not yet settled.
        ack_wait: Seconds, above 0, of a consumer that is made; one that is there keeps its own.
        decode: Makes of a body the input; JSON by default. What it raises makes a `BadMessage`.
        retry: How often and how long to try to connect; 10 attempts with waits up to 30 s by default.

    Returns:
        What is read inside `async with`. On leaving, unsettled messages go to whoever reads, at once.

    Raises:
        ApiConfigurationError: An argument that cannot work, or nats-py is not installed.

    >>> nats_stream("nats://user:secret@127.0.0.1:4222", "orders.*", durable="billing")
    <NatsJetStream 'orders.*' at nats://***@127.0.0.1:4222>
    """
    policy = check_options(prefetch, retry)
    check_text(subject=subject, durable=durable, stream=stream)
    if isinstance(ack_wait, bool) or not 0.001 <= ack_wait < math.inf:
        raise ApiConfigurationError("ack_wait: give seconds, 0.001 or more")
    broker = NatsJetStream(url_or_client, subject, durable, stream, ack_wait, decode)
    return BrokerStream(broker, prefetch, policy)


class NatsJetStream(Broker):
    """A reader of a durable consumer."""

    schemes: ClassVar[tuple[str, ...]] = ("nats", "tls", "ws", "wss")

    def __init__(
        self, given: Any, subject: str, durable: str, stream: str | None, ack_wait: float, decode: Decode
    ) -> None:
        super().__init__(given, subject)
        self._nats = load("nats.aio.client", "nats")
        errors, js = load("nats.errors", "nats"), load("nats.js.errors", "nats")
        self._errors, self._js_errors = errors, js
        self.lost = (
            errors.ConnectionClosedError,
            errors.ConnectionReconnectingError,
            errors.NoServersError,
            errors.StaleConnectionError,
            errors.OutboundBufferLimitError,
            errors.TimeoutError,
            js.ServiceUnavailableError,
            OSError,
        )
        self._durable = durable
        self._stream = stream
        self._ack_wait = ack_wait
        self._decode = decode
        self._pull: Any = None
        self._settles: Any = None

    async def open(self, prefetch: int, settles: Any) -> None:
        self._settles = settles
        if self.url is not None:
            self._client = await self._connected(self.url)
        jetstream = self.client.jetstream()
        config = load("nats.js.api", "nats").ConsumerConfig(ack_wait=self._ack_wait)
        try:
            self._pull = await jetstream.pull_subscribe(
                self.source, durable=self._durable, stream=self._stream, config=config
            )
            info = await self._pull.consumer_info()
        except self._js_errors.NotFoundError as error:
            raise ApiConfigurationError(
                f"{self}: JetStream has no stream with this subject; create it, or give stream="
            ) from error
        except (self._js_errors.BadRequestError, self._js_errors.ServerError) as error:
            raise ApiConfigurationError(
                f"{self}: JetStream refuses the consumer ({error.description})"
            ) from error
        if info.config.filter_subject not in (None, self.source):
            raise ApiConfigurationError(
                f"durable: the consumer {self._durable!r} is there with another subject; give another name"
            )
        self.lease = info.config.ack_wait

    async def _connected(self, url: str) -> Any:
        async def quiet(_: Exception) -> None:
            """What fails is seen where it is used; the client would log it, and its url with it."""

        client = self._nats.Client()
        try:
            await client.connect(
                url, allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0, error_cb=quiet
            )
        except BaseException as error:
            await client.close()  # a connection may be half made
            if isinstance(error, self._errors.Error) and "authorization" in str(error).lower():
                raise ApiConfigurationError(f"{self}: NATS refuses user or password") from error
            raise
        return client

    async def read(self, room: int) -> Sequence[Received]:
        try:
            messages = await self._pull.fetch(room, timeout=_GLANCE)
        except self._errors.TimeoutError:
            if self.client.is_closed:
                raise self._errors.ConnectionClosedError from None
            return ()
        return [self._message(message) for message in messages]

    def _message(self, message: Any) -> Received:
        metadata = message.metadata
        sequence = str(metadata.sequence.stream)
        headers = dict(message.headers or {})
        delivery = Delivery(
            sequence, sequence, metadata.num_delivered or 1, headers, message.reply, self._settles
        )
        return message_of(self.source, message.data, delivery, self._decode)

    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        await self._say(delivery, b"+ACK" if done else b"-NAK" if requeue else b"+TERM")
        return True

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await self._say(delivery, b"+WPI")

    async def leave(self, deliveries: Sequence[Delivery]) -> None:
        client = self.client
        await self._pull.unsubscribe()
        for delivery in deliveries:
            await self._say(delivery, b"-NAK")
        await client.flush()

    async def _say(self, delivery: Delivery, what: bytes) -> None:
        # Not by the message: it belongs to the connection on which it came, which may be another one by now.
        await self.client.publish(delivery.raw, what)

    async def close(self) -> None:
        pull, self._pull = self._pull, None
        if self.url is None:
            if pull is not None and self._client.is_connected:
                try:
                    await pull.unsubscribe()
                except self._errors.BadSubscriptionError:
                    pass  # it was unsubscribed
        elif self._client is not None:
            client, self._client = self._client, None
            await client.close()
