"""`/live`: snapshots, and runs as they begin and end, in bounded measure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import APIOrchestrationConfig
from rxorch.saga import Saga, SqliteJournal, Step
from rxorch.server import create_app
from rxorch.server import live as live_module
from rxorch.server.live import _Inbox
from rxorch.server.run_book import Tally
from rxorch.server.state import STATE
from tests.saga.services import QUICK
from tests.server.conftest import Ask, Serve, Upstream, endpoint, parallel_of
from tests.server.sse import Events, listening
from tests.support.loopback import Loopback

RUN = "/orchestrations/profile"


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SECOND", 0.02)


async def snapshot_where(events: Events, holds: Any) -> dict[str, Any]:
    """The first snapshot of which something holds."""
    while True:
        data: dict[str, Any] = (await events.until("snapshot"))[-1].data
        if holds(data):
            return data


async def test_a_snapshot_tells_how_it_goes(
    serve: Serve, ask: Ask, services: Loopback, upstream: Upstream, tmp_path: Any
) -> None:
    def fails(data: Any) -> None:
        raise ValueError("no")

    steps = [Step(lambda data: data, compensation=fails, name="pay"), Step(fails)]
    journal = SqliteJournal(tmp_path / "j", durable=False)
    sagas = Saga("orders", steps, journal=journal, undo=QUICK)
    flow = parallel_of(endpoint(services, "users"), circuit_breaker_threshold=2)
    server = await serve({"profile": flow, "order": sagas})
    async with listening(f"{server.url}/live") as events:
        first = (await events.until("snapshot"))[-1].data
        assert first["runs_in_flight"] == first["dead_letters"] == first["skipped"] == 0
        assert first["flows"]["profile"] == {
            "kind": "flow", "rate": 0.0, "p50": None, "p95": None, "ok": 0, "failed": 0, "in_flight": 0,
            "breakers": {},
        }  # fmt: skip
        assert first["flows"]["order"]["kind"] == "saga"
        await ask("POST", server.url + RUN, json={"id": 7})
        upstream.users = 500
        for _ in range(2):
            await ask("POST", server.url + RUN, json={"id": 7})
        assert (await ask("POST", f"{server.url}/orchestrations/order", json={})).json["state"] == "failed"
        # A snapshot between the end of a run and its being counted has one of the two.
        data = await snapshot_where(
            events, lambda data: data["dead_letters"] == data["flows"]["order"]["failed"] == 1
        )
        profile = data["flows"]["profile"]
        assert (profile["ok"], profile["failed"], profile["breakers"]) == (1, 2, {"users": "open"})
        assert 0 < profile["p50"] <= profile["p95"]


async def test_runs_are_told_as_they_begin_and_end(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, tmp_path: Any
) -> None:
    saga = Saga("orders", [Step(lambda data: data, name="echo")], journal=SqliteJournal(tmp_path / "j"))
    server = await serve({"profile": profile, "order": saga})
    async with listening(f"{server.url}/live") as events:
        await events.until("snapshot")
        answer = await ask("POST", server.url + RUN, json={"id": 7})
        begun = (await events.until("run"))[-1].data
        ended = (await events.until("run"))[-1].data
        assert (begun["state"], ended["state"]) == ("running", "completed")
        assert begun["id"] == ended["id"] == answer.headers["X-Run-Id"]
        assert "result" not in ended
        await ask("POST", f"{server.url}/orchestrations/order", json={})
        ended = (await events.until("run"))[-1].data
        if ended["state"] == "running":  # one that is quick is told once
            ended = (await events.until("run"))[-1].data
        assert (ended["kind"], ended["state"]) == ("saga", "completed")
    # Meanwhile what happened in the run was written down.
    async with listening(f"{server.url}/runs/{answer.headers['X-Run-Id']}/events") as events:
        kinds = [event.kind for event in await events.all()]
    assert (kinds[0], kinds[-2:]) == ("run_started", ["run_finished", "end"])


async def test_without_listeners_nothing_is_done_for_them(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    app = create_app({"profile": profile})
    state = app[STATE]
    server = await serve(app)
    bus = state.flows["profile"].events
    async with listening(f"{server.url}/live") as events:
        await events.until("snapshot")
        assert bus.active
    while state.listeners:
        await asyncio.sleep(0)
    while bus.active or [task for task in asyncio.all_tasks() if task.get_name() == "live"]:
        await asyncio.sleep(0)
    assert state.book.told is None
    run = (await ask("POST", server.url + RUN, json={"id": 7})).headers["X-Run-Id"]
    kept = state.book.find(run)
    assert kept is not None
    assert kept.events is None


async def test_eight_may_listen(serve: Serve, ask: Ask, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile})
    tasks = []
    ready: asyncio.Queue[None] = asyncio.Queue()

    async def listen() -> None:
        async with listening(f"{server.url}/live") as events:
            await events.until("snapshot")
            ready.put_nowait(None)
            await asyncio.Event().wait()

    for _ in range(8):
        tasks.append(asyncio.create_task(listen()))
        await ready.get()
    assert (await ask("GET", f"{server.url}/live")).status == 503
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_runs_beyond_what_can_be_told_are_counted(
    serve: Serve, profile: APIOrchestrationConfig
) -> None:
    app = create_app({"profile": profile})
    server = await serve(app)
    async with listening(f"{server.url}/live") as events:
        await events.until("snapshot")
        for _ in range(60):
            app[STATE].book.begin("profile")
        seen = await events.until("snapshot")
        while seen[-1].data["runs_in_flight"] == 0 or seen[-1].kind != "snapshot":
            seen += await events.until("snapshot")
    assert [event.kind for event in seen].count("run") == 50
    assert seen[-1].data["skipped"] == 10


def test_one_who_is_slow_is_told_less() -> None:
    inbox = _Inbox()
    for _ in range(300):
        inbox.tell(b"x")
    inbox.tell(None)
    inbox.snapshot = {}
    assert inbox.take() == b"x" * 200 + b'event: snapshot\ndata: {"skipped":101}\n\n'
    inbox.snapshot = {}
    assert b'"skipped":0' in inbox.take()


def test_percentiles_are_those_of_recent_runs() -> None:
    tally = Tally()
    for number in range(1_000):
        tally.count(float(number), True, False)
    p0, p50, p100 = tally.percentiles(0.0, 0.5, 1.0)
    assert (p0, p50, p100) == (744.0, 872.0, 999.0)
    assert (tally.ended, tally.ok) == (1000, 1000)
