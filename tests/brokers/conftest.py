"""A bench for each test, on the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.brokers.benches import BENCHES, Bench
from tests.support.services import needs


@pytest.fixture(params=list(BENCHES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each broker in turn; ``indirect`` for one of them."""
    made = BENCHES[request.param]()
    needs(made.service)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
