"""What a server holds against: clients that take nothing, keys and limits raced for, values at the edge."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from rxorch import ApiConfigurationError, APIOrchestrationConfig, APIOrchestrator
from rxorch.cli.workers import reserved
from rxorch.saga import RunRecord, Saga, SqliteJournal, Step
from rxorch.server import ServerLimits, create_app
from rxorch.server import routes as routes_module
from rxorch.server.run_book import Tally
from rxorch.server.saga_desk import SagaDesk
from rxorch.server.settings import check_hosts
from tests.conftest import ServeLoopback
from tests.saga.services import Services
from tests.server.conftest import Ask, Make, Serve, Upstream, endpoint, parallel_of
from tests.server.raw import connected, post
from tests.server.sse import listening
from tests.support.fake_transport import turns
from tests.support.loopback import Loopback

RUN = "/orchestrations/profile"
JSON = "Content-Type: application/json\r\n"
NDJSON = {"Content-Type": "application/x-ndjson"}
ASYNC = {"Prefer": "respond-async"}
SECRET = "s3cret-canary"


# -- clients -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux lets go of them")
async def test_who_takes_no_answer_is_let_go(serve: Serve, loopback: ServeLoopback) -> None:
    big = await loopback({"GET /big": {"x": "y" * 8_000_000}})
    flow = parallel_of(endpoint(big, "big", "/big"))
    server = await serve({"big": flow}, limits=ServerLimits(idle_seconds=0.2, connections=1))
    with socket.create_connection(("127.0.0.1", server.port)) as deaf:
        deaf.sendall(post("/orchestrations/big", f"{JSON}Content-Length: 2\r\n", b"{}"))
        await big.until(lambda: big.hits["/big"] == 1)
        async with asyncio.timeout(20):
            head = b"503"
            while b"503" in head:  # there is room for another as soon as the first is let go
                async with connected(server) as raw:
                    await raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    head = await raw.head()
    assert b"200 OK" in head


async def test_a_body_that_is_not_what_it_says_is_no_mistake_of_the_server(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve({"profile": profile})
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await ask("POST", server.url + RUN, data=b'{"id":7}', headers=headers)
    assert answer.status == 400
    assert (await ask("GET", f"{server.url}/healthz")).status == 200
    assert caplog.records == []


async def test_pages_of_other_origins_may_read_a_stream(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile}, origins=["https://app.example.com"])
    headers = {**NDJSON, "Origin": "https://app.example.com"}
    answer = await ask("POST", f"{server.url}{RUN}/stream", data=b'{"id":7}\n', headers=headers)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("method", "path"), [("GET", f"{RUN}?id=7"), ("POST", f"{RUN}/stream")])
async def test_a_key_that_nobody_heeds_is_refused(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback, method: str, path: str
) -> None:
    server = await serve({"profile": profile}, readable=["profile"])
    headers = {**NDJSON, "Idempotency-Key": "once"}
    answer = await ask(method, server.url + path, data=b'{"id":7}\n', headers=headers)
    assert (answer.status, services.total) == (400, 0)
    assert "Idempotency-Key" in answer.json["detail"]


# -- values and secrets --------------------------------------------------------------------------------


async def test_the_deepest_result_is_in_the_document_of_its_run(
    serve: Serve, ask: Ask, loopback: ServeLoopback
) -> None:
    async def deep(request: web.Request) -> web.Response:
        return web.Response(text="[" * 200 + "]" * 200, content_type="application/json")

    upstream = await loopback({"GET /deep": deep})
    server = await serve({"deep": parallel_of(endpoint(upstream, "deep", "/deep"))})
    answer = await ask("POST", f"{server.url}/orchestrations/deep", json={})
    assert answer.status == 200
    document = await ask("GET", f"{server.url}/runs/{answer.headers['X-Run-Id']}")
    assert (document.status, document.json["result"]) == (200, answer.json["result"])


async def test_the_log_names_the_mistake_and_no_input(
    serve: Serve, ask: Ask, services: Loopback, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(value: Any) -> Any:
        raise LookupError(SECRET)

    upstream.users = lambda request: 503
    path = f"/users/{{id}}?key={SECRET}"
    flow = parallel_of(
        endpoint(services, "users", path, headers={"X-Api-Key": SECRET}),
        endpoint(services, "orders", transform_output=fails),
    )
    server = await serve({"profile": flow})
    answer = await ask("POST", server.url + RUN, json={"id": SECRET})
    assert answer.status == 500
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{answer.json['id']}: LookupError ")
    assert SECRET not in caplog.text + answer.text


async def test_the_log_has_no_url(caplog: pytest.LogCaptureFixture) -> None:
    from rxorch.errors import ApiHttpError
    from rxorch.server.problems import internal_problem

    with caplog.at_level(logging.ERROR):
        internal_problem(ApiHttpError(503, endpoint="user", url=f"https://api.test/users/{SECRET}"))
    assert "HTTP 503 [endpoint 'user']" in caplog.text
    assert SECRET not in caplog.text


# -- runs ----------------------------------------------------------------------------------------------


async def test_a_key_that_another_saga_is_quicker_with(serve: Serve, ask: Ask, tmp_path: Path) -> None:
    class Late(SqliteJournal):
        """The run of the other saga is not there yet when it is looked for."""

        looks = 0

        async def run(self, run_id: str) -> RunRecord | None:
            self.looks += 1
            return None if self.looks == 1 else await super().run(run_id)

    def saga(name: str, journal: SqliteJournal) -> Saga:
        return Saga(name, [Step(lambda data: 1, name="one")], journal=journal)

    path = tmp_path / "runs.sqlite"
    server = await serve({"b": saga("b", Late(path))})
    async with saga("a", SqliteJournal(path)) as other:
        await other.execute({}, run_id="same")
    answer = await ask("POST", f"{server.url}/orchestrations/b", json={}, headers={"Idempotency-Key": "same"})
    assert (answer.status, answer.json["detail"]) == (
        422,
        "that Idempotency-Key belongs to a run of another saga",
    )


async def test_runs_of_sagas_that_begin_together_are_no_more_than_may_be(
    serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    shop.gates["charge"] = asyncio.Event()
    server = await serve({"order": order()}, limits=ServerLimits(sagas=2))
    url = f"{server.url}/orchestrations/order"
    answers = await asyncio.gather(*(ask("POST", url, json={}, headers=ASYNC) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [202, 202, 503, 503, 503, 503]
    shop.gates["charge"].set()


@pytest.mark.parametrize(("most", "resumed"), [(3, []), (5, [2])])
async def test_what_is_resumed_counts_too(most: int, resumed: list[int]) -> None:
    class Stub:
        journal = None
        settings = SimpleNamespace(lease=60.0)

        def __init__(self, in_flight: int) -> None:
            self.in_flight = in_flight
            self.limits: list[int] = []

        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

        async def resume(self, *, limit: int) -> list[Any]:
            self.limits.append(limit)
            return []

    sagas: Any = {"busy": Stub(3), "idle": Stub(0)}
    async with SagaDesk(sagas, {name: Tally() for name in sagas}, most).opened("idle"):
        await turns()
    assert sagas["idle"].limits == resumed


async def test_a_run_within_a_run_takes_none_of_its_events(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback
) -> None:
    inner = APIOrchestrator(profile)
    begun: list[asyncio.Task[Any]] = []

    def begins_another(value: Any) -> Any:
        begun.append(asyncio.create_task(inner.execute({"id": 8})))
        return value

    outer = parallel_of(endpoint(services, "users", transform_output=begins_another))
    server = await serve({"inner": inner, "outer": outer})
    async with listening(f"{server.url}/live") as live:  # then the events of every run are kept
        await live.until("snapshot")
        answer = await ask("POST", f"{server.url}/orchestrations/outer", json={"id": 7})
        await asyncio.gather(*begun)
    async with listening(f"{server.url}/runs/{answer.headers['X-Run-Id']}/events") as events:
        kinds = [event.kind for event in await events.all()]
    assert kinds.count("run_started") == kinds.count("run_finished") == kinds.count("step_finished") == 1


async def test_figures_do_not_wait_for_a_journal(
    serve: Serve, ask: Ask, order: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_module, "_PATIENCE", 0.05)
    saga = order()
    server = await serve({"order": saga})

    async def count(*_: Any) -> int:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(saga.journal, "count", count)
    answer = await ask("GET", f"{server.url}/metrics")
    assert answer.status == 200
    assert "rxorch_runs_total" in answer.text and "rxorch_dead_letters" not in answer.text


def test_sagas_whose_runs_could_not_be_told_apart_are_refused(order: Make) -> None:
    with pytest.raises(ApiConfigurationError, match=r"'a' and 'b' are both Saga\('orders'\)"):
        create_app({"a": order(), "b": order()})


# -- settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["http://example.com", "example.com:80", "[::1]:80", "a/b", "a b", "", 7])
def test_a_host_that_no_client_can_name_is_refused(host: Any) -> None:
    with pytest.raises(ApiConfigurationError, match=r"hosts: .*without scheme, port"):
        create_app({}, hosts=[host])


def test_hosts_are_compared_without_brackets_and_case() -> None:
    assert check_hosts(["API.example.com", "[::1]", "::", "*"]) == {"api.example.com", "::1", "::", "*"}


def test_a_port_in_use_is_named_to_who_starts_workers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port} of 127\.0\.0\.1: Address already in use"):
            reserved("127.0.0.1", port)
