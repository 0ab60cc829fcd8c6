"""What the eight services do when nothing goes wrong: small, plausible, and the same on every run.

All data is derived from identifiers by hashing; there is no data base. Money is in cents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from rxorch.demo.shop.bodies import body_of, number_of, refusal
from rxorch.demo.shop.reversible import COUNTRIES, reversible_routes
from rxorch.demo.shop.tally import Tally

__all__ = ["SERVICES", "Desk", "routes_of"]

SERVICES = ("users", "catalogue", "pricing", "fraud", "payment", "inventory", "shipping", "notification")
"""The services of the shop, in the order in which an order meets them."""

JsonObject = dict[str, Any]

_FIRST_NAMES = ("Ada", "Alan", "Barbara", "Edsger", "Grace", "Jean", "Katherine", "Ken", "Margaret", "Radia")
_THINGS = ("Lamp", "Kettle", "Desk", "Chair", "Backpack", "Headphones", "Notebook", "Bicycle bell")


@dataclass(slots=True)
class Desk:
    """What the services share: the open books, and the answers to keep for repeated requests."""

    tally: Tally
    answers: dict[tuple[str, str], JsonObject] = field(default_factory=dict)

    def reset(self) -> None:
        """Open new books and forget all effects. Requests still in flight end in the old books."""
        old = self.tally
        self.tally = Tally(old.seed, old.faults, {name: type(old.services[name])() for name in old.services})
        self.answers = {}

    def once(
        self, service: str, request: web.Request, order: str, make: Callable[[], JsonObject]
    ) -> web.Response:
        """Do it, or answer as before if its idempotency key was seen. Without a key: do it again."""
        key = request.headers.get("Idempotency-Key", "")
        answer = self.answers.get((service, key)) if key else None
        if answer is not None:
            self.tally.replays[service] += 1
            return web.json_response(answer, status=201, headers={"Idempotent-Replayed": "true"})
        answer = make()
        if key:
            self.answers[service, key] = answer
        self.tally.took_effect(service, key, order)
        return web.json_response(answer, status=201)


def routes_of(service: str, desk: Desk) -> list[web.RouteDef]:
    """The routes of one service, ``GET /health`` included."""

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "service": service})

    routes = [web.get("/health", health), *reversible_routes(service, desk)]
    return [*routes, _ROUTES[service](desk)] if service in _ROUTES else routes


def _users(desk: Desk) -> web.RouteDef:
    async def user(request: web.Request) -> web.Response:
        number = request.match_info["id"]
        if not number.isdecimal() or not 0 < int(number) <= 100_000:
            raise refusal(web.HTTPNotFound, "no such user")
        pick = number_of("user", number)
        name = _FIRST_NAMES[pick % len(_FIRST_NAMES)]
        return web.json_response(
            {
                "id": int(number),
                "name": name,
                "email": f"{name.lower()}.{number}@example.com",
                "tier": "premium" if pick % 5 == 0 else "standard",
                "country": COUNTRIES[pick // 7 % len(COUNTRIES)],
            }
        )

    return web.get("/users/{id}", user)


def _catalogue(desk: Desk) -> web.RouteDef:
    async def product(request: web.Request) -> web.Response:
        sku = request.match_info["sku"]
        number = sku.removeprefix("SKU-")
        if number == sku or not number.isdecimal():
            raise refusal(web.HTTPNotFound, "no such product")
        if int(number) % 100 == 99:
            raise refusal(web.HTTPNotFound, "product discontinued")
        pick = number_of("product", sku)
        return web.json_response(
            {
                "sku": sku,
                "title": f"{_THINGS[pick % len(_THINGS)]} {number}",
                "price_cents": 490 + pick // 8 % 18_000,
                "weight_g": 50 + pick % 4_000,
            }
        )

    return web.get("/products/{sku}", product)


def _pricing(desk: Desk) -> web.RouteDef:
    async def quote(request: web.Request) -> web.Response:
        body = await body_of(request, price_cents=int, quantity=int, tier=str)
        gross = body["price_cents"] * body["quantity"]
        discount = gross // 10 if body["tier"] == "premium" else 0
        return web.json_response(
            {"amount_cents": gross - discount, "discount_cents": discount, "currency": "EUR"}
        )

    return web.post("/quote", quote)


def _fraud(desk: Desk) -> web.RouteDef:
    async def check(request: web.Request) -> web.Response:
        body = await body_of(request, order=str, amount_cents=int)
        score = number_of("fraud", body["order"]) % 1000 / 1000
        return web.json_response({"approved": score < 0.96, "score": score})

    return web.post("/check", check)


def _payment(desk: Desk) -> web.RouteDef:
    async def charge(request: web.Request) -> web.Response:
        body = await body_of(request, order=str, amount_cents=int)
        order = body["order"]
        if number_of("card", order) % 100 == 0:
            raise refusal(web.HTTPPaymentRequired, "card declined")
        made = {"charge": f"ch_{number_of('charge', order):08x}", "amount_cents": body["amount_cents"]}
        return desk.once("payment", request, order, lambda: made)

    return web.post("/charges", charge)


def _inventory(desk: Desk) -> web.RouteDef:
    async def reserve(request: web.Request) -> web.Response:
        body = await body_of(request, order=str, sku=str, quantity=int)
        warehouse = COUNTRIES[number_of("warehouse", body["sku"]) % len(COUNTRIES)]
        made = {"reservation": f"rs_{number_of('reservation', body['order']):08x}", "warehouse": warehouse}
        return desk.once("inventory", request, body["order"], lambda: made)

    return web.post("/reservations", reserve)


def _notification(desk: Desk) -> web.RouteDef:
    async def message(request: web.Request) -> web.Response:
        body = await body_of(request, order=str, to=str, text=str)
        made = {"message": f"ms_{number_of('message', body['order']):08x}", "status": "queued"}
        return desk.once("notification", request, body["order"], lambda: made)

    return web.post("/messages", message)


_ROUTES: dict[str, Callable[[Desk], web.RouteDef]] = {
    "users": _users,
    "catalogue": _catalogue,
    "pricing": _pricing,
    "fraud": _fraud,
    "payment": _payment,
    "inventory": _inventory,
    "notification": _notification,
}
