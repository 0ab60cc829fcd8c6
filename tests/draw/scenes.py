"""Flows to draw, and what all pictures of them are searched for."""

from __future__ import annotations

from rxorch import conditional, graph, parallel, sequential
from rxorch.flow import Flow
from tests.support.fake_transport import api

__all__ = ["is_premium", "trip"]


def is_premium(data: object) -> bool:
    """A condition with a name."""
    return True


def trip() -> Flow:
    """A bit of everything."""
    return sequential(
        api("geo", "https://api.example.com/geo?city={city}&api_key=k-123456", timeout=0.35),
        parallel(
            api("fx", timeout=5.0, retry_count=3),
            api("weather", cache_ttl=30.0),
            api("flights", method="POST", rate_limit=100, rate_limit_window=60.0),
            api("hotels", condition=is_premium, retry_count=0),
            max_concurrent=3,
        ),
        conditional(
            is_premium, then=sequential(api("lounge"), api("upgrade", method="PUT")), otherwise=api("ad")
        ),
        graph(
            api("cart"),
            api("prices", depends_on=["cart"]),
            api("stock", depends_on=["cart"]),
            api("total", depends_on=["prices", "stock", "cart"]),
        ),
    )
