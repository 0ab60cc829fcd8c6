"""What the shop makes and takes back, through the real process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from rxorch.demo.shop import ORDER_HEADER, Shop
from rxorch.demo.shop.reversible import CARD_LIMIT, IN_STOCK

KINDS = [
    ("payment", "/payments/charge", "/payments/{}/refund?reason=size", {"amount_cents": 700}, 700),
    (
        "inventory",
        "/inventory/reservations",
        "/inventory/reservations/{}/release",
        {"sku": "SKU-0001", "quantity": 3},
        3,
    ),
    ("shipping", "/shipments", "/shipments/{}/cancel", {"country": "AT", "weight_g": 5}, 1),
]
UNDO_NAMES = {"payment": "payment refund", "inventory": "inventory release", "shipping": "shipping cancel"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(
    session: aiohttp.ClientSession, url: str, key: str, **body: Any
) -> tuple[int, dict[str, Any], bool]:
    headers = {ORDER_HEADER: "o-1", "Idempotency-Key": key}
    async with session.post(url, json={"order": "o-1", **body}, headers=headers) as response:
        return response.status, await response.json(), "Idempotent-Replayed" in response.headers


@pytest.mark.parametrize(("service", "make", "undo", "body", "amount"), KINDS)
async def test_it_is_made_once_and_taken_back_once(
    session: aiohttp.ClientSession,
    shop: Shop,
    service: str,
    make: str,
    undo: str,
    body: dict[str, Any],
    amount: int,
) -> None:
    url = shop.urls[service]
    for is_repeat in (False, True):
        status, answer, replayed = await post(session, url + make, "o-1:step", **body)
        assert (status, answer["id"], replayed) == (201, "o-1:step", is_repeat)
    stats = await shop.stats()
    assert stats.holdings == {service: {"o-1": amount}}
    for is_repeat in (False, True):
        status, answer, replayed = await post(session, url + undo.format("o-1:step"), "o-1:step:undo")
        assert (status, answer["status"], replayed) == (201, "taken back", is_repeat)
    stats = await shop.stats()
    assert stats.holdings == {service: {}}
    assert stats.effects == {service: {"o-1:step": 1}, UNDO_NAMES[service]: {"o-1:step:undo": 1}}
    assert stats.replays == {service: 1, UNDO_NAMES[service]: 1}
    assert stats.charged == ({"o-1": 1} if service == "payment" else {})


@pytest.mark.parametrize(("service", "make", "undo", "body", "amount"), KINDS)
async def test_what_was_taken_back_before_it_was_made_is_never_made(
    session: aiohttp.ClientSession,
    shop: Shop,
    service: str,
    make: str,
    undo: str,
    body: dict[str, Any],
    amount: int,
) -> None:
    url = shop.urls[service]
    assert (await post(session, url + undo.format("late"), "late:undo"))[0] == 201
    assert (await post(session, url + make, "late", **body))[:2] == (409, {"error": "it was taken back"})
    assert (await shop.stats()).holdings == {service: {}}


@pytest.mark.parametrize(
    ("service", "path", "body", "status", "reason"),
    [
        ("payment", "/payments/charge", {"amount_cents": CARD_LIMIT + 1}, 402, "above the card's limit"),
        ("payment", "/payments/charge", {}, 422, "amount_cents: int expected"),
        ("payment", "/payments/x/refund", {}, 422, "reason: text expected"),
        (
            "inventory",
            "/inventory/reservations",
            {"sku": "s", "quantity": IN_STOCK + 1},
            409,
            "out of stock",
        ),
        ("shipping", "/shipments", {"country": "AQ", "weight_g": 1}, 422, "no carrier goes there"),
    ],
)
async def test_refusals_have_no_effect(
    session: aiohttp.ClientSession,
    shop: Shop,
    service: str,
    path: str,
    body: dict[str, Any],
    status: int,
    reason: str,
) -> None:
    found = await post(session, shop.urls[service] + path, "k", **body)
    assert found[:2] == (status, {"error": reason})
    stats = await shop.stats()
    assert (stats.effects, stats.holdings.get(service, {})) == ({}, {})
