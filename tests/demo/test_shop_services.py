"""What the services answer, with and without faults, through the real process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from rxorch.demo.shop import ORDER_HEADER, SERVICES, Faults, Shop, ShopStats


def only(**faults: float) -> Faults:
    """Nothing but these faults, without latency."""
    rates: dict[str, Any] = {"unavailable": 0, "rate_limited": 0, "reset": 0, "timeout": 0, "slow": 0}
    return Faults(**{**rates, "latency": 0, **faults})


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_an_order_through_all_services(session: aiohttp.ClientSession, shop: Shop) -> None:
    async def call(method: str, service: str, path: str, **body: Any) -> Any:
        async with session.request(method, shop.urls[service] + path, json=body or None) as response:
            assert response.ok, await response.text()
            return await response.json()

    user = await call("GET", "users", "/users/42")
    product = await call("GET", "catalogue", "/products/SKU-0017")
    quote = await call(
        "POST", "pricing", "/quote", price_cents=product["price_cents"], quantity=2, tier=user["tier"]
    )
    amount = quote["amount_cents"]
    assert amount + quote["discount_cents"] == 2 * product["price_cents"]
    assert await call("POST", "fraud", "/check", order="o-1", amount_cents=amount) == {
        "approved": True,
        "score": 0.939,
    }
    assert (await call("POST", "payment", "/charges", order="o-1", amount_cents=amount))[
        "amount_cents"
    ] == amount
    assert await call("POST", "inventory", "/reservations", order="o-1", sku=product["sku"], quantity=2)
    assert await call(
        "POST",
        "shipping",
        "/shipments",
        order="o-1",
        country=user["country"],
        weight_g=product["weight_g"],
    )
    assert await call("POST", "notification", "/messages", order="o-1", to=user["email"], text="thanks")
    for service in SERVICES:
        assert await call("GET", service, "/health") == {"status": "ok", "service": service}


@pytest.mark.parametrize(
    ("service", "path", "body", "status", "reason"),
    [
        ("users", "/users/0", None, 404, "no such user"),
        ("users", "/users/abc", None, 404, "no such user"),
        ("catalogue", "/products/17", None, 404, "no such product"),
        ("catalogue", "/products/SKU-0199", None, 404, "product discontinued"),
        ("pricing", "/quote", "not json", 422, "the body is not JSON"),
        ("pricing", "/quote", "[]", 422, "price_cents: int expected"),
        ("payment", "/charges", '{"order": "o"}', 422, "amount_cents: int expected"),
        ("payment", "/charges", '{"order": "order-000217", "amount_cents": 1}', 402, "card declined"),
    ],
)
async def test_refusals(
    session: aiohttp.ClientSession,
    shop: Shop,
    service: str,
    path: str,
    body: str | None,
    status: int,
    reason: str,
) -> None:
    method = "GET" if body is None else "POST"
    async with session.request(method, shop.urls[service] + path, data=body) as response:
        assert response.status == status
        assert await response.json() == {"error": reason}


async def test_a_repeated_charge_is_answered_from_memory_and_takes_effect_once(
    session: aiohttp.ClientSession, shop: Shop
) -> None:
    answers = [await charge(session, shop, "o-1", key="k-1") for _ in range(3)]
    assert [replayed for _, replayed in answers] == [False, True, True]
    assert answers[0][0] == answers[1][0] == answers[2][0]
    stats = await shop.stats()
    assert (stats.effects, stats.replays) == ({"payment": {"k-1": 1}}, {"payment": 2})
    assert (stats.charged_twice, stats.effected_twice("payment")) == (0, 0)


async def test_charging_an_order_twice_is_seen_with_and_without_keys(
    session: aiohttp.ClientSession, shop: Shop
) -> None:
    for key in ("k-1", "k-2", None):
        await charge(session, shop, "o-1", key=key)
    stats = await shop.stats()
    assert stats.charged == {"o-1": 3}
    assert stats.charged_twice == 1


async def charge(
    session: aiohttp.ClientSession, shop: Shop, order: str, key: str | None
) -> tuple[dict[str, Any], bool]:
    headers = {ORDER_HEADER: order, **({"Idempotency-Key": key} if key else {})}
    body = {"order": order, "amount_cents": 5}
    async with session.post(shop.urls["payment"] + "/charges", json=body, headers=headers) as response:
        return await response.json(), "Idempotent-Replayed" in response.headers


@pytest.mark.parametrize(
    ("faults", "status", "headers"),
    [(only(unavailable=1), 503, {}), (only(rate_limited=1, retry_after=3), 429, {"Retry-After": "3"})],
)
async def test_answers_that_are_faults(
    session: aiohttp.ClientSession, faults: Faults, status: int, headers: dict[str, str]
) -> None:
    async with Shop(faults=faults) as shop, session.get(shop.urls["users"] + "/users/1") as response:
        assert response.status == status
        assert headers.items() <= dict(response.headers).items()
        stats = await shop.stats()
    assert stats.faults == {str(status): 1}
    assert stats.services["users"].endings == {str(status): 1}


async def test_a_reset_is_a_reset_and_half_of_them_charge_all_the_same(
    session: aiohttp.ClientSession,
) -> None:
    async with Shop(faults=only(reset=1)) as shop:
        for number in range(40):
            with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
                await charge(session, shop, f"o-{number}", key=f"k-{number}")
        stats = await shop.stats()
    assert stats.services["payment"].endings == {"reset": 40}
    assert 8 < len(stats.charged) < 32


async def test_a_timeout_holds_the_request_until_the_client_leaves(session: aiohttp.ClientSession) -> None:
    async with Shop(faults=only(timeout=1, hold=60)) as shop:
        limit = aiohttp.ClientTimeout(total=0.05)
        with pytest.raises(TimeoutError):
            await session.get(shop.urls["users"] + "/users/1", timeout=limit)
        stats = await shop.stats()
    assert stats.services["users"].endings == {"gone": 1}


async def test_a_hold_that_nobody_gives_up_ends_in_a_reset(session: aiohttp.ClientSession) -> None:
    async with Shop(faults=only(timeout=1, hold=0.01)) as shop:
        with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
            await session.post(shop.urls["fraud"] + "/check", json={"order": "o", "amount_cents": 1})
        assert (await shop.stats()).services["fraud"].endings == {"reset": 1}


async def statuses(
    session: aiohttp.ClientSession, seed: int, orders: list[int]
) -> tuple[dict[int, int], ShopStats]:
    async with Shop(seed, only(unavailable=0.3, rate_limited=0.2)) as shop:
        seen = {}
        for order in orders:
            headers = {ORDER_HEADER: f"order-{order:06d}"}
            async with session.get(shop.urls["users"] + "/users/1", headers=headers) as response:
                seen[order] = response.status
        return seen, await shop.stats()


async def test_a_run_is_repeatable_in_any_order_of_arrival(session: aiohttp.ClientSession) -> None:
    forward, stats = await statuses(session, 7, list(range(60)))
    backward, again = await statuses(session, 7, list(reversed(range(60))))
    other, _ = await statuses(session, 8, list(range(60)))
    assert forward == backward
    assert stats.faults == again.faults
    assert forward != other
    assert set(forward.values()) == {200, 429, 503}
