"""Name lookups in which one hanging host holds up nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["HostResolver"]

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class HostResolver(AbstractResolver):
    """Looks names up with the system's ``getaddrinfo``, one thread per host that is being looked up.

    The event loop's own executor has few threads, and a lookup that hangs keeps one for half a minute: a few
    hosts with broken DNS would stop the lookups of all others. Here those who ask for the same host share one
    lookup, and each host has a thread of its own. The threads are daemons: a hanging one does not keep the
    process from ending.

    Args:
        max_lookups: hosts that may be looked up at the same time; one more fails at once.
        getaddrinfo: replaces ``socket.getaddrinfo``.

    Raises:
        OSError: from ``resolve``, when the name is unknown or too many lookups hang.
    """

    def __init__(
        self, max_lookups: int = 128, getaddrinfo: Callable[..., list[Any]] = socket.getaddrinfo
    ) -> None:
        self._max_lookups = max_lookups
        self._getaddrinfo = getaddrinfo
        self._lookups: dict[tuple[str, int], asyncio.Future[list[AddressInfo]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``. Cancelling one who waits leaves the lookup to the others."""
        key = (host, family)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._start(key)
        # Shielded: the thread cannot be stopped, and others may wait for the same answer.
        infos = await asyncio.shield(lookup)
        return [_result(host, port, info) for info in infos]

    async def close(self) -> None:
        """Forget the lookups under way; their threads end by themselves."""
        lookups, self._lookups = self._lookups, {}
        for lookup in lookups.values():
            if not lookup.done():
                lookup.set_exception(OSError("the resolver was closed"))

    def _start(self, key: tuple[str, int]) -> asyncio.Future[list[AddressInfo]]:
        if len(self._lookups) >= self._max_lookups:
            raise OSError(f"{len(self._lookups)} name lookups are already under way")
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[list[AddressInfo]] = loop.create_future()
        lookup.add_done_callback(_retrieve)
        self._lookups[key] = lookup
        threading.Thread(
            target=self._look_up, args=(loop, lookup, key), name=f"dns-{key[0]}", daemon=True
        ).start()
        return lookup

    def _look_up(
        self, loop: asyncio.AbstractEventLoop, lookup: asyncio.Future[list[AddressInfo]], key: tuple[str, int]
    ) -> None:
        infos: list[AddressInfo] = []
        error: OSError | None = None
        host, family = key
        try:
            infos = self._getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM)
        except OSError as failure:
            error = failure
        except (ValueError, UnicodeError) as failure:  # a name that IDNA cannot encode
            error = OSError(f"not a valid host name: {type(failure).__name__}")
        try:
            loop.call_soon_threadsafe(self._finish, key, lookup, infos, error)
        except RuntimeError:
            pass  # the loop was closed meanwhile: nobody waits any more

    def _finish(
        self,
        key: tuple[str, int],
        lookup: asyncio.Future[list[AddressInfo]],
        infos: list[AddressInfo],
        error: OSError | None,
    ) -> None:
        if self._lookups.get(key) is lookup:
            del self._lookups[key]
        if lookup.done():
            return
        if error is not None:
            lookup.set_exception(error)
        else:
            lookup.set_result(infos)


def _retrieve(lookup: asyncio.Future[list[AddressInfo]]) -> None:
    # All who waited may have been cancelled: the error then counts as seen.
    if not lookup.cancelled():
        lookup.exception()


def _result(host: str, port: int, info: AddressInfo) -> ResolveResult:
    family, _, proto, _, address = info
    name = str(address[0])
    if family == socket.AF_INET6 and len(address) > 3 and address[3] and "%" not in name:
        name = f"{name}%{address[3]}"  # a link-local address needs its interface
    return ResolveResult(
        hostname=host, host=name, port=port, family=family, proto=proto, flags=socket.AI_NUMERICHOST
    )
