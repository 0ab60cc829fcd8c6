"""Who listens to server-sent events: how many, and how they are ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from rxorch.server.problems import Problem

__all__ = ["Listener", "Listeners"]


class Listener:
    """One answer of events.

    Attributes:
        ended: Done when the server wants it to end.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._is_writing = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Something is written, as long as the block runs."""
        self._is_writing = True
        try:
            yield
        finally:
            self._is_writing = False

    def end(self) -> None:
        """Ends it, and does not wait for a client that takes nothing."""
        if not self.ended.done():
            self.ended.set_result(None)
        if self._is_writing and self._request.transport is not None:
            self._request.transport.abort()


class Listeners:
    """All who listen.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: set[Listener] = set()

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def add(self, request: web.Request) -> Iterator[Listener]:
        """One more, as long as the block runs.

        Raises:
            Problem: There are too many.
        """
        if len(self._all) >= self._most:
            raise Problem(503, "too many listen to events", headers={"Retry-After": "5"})
        listener = Listener(request)
        self._all.add(listener)
        try:
            yield listener
        finally:
            self._all.discard(listener)

    def end(self) -> None:
        """Ends all."""
        for listener in tuple(self._all):
            listener.end()
