"""BrokerStream: the messages of a broker as inputs, read ahead within a bound and settled later."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Collection, Hashable, Sequence
from random import Random
from types import TracebackType
from typing import Final, Self, TypeAlias, TypeVar

from rxorch.brokers.broker import Broker
from rxorch.brokers.message import BadMessage, Delivery, Message
from rxorch.errors import ApiConfigurationError, ApiError, ApiNetworkError
from rxorch_operators import RetryPolicy
from rxorch_operators.engines.backoff import RetryState

__all__ = ["BrokerStream", "Received", "check_options"]

T = TypeVar("T")

Received: TypeAlias = Message | BadMessage

_LOG: Final = logging.getLogger(__name__)
_RANDOM: Final = Random()
_PATIENT: Final = RetryPolicy(max_attempts=10, cap=30.0, max_elapsed=300.0)
_NUDGE: Final = 0.05
_LAST_WORDS: Final = 5.0
"""Seconds in which a broker must take back what is unsettled, when the stream is left."""


def check_options(prefetch: int, retry: RetryPolicy | None) -> RetryPolicy:
    """The policy to use; refuses what cannot work."""
    if type(prefetch) is not int or prefetch < 1:
        raise ApiConfigurationError("prefetch: give a whole number, 1 or more")
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise ApiConfigurationError("retry: give a RetryPolicy, or None for the default")
    return retry or _PATIENT


class BrokerStream(AsyncIterable[Received]):
    """Messages of a broker, inside `async with`: the inputs of a stream of runs.

    Reads ahead, but never has more than `prefetch` messages that are neither acked nor rejected: who takes
    that many and settles none waits for ever. What is not acked is delivered again, at the latest after the
    lease of the broker; a message that is being worked on is kept.

    The end of an iteration closes nothing, so that what is under way can still be settled. Leaving the block
    does: it gives back to the broker what is not settled.

    A lost connection is made again, with growing waits. Errors of the iteration: `ApiNetworkError` when that
    was given up, `ApiError` for what the broker refuses.
    """

    def __init__(self, broker: Broker, prefetch: int, retry: RetryPolicy) -> None:
        self._broker = broker
        self._prefetch = prefetch
        self._retry = retry
        self._buffer: deque[Received] = deque()
        self._held: dict[Hashable, Delivery] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._arrived = asyncio.Event()
        self._is_open = False
        self._failure: Exception | None = None

    def __repr__(self) -> str:
        return f"<{type(self._broker).__name__} {self._broker}>"

    @property
    def unsettled(self) -> int:
        """Messages that were read and are neither acked nor rejected."""
        return len(self._held)

    async def __aenter__(self) -> Self:
        if self._is_open:
            raise ApiConfigurationError(f"{self!r} is open already: one `async with` at a time")
        self._is_open = True
        self._failure = None
        try:
            await self._connect(RetryState(self._retry, _RANDOM))
        except BaseException:
            self._is_open = False
            raise
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read()), loop.create_task(self._keep())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Gives back what is not settled, and closes the connection."""
        if not self._is_open:
            return
        self._is_open = False
        self._arrived.set()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        held = list(self._held.values())
        self._held.clear()
        self._buffer.clear()
        try:
            await _ended(tasks)
            if self._failure is None:
                async with asyncio.timeout(_LAST_WORDS):
                    await self._broker.leave(held)
        except self._broker.lost:
            pass  # the broker finds out by itself
        finally:
            await self._close()

    def __aiter__(self) -> AsyncIterator[Received]:
        if not self._is_open:
            raise ApiConfigurationError(f"{self!r} is not open: read it inside `async with`")
        return _Reading(self)

    async def next(self) -> Received:
        """The next message."""
        while not self._buffer:
            if not self._is_open:
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        message = self._buffer.popleft()
        self._changed.set()
        return message

    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        """Acks or rejects; see `Message.ack`."""
        if self._held.get(delivery.key) is not delivery:
            return False
        del self._held[delivery.key]
        self._changed.set()
        state = RetryState(self._retry, _RANDOM)
        while self._is_open and self._failure is None:
            try:
                return await _heeding(self._broker.settle(delivery, done=done, requeue=requeue))
            except self._broker.lost:
                delay = None if self._broker.forgets else state.next_delay(asyncio.get_running_loop().time())
                if delay is None:
                    break
                await asyncio.sleep(delay)  # meanwhile the reader connects again
        _LOG.warning("%r was lost before message %s was settled: it comes again", self, delivery.id)
        return False

    async def _read(self) -> None:
        state = RetryState(self._retry, _RANDOM)
        try:
            while self._is_open:
                await self._room()
                try:
                    messages = await self._broker.read(self._prefetch - len(self._held))
                except self._broker.lost as error:
                    await self._again(state, error)
                    continue
                state = RetryState(self._retry, _RANDOM)
                self._take(messages)
        except Exception as error:
            self._failure = error
            if not isinstance(error, ApiError):
                self._failure = self._refused("read", error)
                self._failure.__cause__ = error
            self._arrived.set()

    async def _room(self) -> None:
        """Waits until reading is worth a round trip: at once if nothing is left to hand out."""
        while True:
            room = self._prefetch - len(self._held)
            if room >= (max(1, self._prefetch // 4) if self._buffer else 1):
                return
            self._changed.clear()
            await self._changed.wait()

    def _take(self, messages: Sequence[Received]) -> None:
        for message in messages:
            delivery = message.delivery
            if delivery.key not in self._held:  # else it came twice: the first is being worked on
                self._held[delivery.key] = delivery
                self._buffer.append(message)
        if self._buffer:
            self._arrived.set()

    async def _again(self, state: RetryState, error: Exception) -> None:
        """Connects anew after the connection was lost."""
        if not self._is_open:
            return
        _LOG.warning("%r lost its connection (%s)", self, type(error).__name__)
        if self._broker.forgets:
            self._held.clear()
            self._buffer.clear()
        await self._wait(state, error)
        await self._connect(state)

    async def _connect(self, state: RetryState) -> None:
        while True:
            try:
                return await _heeding(self._broker.open(self._prefetch, self))
            except self._broker.lost as error:
                await self._wait(state, error)
            except BaseException as error:
                await self._close()
                if isinstance(error, ApiError) or not isinstance(error, Exception):
                    raise
                raise self._refused("opened", error) from None  # its text may quote a part of the url

    async def _wait(self, state: RetryState, error: Exception) -> None:
        await self._close()
        delay = state.next_delay(asyncio.get_running_loop().time())
        if delay is None:
            raise ApiNetworkError(
                f"{self!r} cannot be reached ({type(error).__name__})", attempts=state.attempts
            ) from error
        await asyncio.sleep(delay)

    async def _keep(self) -> None:
        """Renews the lease of what is being worked on."""
        while self._is_open:
            lease = self._broker.lease
            await asyncio.sleep(3600.0 if lease is None else lease / 3)
            held = list(self._held.values())
            if held and lease is not None:
                try:
                    await self._broker.extend(held)
                except self._broker.lost:
                    pass  # reading notices too

    async def _close(self) -> None:
        try:
            await self._broker.close()
        except self._broker.lost:
            pass

    def _refused(self, what: str, error: Exception) -> ApiError:
        return ApiError(f"{self!r} cannot be {what} ({type(error).__name__})")


async def _heeding(call: Awaitable[T]) -> T:
    """Awaits a client that may lose a cancellation: redis-py does while it connects."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        return await call
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancels tasks until they are gone; more than once, for the same reason."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_NUDGE)
        for task in done:
            if not task.cancelled() and task.exception() is not None:
                _LOG.warning("a reader of a broker ended with %s", type(task.exception()).__name__)


class _Reading(AsyncIterator[Received]):
    """One iteration. Nothing of it is left behind, wherever it ends."""

    def __init__(self, stream: BrokerStream) -> None:
        self._stream = stream

    async def __anext__(self) -> Received:
        return await self._stream.next()
