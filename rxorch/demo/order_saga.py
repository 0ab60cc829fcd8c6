"""An order as a saga: payment, inventory, shipping, and how each is taken back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rxorch import ApiClient, APIEndpoint, RetryPolicy
from rxorch.demo.shop import ORDER_HEADER
from rxorch.demo.shop.reversible import CARD_LIMIT, COUNTRIES, IN_STOCK
from rxorch.saga import Journal, Saga, Step

__all__ = ["SERVICE_OF", "order_saga", "saga_orders"]

Order = dict[str, Any]

SERVICE_OF: Final = {"charge": "payment", "reserve": "inventory", "ship": "shipping"}
"""Step -> the service that makes it and takes it back."""

_KEY: Final = "KEY"
"""In an url: the key of what is taken back."""
_TRIES: Final = 2
"""Requests for one attempt of a step: few, so that it fails for good once in a while."""
_WAIT: Final = 0.01
_UNDO: Final = RetryPolicy(max_attempts=10, base=0.02, factor=2.0, cap=0.5, max_elapsed=None)
_TROUBLE: Final = 0.06
"""The share of orders that each service refuses."""


def saga_orders(number: int, seed: int) -> Iterator[Order]:
    """As many random orders, one at a time; the same for the same seed. Each service refuses some of them."""
    chance = random.Random(seed)
    for index in range(number):
        is_dear, is_large, is_far = (chance.random() < _TROUBLE for _ in range(3))
        yield {
            "order": f"order-{index:06d}",
            "amount_cents": chance.randint(500, CARD_LIMIT) + (CARD_LIMIT if is_dear else 0),
            "sku": f"SKU-{chance.randint(0, 9_999):04d}",
            "quantity": chance.randint(1, IN_STOCK) + (IN_STOCK if is_large else 0),
            "country": "AQ" if is_far else chance.choice(COUNTRIES),
            "weight_g": chance.randint(50, 4_000),
        }


def order_saga(
    urls: Mapping[str, str], journal: Journal, client: ApiClient | None = None, *, lease: float = 30.0
) -> Saga:
    """The saga of an order on the services at `urls`; without a client it makes its own.

    `lease`: seconds after which another process may go on with the runs of one that has died.
    """
    payment, inventory, shipping = (urls[service] for service in SERVICE_OF.values())
    reservations = f"{inventory}/inventory/reservations"
    return Saga(
        "order",
        [
            Step(
                _request("charge", f"{payment}/payments/charge", "amount_cents"),
                compensation=_back("refund", f"{payment}/payments/{_KEY}/refund?reason=undone", "charge"),
            ),
            Step(
                _request("reserve", reservations, "sku", "quantity"),
                compensation=_back(
                    "release", f"{inventory}/inventory/reservations/{_KEY}/release", "reserve"
                ),
            ),
            Step(
                _request("ship", f"{shipping}/shipments", "country", "weight_g"),
                compensation=_back("cancel", f"{shipping}/shipments/{_KEY}/cancel", "ship"),
            ),
        ],
        journal=journal,
        client=client,
        lease=lease,
        undo=_UNDO,
    )


def _request(name: str, url: str, *fields: str) -> APIEndpoint:
    def body(data: Order) -> Order:
        return {field: data[field] for field in ("order", *fields)}

    # That of the order: whatever its run is called, it is charged once. Said here, it has requests repeated
    # after a lost answer, too.
    return _endpoint(name, url, transform_input=body, idempotency_key=_key_of(name))


def _back(name: str, url: str, step: str) -> APIEndpoint:
    # By the key of what is taken back, and not by an id in its answer: perhaps there was no answer.
    key = _key_of(step)
    return _endpoint(name, url.replace(_KEY, key), idempotency_key=f"{key}:undo")


def _key_of(step: str) -> str:
    return f"{{order}}:{step}"


def _endpoint(name: str, url: str, **more: Any) -> APIEndpoint:
    return APIEndpoint(
        name=name,
        url=url,
        method="POST",
        headers={ORDER_HEADER: "{order}"},
        timeout=2.0,
        retry_count=_TRIES - 1,
        retry_delay=_WAIT,
        circuit_breaker=False,
        **more,
    )
