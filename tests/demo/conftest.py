"""One shop without faults for all tests that do not need their own: starting a process takes a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rxorch.demo.shop import Faults, Shop


@pytest.fixture(scope="session")
def calm_shop() -> Iterator[Shop]:
    """A shop that answers after 20 ms, for the whole session."""
    shop = Shop(faults=Faults.none(latency=0.02))
    # In a thread: the event loops of this one belong to the tests.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, shop.__aenter__()).result()
        yield shop
        thread.submit(asyncio.run, shop.__aexit__(None, None, None)).result()


@pytest.fixture
async def shop(calm_shop: Shop) -> Shop:
    """The calm shop, with empty books."""
    await calm_shop.stats()
    await calm_shop.reset()
    return calm_shop
