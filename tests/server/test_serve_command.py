"""`rxorch serve` as somebody types it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cli.test_run import start
from tests.server.conftest import TOKEN, Ask
from tests.support.loopback import Loopback

FLOWS = """
from rxorch import APIEndpoint
user = APIEndpoint(name="user", url="{url}/users/{{id}}")
flows = {{"profile": user}}
"""


@pytest.fixture
def folder(services: Loopback, tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(FLOWS.format(url=services.url))
    (tmp_path / "token").write_text(TOKEN + "\n")
    return tmp_path


@asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    running = await start(folder, "serve", *arguments, "--port", "0")
    assert running.stderr is not None
    try:
        first = (await running.stderr.readline()).decode()
        assert first.startswith("serving on "), first + (await running.stderr.read()).decode()
        yield running, first.split()[2].rstrip(";")
    finally:
        if running.returncode is None:
            running.terminate()
        await running.communicate()


@pytest.mark.parametrize(
    ("reference", "name"), [("shop.py:flows", "profile"), ("shop:user", "user"), ("shop.py", "shop")]
)
async def test_serving_until_a_signal(folder: Path, ask: Ask, reference: str, name: str) -> None:
    async with serving(folder, reference, "--readable", name) as (running, url):
        answer = await ask("GET", f"{url}/orchestrations/{name}?id=7")
        assert (answer.status, answer.json["result"]["user"]["name"]) == (200, "Ada")
        running.send_signal(signal.SIGTERM)
        _, err = await running.communicate()
    assert running.returncode == 0
    assert b"Traceback" not in err


async def test_the_token_comes_from_a_file(folder: Path, ask: Ask) -> None:
    async with serving(folder, "shop.py:flows", "--token-file", "token") as (_, url):
        assert (await ask("GET", f"{url}/metrics")).status == 401
        assert (
            await ask("GET", f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        ).status == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop.py:flows", "--host", "0.0.0.0"), "give a token"),
        (("shop.py:no",), "there is no 'no'"),
        (("shop.py:flows", "--token-file", "no-such-file"), "no-such-file"),
        (("shop.py:flows", "--token-file", "shop.py"), "token: give"),
        (("shop.py:flows", "--readable", "other"), "no flow 'other'"),
    ],
)
async def test_what_cannot_be_served(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    running = await start(folder, "serve", *arguments)
    _, err = await running.communicate()
    assert running.returncode == 2
    assert message in err.decode()
    assert b"Traceback" not in err
