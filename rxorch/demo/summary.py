"""What the demo found, as lines of text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rxorch.demo.invariants import lines_of, mark
from rxorch.demo.report import PUT_OFF, SHIPPED, OrdersReport
from rxorch.demo.tour import Row, TourReport, Visit
from rxorch.draw.timeline.axis import Axis
from rxorch.draw.timeline.look import SIGNS, WORDS
from rxorch.draw.timeline.records import SegmentKind
from rxorch.draw.timeline.text import runs_of
from rxorch.terminal.ink import Ink, columns, count, share
from rxorch_operators._seconds import seconds_words

__all__ = ["orders_lines", "tour_lines", "verdict"]

_NARROWEST, _WIDEST = 16, 60
_BESIDE_STRIP = 60
_SHORT_NOTE, _LONG_NOTE, _WIDE = 20, 28, 100
_MODE = 11
_COLOURS = {"ok": "green", "degraded": "yellow", "skipped": "dim"}
_INKS = {
    SegmentKind.OK: "green",
    SegmentKind.FAILED: "red",
    SegmentKind.TIMEOUT: "red",
    SegmentKind.BACKOFF: "yellow",
    SegmentKind.RETRY_AFTER: "yellow",
}
"""Colours of a lane; of anything else dim."""
_MOST_CHANGES = 9
_PER_LINE = 3
_KINDS = ("503", "429", "reset", "timeout", "slow", "outage")


def tour_lines(report: TourReport, ink: Ink, width: int) -> Iterator[str]:
    """The six modes, a lane for each endpoint. ``width``: of the terminal, in characters."""
    note = _LONG_NOTE if width >= _WIDE else _SHORT_NOTE
    length = max(_NARROWEST, min(_WIDEST, width - _BESIDE_STRIP - note))
    rows = [[ink(cell, "dim") for cell in ("", "", "outcome", "tries", "time", "")]]
    for visit in report.visits:
        axis = Axis(visit.timeline, length)
        rows += [_lane(row, axis, note, ink) for row in visit.rows]
    lanes = iter(columns(rows, "<<<>><"))
    yield ink("The six modes, once each", "bold")
    yield from _legend(report, ink, width)
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
    return f"{ink(f'{visit.mode:<{_MODE}}', 'cyan')}  {visit.says}  {counted} {mark(claim, ink)}"


def _legend(report: TourReport, ink: Ink, width: int) -> Iterator[str]:
    """What the characters of the lanes mean, in lines."""
    calls = [call for visit in report.visits for row in visit.rows for call in row.calls]
    kinds = {part.kind for call in calls for part in call.segments}
    line, length = "", 0
    for kind in (kind for kind in SIGNS if kind in kinds):
        if length + len(WORDS[kind]) + 4 > width:
            yield line
            line, length = "", 0
        line += f"  {ink(ink.sign(*SIGNS[kind]), _INKS.get(kind, 'dim'))} {WORDS[kind]}"
        length += len(WORDS[kind]) + 4
    yield line


def _strip(row: Row, axis: Axis, ink: Ink) -> str:
    """One lane; each run of equal characters has its colour once."""
    return "".join(
        " " * length if kind is None else ink(ink.sign(*SIGNS[kind]) * length, _INKS.get(kind, "dim"))
        for kind, length in runs_of(row.calls, axis)
    )


def _lane(row: Row, axis: Axis, note: int, ink: Ink) -> list[str]:
    edge = ink(ink.sign("│", "|"), "dim")
    return [
        row.name,
        edge + _strip(row, axis, ink) + edge,
        ink(row.outcome, _COLOURS.get(row.outcome, "red")),
        str(row.attempts) if row.attempts else "",
        seconds_words(row.seconds) if row.seconds is not None else "",
        ink(row.note if len(row.note) <= note else row.note[: note - 3] + "...", "dim"),
    ]


def orders_lines(report: OrdersReport, ink: Ink) -> Iterator[str]:
    """The summary of a stream of orders, without the invariants."""
    yield from _table("Outcomes", _fates(report, ink), "<>>", ink)
    yield from _table("On the way", _troubles(report), "<><", ink)
    yield from _table("Circuit breakers", _breakers(report, ink), "<<", ink)
    yield from _table("Latency", _latencies(report), "<>>", ink)
    yield from _table("Services", _services(report, ink), "<>>>>" + ">" * len(_KINDS), ink)


def _table(title: str, rows: list[list[str]], align: str, ink: Ink) -> Iterator[str]:
    yield ink(title, "bold")
    for line in columns(rows, align):
        yield f"  {line}"
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
        *_listed("attempts that failed", failures),
        ["attempts repeated", count(report.retries), ""],
        *_listed("repeats without effect", replays),
    ]
    if stranded := len(report.stats.charged) - report.shipped:
        rows.append(["orders charged, not shipped", count(stranded), "money to give back"])
    return rows


def _listed(label: str, numbers: Mapping[str, int]) -> Iterator[list[str]]:
    """The sum, and some kinds a line."""
    kinds = [f"{count(number)} {kind}" for kind, number in numbers.items()]
    first, *more = _lines(kinds, ", ") or [""]
    yield [label, count(sum(numbers.values())), first]
    for line in more:
        yield ["", "", line]


def _breakers(report: OrdersReport, ink: Ink) -> list[list[str]]:
    by_endpoint: dict[str, list[str]] = {}
    for at, endpoint, _, new in report.breaker_changes:
        by_endpoint.setdefault(endpoint, []).append(f"{new.replace('_', '-')} {at:.2f} s")
    rows = []
    for endpoint, changes in by_endpoint.items():
        if len(changes) > _MOST_CHANGES:
            changes[_MOST_CHANGES:] = [f"... {len(changes)} changes"]
        first, *more = _lines(changes, ink.sign(" → ", " -> "))
        rows += [[endpoint, first], *(["", line] for line in more)]
    return rows or [["none opened", ""]]


def _lines(items: Sequence[str], separator: str) -> list[str]:
    """Some items a line; each line but the last ends with the separator."""
    chunks = [items[start : start + _PER_LINE] for start in range(0, len(items), _PER_LINE)]
    return [separator.join(chunk) + (separator if chunk is not chunks[-1] else "") for chunk in chunks]


def _latencies(report: OrdersReport) -> list[list[str]]:
    return [
        ["one call", f"p50 {seconds_words(report.call_p50)}", f"p95 {seconds_words(report.call_p95)}"],
        ["one order", f"p50 {seconds_words(report.order_p50)}", f"p95 {seconds_words(report.order_p95)}"],
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
