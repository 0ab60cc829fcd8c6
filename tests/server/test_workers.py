"""`rxorch serve --workers`: several processes on one port, as somebody starts them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rxorch import ApiConfigurationError, APIEndpoint
from rxorch.cli import workers
from rxorch.cli.worker import Worker
from rxorch.cli.workers import Workers, reserved
from rxorch.saga import Saga
from rxorch.server import create_app
from tests.cli.test_run import start
from tests.server.conftest import TOKEN, Upstream
from tests.support.loopback import Loopback

PATIENCE = 60.0
FLOWS = """
from rxorch import APIEndpoint
user = APIEndpoint(name="user", url="{url}/users/{{id}}", timeout=60)
flows = {{"profile": user}}
"""


@pytest.fixture
def folder(services: Loopback, tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(FLOWS.format(url=services.url))
    (tmp_path / "token").write_text(TOKEN + "\n")
    return tmp_path


class Running:
    """The command, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self.url = ""

    async def line(self, pattern: str) -> str:
        """The next line that matches; what comes before is kept."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stderr.readline()).decode():
                self.said.append(line)
                if re.search(pattern, line):
                    return line
        raise AssertionError(f"it never said {pattern!r}: {self.said}")

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            _, err = await self.process.communicate()
            self.said.append(err.decode())
            return await self.process.wait()

    async def get(self, path: str) -> tuple[int, str]:
        """Asks on a connection of its own; one whose worker was killed just now is asked again."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    headers = {"Authorization": f"Bearer {TOKEN}", "Connection": "close"}
                    async with aiohttp.request("GET", f"{self.url}{path}", headers=headers) as response:
                        return response.status, await response.text()
                except aiohttp.ClientConnectionError:
                    pass

    async def workers(self, enough: Callable[[set[int]], bool]) -> set[int]:
        """The processes that answer, once these are enough."""
        seen: set[int] = set()
        async with asyncio.timeout(PATIENCE):
            while not enough(seen):
                _, text = await self.get("/metrics")
                found = re.search(r'rxorch_process_info\{pid="(\d+)"\}', text)
                assert found is not None, text
                seen.add(int(found[1]))
        return seen


@asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    given = (
        "shop.py:flows",
        "--readable",
        "profile",
        "--token-file",
        "token",
        "--workers",
        "2",
        "--port",
        "0",
    )
    running = Running(await start(folder, "serve", *given, *arguments))
    try:
        running.url = (await running.line("serving on ")).split()[2]
        yield running
    finally:
        if running.process.returncode is None:
            running.process.terminate()
        await running.ended()


async def test_one_that_is_killed_is_replaced_and_requests_go_on(folder: Path) -> None:
    async with serving(folder) as running:
        first = await running.workers(lambda seen: len(seen) == 2)
        assert running.process.pid not in first
        os.kill(min(first), signal.SIGKILL)
        assert (await running.get("/orchestrations/profile?id=7"))[0] == 200
        await running.line(r"a worker ended \(SIGKILL\); another begins")
        now = await running.workers(lambda seen: len(seen - {min(first)}) == 2)
        assert max(first) in now
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0
        assert "Traceback" not in "".join(running.said)


async def test_a_signal_drains_all_of_them(folder: Path, upstream: Upstream) -> None:
    arrived, go = asyncio.Queue[None](), asyncio.Event()

    async def slow(request: web.Request) -> dict[str, Any]:
        arrived.put_nowait(None)
        await go.wait()
        return {"name": "Ada"}

    def held(request: web.Request) -> Any:
        return slow(request)

    upstream.users = held
    async with serving(folder) as running:
        answers = [asyncio.create_task(running.get("/orchestrations/profile?id=7")) for _ in range(8)]
        for _ in answers:
            await arrived.get()
        running.process.send_signal(signal.SIGINT)
        await running.line("stopping")
        go.set()
        assert {status for status, _ in await asyncio.gather(*answers)} == {200}
        assert await running.ended() == 0


