"""What came of orders that are sagas, and the claims that must hold about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rxorch.demo.invariants import Invariant, equal, lines_of
from rxorch.demo.shop import ShopStats
from rxorch.saga import RunPicture, SagaState
from rxorch.terminal.ink import Ink, columns, count, share
from rxorch_operators._seconds import seconds_words

__all__ = ["SagaReport", "cause_of", "saga_lines"]

_EFFECTS: Final = (
    ("payment", "payment refund"),
    ("inventory", "inventory release"),
    ("shipping", "shipping cancel"),
)
_NOUNS: Final = {"payment": "payments", "inventory": "reservations", "shipping": "shipments"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaReport:
    """What came of orders that are sagas. Durations are seconds.

    Attributes:
        number: orders that were to be made.
        cap: orders that were allowed under way at once.
        seconds: the whole took.
        cents: order -> what it costs.
        states: order -> how its run ended, as the journal has it.
        causes: why orders were undone -> how many.
        undone: step -> how often it was undone.
        resumed: runs that were under way when the saga was closed, and were gone on with.
        cancelled: orders that were asked to be undone while they were made.
        attempt_failures: kinds of failed requests -> how many.
        retries: requests beyond the first of their call.
        p50: half of the orders took no longer; ``p95``: 95 % of them.
        picture: of a run of which much was undone; None if there is none.
        stats: what the services counted.
    """

    number: int
    cap: int
    seconds: float
    cents: Mapping[str, int]
    states: Mapping[str, SagaState]
    causes: Mapping[str, int]
    undone: Mapping[str, int]
    resumed: int
    cancelled: int
    attempt_failures: Mapping[str, int]
    retries: int
    p50: float
    p95: float
    picture: RunPicture | None
    stats: ShopStats

    @property
    def completed(self) -> frozenset[str]:
        """The orders that are completed."""
        return frozenset(order for order, state in self.states.items() if state is SagaState.COMPLETED)

    @property
    def invariants(self) -> tuple[Invariant, ...]:
        """Everything that must hold, whatever went wrong on the way."""
        completed, stats = self.completed, self.stats
        held = {service: stats.holdings.get(service, {}) for service in _NOUNS}
        over = sum(state.is_over for state in self.states.values())
        return (
            equal("runs that are over, of all orders", over, self.number),
            equal("runs that a person has to look at", Counter(self.states.values())[SagaState.FAILED], 0),
            equal(
                "cents charged and not given back; of the orders completed",
                sum(held["payment"].values()),
                sum(self.cents[order] for order in completed),
            ),
            *(
                equal(f"{noun} held for completed orders, of those orders",
                      len(completed & held[service].keys()), len(completed))
                for service, noun in _NOUNS.items()
            ),
            *(
                equal(f"{noun} left of orders that were undone", len(held[service].keys() - completed), 0)
                for service, noun in _NOUNS.items()
            ),
            *(
                equal(
                    f"idempotency keys used twice by {names[0]}",
                    sum(stats.effected_twice(name) for name in names),
                    0,
                )
                for names in _EFFECTS
            ),
            equal("orders charged more than once", stats.charged_twice, 0),
            equal("requests in flight at the end", stats.in_flight, 0),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """The report as plain data; durations in milliseconds but for ``seconds``."""
        states = Counter(str(state) for state in self.states.values())
        return {
            "orders": self.number,
            "seconds": round(self.seconds, 3),
            "states": dict(states.most_common()),
            "causes": dict(self.causes),
            "steps_undone": dict(self.undone),
            "resumed": self.resumed,
            "cancelled": self.cancelled,
            "failed_attempts": dict(self.attempt_failures),
            "retries": self.retries,
            "replays": dict(self.stats.replays),
            "order_ms": {"p50": round(self.p50 * 1000, 1), "p95": round(self.p95 * 1000, 1)},
            "requests": self.stats.requests,
        }


def cause_of(error: Mapping[str, str]) -> str:
    """Why a run was undone, in a few words: the step, and what was wrong with it."""
    if error.get("type") == "cancelled":
        return "cancelled by the customer"
    status = re.match(r"HTTP (\d{3})\b", error.get("message", ""))
    return f"{error.get('step', '')}: {error.get('type', '') if status is None else status[1]}"


def saga_lines(report: SagaReport, ink: Ink) -> Iterator[str]:
    """The summary for people, with the invariants at its end."""
    yield from _table(ink("Outcomes", "bold"), _outcomes(report, ink), "<>>")
    yield from _table(ink("On the way", "bold"), _troubles(report), "<><")
    if report.picture is not None:
        yield ink("One that was undone", "bold")
        text = report.picture.text(ascii=not ink.unicode, paint=ink)
        yield from (f"  {line}" for line in text.splitlines())
        yield ""
    every = report.invariants
    yield ink("What must hold", "bold")
    yield from lines_of(every, ink)
    yield ""
    broken = sum(1 for each in every if not each.holds)
    if broken:
        yield ink(f"{broken} of {len(every)} invariants do not hold", "red", "bold")
    else:
        yield ink(f"all {len(every)} invariants hold", "green", "bold")


def _table(title: str, rows: list[list[str]], align: str) -> Iterator[str]:
    yield title
    for line in columns(rows, align):
        yield f"  {line}"
    yield ""


def _outcomes(report: SagaReport, ink: Ink) -> list[list[str]]:
    states = Counter(report.states.values())
    rows = [_row(ink("completed", "green"), states[SagaState.COMPLETED], report, ink)]
    rows.append(_row(ink("undone", "yellow"), states[SagaState.COMPENSATED], report, ink))
    rows += [_row(ink(f"  {cause}", "dim"), number, report, ink) for cause, number in report.causes.items()]
    if states[SagaState.FAILED]:
        rows.append(_row(ink("dead letters", "red"), states[SagaState.FAILED], report, ink))
    return rows


def _row(label: str, number: int, report: SagaReport, ink: Ink) -> list[str]:
    return [label, count(number), ink(share(number, report.number), "dim")]


def _troubles(report: SagaReport) -> list[list[str]]:
    return [
        ["requests that failed", *_summed(report.attempt_failures)],
        ["requests repeated", count(report.retries), ""],
        ["repeats without effect", *_summed(report.stats.replays)],
        ["steps undone", *_summed(report.undone)],
        ["runs resumed", count(report.resumed), "the saga was closed in the middle, and another went on"],
        ["one order", "", f"p50 {seconds_words(report.p50)}, p95 {seconds_words(report.p95)}"],
    ]


def _summed(numbers: Mapping[str, int]) -> list[str]:
    kinds = ", ".join(f"{count(number)} {kind}" for kind, number in numbers.items())
    return [count(sum(numbers.values())), kinds]
