"""The shop's books, without HTTP."""

from __future__ import annotations

from rxorch.demo.shop.faults import Faults
from rxorch.demo.shop.services import Desk
from rxorch.demo.shop.tally import ServiceTally, Tally


def books(faults: Faults | None = None) -> Tally:
    return Tally(1, faults or Faults.none(), {"users": ServiceTally(), "fraud": ServiceTally()})


def test_peaks_are_kept_per_service_and_over_all() -> None:
    tally = books()
    first = tally.arrived("users", "GET", "/users/1", {})
    second = tally.arrived("fraud", "POST", "/check", {})
    first.end("200")
    third = tally.arrived("users", "GET", "/users/2", {})
    second.end("200")
    third.end("200")
    assert (tally.flight.now, tally.flight.peak, tally.requests) == (0, 2, 3)
    assert {name: service.flight.peak for name, service in tally.services.items()} == {"users": 1, "fraud": 1}


def test_an_order_with_two_requests_in_flight_is_one_order() -> None:
    tally = books()
    order, other = {"X-Order-Id": "order-1"}, {"X-Order-Id": "order-2"}
    tickets = [
        tally.arrived("users", "GET", "/users/1", order),
        tally.arrived("fraud", "POST", "/check", order),
    ]
    assert (tally.orders.now, tally.orders.peak) == (1, 1)
    tickets[0].end("200")
    assert tally.orders.now == 1
    tickets.append(tally.arrived("users", "GET", "/users/2", other))
    assert tally.orders.peak == 2
    for ticket in tickets:
        ticket.end("200")
    assert tally.orders.now == 0


def test_a_request_ends_once() -> None:
    tally = books()
    ticket = tally.arrived("users", "GET", "/users/1", {})
    ticket.end("gone")
    ticket.end("200")
    assert tally.services["users"].endings == {"gone": 1}
    assert tally.flight.now == 0


def test_the_health_check_never_meets_a_fault() -> None:
    tally = books(Faults(unavailable=1, rate_limited=0, reset=0, timeout=0, slow=0))
    assert tally.arrived("users", "GET", "/health", {}).plan.fault == ""
    assert tally.arrived("users", "GET", "/users/1", {}).plan.fault == "503"


def test_a_request_that_outlives_a_reset_ends_in_the_old_books() -> None:
    desk = Desk(books())
    ticket = desk.tally.arrived("users", "GET", "/users/1", {"X-Order-Id": "order-1"})
    desk.reset()
    ticket.end("200")
    assert (desk.tally.requests, desk.tally.flight.now, desk.tally.orders.now) == (0, 0, 0)


def test_effects_are_counted_per_key_and_charges_per_order() -> None:
    tally = books()
    tally.took_effect("payment", "a", "order-1")
    tally.took_effect("payment", "b", "order-1")
    tally.took_effect("shipping", "a", "order-1")
    assert tally.effects == {"payment": {"a": 1, "b": 1}, "shipping": {"a": 1}}
    assert tally.charged == {"order-1": 2}
