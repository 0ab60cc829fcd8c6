"""A process of ``rxorch serve --workers``: what its supervisor has told it, and what it tells."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from rxorch.errors import ApiConfigurationError
from rxorch.saga import MemoryJournal
from rxorch.server.state import STATE

__all__ = ["READY", "WORKER", "Worker"]

WORKER: Final = "RXORCH_WORKER"
"""Variable of the environment in which a worker finds its port."""
READY: Final = b"ready\n"


class Worker:
    """This process as one of several. Its standard input is a socket to its supervisor.

    Args:
        port: On which all of them listen.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._link = socket.socket(fileno=os.dup(0))
        self._link.setblocking(False)

    @classmethod
    def of_environment(cls) -> Worker | None:
        """This process as a worker; None if nobody supervises it."""
        port = os.environ.pop(WORKER, None)  # processes that it starts are none
        return None if port is None else cls(int(port))

    def ready(self) -> None:
        """Tells that it listens."""
        self._link.send(READY)

    @contextmanager
    def supervised(self, orphaned: Callable[[], object]) -> Iterator[None]:
        """Calls a function if the supervisor is gone, while the block runs."""
        loop = asyncio.get_running_loop()

        def readable() -> None:  # nothing is ever sent: it is the end
            loop.remove_reader(self._link)
            orphaned()

        loop.add_reader(self._link, readable)
        try:
            yield
        finally:
            loop.remove_reader(self._link)

    @staticmethod
    def check(app: web.Application) -> None:
        """Refuses sagas whose runs only one process would know.

        Raises:
            ApiConfigurationError: Names the saga.
        """
        for name, saga in app[STATE].sagas.items():
            if isinstance(saga.journal, MemoryJournal):
                raise ApiConfigurationError(
                    f"--workers: saga {name!r} keeps its runs in the memory of one process; give it "
                    "a SqliteJournal, or --journal FILE"
                )
