"""The shop behind `rxorch serve`: an order as a saga, and two services read as one.

    rxorch serve rxorch.demo.serving:flows --journal orders.sqlite

starts the shop too, as long as the server runs.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field

from rxorch import APIEndpoint, APIOrchestrationConfig, OrchestrationMode
from rxorch.blocking import run_blocking
from rxorch.demo.order_saga import order_saga
from rxorch.demo.shop import Faults, Shop
from rxorch.saga import Journal
from rxorch.server import Served

__all__ = ["Order", "flows", "shop_flows"]

_LONGEST_NAME: Final = 100


class Order(BaseModel):
    """What an order is. A country without carriers, such as AQ, has it undone after the payment."""

    order: str = Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=_LONGEST_NAME)
    amount_cents: int = Field(ge=1)
    sku: str = Field(max_length=_LONGEST_NAME)
    quantity: int = Field(ge=1)
    country: str = Field(pattern="^[A-Z]{2}$")
    weight_g: int = Field(ge=1)


class Asked(BaseModel):
    """Of whom and what the aggregator tells."""

    user: int = Field(ge=1)
    sku: str = Field(max_length=_LONGEST_NAME)


def flows(journal: Journal) -> dict[str, Any]:
    """The shop, started, and what is served of it. The shop ends with this process."""
    shop = Shop(faults=Faults.none())
    run_blocking(shop.__aenter__)
    atexit.register(shop.close)
    return shop_flows(shop.urls, journal)


def shop_flows(urls: Mapping[str, str], journal: Journal) -> dict[str, Any]:
    """What is served of a shop that runs.

    Args:
        urls: Of its services, by name.
        journal: Where the orders are kept.
    """
    return {
        "order": Served(order_saga(urls, journal), input=Order),
        "orchestrate": Served(_aggregator(urls), input=Asked, readable=True),
    }


def _aggregator(urls: Mapping[str, str]) -> APIOrchestrationConfig:
    """Two calls at the same time; the answer has both, and one of them where the other fails."""
    return APIOrchestrationConfig(
        endpoints=[
            APIEndpoint(name="user", url=f"{urls['users']}/users/{{user}}", timeout=2.0),
            APIEndpoint(name="product", url=f"{urls['catalogue']}/products/{{sku}}", timeout=2.0),
        ],
        mode=OrchestrationMode.PARALLEL,
    )
