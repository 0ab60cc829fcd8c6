"""`rxorch serve` with sagas, as somebody types it: the shop's orders, and a process that is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rxorch.cli.served_flows import served_flows
from rxorch.errors import ApiConfigurationError
from rxorch.saga import Saga, SqliteJournal
from tests.cli.test_run import start
from tests.saga.services import serving as services_of_sagas
from tests.server.conftest import Ask
from tests.server.sse import listening
from tests.server.test_serve_command import serving

ORDER = {"order": "order-1", "amount_cents": 4200, "sku": "SKU-0001", "quantity": 1, "country": "DE",
         "weight_g": 100}  # fmt: skip
SAGA = """
from rxorch import APIEndpoint
from rxorch.saga import Saga

def step(name):
    return APIEndpoint(name=name, url="{url}/do/" + name, method="POST", retry_count=0, circuit_breaker=False)

def order(journal):
    return Saga("order", [step("charge"), step("ship")], journal=journal, lease=0.5)

flows = {{"order": order, "again": Saga("again", [step("charge")])}}
"""


async def test_the_shop(tmp_path: Path, ask: Ask) -> None:
    reference = ("rxorch.demo.serving:flows", "--journal", "orders.sqlite")
    async with serving(tmp_path, *reference) as (_, url):
        completed = await ask("POST", f"{url}/orchestrations/order", json=ORDER)
        assert (completed.status, completed.json["state"]) == (200, "completed")
        assert completed.json["result"]["tracking"].startswith("TR")

        far = {**ORDER, "order": "order-2", "country": "AQ"}
        headers = {"Prefer": "respond-async", "Idempotency-Key": "order-2"}
        begun = await ask("POST", f"{url}/orchestrations/order", json=far, headers=headers)
        assert (begun.status, begun.headers["Location"]) == (202, "/runs/order-2")
        async with listening(f"{url}/runs/order-2/events") as events:
            first = await events.until("run.compensating")
        async with listening(f"{url}/runs/order-2/events", last=first[-1].number) as events:
            rest = await events.all()
        kinds = [event.kind for event in (*first, *rest)]
        assert kinds.count("step.completed") == kinds.count("undo.completed") == 2
        assert (kinds[0], kinds[-2], kinds[-1]) == ("run.started", "run.compensated", "end")
        assert (await ask("GET", f"{url}/runs/order-2")).json["state"] == "compensated"
        refused = await ask("POST", f"{url}/orchestrations/order", json={**ORDER, "quantity": 0})
        assert refused.status == 422

        both = await ask("GET", f"{url}/orchestrations/orchestrate?user=7&sku=SKU-0001")
        assert (both.status, set(both.json["result"])) == (200, {"user", "product"})
        one = await ask("GET", f"{url}/orchestrations/orchestrate?user=7&sku=SKU-0099")
        assert (one.status, one.json["result"]["product"]) == (206, None)
        assert one.json["outcomes"]["product"]["error"]["upstream_status"] == 404


async def test_a_process_that_is_killed(tmp_path: Path, ask: Ask) -> None:
    async with services_of_sagas() as shop:
        (tmp_path / "shop.py").write_text(SAGA.format(url=shop.server.url))
        shop.gates["ship"] = asyncio.Event()
        reference = ("shop.py:flows", "--journal", "orders.sqlite")
        headers = {"Prefer": "respond-async", "Idempotency-Key": "order-7"}
        async with serving(tmp_path, *reference) as (running, url):
            await ask("POST", f"{url}/orchestrations/order", json={}, headers=headers)
            await shop.server.until(lambda: shop.server.hits["/do/ship"] == 1)
            running.kill()
            await running.wait()
        shop.gates["ship"].set()
        async with serving(tmp_path, *reference) as (_, url):
            async with listening(f"{url}/runs/order-7/events") as events:
                kinds = [event.kind for event in await events.all()]
            assert (await ask("GET", f"{url}/runs/order-7")).json["state"] == "completed"
        assert kinds.count("run.resumed") == 1
        assert shop.done == ["charge", "ship"]


def test_all_sagas_of_a_reference_are_kept_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SAGA.format(url="http://127.0.0.1"))
    found = served_flows(f"{tmp_path}/shop.py:flows", tmp_path / "j")
    journals = [saga.journal for saga in found.values() if isinstance(saga, Saga)]
    assert [journal.path for journal in journals if isinstance(journal, SqliteJournal)] == [
        tmp_path / "j"
    ] * 2
    assert journals[0] is not journals[1]
    assert list(served_flows(f"{tmp_path}/shop.py:order", tmp_path / "j")) == ["order"]


async def test_a_function_that_takes_a_journal_needs_its_file(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SAGA.format(url="http://127.0.0.1"))
    with pytest.raises(ApiConfigurationError, match="takes a journal, which --journal names"):
        served_flows(f"{tmp_path}/shop.py:flows", None)
    (tmp_path / "file").write_text(
        "no journal at all, but a text that is long enough to be read as something"
    )
    running = await start(tmp_path, "serve", "shop.py:flows", "--journal", "file", "--port", "0")
    _, err = await running.communicate()
    assert running.returncode == 2
    assert "'file'" in err.decode()
    assert b"Traceback" not in err
