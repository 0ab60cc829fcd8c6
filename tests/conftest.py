"""What all tests share. A test that leaves something behind fails, here or by ``filterwarnings = error``."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from rxorch.client import AioHttpClient
from rxorch.endpoint import caller
from rxorch.http import Transport
from rxorch.http.choosing import make_transport
from tests.support.leaks import LeakCheck
from tests.support.loopback import Loopback

PATIENCE = 120.0
"""Seconds after which an async test counts as hanging."""

ServeLoopback = Callable[[Mapping[str, Any] | web.Application], Awaitable[Loopback]]


def pytest_collection_finish() -> None:
    """Take what is loaded by now out of the garbage collector, so that a full collection costs little."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an async test that leaves tasks, timers, sockets or unseen errors on its event loop.

    Autouse, so that it is set up before the other fixtures and torn down after them.
    """
    is_async = request.node.get_closest_marker("asyncio") is not None
    if is_async:
        request.getfixturevalue("clean_loop")
    yield
    if is_async:
        gc.collect()  # an unclosed session or transport warns now, in the test that made it
        gc.freeze()  # what is left stays for long: the next collection need not look at it again


@pytest.fixture
async def clean_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """The part of ``nothing_left_behind`` that runs on the event loop of the test."""
    check = LeakCheck()
    loop = asyncio.get_running_loop()
    hung = loop.call_later(PATIENCE, cancel_test, request.node.originalname)
    yield
    hung.cancel()
    left = await check.finish()
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


def cancel_test(name: str) -> None:
    """End a test that hangs, so that its traceback shows the line where it waits."""
    tasks = asyncio.all_tasks()
    for task in [task for task in tasks if getattr(task.get_coro(), "__name__", "") == name] or tasks:
        task.cancel(f"{name} was still waiting after {PATIENCE:g} s")


@pytest.fixture
async def loopback() -> AsyncIterator[ServeLoopback]:
    """A function that starts a counting server: ``server = await loopback({"GET /users/{id}": handler})``.

    Every server ends with the test. See ``tests.support.loopback.Loopback`` for what it counts.
    """
    async with AsyncExitStack() as stack:

        async def serve(routes: Mapping[str, Any] | web.Application) -> Loopback:
            return await stack.enter_async_context(Loopback(routes))

        yield serve


@pytest.fixture(params=["aiohttp", "pyreqwest"])
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test on both transports: clients that are told no other send over this one.

    For a whole module: ``pytestmark = pytest.mark.usefixtures("each_transport")``.
    """
    kind: str = request.param
    if kind != "aiohttp":

        def make(*_: object) -> Transport:
            return make_transport("pyreqwest", limit=0, connection_reuse=True)

        monkeypatch.setattr(AioHttpClient, "make_transport", make)
        monkeypatch.setattr(caller, "_default_transport", make)
    return kind
