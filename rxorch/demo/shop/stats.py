"""The shop's books as the client side reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

__all__ = ["ServiceStats", "ShopStats"]


@dataclass(frozen=True, slots=True)
class ServiceStats:
    """The counts of one service: see ``rxorch.demo.shop.tally.ServiceTally``."""

    requests: int
    connections: int
    in_flight: int
    peak: int
    endings: Mapping[str, int]
    faults: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShopStats:
    """The counts of the whole shop: see ``rxorch.demo.shop.tally.Tally``."""

    requests: int
    in_flight: int
    peak: int
    orders_peak: int
    services: Mapping[str, ServiceStats]
    effects: Mapping[str, Mapping[str, int]]
    replays: Mapping[str, int]
    charged: Mapping[str, int]
    holdings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> Self:
        """Read what ``Tally.report`` wrote."""
        services = {name: ServiceStats(**counts) for name, counts in report["services"].items()}
        return cls(**{**report, "services": services})

    @property
    def faults(self) -> dict[str, int]:
        """Faults by kind, over all services, the most frequent first."""
        total: dict[str, int] = {}
        for service in self.services.values():
            for kind, count in service.faults.items():
                total[kind] = total.get(kind, 0) + count
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def effected_twice(self, service: str) -> int:
        """How many idempotency keys of ``service`` took effect more than once."""
        return sum(1 for count in self.effects.get(service, {}).values() if count > 1)

    @property
    def charged_twice(self) -> int:
        """How many orders were charged more than once."""
        return sum(1 for count in self.charged.values() if count > 1)