async def test_workers_end_with_their_supervisor(folder: Path) -> None:
    async with serving(folder) as running:
        workers = await running.workers(lambda seen: len(seen) == 2)
        watched = [os.pidfd_open(pid) for pid in workers]
        running.process.kill()
        await running.process.wait()
        for fd in watched:
            await readable(fd)
            os.close(fd)


async def readable(fd: int) -> None:
    """Waits until the process of a descriptor has ended."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    finally:
        loop.remove_reader(fd)


async def test_what_is_wrong_is_said_once(folder: Path) -> None:
    running = Running(await start(folder, "serve", "shop.py:no", "--workers", "2", "--port", "0"))
    assert await running.ended() == 2
    text = "".join(running.said)
    assert text.count("there is no 'no'") == 1
    assert "serving on" not in text and "Traceback" not in text


def test_runs_in_the_memory_of_one_process_are_refused() -> None:
    user = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
    Worker.check(create_app({"user": user}))
    with pytest.raises(
        ApiConfigurationError, match="saga 'order' keeps its runs in the memory of one process"
    ):
        Worker.check(create_app({"user": user, "order": Saga("order", [user])}))


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with reserved("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with reserved("127.0.0.1", port) as other:  # by others of us it may
            assert other.getsockname()[1] == port
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ApiConfigurationError, match="--workers: darwin does not share a port"):
        reserved("127.0.0.1", 0)


READY = "import os, signal, time; os.write(0, b'ready\\n'); "
"""The beginning of a small program in the place of a worker."""


def made_of(program: str, *, drain_seconds: float = 60.0) -> Workers:
    command = [sys.executable, "-S", "-c", program]
    return Workers(command, port=0, count=2, drain_seconds=drain_seconds, url="http://here")


async def stopped_when(said: Said, text: str, workers: Workers, *signals: int) -> int:
    """Runs them until something was said, and gives the exit code after these signals."""
    running = asyncio.create_task(workers.run())
    await said.heard(text)
    for number in signals:
        signal.raise_signal(number)
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        return await running


class Said:
    """What the supervisor says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Event()

    def __call__(self, text: str, *, err: bool) -> None:
        assert err
        self.lines.append(text)
        self._news.set()

    async def heard(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while sum(text in line for line in self.lines) < times:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    said = Said()
    monkeypatch.setattr("typer.echo", said)
    return said


async def test_who_does_not_end_is_killed(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_GRACE", 0.2)
    deaf = made_of(
        "import signal; signal.signal(15, signal.SIG_IGN); " + READY + "time.sleep(600)", drain_seconds=0
    )
    assert await stopped_when(said, "serving", deaf, signal.SIGTERM) == 1
    assert said.lines[-1] == "2 workers do not end: killed"


async def test_the_second_signal_is_passed_on(said: Said) -> None:
    twice = (
        "import os, signal, time\n"
        "seen = []\n"
        "def hear(*_):\n"
        "    seen.append(1)\n"
        "    if len(seen) > 1: os._exit(130)\n"
        "signal.signal(15, hear)\n"
        "os.write(0, b'ready\\n')\n"
        "while True: time.sleep(600)\n"
    )
    running = asyncio.create_task(made_of(twice).run())
    await said.heard("serving")
    signal.raise_signal(signal.SIGTERM)
    await said.heard("stopping")
    # Two signals that come before the first was heard are one.
    ended = False
    while not ended:
        signal.raise_signal(signal.SIGTERM)
        done, _ = await asyncio.wait([running], timeout=0.05)
        ended = bool(done)
    assert await running == 130


async def test_who_keeps_dying_is_begun_less_and_less_often(said: Said) -> None:
    dying = made_of(READY + "os._exit(3)")
    running = asyncio.create_task(dying.run())
    await said.heard("(exit code 3); another begins in 100 ms", 2)
    await said.heard("(exit code 3); another begins in 200 ms", 2)
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        assert await running in (0, 1)  # 1: one of them was just about to end with 3


@pytest.mark.parametrize(("code", "given"), [(2, 2), (3, 1), (0, 1)])
async def test_who_never_listens_ends_the_command(said: Said, code: int, given: int) -> None:
    assert await made_of(f"raise SystemExit({code})").run() == given
    assert said.lines == []
