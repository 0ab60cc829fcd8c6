"""The shop's own books: what reached it, counted apart from anything that the client believes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxorch.demo.shop.faults import Faults, Plan, order_of, plan, request_key

__all__ = ["Gauge", "Holdings", "ServiceTally", "Tally", "Ticket"]


@dataclass(slots=True)
class Gauge:
    """How many are in there now, and how many there were at most."""

    now: int = 0
    peak: int = 0

    def enter(self) -> None:
        """One more."""
        self.now += 1
        self.peak = max(self.peak, self.now)

    def leave(self) -> None:
        """One less."""
        self.now -= 1


@dataclass(slots=True)
class ServiceTally:
    """The counts of one service.

    Attributes:
        requests: requests whose head arrived.
        connections: connections that were accepted.
        flight: requests from the arrival of the head until the answer is written or the client is gone.
        endings: how requests ended: a status, ``"reset"`` (by us), ``"gone"`` (the client left). When nothing
            is in flight they add up to ``requests``.
        faults: faults that were planned, by kind.
    """

    requests: int = 0
    connections: int = 0
    flight: Gauge = field(default_factory=Gauge)
    endings: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {
            "requests": self.requests,
            "connections": self.connections,
            "in_flight": self.flight.now,
            "peak": self.flight.peak,
            "endings": dict(self.endings),
            "faults": dict(self.faults),
        }


@dataclass(slots=True, eq=False)
class Ticket:
    """One request from its arrival to its end. It ends once: leaving after the answer changes nothing."""

    tally: Tally
    service: str
    order: str
    plan: Plan
    open: bool = True

    def end(self, how: str) -> None:
        """The request is over; ``how`` is one of ``ServiceTally.endings``."""
        if self.open:
            self.open = False
            self.tally.ended(self, how)


@dataclass(slots=True)
class Holdings:
    """What a service has made and can take back.

    Attributes:
        kept: key of the request that made it -> order and how much; None: it was taken back.
    """

    kept: dict[str, tuple[str, int] | None] = field(default_factory=dict)

    def report(self) -> dict[str, int]:
        """Order -> how much of it is held."""
        held: Counter[str] = Counter()
        for each in self.kept.values():
            if each is not None:
                held[each[0]] += each[1]
        return dict(held)


@dataclass(slots=True)
class Tally:
    """All counts of one shop since its start or the last reset.

    Attributes:
        flight: requests in flight in all services together.
        orders: distinct orders that have at least one request in flight.
        effects: service -> idempotency key -> how many times it took effect.
        replays: service -> repetitions that were answered from memory.
        charged: order -> how many charges took effect.
        holdings: service -> what it has made and can take back.
    """

    seed: int
    faults: Faults
    services: dict[str, ServiceTally]
    flight: Gauge = field(default_factory=Gauge)
    orders: Gauge = field(default_factory=Gauge)
    effects: dict[str, Counter[str]] = field(default_factory=dict)
    replays: Counter[str] = field(default_factory=Counter)
    charged: Counter[str] = field(default_factory=Counter)
    holdings: dict[str, Holdings] = field(default_factory=dict)
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _in_flight_by_order: Counter[str] = field(default_factory=Counter)

    def arrived(self, service: str, method: str, path: str, headers: Mapping[str, str]) -> Ticket:
        """Count a request and decide what will happen to it."""
        key = request_key(method, path, headers)
        order = order_of(headers)
        seen = self._seen[service, key]
        self._seen[service, key] += 1
        planned = Plan() if path == "/health" else plan(self.seed, self.faults, service, key, seen, order)
        return self._admit(Ticket(self, service, order, planned))

    def arrived_malformed(self, service: str) -> None:
        """Count a request that is not HTTP; aiohttp answers it with 400."""
        self._admit(Ticket(self, service, "", Plan())).end("400")

    def _admit(self, ticket: Ticket) -> Ticket:
        service = self.services[ticket.service]
        service.requests += 1
        service.flight.enter()
        self.flight.enter()
        if ticket.plan.fault:
            service.faults[ticket.plan.fault] += 1
        if ticket.order:
            self._in_flight_by_order[ticket.order] += 1
            if self._in_flight_by_order[ticket.order] == 1:
                self.orders.enter()
        return ticket

    def ended(self, ticket: Ticket, how: str) -> None:
        """Called by ``Ticket.end``."""
        service = self.services[ticket.service]
        service.flight.leave()
        service.endings[how] += 1
        self.flight.leave()
        if ticket.order:
            self._in_flight_by_order[ticket.order] -= 1
            if not self._in_flight_by_order[ticket.order]:
                del self._in_flight_by_order[ticket.order]
                self.orders.leave()

    def took_effect(self, service: str, key: str, order: str) -> None:
        """Count an effect that must not be repeated. An empty ``key`` is booked as ``"-"``."""
        self.effects.setdefault(service, Counter())[key or "-"] += 1
        if service == "payment":
            self.charged[order] += 1

    def connected(self, service: str) -> None:
        """Count an accepted connection."""
        self.services[service].connections += 1

    @property
    def requests(self) -> int:
        """Requests counted in all services."""
        return sum(service.requests for service in self.services.values())

    def report(self) -> dict[str, Any]:
        """Everything as plain data, ready for JSON."""
        return {
            "requests": self.requests,
            "in_flight": self.flight.now,
            "peak": self.flight.peak,
            "orders_peak": self.orders.peak,
            "services": {name: service.report() for name, service in self.services.items()},
            "effects": {name: dict(keys) for name, keys in self.effects.items()},
            "replays": dict(self.replays),
            "charged": dict(self.charged),
            "holdings": {name: holdings.report() for name, holdings in self.holdings.items()},
        }
