"""What happens to one order: eight endpoints that depend on each other, declared as a HYBRID orchestration.

::

    user ----.
              +--> quote --> fraud? --> payment --> inventory --> shipping --> notification
    product -'

``fraud`` is skipped for small orders; a declined order skips everything after it; a message that cannot be
sent is put off and does not fail the order. Shipping and notification depend on user and product, too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from rxorch import APIEndpoint, APIOrchestrationConfig, OrchestrationMode
from rxorch.demo.calls import ask, get, once
from rxorch.demo.shop import ORDER_HEADER

__all__ = ["LARGE_ORDER_CENTS", "SERVICE_OF", "order_endpoints", "order_flow", "orders"]

Order = dict[str, Any]

SERVICE_OF = {
    "user": "users",
    "product": "catalogue",
    "quote": "pricing",
    "fraud": "fraud",
    "payment": "payment",
    "inventory": "inventory",
    "shipping": "shipping",
    "notification": "notification",
}
"""Endpoint name -> service of the shop."""

LARGE_ORDER_CENTS = 20_000
"""From this amount on an order is checked for fraud."""

ATTEMPT_TIMEOUT = 1.0
"""Seconds for one attempt."""

_BREAKER_THRESHOLD = 5
_BREAKER_TIMEOUT = 0.3


def orders(number: int, seed: int) -> Iterator[Order]:
    """As many random orders, one at a time; the same for the same seed."""
    chance = random.Random(seed)
    for index in range(number):
        yield {
            "order": f"order-{index:06d}",
            "user": chance.randint(1, 100_000),
            "sku": f"SKU-{chance.randint(0, 9_999):04d}",
            "quantity": chance.choice((1, 1, 1, 2, 3)),
        }


def order_flow(urls: Mapping[str, str]) -> APIOrchestrationConfig:
    """The orchestration of one order on the services at ``urls``."""
    return APIOrchestrationConfig(
        endpoints=order_endpoints(urls),
        mode=OrchestrationMode.HYBRID,
        circuit_breaker_threshold=_BREAKER_THRESHOLD,
        circuit_breaker_timeout=_BREAKER_TIMEOUT,
        total_timeout=60.0,
    )


def order_endpoints(urls: Mapping[str, str], timeout: float = ATTEMPT_TIMEOUT) -> list[APIEndpoint]:
    """The eight endpoints by which an order is handled; ``timeout``: seconds for one attempt."""
    every: dict[str, Any] = {"headers": {ORDER_HEADER: "{order}"}, "timeout": timeout}
    return [
        get("user", urls["users"] + "/users/{user}", **every),
        get("product", urls["catalogue"] + "/products/{sku}", **every),
        ask("quote", urls["pricing"] + "/quote", _quote, depends_on=["user", "product"], **every),
        ask("fraud", urls["fraud"] + "/check", _amount, depends_on=["quote"], condition=_is_large, **every),
        once(
            "payment",
            urls["payment"] + "/charges",
            _amount,
            depends_on=["quote", "fraud"],
            condition=_is_approved,
            skip_propagates=True,
            **every,
        ),
        once("inventory", urls["inventory"] + "/reservations", _reservation, depends_on=["payment"], **every),
        once(
            "shipping",
            urls["shipping"] + "/shipments",
            _shipment,
            depends_on=["inventory", "user", "product"],
            **every,
        ),
        once(
            "notification",
            urls["notification"] + "/messages",
            _message,
            depends_on=["shipping", "user"],
            error_handler=_put_off,
            **every,
        ),
    ]


def _quote(data: Order) -> Order:
    return {
        "order": data["order"],
        "price_cents": data["product"]["price_cents"],
        "quantity": data["quantity"],
        "tier": data["user"]["tier"],
    }


def _amount(data: Order) -> Order:
    return {"order": data["order"], "amount_cents": data["quote"]["amount_cents"]}


def _reservation(data: Order) -> Order:
    return {"order": data["order"], "sku": data["sku"], "quantity": data["quantity"]}


def _shipment(data: Order) -> Order:
    return {
        "order": data["order"],
        "country": data["user"]["country"],
        "weight_g": data["product"]["weight_g"] * data["quantity"],
    }


def _message(data: Order) -> Order:
    text = f"Dear {data['user']['name']}, your parcel {data['shipping']['tracking']} is on its way."
    return {"order": data["order"], "to": data["user"]["email"], "text": text}


def _is_large(data: Order) -> bool:
    return bool(data["quote"]["amount_cents"] >= LARGE_ORDER_CENTS)


def _is_approved(data: Order) -> bool:
    """Not checked (None) counts as approved."""
    return data["fraud"] is None or bool(data["fraud"]["approved"])


def _put_off(error: Exception) -> Order:
    return {"status": "put off"}
