"""A report within a notebook: as a card with inline styles alone, whose pictures are images; and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rxorch.draw.aftermath import counted
from rxorch.draw.bundle import image_of
from rxorch.draw.cards_html import COLOURS, Html, card, code, details, joined, line, muted, strong, styled
from rxorch.draw.reporting import happened, planned
from rxorch.draw.reporting.page import Figure, Verdict
from rxorch.draw.subject import Drawable, Subject
from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.draw.timeline.picture import Waterfall

__all__ = ["card_of_report", "folded", "heading_of_report", "report_card", "text_of_report"]

_WIDTH: Final = 990
"""Pixels in which a waterfall finds room."""
_MOST_RUNS: Final = 2
_MOST_LINES: Final = 10
_KINDS: Final = {"degraded": "warned"}
"""Colours of cards by those of the page, where the names differ."""


def card_of_report(
    title: str,
    verdict: Verdict,
    figures: list[Figure],
    what: Drawable,
    subject: Subject,
    chronicle: Chronicle,
) -> Html:
    """What a reader asks first is open, what is left is behind its name; the page has more runs."""
    svg = planned.flow_svg(subject, chronicle)
    return report_card(
        title,
        verdict,
        figures,
        folded("errors", happened.errors(chronicle), is_open=True),
        folded("flow", Html(image_of("flow", svg)) if svg else planned.too_many(subject), is_open=True),
        folded("what happened when", joined(_waterfalls(chronicle)), is_open=True),
        folded("endpoints", happened.endpoints(chronicle, planned.names(subject))),
        folded("circuit breakers", happened.breakers(chronicle)),
        folded("worst case", planned.worst(what, chronicle)),
        folded("settings", planned.settings_line(subject)),
    )


def report_card(title: str, verdict: Verdict, figures: Sequence[Figure], *parts: object) -> Html:
    """How it went and the figures, above the parts."""
    sign, kind, words = verdict
    return card(
        styled("font-size:16px;font-weight:600", title, tag="div"),
        line(strong(sign, kind=_KINDS.get(kind, kind)), words),
        styled("margin:8px 0 4px", joined(map(_figure, figures)), tag="div"),
        *parts,
        line(muted("as a page of its own:"), code('.save("report.html")')),
        width=_WIDTH,
    )


def _figure(figure: Figure) -> Html:
    number, word, kind = figure
    colour = f";color:{COLOURS[_KINDS.get(kind, kind)]}" if kind else ""
    return styled(
        "display:inline-block;margin:0 22px 6px 0",
        styled(f"font-size:17px;font-weight:600;line-height:1.3{colour}", number, tag="div"),
        styled(f"font-size:12px;line-height:1.3;color:{COLOURS['muted']}", word, tag="div"),
        tag="div",
    )


def _waterfalls(chronicle: Chronicle) -> Iterator[Html]:
    timeline = chronicle.timeline()
    if not timeline.calls:
        return
    yield Html(image_of("waterfall", Waterfall(timeline).svg()))
    if chronicle.begun <= 1:
        return
    yield happened.sample_note(timeline)
    for run in [*chronicle.failed.values()][:_MOST_RUNS]:
        picture = Waterfall(run.timeline, f"run {run.number:,}")
        yield details(happened.summary_of(run), Html(image_of(picture.title, picture.svg())))


def folded(name: str, part: Html, *, is_open: bool = False) -> Html:
    """A part behind its name; nothing where there is none."""
    return details(name, part, is_open=is_open) if part else part


def text_of_report(title: str, verdict: Verdict, figures: list[Figure], chronicle: Chronicle) -> str:
    """The same as lines: how it went, the figures, what happened when, the errors."""
    parts = [heading_of_report(title, verdict, figures)]
    timeline = chronicle.timeline()
    if timeline.calls:
        parts.append(Waterfall(timeline).text())
    errors = happened.error_counts(chronicle)
    if errors:
        shown = [_error(*each) for each in errors[:_MOST_LINES]]
        more = [f"  … {len(errors) - len(shown):,} more"] if len(errors) > len(shown) else []
        parts.append("\n".join(["errors", *shown, *more]))
    return "\n\n".join(parts)


def heading_of_report(title: str, verdict: Verdict, figures: Sequence[Figure]) -> str:
    """The title, how it went, and the figures: a line each."""
    sign, _, words = verdict
    return f"{title}\n{sign} {words}\n{' · '.join(f'{number} {word}' for number, word, _ in figures)}"


def _error(kind: str, endpoint: str, calls: int, attempts: int) -> str:
    said = [counted(calls, "call")] * bool(calls) + [counted(attempts, "attempt")] * bool(attempts)
    return f"  {kind} · {endpoint} · {', '.join(said)}"
