"""The shop as the client side sees it: a child process that lives as long as an ``async with``."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import aiohttp

from rxorch.demo.shop.faults import Faults
from rxorch.demo.shop.stats import ShopStats
from rxorch_operators._seconds import seconds_words

__all__ = ["Shop", "ShopError"]

_START = 30.0
_STOP = 5.0
_DYING = 0.5
_LAST_WORDS = 3


class ShopError(RuntimeError):
    """The shop could not be started, or is gone. The text says why, in one line."""


class Shop:
    """Eight HTTP services in another process, each on its own port of 127.0.0.1.

    The process ends when the block is left, when it is cancelled, and when this process dies, even by a kill.

    Args:
        seed: of the faults; the same number gives the same faults to the same requests.
        faults: their rates.

    Attributes:
        urls: service name -> base url without a slash at its end.

    Raises:
        ShopError: from ``async with``, when the process cannot start or says nothing for 30 s.

    Example:
        >>> import asyncio
        >>> async def tier_of_user_7():
        ...     async with Shop(faults=Faults.none()) as shop, aiohttp.ClientSession() as session:
        ...         answer = await session.get(shop.urls["users"] + "/users/7")
        ...         return (await answer.json())["tier"]
        >>> asyncio.run(tier_of_user_7())
        'standard'
    """

    def __init__(self, seed: int = 7, faults: Faults | None = None) -> None:
        self.seed = seed
        self.faults = faults if faults is not None else Faults()
        self.urls: Mapping[str, str] = {}
        self._control = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the child process, None while there is none."""
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> Self:
        if self._process is not None:
            raise ShopError("this shop is open already")
        # A file and not a pipe: nobody has to read it for the shop to go on.
        with tempfile.TemporaryFile() as stderr:
            self._process = self._spawn(stderr)
            try:
                self._read_ports(await _first_line(self._process), stderr)
            except BaseException:
                self._end(patience=0)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not awaited: a cancelled block must not leave the process behind. It takes some milliseconds.
        self.close()

    def close(self) -> None:
        """Ends the process, as the end of the block does; harmless if there is none."""
        self._end(patience=_STOP)

    async def stats(self, *, settled: bool = True) -> ShopStats:
        """What the services counted.

        Args:
            settled: wait (2 s at most) until nothing is in flight and all that was sent before has arrived.
        """
        return ShopStats.from_report(await self._ask("GET", "/stats?settled" if settled else "/stats"))

    async def reset(self) -> None:
        """Set all counts to zero and forget all effects; the faults begin anew, too."""
        await self._ask("POST", "/reset")

    def _spawn(self, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "rxorch.demo.shop"]
        command += ["--seed", str(self.seed), "--faults", self.faults.to_json()]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": _import_path()},
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle
            )
        except OSError as error:
            raise ShopError(f"the shop did not start: {error}") from error

    def _read_ports(self, line: bytes, stderr: IO[bytes]) -> None:
        assert self._process is not None
        try:
            ready = json.loads(line)
            host, ports, control = ready["host"], ready["services"], ready["control"]
        except (ValueError, KeyError, TypeError):
            why = _last_words(self._process, stderr) or "it ended without a word"
            raise ShopError(f"the shop did not start: {why}") from None
        self.urls = {name: f"http://{host}:{port}" for name, port in ports.items()}
        self._control = f"http://{host}:{control}"

    async def _ask(self, method: str, path: str) -> Any:
        if self._process is None:
            raise ShopError("the shop is closed")
        try:
            async with aiohttp.request(method, self._control + path) as response:
                return await response.json()
        except aiohttp.ClientError as error:
            raise ShopError(f"the shop does not answer: {_ended(self._process) or error}") from error

    def _end(self, patience: float) -> None:
        process, self._process = self._process, None
        self.urls = {}
        if process is not None:
            _end_process(process, patience)


async def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    try:
        # Its thread ends when the process does, and every way out of here without a line ends the process.
        return await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), _START)
    except TimeoutError:
        raise ShopError(
            f"the shop did not start: no sign of life for {seconds_words(_START, exact=True)}"
        ) from None


def _ended(process: subprocess.Popen[bytes]) -> str:
    """How the process ended, ``""`` if it lives."""
    try:
        # Its sockets close a little before its exit code can be had.
        return f"it ended with code {process.wait(_DYING)}"
    except subprocess.TimeoutExpired:
        return ""


def _last_words(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> str:
    """The last lines that the process wrote to its standard error, as one."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP)
    stderr.seek(0)
    lines = [line.strip() for line in stderr.read().decode(errors="replace").splitlines()]
    return " | ".join([line for line in lines if line][-_LAST_WORDS:])


def _end_process(process: subprocess.Popen[bytes], patience: float) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _import_path() -> str:
    """What this process can import, the shop can, too: also from a checkout that is not installed."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
