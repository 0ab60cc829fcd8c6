"""Sagas over HTTP: to their end and back, once for each key, and on after the server has ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import ApiConfigurationError, APIOrchestrationConfig
from rxorch.saga import MemoryJournal, Saga, SqliteJournal, Step, wait_for
from rxorch.server import Served, ServerLimits, create_app
from tests.saga.services import Services
from tests.server.conftest import Ask, Make, Serve
from tests.server.raw import connected, post
from tests.server.sse import listening

ORDER = "/orchestrations/order"
ASYNC = {"Prefer": "respond-async"}
CANARY = "s3cret-canary"


async def test_an_order_is_completed(serve: Serve, ask: Ask, shop: Services, order: Make) -> None:
    server = await serve({"order": order()})
    answer = await ask("POST", server.url + ORDER, json={"item": "pen"})
    assert (answer.status, answer.json["state"]) == (200, "completed")
    assert shop.done == ["charge", "reserve", "ship"]
    run = answer.headers["X-Run-Id"]
    assert (await ask("GET", f"{server.url}/runs/{run}")).json == answer.json
    document = answer.json
    assert (document["id"], document["flow"], document["kind"]) == (run, "order", "saga")
    assert [(step["step"], step["status"], step["key"]) for step in document["steps"]] == [
        (name, "completed", f"{run}:{name}") for name in ("charge", "reserve", "ship")
    ]
    assert document["duration"] == pytest.approx(document["ended"] - document["began"], abs=1e-5)
    picture = await ask("GET", f"{server.url}/runs/{run}/picture")
    assert picture.headers["Content-Type"].startswith("image/svg+xml")
    assert "reserve" in picture.text


async def test_an_order_is_undone(serve: Serve, ask: Ask, shop: Services, order: Make) -> None:
    shop.answers["ship"] = [422]
    server = await serve({"order": order()})
    answer = await ask("POST", server.url + ORDER, json={"item": "pen"})
    assert answer.status == 502
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json
    assert (problem["state"], problem["step"]) == ("compensated", "ship")
    assert problem["error"] == {"type": "ApiHttpError"}
    assert shop.done == []
    document = (await ask("GET", server.url + problem["run"])).json
    assert document["state"] == "compensated"
    assert [step["step"] for step in document["steps"] if step["undo"]] == ["reserve", "charge"]
    assert document["problem"]["detail"] == problem["detail"]


@pytest.mark.parametrize(("error", "status"), [(TimeoutError, 502), (None, 504)])
async def test_the_status_is_by_the_cause(
    serve: Serve, ask: Ask, shop: Services, order: Make, error: type[Exception] | None, status: int
) -> None:
    def fails(data: Any) -> None:
        raise TimeoutError("late")

    if error is None:
        shop.gates["late"] = asyncio.Event()
    last = Step(fails) if error else shop.step("late", timeout=0.02)
    server = await serve({"order": order(last)})
    assert (await ask("POST", server.url + ORDER, json={})).status == status


async def test_the_same_key_is_the_same_run(serve: Serve, ask: Ask, shop: Services, order: Make) -> None:
    server = await serve({"order": order()})
    key = 'order/7?x={1}#"%2F"'
    once = {"Idempotency-Key": key}
    data = {"item": "pen", "n": [1, {"a": 1, "b": 2}]}
    turned = {"n": [1, {"b": 2, "a": 1}], "item": "pen"}
    first = await ask("POST", server.url + ORDER, json=data, headers=once)
    again = await ask("POST", server.url + ORDER, json=turned, headers=once)
    assert (first.status, again.status, again.json) == (200, 200, first.json)
    assert shop.log == ["charge", "reserve", "ship"]
    other = await ask("POST", server.url + ORDER, json={"item": "ink"}, headers=once)
    assert (other.status, CANARY in other.text) == (422, False)
    later = await ask("POST", server.url + ORDER, json=data, headers={**once, **ASYNC})
    assert (later.status, later.json["state"], later.json["id"]) == (202, "completed", key)
    assert (await ask("GET", server.url + later.headers["Location"])).json == first.json
    assert len(shop.log) == 3


async def test_requests_with_one_key_at_the_same_time(
    serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    server = await serve({"order": order()})
    once = {"Idempotency-Key": "order-7"}
    answers = await asyncio.gather(
        *(ask("POST", server.url + ORDER, json={"n": n % 2}, headers=once) for n in range(8))
    )
    assert sorted(answer.status for answer in answers) == [200] * 4 + [422] * 4
    assert shop.log == ["charge", "reserve", "ship"]


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 201, ".", ".."])
async def test_keys_that_are_none(serve: Serve, ask: Ask, shop: Services, order: Make, key: str) -> None:
    server = await serve({"order": order()})
    answer = await ask("POST", server.url + ORDER, json={}, headers={"Idempotency-Key": key})
    assert (answer.status, "Idempotency-Key" in answer.text) == (422, True)
    assert shop.log == []


async def test_a_key_of_another_saga(
    serve: Serve, ask: Ask, shop: Services, order: Make, tmp_path: Path
) -> None:
    shared = SqliteJournal(tmp_path / "orders.sqlite", durable=False)
    own = MemoryJournal()
    sagas = {"order": order(), "refund": Saga("refunds", [shop.step("pay")], journal=shared),
             "letter": Saga("letters", [shop.step("print")], journal=own)}  # fmt: skip
    server = await serve(sagas)
    once = {"Idempotency-Key": "7"}
    assert (await ask("POST", f"{server.url}/orchestrations/letter", json={}, headers=once)).status == 200
    for name in ("order", "refund"):
        assert (await ask("POST", f"{server.url}/orchestrations/{name}", json={}, headers=once)).status == 422
    once = {"Idempotency-Key": "8"}
    assert (await ask("POST", f"{server.url}/orchestrations/refund", json={}, headers=once)).status == 200
    assert (await ask("POST", server.url + ORDER, json={}, headers=once)).status == 422
    assert (await ask("GET", f"{server.url}/runs/8")).json["flow"] == "refund"
    assert shop.log == ["print", "pay"]


def test_two_sagas_cannot_have_one_journal_object(order: Make) -> None:
    journal = MemoryJournal()
    with pytest.raises(ApiConfigurationError, match="'a' and 'b' have one journal object"):
        create_app({"a": order(journal=journal), "b": order(journal=journal)})


async def test_what_happens_in_a_saga_and_where_a_client_was(
    serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    shop.answers["ship"] = [422]
    shop.gates["reserve"] = asyncio.Event()
    server = await serve({"order": order()})
    begun = await ask("POST", server.url + ORDER, json={"item": CANARY}, headers=ASYNC)
    assert (begun.status, begun.json["kind"], begun.json["state"]) == (202, "saga", "running")
    url = f"{server.url}{begun.headers['Location']}/events"
    async with listening(url) as events:
        first = await events.until("step.completed")
        text = events.text
    shop.gates["reserve"].set()
    async with listening(url, last=first[-1].number) as events:
        rest = await events.all()
        text += events.text
    kinds = [event.kind for event in (*first, *rest)]
    assert kinds[:3] == ["run.started", "step.started", "step.completed"]
    assert kinds[-2:] == ["run.compensated", "end"]
    assert kinds.count("run.started") == kinds.count("run.compensating") == 1
    assert kinds.count("undo.completed") == 2
    numbers = [event.number for event in (*first, *rest[:-1])]
    assert numbers == sorted(set(numbers))
    assert rest[-1].data["state"] == "compensated"
    failed = next(event for event in rest if event.kind == "step.failed")
    assert failed.data["error"] == {"type": "ApiHttpError"}
    for shown in (text, (await ask("GET", f"{server.url}/runs")).text, begun.text):
        assert CANARY not in shown
        assert "127.0.0.1" not in shown


async def test_no_text_of_an_error_is_told(serve: Serve, ask: Ask, order: Make) -> None:
    def fails(data: Any) -> None:
        raise ValueError(CANARY)

    server = await serve({"order": order(Step(fails))})
    answer = await ask("POST", server.url + ORDER, json={"item": CANARY})
    run = server.url + answer.json["run"]
    shown = [answer.text]
    shown += [(await ask("GET", url)).text for url in (run, f"{run}/picture", f"{server.url}/runs")]
    async with listening(f"{run}/events") as events:
        await events.all()
    for text in (*shown, events.text):
        assert "ValueError" in text
        assert CANARY not in text


async def test_a_run_is_cancelled(serve: Serve, ask: Ask, shop: Services, order: Make) -> None:
    shop.gates["ship"] = asyncio.Event()
    server = await serve({"order": order()})
    begun = await ask("POST", server.url + ORDER, json={}, headers=ASYNC)
    run = server.url + begun.headers["Location"]
    await shop.server.until(lambda: shop.server.hits["/do/ship"] == 1)
    cancelled = await ask("POST", f"{run}/cancel")
    assert (cancelled.status, cancelled.json["state"]) == (202, "cancel_requested")
    shop.gates["ship"].set()
    async with listening(f"{run}/events") as events:
        assert (await events.all())[-1].data["state"] == "compensated"
    assert shop.done == []
    document = (await ask("GET", run)).json
    assert (document["problem"]["status"], document["problem"]["error"]) == (409, {"type": "cancelled"})
    assert (await ask("POST", f"{run}/cancel")).status == 409


async def test_a_run_is_told_something(serve: Serve, ask: Ask, shop: Services, order: Make) -> None:
    server = await serve({"order": order(wait_for("paid"), shop.step("ship"))})
    begun = await ask("POST", server.url + ORDER, json={}, headers=ASYNC)
    run = server.url + begun.headers["Location"]
    async with listening(f"{run}/events") as events:
        await events.until("step.waiting")
    for body in ({}, {"name": ""}, {"name": 1}, {"name": "x" * 201}, {"name": "paid", "more": 1}, [1]):
        assert (await ask("POST", f"{run}/signal", json=body)).status == 422
    assert (await ask("POST", f"{run}/signal", data=b"{}")).status == 415
    told = [await ask("POST", f"{run}/signal", json={"name": "paid", "value": n}) for n in (1, 2)]
    assert [(each.status, each.json) for each in told] == [(200, {"first": True}), (200, {"first": False})]
    async with listening(f"{run}/events") as events:
        assert (await events.all())[-1].data["state"] == "completed"
    assert (await ask("POST", f"{run}/signal", json={"name": "paid"})).status == 409


async def test_a_dead_letter_is_tried_again(serve: Serve, ask: Ask, shop: Services, order: Make) -> None:
    shop.answers["ship"] = [422]
    shop.answers["undo charge"] = [500] * 3
    server = await serve({"order": order()})
    answer = await ask("POST", server.url + ORDER, json={})
    run = server.url + answer.json["run"]
    assert (answer.status, answer.json["state"]) == (502, "failed")
    (dead,) = (await ask("GET", f"{server.url}/runs?state=failed")).json["runs"]
    assert dead["id"] == answer.headers["X-Run-Id"]
    again = await ask("POST", f"{run}/retry")
    assert (again.status, again.json["state"]) == (202, "compensating")
    async with listening(f"{run}/events") as events:
        assert (await events.all())[-1].data["state"] == "compensated"
    assert shop.done == []
    assert (await ask("POST", f"{run}/retry")).status == 409


async def test_a_client_that_leaves_ends_no_run(serve: Serve, ask: Ask, shop: Services, order: Make) -> None:
    shop.gates["ship"] = asyncio.Event()
    server = await serve({"order": order()})
    async with connected(server) as raw:
        await raw.send(post(ORDER, "Content-Type: application/json\r\nContent-Length: 2\r\n", b"{}"))
        await shop.server.until(lambda: shop.server.hits["/do/ship"] == 1)
    shop.gates["ship"].set()
    (run,) = (await ask("GET", f"{server.url}/runs")).json["runs"]
    async with listening(f"{server.url}/runs/{run['id']}/events") as events:
        assert (await events.all())[-1].data["state"] == "completed"
    assert shop.done == ["charge", "reserve", "ship"]


async def test_runs_of_sagas_beyond_the_limit_are_refused(
    serve: Serve, ask: Ask, shop: Services, order: Make
) -> None:
    server = await serve({"order": order(wait_for("paid"))}, limits=ServerLimits(sagas=2))
    statuses = [(await ask("POST", server.url + ORDER, json={}, headers=ASYNC)).status for _ in range(3)]
    assert statuses == [202, 202, 503]


async def test_flows_and_sagas_in_one_list(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, order: Make, shop: Services
) -> None:
    letter = Saga("letters", [shop.step("print")], journal=MemoryJournal())
    server = await serve({"profile": profile, "order": order(), "letter": letter})
    names = ["order", "profile", "letter", "profile", "order", "letter", "order"]
    begun = [
        (await ask("POST", f"{server.url}/orchestrations/{name}", json={"id": 7})).headers["X-Run-Id"]
        for name in names
    ]
    pages, after = [], ""
    while True:
        page = (await ask("GET", f"{server.url}/runs?limit=3{after}")).json
        pages.append([run["id"] for run in page["runs"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert [each for page in pages for each in page] == begun[::-1]
    assert [len(page) for page in pages] == [3, 3, 1]
    completed = (await ask("GET", f"{server.url}/runs?flow=order&state=completed&limit=2")).json
    assert [run["id"] for run in completed["runs"]] == [begun[6], begun[4]]


async def test_what_is_no_route_of_a_saga(serve: Serve, ask: Ask, order: Make, shop: Services) -> None:
    server = await serve({"order": order()})
    assert (await ask("GET", server.url + ORDER)).status == 405
    lines = {"Content-Type": "application/x-ndjson"}
    assert (await ask("POST", f"{server.url}{ORDER}/stream", data=b"{}\n", headers=lines)).status == 405
    about = (await ask("GET", f"{server.url}{ORDER}/description")).json
    assert [(step["name"], step["method"], step["is_undone"]) for step in about["steps"]] == [
        (name, "POST", True) for name in ("charge", "reserve", "ship")
    ]
    picture = (await ask("GET", f"{server.url}{ORDER}/picture")).text
    assert "uncharge" in picture
    assert "127.0.0.1" not in picture


class Order(BaseModel):
    item: str


async def test_a_saga_with_a_type(serve: Serve, ask: Ask, order: Make, shop: Services) -> None:
    server = await serve({"order": Served(order(), input=Order)})
    refused = await ask("POST", server.url + ORDER, json={"item": 7})
    assert (refused.status, refused.json["errors"][0]["loc"]) == (422, ["item"])
    assert shop.log == []
    document = (await ask("GET", f"{server.url}/openapi.json")).json
    run = document["paths"][ORDER]["post"]
    assert run["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Order")
    assert set(run["responses"]) == {"200", "202", "default"}
    assert [each["name"] for each in run["parameters"]] == ["Prefer", "Idempotency-Key"]
    assert {"/runs", "/runs/{id}/signal", "/live", f"{ORDER}/picture"} <= document["paths"].keys()
    assert f"{ORDER}/stream" not in document["paths"]


def test_a_type_of_its_result_is_refused(order: Make) -> None:
    with pytest.raises(ApiConfigurationError, match="'order': output: the result of a saga"):
        create_app({"order": Served(order(), output=Order)})
