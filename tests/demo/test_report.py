"""The invariants: they hold for honest books, and each broken book breaks its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rxorch.demo.invariants import at_most, equal, lines_of
from rxorch.demo.report import OrdersReport
from rxorch.demo.shop import SERVICES, ServiceStats, ShopStats
from rxorch.demo.summary import orders_lines, verdict
from rxorch.demo.tour import TourReport, Visit
from rxorch.draw import Timeline
from rxorch.terminal.ink import Ink


def service(**counts: Any) -> ServiceStats:
    honest = {"requests": 2, "connections": 1, "in_flight": 0, "peak": 2, "endings": {"200": 2}, "faults": {}}
    return ServiceStats(**{**honest, **counts})


def stats(**counts: Any) -> ShopStats:
    honest: dict[str, Any] = {
        "requests": 16,
        "in_flight": 0,
        "peak": 3,
        "orders_peak": 2,
        "services": {name: service() for name in SERVICES},
        "effects": {"payment": {"payment/a": 1, "payment/b": 1}},
        "replays": {},
        "charged": {"a": 1, "b": 1},
    }
    return ShopStats(**{**honest, **counts})


HONEST = OrdersReport(
    number=2,
    cap=2,
    seconds=1.0,
    fates={"shipped": 2},
    single_runs=2,
    shipped=2,
    shipped_and_charged_once=2,
    attempt_failures={},
    retries=0,
    calls=16,
    breaker_changes=((0.5, "user", "closed", "open"), (0.75, "user", "open", "half_open")),
    order_p50=0.1,
    order_p95=0.2,
    call_p50=0.01,
    call_p95=0.02,
    sent=dict.fromkeys(SERVICES, 2),
    transport_sends=16,
    stats=stats(),
)

TOUR = TourReport((Visit("PARALLEL", "all at once", 0.1, (), Timeline((), 0.0, 0.0), sent=3, counted=3),))


def broken(report: OrdersReport) -> list[str]:
    return [each.claim for each in report.invariants if not each.holds]


def test_honest_books_hold() -> None:
    assert broken(HONEST) == []


@pytest.mark.parametrize(
    ("change", "claims"),
    [
        (
            {"sent": {**dict.fromkeys(SERVICES, 2), "users": 3}},
            ["requests to users: client, service", "requests in total: client, services"],
        ),
        ({"transport_sends": 17}, ["requests in total: transport, services"]),
        ({"single_runs": 1}, ["orders with exactly one outcome, of all"]),
        ({"shipped_and_charged_once": 1}, ["orders charged exactly once, of those shipped"]),
        ({"stats": stats(in_flight=1)}, ["requests in flight at the end"]),
        ({"stats": stats(orders_peak=3)}, ["orders in flight, seen by the services; the cap"]),
        ({"stats": stats(charged={"a": 2, "b": 1})}, ["orders charged more than once"]),
        ({"stats": stats(effects={"shipping": {"k": 2}})}, ["idempotency keys used twice by shipping"]),
        (
            {"stats": stats(services={**stats().services, "fraud": service(peak=3)})},
            ["requests in flight at the busiest service; the cap"],
        ),
        (
            {"stats": stats(services={**stats().services, "fraud": service(endings={"200": 1})})},
            ["requests whose end the services know, of all"],
        ),
    ],
)
def test_each_wrong_number_breaks_its_claim(change: dict[str, Any], claims: list[str]) -> None:
    assert broken(replace(HONEST, **change)) == claims


def test_both_numbers_are_printed_and_a_broken_claim_says_how() -> None:
    lines = lines_of([equal("a, b", 1000, 1000), equal("c, d", 1, 2), at_most("e, f", 3, 2)], Ink())
    assert [line.split() for line in lines] == [
        ["✓", "a,", "b", "1,000", "=", "1,000"],
        ["✗", "c,", "d", "1", "!=", "2"],
        ["✗", "e,", "f", "3", ">", "2"],
    ]


def test_the_verdict_names_what_is_shown_nowhere_else_and_all_that_is_broken() -> None:
    text = "\n".join(verdict(TOUR, HONEST, Ink()))
    assert "requests to users" not in text
    assert text.endswith("all 22 invariants hold")
    bad_tour = TourReport((replace(TOUR.visits[0], counted=4),))
    bad = replace(HONEST, sent={**HONEST.sent, "users": 3})
    text = "\n".join(verdict(bad_tour, bad, Ink()))
    assert "✗  requests in mode PARALLEL: client, services" in text
    assert "✗  requests to users: client, service" in text
    assert text.endswith("3 of 22 invariants do not hold")


def test_the_summary_shows_numbers_of_both_sides_and_the_breakers() -> None:
    lines = list(orders_lines(HONEST, Ink()))
    users = next(line.split() for line in lines if "users" in line)
    assert users == ["users", "2", "2", "✓", "2"]
    assert "  user  open 0.50 s → half-open 0.75 s" in lines
    assert not any("not shipped" in line for line in lines)
    stranded = replace(HONEST, shipped=1)
    assert any(
        "orders charged, not shipped" in line and " 1 " in line for line in orders_lines(stranded, Ink())
    )


def test_many_numbers_go_over_several_lines_that_fit() -> None:
    changes = tuple((float(at), "notification", "closed", "half_open") for at in range(20))
    failures = {"503": 1_146, "reset": 67, "timeout": 28, "404": 19}
    report = replace(HONEST, breaker_changes=changes, attempt_failures=failures)
    lines = list(orders_lines(report, Ink()))
    assert max(map(len, lines)) <= 80
    at = lines.index("  attempts that failed    1,260  1,146 503, 67 reset, 28 timeout,")
    assert lines[at + 1].split() == ["19", "404"]
    assert [line.split()[-2:] for line in lines if "20 changes" in line] == [["20", "changes"]]


def test_json_has_both_sides() -> None:
    document = HONEST.as_json()
    assert document["requests"] == {"client": 16, "transport": 16, "services": 16}
    assert document["services"]["users"]["client"] == document["services"]["users"]["service"] == 2
    assert document["breaker_changes"][0] == {"at": 0.5, "endpoint": "user", "from": "closed", "to": "open"}
    assert document["order_ms"] == {"p50": 100.0, "p95": 200.0}
