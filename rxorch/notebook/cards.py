"""How handles are shown: how they stand, in numbers; and what is wrong, if anything is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from rxorch.draw.bundle import chosen_forms
from rxorch.draw.cards_error import error_line
from rxorch.draw.cards_html import (
    COLOURS,
    Html,
    bar,
    card,
    chip,
    chips,
    code,
    cut,
    details,
    joined,
    line,
    muted,
    strong,
    styled,
    table,
)
from rxorch.draw.masking import masked, named_error
from rxorch.notebook.figures import Figures
from rxorch.notebook.status import HandleState, Status
from rxorch_operators._seconds import seconds_words

if TYPE_CHECKING:
    from rxorch.notebook.background import Backgrounds
    from rxorch.notebook.handle import RunHandle

__all__ = ["backgrounds_card", "card_bundle", "status_bundle", "status_line"]

_SIGNS: Final = {
    HandleState.WAITING: ("○", "muted"),
    HandleState.RUNNING: ("●", "busy"),
    HandleState.DONE: ("✓", "ok"),
    HandleState.FAILED: ("✗", "failed"),
    HandleState.INTERRUPTED: ("■", "warned"),
    HandleState.CLOSED: ("■", "muted"),
}
_NUMBERS: Final = {"ok": "ok", "failed": "failed", "cut off": "warned", "retries": "warned"}
_TALLEST: Final = 28
_MOST_CAUSES: Final = 3


def card_bundle(
    what: RunHandle, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> dict[str, Any]:
    """What `_repr_mimebundle_` gives of a handle: how it stands now."""
    return chosen_forms(status_bundle(what.status), include, exclude)


def status_bundle(status: Status) -> dict[str, Any]:
    """How a handle stands, in every form."""
    return {"text/plain": status_line(status), "text/html": status_card(status)}


def status_line(status: Status) -> str:
    """How a handle stands, in one line."""
    figures = status.figures
    facts = ", ".join(f"{value} {label}" for label, value in figures.facts())
    of = "" if figures.total is None else f" of {figures.total:,}"
    error = "" if status.error is None else f": {named_error(status.error)}"
    return f"{masked(status.name, 60)} {status.state}, {_time(figures)}: {facts}{of}{error}"


def status_card(status: Status) -> Html:
    """The panel."""
    figures = status.figures
    sign, kind = _SIGNS[status.state]
    done = f"{figures.done:,}" if figures.total is None else f"{figures.done:,}/{figures.total:,}"
    numbers = [_number("done", done, "")] + [
        _number(label, value, _NUMBERS.get(label, "") if value != "0" else "")
        for label, value in figures.facts()
    ]
    return card(
        line(
            strong(f"{sign} {status.state}", kind=kind), code(masked(status.name, 60)), muted(_time(figures))
        ),
        _progress(status),
        styled("margin:4px 0", *numbers, _rate(figures.bars), tag="div"),
        line(chips([chip(f"{name}: circuit open", "failed") for name in figures.open_breakers])),
        _error(status.error),
    )


def backgrounds_card(handles: Backgrounds) -> Html:
    """All background runs with how they stand."""
    if not handles:
        return card(line(muted("nothing runs in the background")))
    rows = []
    for name, handle in handles.items():
        figures = handle.status.figures
        sign, kind = _SIGNS[handle.state]
        error = handle.error
        rows.append(
            (
                strong(masked(name, 40)),
                chip(f"{sign} {handle.state}", kind),
                f"{figures.done:,}",
                f"{figures.failed:,}",
                _time(figures),
                "" if error is None else cut(named_error(error), 120),
            )
        )
    return card(table(("name", "state", "done", "failed", "time", ""), rows, (2, 3, 4)))


def _time(figures: Figures) -> str:
    return seconds_words(figures.elapsed) if figures.begun else "not begun"


def _number(label: str, value: str, kind: str) -> Html:
    colour = f";color:{COLOURS[kind]}" if kind else ""
    return styled(
        "display:inline-block;margin:0 18px 0 0;vertical-align:bottom",
        styled(f"font-size:11px;color:{COLOURS['muted']}", label, tag="div"),
        styled(f"font-size:16px;font-weight:600;line-height:1.3{colour}", value, tag="div"),
        tag="div",
    )


def _progress(status: Status) -> Html:
    figures = status.figures
    shares: list[tuple[float, str]] = [
        (figures.ok, "ok"),
        (figures.failed, "failed"),
        (figures.cancelled, "warned"),
    ]
    if figures.total is not None:
        shares.append((max(0, figures.total - figures.done), "rest"))
    return bar(shares)


def _rate(bars: Sequence[int]) -> Html:
    """How many came in each quarter of a second, as bars."""
    highest = max(bars, default=0)
    if len(bars) < 2 or not highest:
        return Html("")
    made = joined(
        styled(
            f"display:inline-block;width:4px;height:{max(1, round(_TALLEST * each / highest))}px;"
            f"margin:0 1px 0 0;background-color:{COLOURS['busy']}"
        )
        for each in bars
    )
    return styled(
        "display:inline-block;vertical-align:bottom",
        styled("line-height:0;white-space:nowrap", made, tag="div"),
        styled(f"font-size:10px;color:{COLOURS['muted']}", f"per 250 ms, {highest:,} at most", tag="div"),
        tag="div",
    )


def _error(error: BaseException | None) -> Html:
    if error is None:
        return Html("")
    causes: list[Html] = []
    cause = error.__cause__
    while cause is not None and len(causes) < _MOST_CAUSES:
        causes.append(error_line(cause))
        cause = cause.__cause__
    return Html(error_line(error) + (details("because of", *causes) if causes else ""))
