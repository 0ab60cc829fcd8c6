"""Sections of a report on what was declared: the flow with its results, the worst case, the settings."""

from __future__ import annotations

import math
from typing import Any, Final

from rxorch.config import APIOrchestrationConfig
from rxorch.draw.aftermath import with_results
from rxorch.draw.cards import card_of
from rxorch.draw.cards_html import Html, and_more, chip, details, joined, line, muted, strong, table
from rxorch.draw.facts import printable, settings_of
from rxorch.draw.reporting.page import picture, wide_table
from rxorch.draw.scene import scene_of
from rxorch.draw.subject import Drawable, Subject
from rxorch.draw.svg import svg_of
from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.endpoint import APIEndpoint
from rxorch.flow.plan import walk
from rxorch.http.redaction import redact_url
from rxorch.orchestrator import APIOrchestrator
from rxorch_operators._seconds import seconds_words

__all__ = ["flow", "flow_svg", "names", "settings", "settings_line", "too_many", "worst"]

_DRAWN: Final = 150
"""Endpoints up to which a flow is drawn."""
_MOST_ROWS: Final = 50
_MOST_FINDINGS: Final = 20


def flow(subject: Subject, chronicle: Chronicle) -> Html:
    """The flow with its results."""
    svg = flow_svg(subject, chronicle)
    return picture(svg, "flow") if svg else too_many(subject)


def flow_svg(subject: Subject, chronicle: Chronicle) -> str | None:
    """The flow with its results as SVG; None, if it is too large for a picture."""
    if _endpoints(subject) > _DRAWN:
        return None
    return svg_of(with_results(scene_of(subject, None), chronicle))


def too_many(subject: Subject) -> Html:
    """What stands in the place of a picture."""
    return muted(f"{_endpoints(subject):,} endpoints are too many for a picture.")


def _endpoints(subject: Subject) -> int:
    return sum(1 for _ in walk(subject.plan.root))


def names(subject: Subject) -> list[str]:
    """The names of the endpoints, as they were written."""
    return [printable(redact_url(call.endpoint.name)) for call in walk(subject.plan.root)]


def settings(what: Drawable, subject: Subject) -> Html:
    """What held for the run."""
    if isinstance(what, APIOrchestrator | APIOrchestrationConfig | APIEndpoint):
        return Html(card_of(what))
    return settings_line(subject)


def settings_line(subject: Subject) -> Html:
    """What held for the run as a whole, in words."""
    return line(*(chip(word) for word in settings_of(subject.config)))


def worst(what: Drawable, chronicle: Chronicle) -> Html:
    """What one input can cost at worst, beside what it has cost at most."""
    from rxorch.worst_case import worst_case  # which knows what is drawn

    case, totals = worst_case(what), chronicle.totals
    whole = (
        strong("a run"),
        _number(case.requests),
        f"{chronicle.most_requests:,}" if chronicle.begun else "",
        _time(case.seconds),
        seconds_words(chronicle.durations.max) if chronicle.begun else "",
    )
    rows: list[tuple[object, ...]] = [whole]
    for cost in case.endpoints[:_MOST_ROWS]:
        total = totals[printable(redact_url(cost.name))]
        seen = total.durations.count
        rows.append(
            (
                cost.name,
                _number(cost.requests),
                f"{total.most_attempts:,}" if seen else "",
                _time(cost.seconds),
                seconds_words(total.durations.max) if seen else "",
            )
        )
    head = ("", "requests at worst", "most there were", "time at worst", "longest there was")
    return joined([wide_table(table(head, rows, (1, 2, 3, 4))), _findings(case.findings)])


def _findings(findings: Any) -> Html:
    if not findings:
        return Html("")
    rows = [
        (
            chip(each.level, "warned" if each.level == "warning" else "muted"),
            each.endpoint or "",
            each.message,
        )
        for each in findings[:_MOST_FINDINGS]
    ]
    more = len(findings) - len(rows)
    return details(f"{len(findings)} findings", table((), rows), and_more(more))


def _number(value: float) -> str:
    return "any" if math.isinf(value) else f"{value:,.0f}"


def _time(seconds: float) -> str:
    return "no limit" if math.isinf(seconds) else seconds_words(seconds)
