"""Sagas and the end of the server: runs go on with the next one, and nothing holds up the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from rxorch import ApiClient
from rxorch.events import CallFinished
from rxorch.saga import MemoryJournal, Saga, StepStatus, wait_for
from rxorch.server import Serving, create_app
from tests.saga.services import Services
from tests.server.conftest import Ask, Make, Serve
from tests.server.sse import listening

ORDER = "/orchestrations/order"
ASYNC = {"Prefer": "respond-async"}


@pytest.mark.parametrize("prefer", [{}, ASYNC])
async def test_a_run_that_the_end_cut_goes_on_with_the_next_server(
    ask: Ask, shop: Services, order: Make, prefer: dict[str, str]
) -> None:
    shop.gates["ship"] = asyncio.Event()
    once = {"Idempotency-Key": "order-7"}
    async with Serving(create_app({"order": order()}), port=0, drain_seconds=0.01) as server:
        request = ask("POST", server.url + ORDER, json={"item": "pen"}, headers={**once, **prefer})
        asking = asyncio.create_task(request)
        await shop.server.until(lambda: shop.server.hits["/do/ship"] == 1)
    await asyncio.wait([asking])
    assert asking.exception() is None if prefer else asking.exception() is not None
    shop.gates["ship"].set()
    async with Serving(create_app({"order": order()}), port=0) as server:
        async with listening(f"{server.url}/runs/order-7/events") as events:
            seen = await events.all()
        assert [each.kind for each in seen].count("run.resumed") == 1
        answer = await ask("POST", server.url + ORDER, json={"item": "pen"}, headers=once)
    assert (answer.status, answer.json["state"]) == (200, "completed")
    assert shop.done == ["charge", "reserve", "ship"]


async def test_runs_of_a_process_that_died_are_taken_over(
    serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    """Without a word of it: what is free is looked for again and again."""
    late = order(lease=0.05)
    server = await serve({"order": late})
    async with order() as other:  # as if another process had begun it, and let go of it
        shop.gates["ship"] = asyncio.Event()
        run = await other.start({}, run_id="lost")
        await shop.server.until(lambda: shop.server.hits["/do/ship"] == 1)
    shop.gates["ship"].set()
    async with listening(f"{server.url}/runs/{run.run_id}/events") as events:
        assert (await events.all())[-1].data["state"] == "completed"


async def test_the_end_waits_for_no_run_of_any_saga(ask: Ask, shop: Services, order: Make) -> None:
    other = Saga("letters", [wait_for("read")], journal=MemoryJournal())
    sagas = {"order": order(wait_for("paid")), "letter": other}
    async with Serving(create_app(sagas), port=0) as server:
        for name in sagas:
            answer = await ask("POST", f"{server.url}/orchestrations/{name}", json={}, headers=ASYNC)
            assert answer.status == 202
            async with listening(f"{server.url}{answer.headers['Location']}/events") as events:
                await events.until("step.waiting")


async def test_one_that_has_other_steps_now(
    serve: Serve, ask: Ask, shop: Services, order: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async with order(wait_for("paid")) as saga:
        waiting = await saga.start({}, run_id="old")
        while not [step for step in await saga.steps(waiting.run_id) if step.status is StepStatus.WAITING]:
            await asyncio.sleep(0)
    server = await serve({"order": order()})
    refused = await ask("POST", server.url + ORDER, json={}, headers={"Idempotency-Key": "old"})
    assert refused.status == 409
    cancelled = await ask("POST", f"{server.url}/runs/old/cancel")  # which the code it began with will heed
    assert (cancelled.status, cancelled.json["state"]) == (202, "cancel_requested")
    assert (await ask("GET", f"{server.url}/runs/old")).json["steps"][-1]["status"] == "waiting"
    async with listening(f"{server.url}/runs/old/events") as events:
        kinds = [event.kind for event in await events.all()]
    assert (kinds[0], "end" in kinds) == ("run.started", False)
    assert "mistake" not in caplog.text


async def test_a_journal_in_memory_is_told(order: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "rxorch.server"):
        async with Serving(create_app({"order": order(journal=MemoryJournal())}), port=0):
            pass
    assert "'order' are kept in memory" in caplog.text


async def test_a_journal_that_cannot_be_used(
    serve: Serve, ask: Ask, order: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saga = order()
    server = await serve({"order": saga})
    begun = await ask("POST", server.url + ORDER, json={})
    await saga.journal.aclose()
    for method, path in (("GET", "/runs"), ("GET", f"/runs/{begun.headers['X-Run-Id']}"), ("POST", ORDER)):
        answer = await ask(method, server.url + path, json={})
        assert (answer.status, answer.json["detail"]) == (503, "the journal cannot be used now")
        assert answer.json["id"] in caplog.text
        assert "orders.sqlite" not in answer.text


async def test_a_client_of_ones_own_is_opened_too(
    serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    seen: list[Any] = []
    client = ApiClient()
    client.events.subscribe(seen.append, kinds=[CallFinished])
    server = await serve({"order": order(client=client)})
    assert (await ask("POST", server.url + ORDER, json={})).status == 200
    assert [call.endpoint for call in seen] == ["charge", "reserve", "ship"]
