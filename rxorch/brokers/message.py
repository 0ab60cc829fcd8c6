"""Message and BadMessage: an input from a broker, with the handle by which it is acked or rejected."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

from pydantic_core import from_json

from rxorch.errors import ApiValidationError
from rxorch.sources.bad_input import BadInput

__all__ = ["BadMessage", "Decode", "Delivery", "Message", "message_of", "parse_json"]

Decode: TypeAlias = Callable[[bytes], Any]


class Settles(Protocol):
    """What takes a delivery back."""

    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        """Tell the broker, and whether it could be told."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One delivery of a message: what the broker must be told about later.

    Attributes:
        key: What tells it from the others that are under way.
        id: Of the message, where the broker gives one.
        attempts: Deliveries so far, this one counted.
        headers: What came beside the body.
        raw: What the client of the broker gave.
        settles: Where it goes back to.
    """

    key: Hashable
    id: str
    attempts: int
    headers: Mapping[str, Any]
    raw: Any
    settles: Settles


class Delivered:
    """What `Message` and `BadMessage` have in common."""

    __slots__ = ()

    @property
    def _handle(self) -> Delivery:
        return cast("Delivery", getattr(self, "delivery"))  # noqa: B009  # each keeps it in a slot of its own

    @property
    def id(self) -> str:
        """The broker's name for the message."""
        return self._handle.id

    @property
    def attempts(self) -> int:
        """Deliveries so far, this one counted. Of a classic queue of AMQP: 1 or 2, which means 2 or more."""
        return self._handle.attempts

    @property
    def headers(self) -> Mapping[str, Any]:
        """What came beside the body."""
        return self._handle.headers

    async def ack(self) -> bool:
        """Says that it is done with: it is not delivered again.

        Returns:
            Whether the broker was told. False: it was told before, or the connection to it was lost, and it
            will deliver the message again.
        """
        delivery = self._handle
        return await delivery.settles.settle(delivery, done=True, requeue=False)

    async def reject(self, *, requeue: bool = True) -> bool:
        """Says that it could not be done.

        Args:
            requeue: Deliver it again, at once, to whoever reads. False: never again; AMQP gives it to the
                dead letter exchange of the queue, if that has one, Redis and NATS keep it in the stream.

        Returns:
            Whether the broker was told, as with `ack`.
        """
        delivery = self._handle
        return await delivery.settles.settle(delivery, done=False, requeue=requeue)


class Message(Delivered, dict[str, Any]):
    """A message of a broker: its JSON object, as a dict, which is the input of a run.

    A body that is another JSON value is `{"value": ...}`.

    Attributes:
        delivery: Its handle.
    """

    __slots__ = ("delivery",)

    def __init__(self, content: Mapping[str, Any], delivery: Delivery) -> None:
        super().__init__(content)
        self.delivery = delivery

    def __repr__(self) -> str:
        return f"Message(id={self.id!r}, attempts={self.attempts})"  # no payload in logs

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a copy elsewhere has no connection to the broker


@dataclass(frozen=True, slots=True)
class BadMessage(Delivered, BadInput):
    """A message that cannot be decoded: a stream makes a failed record of it, without a call.

    It is to be acked or rejected as others; again and again delivered it would fail for ever.

    Attributes:
        delivery: Its handle.
    """

    delivery: Delivery = field(repr=False, kw_only=True)

    def __str__(self) -> str:
        return f"{self.source}:{self.id}"


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. NaN and Infinity are no JSON."""
    return from_json(body, allow_inf_nan=False)


def message_of(source: str, body: bytes | None, delivery: Delivery, decode: Decode) -> Message | BadMessage:
    """A message as an input.

    Args:
        source: Name of the queue or stream.
        body: What is decoded; None where it is missing.
        delivery: Its handle.
        decode: Reads a body.
    """
    if body is None:
        return _bad(source, "it has no body", delivery)
    try:
        content = decode(body)
    except Exception as error:
        # Not its text, which may quote the body.
        reason = "it is no JSON" if decode is parse_json else f"decode raised {type(error).__name__}"
        return _bad(source, reason, delivery)
    return Message(content if isinstance(content, Mapping) else {"value": content}, delivery)


def _bad(source: str, reason: str, delivery: Delivery) -> BadMessage:
    error = ApiValidationError(f"{source}, message {delivery.id}: {reason}")
    return BadMessage(source, None, error, delivery=delivery)
