"""A loopback server on a loop and thread of its own.

For tests that call ``asyncio.run`` themselves, and for those that look at what the client leaves on its
loop: there the tasks of the server must not be in the picture.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.loopback import Loopback

_LIMIT = 20.0
"""Seconds after which a thread that does not come forward fails the test instead of hanging it."""


class ThreadedLoopback:
    """``with ThreadedLoopback(routes) as server``: a ``Loopback``, away from the loop of the caller.

    ``server.loopback`` has the counters; what is there must be read when the server is at rest.
    """

    def __init__(self, routes: Mapping[str, Any]) -> None:
        self.loopback = Loopback(dict(routes))
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="loopback", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @property
    def url(self) -> str:
        """The root address of the server."""
        return self.loopback.url

    async def until(self, reached: Callable[[Loopback], bool]) -> None:
        """Wait until ``reached(loopback)`` holds, asked on the server's own loop."""
        waiting = self.loopback.until(lambda: reached(self.loopback))
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(waiting, self._loop))

    def __enter__(self) -> ThreadedLoopback:
        self._thread.start()
        assert self._ready.wait(_LIMIT), "the loopback server did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_LIMIT)
        assert not self._thread.is_alive(), "the loopback server did not stop"
        if self._failure is not None and error is None:
            raise self._failure

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self.loopback:
            self._ready.set()
            await self._stop.wait()
