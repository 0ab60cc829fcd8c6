"""Payments, reservations and shipments that can be taken back, for an order that is a saga.

What is made is known by the idempotency key of the request that made it. So whoever does not know whether
there was an effect can take it back all the same: what is taken back before it was made is never made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aiohttp import web

from rxorch.demo.shop.bodies import body_of, number_of, refusal
from rxorch.demo.shop.faults import ORDER_HEADER
from rxorch.demo.shop.tally import Holdings

if TYPE_CHECKING:
    from rxorch.demo.shop.services import Desk

__all__ = ["CARD_LIMIT", "COUNTRIES", "IN_STOCK", "reversible_routes"]

JsonObject: TypeAlias = dict[str, Any]

COUNTRIES: Final = ("AT", "BR", "CA", "DE", "FR", "IN", "JP", "KE", "NL", "US")
"""Where carriers go."""

CARD_LIMIT: Final = 50_000
"""Cents, above which a charge that can be taken back is refused."""

IN_STOCK: Final = 8
"""Pieces that there are of everything."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a service makes and takes back.

    Attributes:
        make: Path by which it is made; `undo`: by which it is taken back; `undoing`: what that is called.
        fields: Of the body.
        refused: Why it is not made; None: it is.
        amount: How much of it is held then.
        answer: What is said besides its id.
    """

    service: str
    make: str
    undo: str
    undoing: str
    fields: dict[str, type]
    refused: Callable[[JsonObject], web.HTTPException | None]
    amount: Callable[[JsonObject], int]
    answer: Callable[[JsonObject], JsonObject]


def _over_limit(body: JsonObject) -> web.HTTPException | None:
    return refusal(web.HTTPPaymentRequired, "above the card's limit") if _cents(body) > CARD_LIMIT else None


def _out_of_stock(body: JsonObject) -> web.HTTPException | None:
    return refusal(web.HTTPConflict, "out of stock") if body["quantity"] > IN_STOCK else None


def _no_carrier(body: JsonObject) -> web.HTTPException | None:
    is_known = body["country"] in COUNTRIES
    return None if is_known else refusal(web.HTTPUnprocessableEntity, "no carrier goes there")


def _cents(body: JsonObject) -> int:
    return int(body["amount_cents"])


def _parcel(body: JsonObject) -> JsonObject:
    days = 1 + number_of("route", body["country"]) % 4
    return {"tracking": f"TR{number_of('parcel', body['order']):010d}", "days": days}


_PAYMENT = _Kind(
    "payment",
    "/payments/charge",
    "/payments/{id}/refund",
    "refund",
    {"order": str, "amount_cents": int},
    _over_limit,
    _cents,
    lambda body: {"amount_cents": body["amount_cents"]},
)
_INVENTORY = _Kind(
    "inventory",
    "/inventory/reservations",
    "/inventory/reservations/{id}/release",
    "release",
    {"order": str, "sku": str, "quantity": int},
    _out_of_stock,
    lambda body: int(body["quantity"]),
    lambda body: {"quantity": body["quantity"]},
)
_SHIPPING = _Kind(
    "shipping",
    "/shipments",
    "/shipments/{id}/cancel",
    "cancel",
    {"order": str, "country": str, "weight_g": int},
    _no_carrier,
    lambda body: 1,
    _parcel,
)
_KINDS: Final = {kind.service: kind for kind in (_PAYMENT, _INVENTORY, _SHIPPING)}


def reversible_routes(service: str, desk: Desk) -> list[web.RouteDef]:
    """Making it and taking it back, of the services that have that."""
    kind = _KINDS.get(service)
    if kind is None:
        return []

    async def make(request: web.Request) -> web.Response:
        body = await body_of(request, **kind.fields)
        order, key = body["order"], request.headers.get("Idempotency-Key", "")
        kept = desk.tally.holdings.setdefault(service, Holdings()).kept
        if kept.get(key, key) is None:
            raise refusal(web.HTTPConflict, "it was taken back")
        refused = kind.refused(body)
        if refused is not None:
            raise refused

        def keep() -> JsonObject:
            if key:
                kept[key] = (order, kind.amount(body))
            return {"id": key, **kind.answer(body)}

        return desk.once(service, request, order, keep)

    async def undo(request: web.Request) -> web.Response:
        made, order = request.match_info["id"], request.headers.get(ORDER_HEADER, "")
        if kind is _PAYMENT and not request.query.get("reason"):
            raise refusal(web.HTTPUnprocessableEntity, "reason: text expected")
        kept = desk.tally.holdings.setdefault(service, Holdings()).kept

        def take_back() -> JsonObject:
            kept[made] = None
            return {"id": made, "status": "taken back"}

        return desk.once(f"{service} {kind.undoing}", request, order, take_back)

    return [web.post(kind.make, make), web.post(kind.undo, undo)]
