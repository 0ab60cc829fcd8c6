"""Broker: what an adapter does. Everything else is the same for all of them, see `BrokerStream`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

from rxorch.brokers.message import BadMessage, Delivery, Message, Settles
from rxorch.errors import ApiConfigurationError
from rxorch.http.redaction import redact_url

__all__ = ["Broker", "check_text", "load"]


class Broker(ABC):
    """A connection to a broker, that can be opened again after it was lost.

    Args:
        given: Url, or a client that is used and never closed.
        source: Name of the queue or stream.

    Attributes:
        lost: Errors after which a new connection may help; `OSError` is one.
        schemes: Of its urls.
        forgets: Whether deliveries end with their connection.
        lease: Seconds after which the broker gives away what it has not heard of; None: never.
    """

    lost: tuple[type[Exception], ...] = ()
    forgets: ClassVar[bool] = False
    schemes: ClassVar[tuple[str, ...]] = ()
    lease: float | None = None

    def __init__(self, given: Any, source: str) -> None:
        if isinstance(given, str) and given.partition("://")[0] not in self.schemes:
            raise ApiConfigurationError(f"url: give {' or '.join(f'{each}://' for each in self.schemes)}")
        self.url = given if isinstance(given, str) else None
        self._client: Any = None if isinstance(given, str) else given
        self.source = source

    def __str__(self) -> str:
        place = type(self._client).__name__ if self.url is None else _shown(self.url)
        return f"{self.source!r} at {place}"

    @property
    def client(self) -> Any:
        """The client that is connected.

        Raises:
            ConnectionError: None is, which is one of `lost`.
        """
        if self._client is None:
            raise ConnectionError("not connected")
        return self._client

    @abstractmethod
    async def open(self, prefetch: int, settles: Settles) -> None:
        """Connects and subscribes. After an error `close` is called all the same.

        Raises:
            ApiConfigurationError: What no repetition makes better.
        """

    @abstractmethod
    async def read(self, room: int) -> Sequence[Message | BadMessage]:
        """The next messages, at most `room`; none if there are none for about a second."""

    @abstractmethod
    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        """Acks or rejects."""

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Says that these are still being worked on."""
        return

    async def leave(self, deliveries: Sequence[Delivery]) -> None:
        """Lets others have these now; `close` follows."""
        return

    @abstractmethod
    async def close(self) -> None:
        """Closes what `open` opened."""


def _shown(url: str) -> str:
    # A password that ought to be encoded may have any of `:/@?#` in it: all before the last @ is hidden.
    scheme, _, rest = url.partition("://")
    return redact_url(
        f"{scheme}://{rest}" if "@" not in rest else f"{scheme}://***@{rest.rpartition('@')[2]}"
    )


def load(module: str, extra: str) -> ModuleType:
    """A module of a client.

    Raises:
        ApiConfigurationError: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ApiConfigurationError(
            f"{module} is not installed; install it with: pip install 'rxorch[{extra}]'"
        ) from None


def check_text(**texts: str | None) -> None:
    """Refuses names that are empty or no text; None is one that was not given."""
    for name, text in texts.items():
        if text is not None and not (isinstance(text, str) and text):
            raise ApiConfigurationError(f"{name}: give a text that is not empty")
