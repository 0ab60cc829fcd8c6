"""`Serving`: listens for an application made by `create_app`, and ends in good order."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from rxorch.errors import ApiConfigurationError
from rxorch.server.connections import connections
from rxorch.server.settings import check_bind
from rxorch.server.state import STATE

__all__ = ["Serving", "url_of"]

_CLOSING_SECONDS: Final = 1.0


class Serving:
    """An application that listens, inside `async with`.

    At the end it accepts no more connections, lets the requests under way end, ends those that are still
    there after `drain_seconds`, and closes.

    Args:
        app: Made by `create_app`.
        host: Address to listen on. Another one than that of loopback needs an application with a token.
        port: 0 takes a free one.
        drain_seconds: How long requests under way may go on.
        reuse_port: Whether other processes may listen on the port too, each for a part of the connections.

    Raises:
        ApiConfigurationError: It may not listen there, or the application is another one.
        OSError: It cannot listen there.

    >>> import asyncio
    >>> from rxorch.server import create_app
    >>> async def main():
    ...     async with Serving(create_app({}), port=0) as server:
    ...         return server.url.startswith("http://127.0.0.1:")
    >>> asyncio.run(main())
    True
    """

    def __init__(
        self,
        app: web.Application,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        drain_seconds: float = 30.0,
        reuse_port: bool = False,
    ) -> None:
        if STATE not in app:
            raise ApiConfigurationError("app: give one that create_app has made")
        self._state = app[STATE]
        check_bind(host, has_token=self._state.token is not None)
        self._app = app
        self._host = host
        self._port = port
        self._drain_seconds = drain_seconds
        self._reuse_port = reuse_port
        self._runner = web.AppRunner(app, shutdown_timeout=_CLOSING_SECONDS)
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._listener is None or not self._listener.sockets:
            return self._port
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its address without a slash at its end."""
        return url_of(self._host, self.port)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": self._state.limits.idle_seconds,
            "lingering_time": _CLOSING_SECONDS,
        }
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                connections(server, self._state.limits, options),
                self._host,
                self._port,
                reuse_port=self._reuse_port or None,
            )
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            assert self._listener is not None
            self._listener.close()
            self._state.drain()
            await self._state.until_idle(
                0.0 if isinstance(error, asyncio.CancelledError) else self._drain_seconds
            )
        finally:
            await self._runner.cleanup()


def url_of(host: str, port: int) -> str:
    """The address of a server, without a slash at its end."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
