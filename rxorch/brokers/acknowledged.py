"""``acknowledged``: runs whose messages are settled when their consumer is done with them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from rxorch.brokers.message import BadMessage, Message
from rxorch.errors import ApiConfigurationError

__all__ = ["Acknowledged", "acknowledged"]


class Ended(Protocol):
    """What became of an input: a `Run`."""

    @property
    def input(self) -> Any:
        """The message, or a list of messages."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""


RunT = TypeVar("RunT", bound=Ended)

_NOTHING: Final = object()


def acknowledged(runs: AsyncIterable[RunT], *, max_attempts: int | None = None) -> Acknowledged[RunT]:
    """Passes runs on, and settles the message of each when its consumer comes back for the next.

    The message of a run that is ok is acked, that of another rejected, to be delivered again. So what was
    handed out when the consumer broke off or was killed comes again. A message that cannot be decoded is
    rejected for good.

    Args:
        runs: `orchestrator.stream(messages)`; with `batch=` the messages of a batch are settled alike.
        max_attempts: Deliveries after which a message that fails is rejected for good; None: never. What the
            broker does with it then, see `Message.reject`.

    Emits: the runs. Errors: those of `runs`.
    Disposal: closes `runs`; `await aclose()` and the end of `async with` do.

    Raises:
        ApiConfigurationError: `max_attempts` is no whole number, 1 or more; later, an input is no message.

    >>> async def main(orchestrator, orders):
    ...     async with orders:
    ...         async for run in acknowledged(orchestrator.stream(orders, max_concurrent=50), max_attempts=5):
    ...             print(run.ok)
    """
    if max_attempts is not None and (type(max_attempts) is not int or max_attempts < 1):
        raise ApiConfigurationError("max_attempts: give a whole number, 1 or more, or None")
    return Acknowledged(runs, max_attempts)


class Acknowledged(AsyncIterator[RunT]):
    """The async iterator that `acknowledged` returns."""

    def __init__(self, runs: AsyncIterable[RunT], max_attempts: int | None) -> None:
        self._runs = aiter(runs)
        self._max_attempts = max_attempts
        self._last: Any = _NOTHING

    async def __anext__(self) -> RunT:
        last, self._last = self._last, _NOTHING
        if last is not _NOTHING:
            await self._settle(last)
        run = await anext(self._runs)
        self._last = run
        return run

    async def _settle(self, run: RunT) -> None:
        messages = run.input if isinstance(run.input, list) else [run.input]
        for message in messages:
            if not isinstance(message, Message | BadMessage):
                raise ApiConfigurationError(
                    f"acknowledged: an input is no message of a broker, but {type(message).__name__}"
                )
            if run.ok:
                await message.ack()
            else:
                await message.reject(requeue=self._again(message))

    def _again(self, message: Message | BadMessage) -> bool:
        if isinstance(message, BadMessage):
            return False
        return self._max_attempts is None or message.attempts < self._max_attempts

    async def aclose(self) -> None:
        """Closes the runs. The last one that was handed out is not settled."""
        self._last = _NOTHING
        close = getattr(self._runs, "aclose", None)
        if close is not None:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
