"""What the demo found, as lines of text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rxorch.demo.ink import Ink, columns, count, milliseconds, share
from rxorch.demo.invariants import lines_of, mark
from rxorch.demo.report import PUT_OFF, SHIPPED, OrdersReport
from rxorch.demo.tour import Row, TourReport, Visit
from rxorch.demo.waterfall import legend, strip

__all__ = ["orders_lines", "tour_lines", "verdict"]

_NARROWEST, _WIDEST = 16, 60
_BESIDE_STRIP = 76
_LABEL = 11
_COLOURS = {"ok": "green", "degraded": "yellow", "skipped": "dim"}
_MOST_CHANGES = 5
_KINDS = ("503", "429", "reset", "timeout", "slow", "outage")


def tour_lines(report: TourReport, ink: Ink, width: int) -> Iterator[str]:
    """The six modes, a lane for each endpoint. ``width``: of the terminal, in characters."""
    length = max(_NARROWEST, min(_WIDEST, width - _BESIDE_STRIP))
    rows = [[ink(cell, "dim") for cell in ("", "", "outcome", "tries", "time", "")]]
    for visit in report.visits:
        total = max((span.end for row in visit.rows for span in row.spans), default=0.0)
        rows += [_lane(row, total, length, ink) for row in visit.rows]
    lanes = iter(columns(rows, "<<<>><"))
    yield f"{ink('The six modes, once each', 'bold')}   {legend(ink)}"
    yield f"  {next(lanes)}"
    for visit in report.visits:
        yield _headline(visit, ink)
        for _ in visit.rows:
            yield f"  {next(lanes)}"
        yield ""


def _headline(visit: Visit, ink: Ink) -> str:
    claim = visit.invariant
    relation = "=" if claim.holds else "!="
    counted = ink(f"{claim.left} {relation} {claim.right} requests", "dim")
    return f"{ink(f'{visit.mode:<{_LABEL}}', 'cyan')}  {visit.says}  {counted} {mark(claim, ink)}"


def _lane(row: Row, total: float, length: int, ink: Ink) -> list[str]:
    edge = ink(ink.sign("│", "|"), "dim")
    return [
        row.name,
        edge + strip(row.spans, total, length, ink) + edge,
        ink(row.outcome, _COLOURS.get(row.outcome, "red")),
        str(row.attempts) if row.attempts else "",
        milliseconds(row.seconds) if row.seconds is not None else "",
        ink(row.note, "dim"),
    ]


def orders_lines(report: OrdersReport, ink: Ink) -> Iterator[str]:
    """The summary of a stream of orders, without the invariants."""
    yield from _table("outcomes", _fates(report, ink), "<>>", ink)
    yield from _table("on the way", _troubles(report), "<><", ink)
    yield from _table("breakers", _breakers(report, ink), "<<", ink)
    yield from _table("latency", _latencies(report), "<>>", ink)
    yield from _table("services", _services(report, ink), "<>>>>" + ">" * len(_KINDS), ink)


def _table(title: str, rows: list[list[str]], align: str, ink: Ink) -> Iterator[str]:
    for number, line in enumerate(columns(rows, align)):
        label = title if number == 0 else ""
        yield f"{ink(f'{label:<{_LABEL}}', 'bold')}  {line}"
    yield ""


def _fates(report: OrdersReport, ink: Ink) -> list[list[str]]:
    def colour(fate: str) -> str:
        if fate.startswith(("failed", "unknown")):
            return "red"
        return {SHIPPED: "green", PUT_OFF: "yellow"}.get(fate, "dim")

    return [
        [ink(fate, colour(fate)), count(number), ink(share(number, report.number), "dim")]
        for fate, number in report.fates.items()
    ]


def _troubles(report: OrdersReport) -> list[list[str]]:
    failures, replays = report.attempt_failures, report.stats.replays
    rows = [
        ["calls", count(report.calls), ""],
        ["attempts that failed", count(sum(failures.values())), _listed(failures)],
        ["attempts repeated", count(report.retries), ""],
        ["repeats without second effect", count(sum(replays.values())), _listed(replays)],
    ]
    if stranded := len(report.stats.charged) - report.shipped:
        rows.append(["orders charged, not shipped", count(stranded), "money to give back"])
    return rows


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{count(number)} {kind}" for kind, number in numbers.items())


def _breakers(report: OrdersReport, ink: Ink) -> list[list[str]]:
    by_endpoint: dict[str, list[str]] = {}
    for at, endpoint, _, new in report.breaker_changes:
        by_endpoint.setdefault(endpoint, []).append(f"{new.replace('_', '-')} at {at:.2f} s")
    arrow = ink.sign(" → ", " -> ")
    rows = []
    for endpoint, changes in by_endpoint.items():
        left_out = f"{arrow}... ({len(changes)} changes)" if len(changes) > _MOST_CHANGES else ""
        rows.append([endpoint, arrow.join(changes[:_MOST_CHANGES]) + left_out])
    return rows or [["no circuit opened", ""]]


def _latencies(report: OrdersReport) -> list[list[str]]:
    return [
        ["one call", f"p50 {milliseconds(report.call_p50)}", f"p95 {milliseconds(report.call_p95)}"],
        ["one order", f"p50 {milliseconds(report.order_p50)}", f"p95 {milliseconds(report.order_p95)}"],
    ]


def _services(report: OrdersReport, ink: Ink) -> list[list[str]]:
    head = ["", "sent", "counted", "", "peak", *_KINDS]
    rows = [[ink(cell, "dim") for cell in head]]
    stats = report.stats
    for claim, (name, service) in zip(report.per_service, stats.services.items(), strict=True):
        faults = [count(service.faults[kind]) if kind in service.faults else "" for kind in _KINDS]
        rows.append(
            [name, count(claim.left), count(claim.right), mark(claim, ink), count(service.peak), *faults]
        )
    total = report.in_total
    faults = [count(stats.faults[kind]) if kind in stats.faults else "" for kind in _KINDS]
    rows.append(["all", count(total.left), count(total.right), mark(total, ink), count(stats.peak), *faults])
    return rows


def verdict(tour: TourReport, orders: OrdersReport, ink: Ink) -> Iterator[str]:
    """The invariants with their two numbers; those shown beside a mode or a service only if broken."""
    shown = {*tour.invariants, *orders.per_service}
    every = [*tour.invariants, *orders.invariants]
    yield ink("What must hold", "bold")
    yield from lines_of([each for each in every if each not in shown or not each.holds], ink)
    yield ""
    broken = sum(1 for each in every if not each.holds)
    if broken:
        yield ink(f"{broken} of {len(every)} invariants do not hold", "red", "bold")
    else:
        yield ink(f"all {len(every)} invariants hold", "green", "bold")
