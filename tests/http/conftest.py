"""A transport that ends with its test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rxorch.http import AioHttpTransport

MakeTransport = Callable[..., AioHttpTransport]


@pytest.fixture
async def make_transport() -> AsyncIterator[MakeTransport]:
    """``make_transport(limit=3)``: a transport with these options, closed after the test."""
    made: list[AioHttpTransport] = []

    def make(**options: Any) -> AioHttpTransport:
        made.append(AioHttpTransport(**options))
        return made[-1]

    yield make
    for transport in made:
        await transport.aclose()


@pytest.fixture
async def transport(make_transport: MakeTransport) -> AioHttpTransport:
    """A transport with the default options."""
    return make_transport()
