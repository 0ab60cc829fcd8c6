"""Orders as sagas, on the real shop in its own process; and that each broken promise is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rxorch.demo.saga_orders as orders_module
from rxorch import ApiClient
from rxorch.demo.order_saga import order_saga, saga_orders
from rxorch.demo.saga_main import run_saga_demo
from rxorch.demo.saga_orders import run_orders
from rxorch.demo.saga_progress import SagaProgress
from rxorch.demo.saga_report import SagaReport, cause_of, saga_lines
from rxorch.demo.shop import Faults, Shop, ShopStats
from rxorch.demo.shop.reversible import CARD_LIMIT, IN_STOCK
from rxorch.saga import MemoryJournal, SagaState
from rxorch.terminal import boards
from rxorch.terminal.ink import Ink


class Silent:
    """A board that shows nothing."""

    every = 3600.0

    def show(self, progress: boards.Progress) -> None:
        """Nothing."""

    def close(self, progress: boards.Progress) -> None:
        """Nothing."""


EASY = {
    "order": "order-000001",
    "amount_cents": 700,
    "sku": "SKU-0001",
    "quantity": 2,
    "country": "AT",
    "weight_g": 5,
}


def broken(report: SagaReport) -> list[str]:
    return [each.claim for each in report.invariants if not each.holds]


def test_orders_are_the_same_for_the_same_seed() -> None:
    assert list(saga_orders(50, 7)) == list(saga_orders(50, 7)) != list(saga_orders(50, 8))
    assert len({order["order"] for order in saga_orders(50, 7)}) == 50


@pytest.mark.parametrize(
    ("change", "undone", "reason"),
    [
        ({}, [], None),
        ({"amount_cents": CARD_LIMIT + 1}, [], "charge: 402"),
        ({"quantity": IN_STOCK + 1}, ["charge"], "reserve: 409"),
        ({"country": "AQ"}, ["reserve", "charge"], "ship: 422"),
    ],
    ids=["completed", "no money", "out of stock", "no carrier"],
)
async def test_the_way_of_one_order(
    shop: Shop, change: dict[str, Any], undone: list[str], reason: str | None
) -> None:
    async with ApiClient() as client, order_saga(shop.urls, MemoryJournal(), client) as saga:
        result = await saga.execute({**EASY, **change}, run_id=EASY["order"])  # type: ignore[arg-type]
        steps = await saga.steps(result.run_id)
        stats = await shop.stats()
    assert result.state is (SagaState.COMPLETED if reason is None else SagaState.COMPENSATED)
    assert [step.step for step in steps if step.undo] == undone
    assert (None if result.error is None else cause_of(result.error)) == reason
    held = {service: held for service, held in stats.holdings.items() if held}
    services = ("payment", "inventory", "shipping") if reason is None else ()
    assert set(held) == set(services)
    # The keys that the requests bore are those of the steps.
    keys = {key for kinds in stats.effects.values() for key in kinds}
    assert keys <= {step.key for step in steps}


async def test_orders_through_faults_hold_their_invariants() -> None:
    progress = SagaProgress(60, 10)
    report = await run_orders(progress, 7, Silent())
    assert broken(report) == []
    assert progress.done == len(report.states) == 60
    assert progress.in_flight == 0
    assert (progress.ok, progress.failed) == (len(report.completed), 0)
    assert progress.undone == 60 - progress.ok > 0
    told = dict(progress.facts())
    assert (told["completed"], told["undone"], told["dead letters"]) == (
        str(progress.ok), str(progress.undone), "0",
    )  # fmt: skip
    assert {"503", "reset"} <= set(report.stats.faults)
    assert report.retries > 0 and report.undone and report.resumed > 0 and report.cancelled == 3
    assert 20 < len(report.completed) < 60
    assert report.picture is not None and "undone" in report.picture.text()


async def test_a_service_that_forgets_keys_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Shop.stats

    async def twice(self: Shop, **options: Any) -> ShopStats:
        stats = await honest(self, **options)
        keys = dict.fromkeys(stats.effects["payment"], 2)
        return replace(stats, effects={**stats.effects, "payment": keys})

    monkeypatch.setattr(Shop, "stats", twice)
    monkeypatch.setattr(orders_module, "FAULTS", Faults.none())
    assert broken(await run_orders(SagaProgress(10, 5), 7, Silent())) == [
        "idempotency keys used twice by payment"
    ]


async def test_money_that_is_not_given_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(*arguments: Any) -> Any:
        saga = order_saga(*arguments)
        object.__setattr__(saga.definition.steps["charge"], "compensation", None)
        return saga

    monkeypatch.setattr(orders_module, "order_saga", forgetful)
    report = await run_orders(SagaProgress(40, 10), 7, Silent())
    assert "cents charged and not given back; of the orders completed" in broken(report)
    assert "payments left of orders that were undone" in broken(report)
    lines = list(saga_lines(report, Ink()))
    assert lines[-1].endswith("invariants do not hold")
    assert any(line.startswith("  ✗  payments left of orders") and "!=" in line for line in lines)


def test_the_demo_holds_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_saga_demo(40, 3) == 0
    out, err = capsys.readouterr()
    for text in ("40 orders, 20 at a time", "40/40", "One that was undone", "runs resumed"):
        assert text in out
    assert out.endswith("invariants hold\n")
    assert err == ""


def test_the_demo_leaves_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_saga_demo(40, 3, page=tmp_path / "out.html") == 0
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "rxorch demo --saga: 40 orders" in page and "of 40 runs" in page and "<svg" in page
    assert "SKU-" not in page and "<script" not in page
    assert capsys.readouterr().out.endswith("invariants hold\n")


async def test_a_demo_that_is_stopped_leaves_a_page_of_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopping(SagaProgress):
        def on_end(self, state: SagaState, duration: float) -> None:
            raise KeyError("enough")

    page = tmp_path / "out.html"
    with pytest.raises(KeyError, match="enough"):
        await run_orders(Stopping(40, 10), 7, Silent(), page)
    said = page.read_text(encoding="utf-8")
    assert "not over" in said and "rxorch demo --saga: 40 orders" in said


async def test_of_orders_that_fail_at_once_one_error_is_raised_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(run: Any) -> None:
        raise KeyError(run)

    sender = orders_module._Sender(iter(()), SagaProgress(4, 4))
    monkeypatch.setattr(sender, "_ended", fails)
    for run in "abcd":
        sender._wait_for(run)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        await sender._room(0)
    await sender._let_go()  # the test would tell of errors that nobody has asked for


def test_the_demo_as_json_and_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_module, "FAULTS", Faults.none())
    assert run_saga_demo(20, 3, as_json=True) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["ok"], document["seed"], document["saga"]["orders"]) == (True, 3, 20)
    assert sum(document["saga"]["states"].values()) == 20
    assert "invariants hold" in err
    monkeypatch.setattr(SagaReport, "completed", frozenset())
    assert run_saga_demo(10, 3) == 1
