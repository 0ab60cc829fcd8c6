"""The supervisor of ``rxorch serve --workers``: starts processes on one port, replaces those that die."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Final

import typer

from rxorch.cli.exits import FAILED, INTERRUPTED, OK, USAGE
from rxorch.cli.interrupts import signals
from rxorch.cli.worker import READY, WORKER
from rxorch.errors import ApiConfigurationError
from rxorch_operators._seconds import seconds_words

__all__ = ["Workers", "reserved"]

_GRACE: Final = 5.0
"""Seconds after the deadline of the drain in which a worker has to be gone."""
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 30.0
_HEALTHY: Final = 30.0
"""Seconds that a worker has to live for the next wait to be the first again."""


def reserved(host: str, port: int) -> socket.socket:
    """A socket that holds a port for the workers and listens to nothing.

    Raises:
        ApiConfigurationError: Several processes cannot share a port here.
        OSError: The port cannot be had.
    """
    if not hasattr(socket, "SO_REUSEPORT") or sys.platform in ("win32", "darwin"):
        raise ApiConfigurationError(
            f"--workers: {sys.platform} does not share a port between processes, as Linux and BSD do "
            "(SO_REUSEPORT); start several servers on ports of their own, behind a proxy"
        )
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    held = socket.socket(family, kind, protocol)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as error:
        held.close()
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"port {port} of {host}: {reason}") from None
    return held


class Workers:
    """So many processes, until a signal.

    Args:
        command: That each of them is.
        port: On which they listen.
        count: How many.
        drain_seconds: How long their requests may go on at the end; 5 s later they are killed.
        url: Of the server, for the message.
    """

    def __init__(self, command: list[str], *, port: int, count: int, drain_seconds: float, url: str) -> None:
        self._command = command
        self._port = port
        self._count = count
        self._limit = drain_seconds + _GRACE
        self._url = url
        self._alive: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._signals = 0
        self._failed = False

    async def run(self) -> int:
        """Runs them; returns the exit code of the command.

        It is 0 if all of them ended well after the first signal, 130 after the second, 1 if one had to be
        killed or failed; what the first of them exits with, if it does not get as far as to listen.
        """
        with signals(self._on_signal):
            first = await self._start()
            if not await self._listens(first):  # what is wrong with it would be wrong with all
                code = await first.process.wait()
                return self._code() if self._stopping.is_set() else USAGE if code == USAGE else FAILED
            others = [await self._start() for _ in range(self._count - 1)]
            await asyncio.gather(*map(self._listens, others))
            slots = [asyncio.create_task(self._keep(link)) for link in (first, *others)]
            self._say(f"serving on {self._url} by {self._count} workers; Ctrl-C ends it")
            try:
                await self._stopping.wait()
                await self._end(slots)
            finally:
                self._kill()
                await asyncio.gather(*slots)
        return self._code()

    def _code(self) -> int:
        return INTERRUPTED if self._signals > 1 else FAILED if self._failed else OK

    async def _end(self, slots: list[asyncio.Task[None]]) -> None:
        _, late = await asyncio.wait(slots, timeout=self._limit)
        if late:
            self._failed = True
            self._say(f"{len(self._alive)} workers do not end: killed")

    async def _keep(self, link: _Link) -> None:
        """Puts another worker in the place of one that has ended, again and again."""
        loop = asyncio.get_running_loop()
        wait = 0.0
        while True:
            began = loop.time()
            code = await link.ended()
            self._alive.discard(link.process)
            if self._stopping.is_set():
                self._failed |= code not in (OK, INTERRUPTED, -signal.SIGTERM)
                return
            wait = (
                _FIRST_WAIT
                if loop.time() - began >= _HEALTHY
                else min(_LONGEST_WAIT, wait * 2 or _FIRST_WAIT)
            )
            self._say(
                f"a worker ended ({_reason(code)}); another begins in {seconds_words(wait, exact=True)}"
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
                    return
            link = await self._start()

    async def _start(self) -> _Link:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=theirs.fileno(),
                env={**os.environ, WORKER: str(self._port)},
                start_new_session=True,  # Ctrl-C of a terminal comes to us alone, and from us to them
            )
        self._alive.add(process)
        if self._stopping.is_set():  # the signal was sent to the others before this one was there
            self._send(process, signal.SIGTERM)
        reader, writer = await asyncio.open_connection(sock=ours)
        return _Link(process, reader, writer)

    async def _listens(self, link: _Link) -> bool:
        """Waits until a worker listens, or has ended."""
        if await link.reader.readline() == READY:
            return True
        await link.ended()
        self._alive.discard(link.process)
        return False

    def _on_signal(self, _: int) -> None:
        self._signals += 1
        if self._signals == 1:
            self._say("stopping: requests under way end first; Ctrl-C again stops at once")
            self._stopping.set()
        for process in tuple(self._alive):
            self._send(process, signal.SIGTERM)

    def _kill(self) -> None:
        for process in tuple(self._alive):
            self._send(process, signal.SIGKILL)

    @staticmethod
    def _send(process: asyncio.subprocess.Process, number: int) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(number)

    @staticmethod
    def _say(text: str) -> None:
        typer.echo(text, err=True)


class _Link:
    """A worker, and the socket at whose other end it is."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self.reader = reader
        self._writer = writer

    async def ended(self) -> int:
        """Its exit code, when it has ended."""
        code = await self.process.wait()
        self._writer.close()
        return code


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
