"""Server-sent events of runs: what is told, resumed where a client was, and ended with the server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import APIOrchestrationConfig
from rxorch.events import AttemptStarted, RunFinished, RunStarted
from rxorch.saga import wait_for
from rxorch.server import ServerLimits, Serving, create_app
from rxorch.server import event_stream as event_stream_module
from rxorch.server.run_events import KeptEvents
from rxorch.server.state import STATE
from tests.server.conftest import TOKEN, Ask, Make, Serve, Upstream, endpoint, parallel_of
from tests.server.raw import connected
from tests.server.sse import listening
from tests.support.loopback import Loopback

RUN = "/orchestrations/profile"
ASYNC = {"Prefer": "respond-async"}
CANARY = "s3cret-canary"


async def begun(ask: Ask, server: Serving, name: str = "profile", **headers: str) -> str:
    """The url of a run in the background."""
    answer = await ask(
        "POST", f"{server.url}/orchestrations/{name}", json={"id": 7}, headers={**ASYNC, **headers}
    )
    assert answer.status == 202, answer.text
    return server.url + str(answer.headers["Location"])


def head(url: str, server: Serving) -> bytes:
    """A request for the events of a run."""
    return f"GET {url.removeprefix(server.url)}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def test_what_happens_in_a_run(serve: Serve, ask: Ask, services: Loopback, upstream: Upstream) -> None:
    failures = iter([503])
    upstream.users = lambda request: next(failures, {"id": 7})
    flow = parallel_of(endpoint(services, "users", retry_count=1, retry_delay=0.001))
    server = await serve({"profile": flow})
    async with listening(f"{await begun(ask, server)}/events") as events:
        seen = await events.all()
    assert [event.kind for event in seen] == [
        "run_started", "step_started", "call_started", "attempt_started", "attempt_failed", "retry_waiting",
        "attempt_started", "call_finished", "step_finished", "run_finished", "end",
    ]  # fmt: skip
    assert [event.number for event in seen] == [*range(1, 11), None]
    failed = seen[4].data
    assert (failed["endpoint"], failed["attempt"]) == ("users", 1)
    assert failed["error"] == {"type": "ApiHttpError", "upstream_status": 503}
    assert (seen[7].data["attempts"], seen[9].data["status"]) == (2, "ok")
    assert seen[-1].data["state"] == "completed"
    assert [event.data["at"] for event in seen[:-1]] == sorted(event.data["at"] for event in seen[:-1])


async def test_runs_at_the_same_time_are_told_apart(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile})
    urls = await asyncio.gather(*(begun(ask, server) for _ in range(10)))
    for url in urls:
        async with listening(f"{url}/events") as events:
            kinds = [event.kind for event in await events.all()]
        assert kinds.count("run_started") == kinds.count("run_finished") == kinds.count("end") == 1
        assert kinds.count("call_finished") == 2


async def test_a_client_goes_on_where_it_was(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    go = asyncio.Event()

    async def user(request: object) -> dict[str, int]:
        await go.wait()
        return {"id": 7}

    upstream.users = user
    server = await serve({"profile": profile})
    url = f"{await begun(ask, server)}/events"
    async with listening(url) as events:
        first = await events.until("step_finished")  # of the orders
    go.set()
    async with listening(url, last=first[-1].number) as events:
        rest = await events.all()
    numbers = [event.number for event in [*first, *rest] if event.kind != "end"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert rest[-1].kind == "end"
    async with listening(url, last=10_000) as events:
        assert [event.kind for event in await events.all()] == ["end"]


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "9" * 19])
async def test_what_is_no_number_of_an_event(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, number: str
) -> None:
    server = await serve({"profile": profile})
    url = f"{await begun(ask, server)}/events"
    assert (await ask("GET", url, headers={"Last-Event-ID": number})).status == 422


async def test_nothing_is_written_down_of_runs_that_nobody_follows(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile})
    await begun(ask, server)
    run = (await ask("POST", server.url + RUN, json={"id": 7})).headers["X-Run-Id"]
    async with listening(f"{server.url}/runs/{run}/events") as events:
        assert [event.kind for event in await events.all()] == ["end"]


async def test_no_secret_input_or_url_is_told(
    serve: Serve, ask: Ask, services: Loopback, upstream: Upstream
) -> None:
    def refused(error: Any) -> Any:
        raise LookupError(CANARY)

    upstream.orders = 500
    flow = parallel_of(
        endpoint(services, "users", f"/users/{{id}}?key={CANARY}", headers={"Authorization": CANARY}),
        endpoint(services, "orders", error_handler=refused),
    )
    server = await serve({"profile": flow}, token=TOKEN)
    mine = {"Authorization": f"Bearer {TOKEN}"}
    told = []
    for data in ({"id": 7, "name": CANARY}, {"no": CANARY}):
        answer = await ask("POST", server.url + RUN, json=data, headers={**ASYNC, **mine})
        url = server.url + answer.headers["Location"]
        async with listening(f"{url}/events", **mine) as events:
            await events.all()
        told += [answer.text, events.text, (await ask("GET", url, headers=mine)).text]
        picture = await ask("GET", f"{url}/picture", headers=mine)
        assert (picture.status, "users" in picture.text) == (200, True)
        told.append(picture.text)
    told.append((await ask("GET", f"{server.url}/runs", headers=mine)).text)
    for text in told:
        assert CANARY not in text
        assert "127.0.0.1" not in text
    assert "Lookup" in "".join(told)


async def test_all_of_it_needs_the_token(serve: Serve, ask: Ask, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile}, token=TOKEN)
    for path in ("/runs", "/runs/x", "/runs/x/events", "/runs/x/picture", "/live", "/orchestrations"):
        assert (await ask("GET", server.url + path)).status == 401
        evil = await ask("GET", server.url + path, headers={"Origin": "https://evil.example"})
        assert evil.status == 403
    for path in ("cancel", "signal", "retry"):
        assert (await ask("POST", f"{server.url}/runs/x/{path}", json={})).status == 401


async def test_pages_that_may_call_may_listen(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    page = "https://app.example.com"
    server = await serve({"profile": profile}, origins=[page])
    url = await begun(ask, server)
    async with listening(f"{url}/events", Origin=page) as events:
        assert events.response.headers["Access-Control-Allow-Origin"] == page
        assert events.response.headers["Cache-Control"] == "no-store"
    asked = {"Origin": page, "Access-Control-Request-Method": "POST"}
    allowed = (await ask("OPTIONS", server.url + RUN, headers=asked)).headers
    assert "prefer" in allowed["Access-Control-Allow-Headers"]
    assert "x-run-id" in allowed["Access-Control-Expose-Headers"]


async def test_listeners_beyond_the_limit_are_refused(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    upstream.users = lambda request: asyncio.get_running_loop().create_future()
    app = create_app({"profile": profile}, limits=ServerLimits(listeners=2))
    server = await serve(app)
    url = f"{await begun(ask, server)}/events"
    async with listening(url) as one:
        await one.line()
        async with listening(url) as other:
            await other.line()
            assert (await ask("GET", url)).status == 503
        while len(app[STATE].listeners) > 1:  # that the client has left is heard of a little later
            await asyncio.sleep(0)
        async with listening(url) as third:
            await third.until("run_started")


async def test_silence_is_broken(
    serve: Serve,
    ask: Ask,
    profile: APIOrchestrationConfig,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream_module, "HEARTBEAT", 0.01)
    upstream.users = lambda request: asyncio.get_running_loop().create_future()
    server = await serve({"profile": profile})
    async with listening(f"{await begun(ask, server)}/events") as events:
        await events.until("step_finished")
        while events.text.count(": still here") < 3:
            await events.line()


async def flood() -> Any:
    while True:
        yield b": " + b"x" * 100_000 + b"\n\n"


async def test_who_listens_does_not_hold_up_the_end(
    ask: Ask, order: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one who reads nor one who takes nothing: with a drain of an hour."""
    app = create_app({"order": order(wait_for("paid"))}, limits=ServerLimits(idle_seconds=3600))
    server = Serving(app, port=0, drain_seconds=3600)
    await server.__aenter__()
    url = await begun(ask, server, "order")
    async with listening(f"{url}/events") as events, connected(server) as deaf:
        await events.until("step.waiting")
        monkeypatch.setattr("rxorch.server.run_routes._saga_frames", lambda *arguments: flood())
        await deaf.send(head(url, server))
        listeners = app[STATE].listeners
        while not any(each._is_writing for each in listeners._all):
            await asyncio.sleep(0)
        await server.__aexit__(None, None, None)
        assert "end" not in [event.kind for event in await events.all()]


