"""What the tests of streams share: an endpoint that takes the input into its path, and inputs that watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from rxorch import APIEndpoint, APIOrchestrator, sequential
from tests.support.fake_transport import FakeTransport, Hold, api, turns

__all__ = ["Source", "idle", "item", "streaming", "stuck", "until"]


def item(**fields: Any) -> APIEndpoint:
    """An endpoint whose path is the input."""
    return api("item", "http://shop.test/{n}", **fields)


def streaming(transport: FakeTransport, **settings: Any) -> APIOrchestrator:
    """An orchestrator of that one endpoint; ``fields`` are its own."""
    fields = settings.pop("fields", {})
    return APIOrchestrator(sequential(item(**fields)), transport=transport, **settings)


def stuck() -> tuple[FakeTransport, Hold]:
    """The first input is answered, the others hang."""
    hold = Hold()
    return FakeTransport({"item": lambda request: {} if request.url.path == "/0" else hold}), hold


class Source(Iterator[dict[str, int]]):
    """Inputs that know how far they were read, and whether they were closed."""

    def __init__(self, limit: int = 10_000) -> None:
        self.read = 0
        self.limit = limit
        self.closed = False

    def __next__(self) -> dict[str, int]:
        if self.read == self.limit:
            raise StopIteration
        self.read += 1
        return {"n": self.read - 1}

    def close(self) -> None:
        """As a generator has it."""
        self.closed = True


async def idle(orchestrator: APIOrchestrator, transport: FakeTransport) -> None:
    """Check that nothing is in flight any more, and no session is open."""
    await turns()
    assert (orchestrator.in_flight, transport.in_flight) == (0, 0)
    assert all(not session.entered for session in orchestrator._caller._sessions.values())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds that a thread brings about; a wait in vain is ended."""
    while not condition():
        await asyncio.sleep(0)
