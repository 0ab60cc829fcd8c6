"""The child process: starts or says why not, and never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import rxorch.demo.shop.process as process_module
from rxorch.demo.shop import SERVICES, Faults, Shop, ShopError
from rxorch.demo.shop.process import _import_path

PARENT = """
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
from rxorch.demo.shop import Faults, Shop

async def main():
    async with Shop(faults=Faults.none()) as shop:
        print(shop.urls["users"], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def closes(reader: asyncio.StreamReader) -> None:
    """Return when the process at the other end of a connection is gone."""
    async with asyncio.timeout(20):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def test_each_service_has_its_own_loopback_port_while_the_block_runs() -> None:
    shop = Shop(faults=Faults.none())
    assert (shop.pid, shop.urls) == (None, {})
    async with shop:
        assert tuple(shop.urls) == SERVICES
        assert {urlsplit(url).hostname for url in shop.urls.values()} == {"127.0.0.1"}
        assert len({urlsplit(url).port for url in shop.urls.values()}) == len(SERVICES)
        reader, writer = await connect(shop.urls["users"])
        with pytest.raises(ShopError, match="open already"):
            await shop.__aenter__()
    assert (shop.pid, shop.urls) == (None, {})
    await closes(reader)
    writer.close()
    with pytest.raises(ShopError, match="the shop is closed"):
        await shop.stats()
    async with shop:
        assert shop.urls


async def test_leaving_with_a_request_in_flight_does_not_wait_for_it() -> None:
    async with Shop(faults=Faults.none(latency=3600)) as shop:
        reader, writer = await connect(shop.urls["users"])
        writer.write(b"GET /users/1 HTTP/1.1\r\nHost: shop\r\n\r\n")
        while (await shop.stats(settled=False)).in_flight == 0:
            pass
    await closes(reader)
    writer.close()


async def test_a_cancelled_block_ends_the_process() -> None:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def block() -> None:
        async with Shop(faults=Faults.none()) as shop:
            url.set_result(shop.urls["users"])
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    reader, writer = await connect(await url)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await closes(reader)
    writer.close()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_the_shop_ends_when_its_parent_is_killed(blow: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": _import_path()},
    )
    try:
        assert parent.stdout is not None
        url = (await asyncio.to_thread(parent.stdout.readline)).decode().strip()
        reader, writer = await connect(url)
    finally:
        parent.send_signal(blow)
        try:
            parent.communicate(timeout=20)
        finally:
            parent.kill()
    await closes(reader)
    writer.close()


async def test_a_shop_that_dies_is_reported() -> None:
    async with Shop(faults=Faults.none()) as shop:
        assert shop.pid is not None
        reader, writer = await connect(shop.urls["users"])
        os.kill(shop.pid, signal.SIGKILL)
        await closes(reader)
        writer.close()
        with pytest.raises(ShopError, match="the shop does not answer: it ended with code -9"):
            await shop.stats()


async def test_a_shop_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_module, "_import_path", lambda: str(tmp_path))
    monkeypatch.setattr(sys, "executable", _python_that(tmp_path, "import sys; sys.exit('no room left')"))
    shop = Shop()
    with pytest.raises(ShopError, match=r"^the shop did not start: no room left$"):
        await shop.__aenter__()
    assert shop.pid is None


async def test_a_shop_whose_interpreter_is_missing_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ShopError, match=r"the shop did not start: .*No such file"):
        await Shop().__aenter__()


async def test_a_silent_shop_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_module, "_START", 0.05)
    monkeypatch.setattr(sys, "executable", _python_that(tmp_path, "import time; time.sleep(3600)"))
    shop = Shop()
    with pytest.raises(ShopError, match=r"no sign of life for 50 ms"):
        await shop.__aenter__()
    assert shop.pid is None


def _python_that(folder: Path, code: str) -> str:
    """An executable that ignores its arguments and runs ``code``."""
    program, script = folder / "python", folder / "script.py"
    script.write_text(code)
    # By way of a shell: the first line of a script cannot name an interpreter whose path has a space.
    program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("arguments", [["--faults", '{"reset": 2}'], ["--faults", "no"], ["--seed", "x"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "rxorch.demo.shop", *arguments]
    run = subprocess.run(
        command,
        check=False,
        input=b"",
        capture_output=True,
        env={**os.environ, "PYTHONPATH": _import_path()},
        timeout=20,
    )
    assert run.returncode == 2
    assert b"error: argument" in run.stderr
