"""A server of flows whose upstream is a real server too, both on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rxorch import APIEndpoint, APIOrchestrationConfig, OrchestrationMode
from rxorch.saga import Saga, SqliteJournal
from rxorch.server import Serving, create_app
from tests.conftest import ServeLoopback
from tests.saga.services import QUICK, Services
from tests.saga.services import serving as services_of_sagas
from tests.support.chromium import Page, browser, opened
from tests.support.loopback import Loopback

Serve = Callable[..., Awaitable[Serving]]
Make = Callable[..., Saga]
TOKEN = "a-token-of-twenty-characters"


def endpoint(server: Loopback, name: str, path: str | None = None, **fields: Any) -> APIEndpoint:
    url = f"{server.url}{path or f'/{name}/{{id}}'}"
    return APIEndpoint(**{"name": name, "url": url, "retry_count": 0, **fields})


def parallel_of(*endpoints: APIEndpoint, **settings: Any) -> APIOrchestrationConfig:
    given: dict[str, Any] = {"circuit_breaker_threshold": None, **settings}
    return APIOrchestrationConfig(endpoints=endpoints, mode=OrchestrationMode.PARALLEL, **given)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A function that serves flows: `server = await serve({"profile": flow})`."""
    async with AsyncExitStack() as stack:

        async def start(flows: Any, *, drain_seconds: float = 0.0, **options: Any) -> Serving:
            app = flows if isinstance(flows, web.Application) else create_app(flows, **options)
            return await stack.enter_async_context(Serving(app, port=0, drain_seconds=drain_seconds))

        yield start


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """A function that sends a request: `answer = await ask("POST", url, json={"id": 1})`."""
    async with aiohttp.ClientSession() as session:

        async def send(method: str, url: str, **options: Any) -> Answer:
            async with session.request(method, url, **options) as response:
                return Answer(response.status, response.headers, await response.text())

        yield send


class Upstream:
    """Users and orders, each of which can fail or hang."""

    def __init__(self) -> None:
        self.users: Any = lambda request: {"id": int(request.match_info["id"]), "name": "Ada"}
        self.orders: Any = lambda request: [{"order": 1}]

    async def answer(self, request: web.Request) -> Any:
        given = self.users if request.path.startswith("/users") else self.orders
        made = given(request) if callable(given) else given
        return await made if hasattr(made, "__await__") else made


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def services(loopback: ServeLoopback, upstream: Upstream) -> Loopback:
    async def answer(request: web.Request) -> web.Response:
        value = await upstream.answer(request)
        return web.Response(status=value) if isinstance(value, int) else web.json_response(value)

    return await loopback(
        {"GET /users/{id}": answer, "GET /orders/{id}": answer, "POST /orders/{id}": answer}
    )


@pytest.fixture
def profile(services: Loopback) -> APIOrchestrationConfig:
    """The aggregator of two services."""
    return parallel_of(
        endpoint(services, "users", timeout=60), endpoint(services, "orders", timeout=60), total_timeout=60
    )


@pytest.fixture
async def shop() -> AsyncIterator[Services]:
    async with services_of_sagas() as services:
        yield services


@pytest.fixture
def order(shop: Services, tmp_path: Path) -> Make:
    """A function that makes the saga of an order, always on the same journal."""

    def make(*last: Any, **settings: Any) -> Saga:
        steps = [shop.step("charge"), shop.step("reserve"), *(last or [shop.step("ship")])]
        journal = SqliteJournal(tmp_path / "orders.sqlite", durable=False)
        return Saga("orders", steps, **{"journal": journal, "undo": QUICK, "recovery": QUICK, **settings})

    return make


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A browser for all tests of pages."""
    with browser(tmp_path_factory.mktemp("chromium")) as url:
        yield url


@pytest.fixture
async def page(chromium: str) -> AsyncIterator[Page]:
    """A tab of its own."""
    async with opened(chromium) as page:
        yield page
