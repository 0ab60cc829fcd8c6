"""The fixture that fails a test which leaves something behind must notice each kind, and nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leaks import LeakCheck
from tests.support.loopback import Loopback

ROOT = Path(__file__).parents[1]

LEAKY_TESTS = """
import asyncio
import aiohttp
import tests.conftest
from tests.conftest import *

tests.conftest.PATIENCE = 0.2

async def test_hangs():
    await asyncio.Event().wait()

def test_restores_patience():
    tests.conftest.PATIENCE = 120

async def test_leaves_a_task():
    asyncio.get_running_loop().kept = asyncio.ensure_future(asyncio.sleep(1000))

async def test_leaves_a_session():
    aiohttp.ClientSession()

async def test_leaves_a_session_in_a_cycle():
    cycle = [aiohttp.ClientSession()]
    cycle.append(cycle)

def test_leaves_a_coroutine():
    asyncio.sleep(0)

async def test_leaves_nothing(loopback):
    server = await loopback({"GET /": 200})
    async with aiohttp.ClientSession() as session, session.get(server.url) as response:
        assert response.status == 200
"""


async def test_a_pending_task_is_named() -> None:
    check = LeakCheck()
    task = asyncio.create_task(asyncio.sleep(1000), name="orphan")
    left = await check.finish()
    assert left[0].startswith("task orphan: ")
    assert [line.split()[0] for line in left] == ["task", "timer"]
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_was_there_before_is_not() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await never

    earlier = asyncio.create_task(wait())
    assert await LeakCheck().finish() == []
    assert not earlier.done()
    never.set_result(None)
    await earlier


async def test_a_cancelled_task_may_still_clean_up() -> None:
    check = LeakCheck()

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            for _ in range(5):
                await asyncio.sleep(0)

    task = asyncio.create_task(slow_to_end())
    await asyncio.sleep(0)
    task.cancel()
    assert await check.finish() == []


async def test_a_timer_is_named_unless_it_was_cancelled() -> None:
    check = LeakCheck()
    timer = asyncio.get_running_loop().call_later(1000, print)
    assert [line.split()[0] for line in await check.finish()] == ["timer"]
    timer.cancel()
    assert await check.finish() == []


async def test_an_open_connection_is_named() -> None:
    async with Loopback({}) as server:
        check = LeakCheck()
        host, _, port = server.url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        assert any(line.startswith("socket ") for line in await check.finish())
        writer.close()
        await writer.wait_closed()
        await server.until_disconnected()
        assert await check.finish() == []


async def test_an_error_in_a_callback_is_named() -> None:
    check = LeakCheck()

    def broken() -> None:
        raise ZeroDivisionError

    asyncio.get_running_loop().call_soon(broken)
    await asyncio.sleep(0)
    (line,) = await check.finish()
    assert line.startswith("error Exception in callback")
    assert line.endswith("ZeroDivisionError()")


def test_the_fixture_fails_such_tests(tmp_path: Path) -> None:
    file = tmp_path / "test_leaky.py"
    file.write_text(LEAKY_TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pyproject.toml", "-q", "-rA"]
    done = subprocess.run(
        [*command, str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "operators")])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts: dict[str, set[str]] = {}
    for verdict, name in re.findall(r"^(ERROR|FAILED|PASSED) .*::(\w+)", done.stdout, re.MULTILINE):
        verdicts.setdefault(name, set()).add(verdict)
    assert verdicts == {
        "test_hangs": {"FAILED"},
        "test_restores_patience": {"PASSED"},
        "test_leaves_a_task": {"PASSED", "ERROR"},
        "test_leaves_a_session": {"FAILED"},
        "test_leaves_a_session_in_a_cycle": {"PASSED", "ERROR"},
        "test_leaves_a_coroutine": {"FAILED"},
        "test_leaves_nothing": {"PASSED"},
    }
    assert "the test left behind:\n  task Task-" in done.stdout
    assert "CancelledError: test_hangs was still waiting after 0.2 s" in done.stdout
    assert done.returncode == 1
