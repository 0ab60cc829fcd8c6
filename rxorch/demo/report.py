"""What came of a stream of orders, as numbers, and the claims that must hold about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rxorch.demo.invariants import Invariant, at_most, equal
from rxorch.demo.shop import ShopStats

__all__ = ["DECLINED", "PUT_OFF", "SHIPPED", "OrdersReport"]

SHIPPED = "shipped"
"""Everything went well."""

PUT_OFF = "shipped, message put off"
"""The parcel is under way, but the customer could not be told yet."""

DECLINED = "declined by the fraud check"
"""Nothing was charged."""

_EFFECTS = ("payment", "inventory", "shipping", "notification")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersReport:
    """What came of a stream of orders. Durations are seconds.

    Attributes:
        number: orders in the stream.
        cap: orders that were allowed in flight at once.
        seconds: the whole took.
        fates: how orders ended -> how many.
        single_runs: orders that had exactly one outcome.
        shipped: orders that were shipped, as the client knows it.
        shipped_and_charged_once: those of them that the payment service charged exactly once.
        attempt_failures: kinds of failed attempts -> how many.
        retries: attempts beyond the first of their call.
        calls: calls of endpoints.
        breaker_changes: seconds since the start, endpoint, old state, new state.
        order_p50: half of the orders took no longer; ``order_p95``: 95 % of them.
        call_p50: the same for calls, their retries included; ``call_p95`` likewise.
        sent: service -> requests that the client's metrics count.
        transport_sends: requests that the client's transport counts.
        stats: what the services counted.
    """

    number: int
    cap: int
    seconds: float
    fates: Mapping[str, int]
    single_runs: int
    shipped: int
    shipped_and_charged_once: int
    attempt_failures: Mapping[str, int]
    retries: int
    calls: int
    breaker_changes: tuple[tuple[float, str, str, str], ...]
    order_p50: float
    order_p95: float
    call_p50: float
    call_p95: float
    sent: Mapping[str, int]
    transport_sends: int
    stats: ShopStats

    @property
    def per_service(self) -> tuple[Invariant, ...]:
        """Client and service counted the same requests, for each service."""
        return tuple(
            equal(f"requests to {name}: client, service", sent, self.stats.services[name].requests)
            for name, sent in self.sent.items()
        )

    @property
    def in_total(self) -> Invariant:
        """The same for all services together."""
        return equal("requests in total: client, services", sum(self.sent.values()), self.stats.requests)

    @property
    def invariants(self) -> tuple[Invariant, ...]:
        """Everything that must hold, whatever went wrong on the way."""
        stats = self.stats
        endings = sum(sum(service.endings.values()) for service in stats.services.values())
        busiest = max(service.peak for service in stats.services.values())
        return (
            *self.per_service,
            self.in_total,
            equal("requests in total: transport, services", self.transport_sends, stats.requests),
            equal("requests whose end the services know, of all", endings, stats.requests),
            equal("requests in flight at the end", stats.in_flight, 0),
            at_most("orders in flight, seen by the services; the cap", stats.orders_peak, self.cap),
            at_most("requests in flight at the busiest service; the cap", busiest, self.cap),
            equal("orders with exactly one outcome, of all", self.single_runs, self.number),
            equal(
                "orders charged exactly once, of those shipped", self.shipped_and_charged_once, self.shipped
            ),
            equal("orders charged more than once", stats.charged_twice, 0),
            *(
                equal(f"idempotency keys used twice by {name}", stats.effected_twice(name), 0)
                for name in _EFFECTS
            ),
        )

    def as_json(self) -> dict[str, Any]:
        """The report as plain data; durations in milliseconds but for ``seconds`` and ``at``."""
        stats = self.stats
        return {
            "orders": self.number,
            "seconds": round(self.seconds, 3),
            "outcomes": dict(self.fates),
            "calls": self.calls,
            "retries": self.retries,
            "failed_attempts": dict(self.attempt_failures),
            "replays": dict(stats.replays),
            "breaker_changes": [
                {"at": round(at, 3), "endpoint": endpoint, "from": old, "to": new}
                for at, endpoint, old, new in self.breaker_changes
            ],
            "order_ms": {"p50": _ms(self.order_p50), "p95": _ms(self.order_p95)},
            "call_ms": {"p50": _ms(self.call_p50), "p95": _ms(self.call_p95)},
            "peak": {"orders": stats.orders_peak, "requests": stats.peak, "cap": self.cap},
            "requests": {
                "client": sum(self.sent.values()),
                "transport": self.transport_sends,
                "services": stats.requests,
            },
            "services": {
                name: {
                    "client": self.sent[name],
                    "service": service.requests,
                    "peak": service.peak,
                    "endings": dict(service.endings),
                    "faults": dict(service.faults),
                }
                for name, service in stats.services.items()
            },
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