async def test_one_who_takes_nothing_is_let_go(
    serve: Serve, ask: Ask, services: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(
        {"profile": parallel_of(endpoint(services, "users"))}, limits=ServerLimits(idle_seconds=0.1)
    )
    server = await serve(app)

    monkeypatch.setattr("rxorch.server.run_routes._flow_frames", lambda run, number: flood())
    url = await begun(ask, server)
    async with connected(server) as deaf:
        await deaf.send(
            f"GET {url.removeprefix(server.url)}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        while not app[STATE].listeners:
            await asyncio.sleep(0)
        while app[STATE].listeners:
            await asyncio.sleep(0.01)


def test_events_of_one_run_are_bounded() -> None:
    kept = KeptEvents()
    kept.add(RunStarted(0.0, "r", "", "parallel"), 0.0)
    for number in range(5_000):
        kept.add(AttemptStarted(0.0, "r", "user", number), 0.0)
    kept.add(RunFinished(1.0, "r", "", "ok", 1.0), 1.0)
    assert len(kept.kept) == 1001
    number, kind, data = kept.kept[-1]
    assert (number, kind, b'"left_out":4001' in data) == (5002, "run_finished", True)
    assert kept.size == 3 * sum(len(data) for _, _, data in kept.kept)
    assert kept.after(1000) == [kept.kept[-1]]
