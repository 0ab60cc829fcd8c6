"""The stream of orders, on the real shop in its own process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import rxorch.demo.orders as orders_module
from rxorch import APIOrchestrator
from rxorch.demo.calls import once
from rxorch.demo.order_flow import LARGE_ORDER_CENTS, SERVICE_OF, order_flow, orders
from rxorch.demo.orders import faults_for, stream_orders
from rxorch.demo.progress import Progress
from rxorch.demo.report import PUT_OFF, SHIPPED
from rxorch.demo.shop import SERVICES, Faults, Outage, Shop


class Silent:
    """A board that shows nothing."""

    every = 3600.0

    def show(self, progress: Progress) -> None:
        """Nothing."""

    def close(self, progress: Progress) -> None:
        """Nothing."""


def test_orders_are_the_same_for_the_same_seed() -> None:
    assert list(orders(50, 7)) == list(orders(50, 7))
    assert list(orders(50, 7)) != list(orders(50, 8))
    assert len({order["order"] for order in orders(50, 7)}) == 50


def test_every_service_of_the_shop_takes_part() -> None:
    assert tuple(SERVICE_OF.values()) == SERVICES
    config = order_flow(dict.fromkeys(SERVICES, "http://127.0.0.1:1"))
    assert [endpoint.name for endpoint in config.flow().endpoints()] == list(SERVICE_OF)


@pytest.mark.parametrize(
    ("order", "skipped", "failed"),
    [
        ({"order": "o-1", "user": 1, "sku": "SKU-0001", "quantity": 1}, ["fraud"], []),
        ({"order": "o-1", "user": 1, "sku": "SKU-0003", "quantity": 9}, [], []),
        (
            {"order": "order-000007", "user": 1, "sku": "SKU-0003", "quantity": 9},
            ["payment", "inventory", "shipping", "notification"],
            [],
        ),
        (
            {"order": "o-1", "user": 1, "sku": "SKU-0099", "quantity": 1},
            ["quote", "fraud", "payment", "inventory", "shipping", "notification"],
            ["product"],
        ),
    ],
    ids=["small", "large", "declined", "retired product"],
)
async def test_the_way_of_one_order(
    shop: Shop, order: dict[str, Any], skipped: list[str], failed: list[str]
) -> None:
    async with APIOrchestrator(order_flow(shop.urls)) as orchestrator:
        result = await orchestrator.execute(order)
        stats = await shop.stats()
    assert list(result.skipped) == skipped
    assert [name for name, outcome in result.outcomes.items() if outcome.status == "failed"] == failed
    assert ("fraud" not in skipped) == (
        result["quote"] is not None and result["quote"]["amount_cents"] >= LARGE_ORDER_CENTS
    )
    assert stats.requests == len(result) - len(skipped)
    assert stats.charged == ({} if "payment" in skipped else {order["order"]: 1})


async def test_a_message_that_cannot_be_sent_is_put_off() -> None:
    faults = replace(Faults.none(), outage=Outage(service="notification", first=0, last=0))
    order = {"order": "order-000000", "user": 1, "sku": "SKU-0001", "quantity": 1}
    async with Shop(faults=faults) as shop, APIOrchestrator(order_flow(shop.urls)) as orchestrator:
        result = await orchestrator.execute(order)
    assert result.ok
    assert result["notification"] == {"status": "put off"}
    assert result.outcomes["notification"].degraded


async def test_a_stream_through_faults_holds_its_invariants() -> None:
    progress = Progress(150, 20)
    report = await stream_orders(progress, 7, Silent())
    assert [each for each in report.invariants if not each.holds] == []
    assert progress.done == sum(report.fates.values()) == 150
    assert progress.in_flight == 0
    assert report.retries == progress.retries > 0
    assert set(report.stats.faults) >= {"503", "reset", "outage"}
    # How many messages were put off depends on the clock of the circuit breaker; what is shipped does not.
    assert report.shipped == report.fates[SHIPPED] + report.fates[PUT_OFF] > 75
    assert report.stats.orders_peak > 1


@pytest.mark.parametrize(("key", "twice"), [(True, False), (False, True)], ids=["with keys", "without"])
async def test_keys_keep_a_repeated_charge_from_being_a_second_one(key: bool, twice: bool) -> None:
    def amount(data: dict[str, Any]) -> dict[str, Any]:
        return {"order": data["order"], "amount_cents": 100}

    more: dict[str, Any] = {} if key else {"idempotency_key": None, "idempotent": True}
    # Half of the answers are lost, and half of those after the charge was made.
    async with Shop(faults=replace(Faults.none(), reset=0.5)) as shop:
        payment = once(
            "payment", shop.urls["payment"] + "/charges", amount, retry_count=20, circuit_breaker=False
        ).model_copy(update=more)
        async with APIOrchestrator(payment, retry_budget=False) as orchestrator:
            async for _ in orchestrator.stream([{"order": f"o-{n}"} for n in range(60)], max_concurrent=10):
                pass
        stats = await shop.stats()
    assert (stats.charged_twice > 0) == twice
    assert (stats.effected_twice("payment") > 0) == twice
    assert (stats.replays.get("payment", 0) > 0) == key


async def test_a_lost_request_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = orders_module.sent_by_service

    def forgetful(metrics: Any) -> dict[str, int]:
        sent = honest(metrics)
        return {**sent, "users": sent["users"] - 1}

    monkeypatch.setattr(orders_module, "sent_by_service", forgetful)
    report = await stream_orders(Progress(10, 5), 7, Silent())
    broken = [each.claim for each in report.invariants if not each.holds]
    assert broken == ["requests to users: client, service", "requests in total: client, services"]


def test_the_outage_is_in_the_middle_and_short() -> None:
    outage = faults_for(2000).outage
    assert outage == Outage(service="notification", first=1000, last=1080)
