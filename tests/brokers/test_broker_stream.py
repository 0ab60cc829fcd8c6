"""What no broker can be made to do: clients that lose a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rxorch.brokers import BrokerStream
from rxorch.brokers.broker import Broker
from rxorch.brokers.broker_stream import Received
from rxorch.brokers.message import Delivery
from rxorch_operators import RetryPolicy


class Deaf(Broker):
    """Goes on when it is cancelled, as redis-py does while it connects."""

    lost = (OSError,)

    def __init__(self, opens: bool) -> None:
        super().__init__(object(), "orders")
        self.opens = opens
        self.opened = self.closed = 0

    async def open(self, prefetch: int, settles: Any) -> None:
        self.opened += 1
        await self._deaf()
        if not self.opens:
            raise ConnectionError

    async def read(self, room: int) -> Sequence[Received]:
        await self._deaf()
        return ()

    async def settle(self, delivery: Delivery, *, done: bool, requeue: bool) -> bool:
        return True

    async def close(self) -> None:
        self.closed += 1

    async def _deaf(self) -> None:
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            pass


@pytest.mark.parametrize("opens", [True, False])
async def test_a_cancellation_that_the_client_loses_is_heeded(opens: bool) -> None:
    broker = Deaf(opens)
    opening = asyncio.ensure_future(BrokerStream(broker, 1, RetryPolicy(max_attempts=9)).__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert broker.opened == broker.closed == 1


async def test_a_reader_that_does_not_listen_ends_all_the_same() -> None:
    async with BrokerStream(Deaf(True), 1, RetryPolicy()) as stream:
        await asyncio.sleep(0)
        assert stream.unsettled == 0
