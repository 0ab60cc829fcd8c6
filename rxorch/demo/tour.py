"""The six modes, once each, on a shop that is more unreliable than usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rxorch import (
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    OrchestrationMode,
    OrchestrationResult,
    Outcome,
    OutcomeStatus,
)
from rxorch import events as ev
from rxorch.demo.calls import ask, get, once
from rxorch.demo.invariants import Invariant, equal
from rxorch.demo.order_flow import order_endpoints
from rxorch.demo.shop import ORDER_HEADER, Faults, Shop
from rxorch.draw import CallRecord, Timeline, waterfall
from rxorch.draw.error_words import error_word

__all__ = ["Row", "Stop", "TourReport", "Visit", "stops", "take_tour"]

_ATTEMPT_TIMEOUT = 0.1

FAULTS = Faults(
    unavailable=0.16,
    rate_limited=0,
    reset=0.1,
    timeout=0.04,
    slow=0.02,
    latency=0.012,
    spread=0.4,
    slow_seconds=0.5,
)
"""Bad weather: about every third request fails."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One mode to show: what is orchestrated, and the input."""

    mode: OrchestrationMode
    says: str
    endpoints: Sequence[APIEndpoint]
    data: Mapping[str, Any]
    max_concurrent: int = 10


@dataclass(frozen=True, slots=True)
class Row:
    """What happened to one endpoint. ``seconds`` is None if it never started."""

    name: str
    outcome: str
    attempts: int
    seconds: float | None
    note: str
    calls: tuple[CallRecord, ...]

    def as_json(self) -> dict[str, Any]:
        """The row without its calls."""
        ms = None if self.seconds is None else round(self.seconds * 1000, 1)
        return {
            "endpoint": self.name,
            "outcome": self.outcome,
            "attempts": self.attempts,
            "ms": ms,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of one stop."""

    mode: str
    says: str
    seconds: float
    rows: tuple[Row, ...]
    timeline: Timeline
    sent: int
    counted: int

    @property
    def invariant(self) -> Invariant:
        """Both sides counted the same."""
        return equal(f"requests in mode {self.mode}: client, services", self.sent, self.counted)


@dataclass(frozen=True, slots=True)
class TourReport:
    """What came of the whole tour."""

    visits: tuple[Visit, ...]

    @property
    def invariants(self) -> tuple[Invariant, ...]:
        """One for each mode."""
        return tuple(visit.invariant for visit in self.visits)


async def take_tour(seed: int) -> TourReport:
    """Run each mode once; ``seed``: of the faults."""
    async with Shop(seed, FAULTS) as shop:
        return TourReport(tuple([await visit(stop, shop) for stop in stops(shop.urls)]))


async def visit(stop: Stop, shop: Shop) -> Visit:
    """Run one mode, and compare what both sides counted."""
    await shop.reset()
    config = APIOrchestrationConfig(
        endpoints=list(stop.endpoints),
        mode=stop.mode,
        max_concurrent=stop.max_concurrent,
        retry_budget=False,  # made for many calls: of these few it would refuse to repeat the fourth
    )
    async with APIOrchestrator(config) as orchestrator:
        result = await orchestrator.execute(stop.data)
        assert isinstance(result, OrchestrationResult)
        sent = orchestrator.get_metrics().total_requests
    counted = (await shop.stats()).requests
    timeline = waterfall(result).timeline
    rows = rows_of(result, timeline)
    return Visit(stop.mode.name, stop.says, result.duration, rows, timeline, sent, counted)


def rows_of(result: OrchestrationResult, timeline: Timeline) -> tuple[Row, ...]:
    """One row for each endpoint, in their order."""
    rows = []
    for name, outcome in result.outcomes.items():
        failures = [
            error_word(event.error)
            for event in result.events
            if isinstance(event, ev.AttemptFailed) and event.endpoint == name
        ]
        seconds = outcome.duration if outcome.started is not None else None
        word = "degraded" if outcome.degraded else str(outcome.status)
        note = _note(outcome, failures)
        calls = tuple(call for call in timeline.calls if call.endpoint == name)
        rows.append(Row(name, word, outcome.attempts, seconds, note, calls))
    return tuple(rows)


def _note(outcome: Outcome, failures: Sequence[str]) -> str:
    if outcome.status is OutcomeStatus.SKIPPED:
        return "condition is false" if outcome.error is None else outcome.reason or ""
    if outcome.status is OutcomeStatus.OK and not outcome.degraded:
        return ", ".join(failures)
    trouble = ", ".join(failures) or error_word(outcome.error)
    return f"{trouble}: substitute used" if outcome.degraded else trouble


def stops(urls: Mapping[str, str]) -> list[Stop]:
    """The six modes with something to orchestrate for each."""
    return [
        _sequential(urls),
        _parallel(urls),
        _fanout(urls),
        _pipeline(urls),
        _conditional(urls),
        _hybrid(urls),
    ]


def _every(stop: str) -> dict[str, Any]:
    """What all endpoints of a stop have in common. The header makes the faults of each stop its own."""
    return {"headers": {ORDER_HEADER: f"tour-{stop}"}, "timeout": _ATTEMPT_TIMEOUT}


def _sequential(urls: Mapping[str, str]) -> Stop:
    every = _every("sequential")

    def basket(data: Mapping[str, Any]) -> dict[str, Any]:
        return {"price_cents": data["product"]["price_cents"], "quantity": 2, "tier": data["user"]["tier"]}

    endpoints = [
        get("user", urls["users"] + "/users/{user}", **every),
        get("product", urls["catalogue"] + "/products/{sku}", **every),
        ask("quote", urls["pricing"] + "/quote", basket, depends_on=["user", "product"], **every),
    ]
    data = {"user": 7, "sku": "SKU-0042"}
    return Stop(
        OrchestrationMode.SEQUENTIAL, "one after another, each sees what came before", endpoints, data
    )


def _parallel(urls: Mapping[str, str]) -> Stop:
    every = _every("parallel")
    products = {"lamp": "SKU-0008", "kettle": "SKU-0031", "desk": "SKU-0054", "retired": "SKU-0099"}
    endpoints = [get("user", urls["users"] + "/users/{user}", **every)]
    endpoints += [get(name, f"{urls['catalogue']}/products/{sku}", **every) for name, sku in products.items()]
    return Stop(
        OrchestrationMode.PARALLEL,
        "three at a time; one is retired, the others go on",
        endpoints,
        {"user": 7},
        max_concurrent=3,
    )


def _fanout(urls: Mapping[str, str]) -> Stop:
    every = _every("fanout")

    def message_to(name: str) -> APIEndpoint:
        def message(data: Mapping[str, Any]) -> dict[str, Any]:
            return {"order": f"{data['order']}/{name}", "to": f"{name}@example.com", "text": data["text"]}

        return once(name, urls["notification"] + "/messages", message, **every)

    endpoints = [message_to(name) for name in ("customer", "warehouse", "accounting")]
    data = {"order": "tour-fanout", "text": "The parcel has left."}
    return Stop(OrchestrationMode.FANOUT, "one input to all at once", endpoints, data)


def _pipeline(urls: Mapping[str, str]) -> Stop:
    every = _every("pipeline")

    def basket(product: Mapping[str, Any]) -> dict[str, Any]:
        return {"price_cents": product["price_cents"], "quantity": 3, "tier": "premium"}

    def amount(quote: Mapping[str, Any]) -> dict[str, Any]:
        return {"order": "tour-pipeline", "amount_cents": quote["amount_cents"]}

    endpoints = [
        get("product", urls["catalogue"] + "/products/{sku}", **every),
        ask("quote", urls["pricing"] + "/quote", basket, **every),
        ask("fraud", urls["fraud"] + "/check", amount, **every),
    ]
    return Stop(
        OrchestrationMode.PIPELINE,
        "the output of one is the input of the next",
        endpoints,
        {"sku": "SKU-0042"},
    )


def _conditional(urls: Mapping[str, str]) -> Stop:
    every = _every("conditional")

    def amount(data: Mapping[str, Any]) -> dict[str, Any]:
        return {"order": data["order"], "amount_cents": data["amount_cents"]}

    def parcel(data: Mapping[str, Any]) -> dict[str, Any]:
        return {"order": data["order"], "country": "NL", "weight_g": 800}

    def large(data: Mapping[str, Any]) -> bool:
        return bool(data["amount_cents"] >= 20_000)

    def express(data: Mapping[str, Any]) -> bool:
        return bool(data["express"])

    paid: dict[str, Any] = {"depends_on": ["payment"], **every}
    parcels = urls["shipping"] + "/shipments"
    endpoints = [
        ask("fraud", urls["fraud"] + "/check", amount, condition=large, **every),
        once("payment", urls["payment"] + "/charges", amount, **every),
        once("express", parcels, parcel, condition=express, **paid),
        once("parcel", parcels, parcel, condition=lambda data: not express(data), **paid),
    ]
    data = {"order": "tour-conditional", "amount_cents": 25_000, "express": False}
    return Stop(OrchestrationMode.CONDITIONAL, "only those whose condition holds", endpoints, data)


def _hybrid(urls: Mapping[str, str]) -> Stop:
    return Stop(
        OrchestrationMode.HYBRID,
        "each starts once what it needs is done",
        order_endpoints(urls, timeout=_ATTEMPT_TIMEOUT),
        {"order": "tour-hybrid", "user": 7, "sku": "SKU-0042", "quantity": 3},
    )
