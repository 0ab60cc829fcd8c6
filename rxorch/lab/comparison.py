"""Comparison: the same calls under several policies, as numbers, text and a picture."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rxorch.draw.bundle import mime_bundle
from rxorch.draw.cards_html import Html, details, joined, line, muted, plain_block, strong
from rxorch.draw.cards_html import table as table_of
from rxorch.draw.facts import shown_name
from rxorch.draw.masking import heading_text
from rxorch.draw.saving import Forms, SavedPicture, forms_of
from rxorch.lab.figures import Figures
from rxorch.lab.picture import Curve, curves_svg
from rxorch.lab.policy import Policy
from rxorch.worst_case.model import count, duration, table
from rxorch_operators._seconds import seconds_words

__all__ = ["AS_RECORDED", "Comparison", "Side", "Worst"]

AS_RECORDED: Final = "recorded"

_HEAD: Final = ("", "ok", "requests", "a call", "p50", "p95", "p99", "guessed", "one call at worst")
_FAR: Final = 0.02
"""Difference of two shares of success that is worth a note."""

_MUCH: Final = 0.2
"""Share of guesses that is worth one."""

_MOST_ENDPOINTS: Final = 20
"""Tables by endpoint: of more, those with the most calls."""

_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class Worst:
    """What one call can cost at worst.

    Attributes:
        requests: At most.
        seconds: At most; infinite without a limit.
    """

    requests: float
    seconds: float

    def __str__(self) -> str:
        return f"{count(self.requests, 'request')}, {duration(self.seconds)}"


@dataclass(frozen=True, slots=True)
class Side:
    """The calls under one policy.

    Attributes:
        name: Of the policy.
        figures: Of all calls.
        endpoints: The same by endpoint.
        worst: What a call of each endpoint can cost at worst; None of what was recorded.
        policy: What was changed; None if nothing was.
    """

    name: str
    figures: Figures
    endpoints: Mapping[str, Figures]
    worst: Mapping[str, Worst] | None = None
    policy: Policy | None = None

    @property
    def label(self) -> str:
        """The name, fit to be shown."""
        return heading_text(self.name, _LONGEST)


class Comparison(SavedPicture):
    """The same calls as they were recorded, replayed as it was, and under other policies.

    Made by `whatif`. `as it was` is the replay under the policies of then: how far it is from what was
    recorded says how far the replay can be trusted. A notebook shows table and picture.

    Args:
        sides: What was recorded, and what it was replayed as.
        left_out: Calls that were recorded and are not in it.
    """

    def __init__(self, sides: Collection[Side], left_out: int = 0) -> None:
        self._sides = {side.name: side for side in sides}
        self._left_out = left_out

    @property
    def recorded(self) -> Figures:
        """What was recorded."""
        return self._sides[AS_RECORDED].figures

    def __getitem__(self, name: str) -> Side:
        return self._sides[name]

    def __iter__(self) -> Iterator[Side]:
        return iter(self._sides.values())

    def __len__(self) -> int:
        return len(self._sides)

    def text(self) -> str:
        """The table, by endpoint where there are several, and what is to be known of it."""
        endpoints = self._sides[AS_RECORDED].endpoints
        names = [*endpoints]
        if len(names) > _MOST_ENDPOINTS:
            names = sorted(names, key=lambda name: -endpoints[name].calls)[:_MOST_ENDPOINTS]
        more = len(endpoints) - len(names)
        shown = [shown_name(name) for name in names] + ([f"{more:,} more"] if more else [])
        lines = [f"{count(self.recorded.calls, 'call')} of {', '.join(shown)}", "", *self._table(None)]
        if len(names) > 1:
            for name, its in zip(names, shown, strict=False):
                lines += ["", its, *self._table(name)]
        notes = list(self._notes())
        return "\n".join([*lines, *([""] if notes else []), *notes])

    def _table(self, endpoint: str | None) -> list[str]:
        return table([self._head, *self._rows(endpoint)])

    @property
    def _head(self) -> tuple[str, ...]:
        return _HEAD if self.recorded.cost is None else (*_HEAD[:-1], "cost", _HEAD[-1])

    def _rows(self, endpoint: str | None) -> list[tuple[str, ...]]:
        has_price = self.recorded.cost is not None
        return [_row(side, endpoint, has_price=has_price) for side in self]

    def _html(self) -> Html:
        """The table of all calls, and behind a name those by endpoint, too."""
        rows = [(strong(name), *cells) for name, *cells in self._rows(None)]
        told = [line(muted(note)) for note in self._notes()]
        shown = table_of(self._head, rows, range(1, len(self._head)))
        return joined([shown, *told, details("as text", plain_block(self.text()))])

    def _notes(self) -> Iterator[str]:
        was = self._sides.get("as it was")
        if was is not None and abs(was.figures.success - self.recorded.success) > _FAR:
            yield (
                "note: as it was differs from what was recorded: calls waited for each other or for limits, "
                "or the policies were not those of the flow that was given"
            )
        if self._left_out:
            yield (
                f"note: {count(self._left_out, 'call')} left out: recorded in part, or cancelled, so that "
                "nobody knows the end"
            )
        for side in self:
            if side.figures.requests and side.figures.guessed > _MUCH * side.figures.requests:
                share = side.figures.guessed / side.figures.requests
                yield f"note: {side.label}: {share:.0%} of the answers are guesses"

    def as_dict(self) -> dict[str, Any]:
        """All numbers by policy, fit for JSON; what is infinite is None."""
        return {
            side.name: {
                **side.figures.as_dict(),
                "endpoints": {name: each.as_dict() for name, each in side.endpoints.items()},
                "worst": side.worst and {name: _plain(each) for name, each in side.worst.items()},
            }
            for side in self
        }

    def svg(self) -> str:
        """How many calls gave a value within how many seconds, a curve for each policy."""
        calls = self.recorded.calls
        curves = [Curve(side.label, side.figures.durations, calls) for side in self]
        return curves_svg(f"{count(calls, 'call')}: what if", curves)

    def _forms(self) -> Forms:
        return forms_of("what if", self.svg, self.text)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return mime_bundle("what if", self.text(), self.svg(), include, exclude, details=self._html())

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        shown = ", ".join(f"{side.label} {side.figures.success:.1%}" for side in self)
        return f"<Comparison of {count(self.recorded.calls, 'call')}: {shown}>"


def _row(side: Side, endpoint: str | None, *, has_price: bool) -> tuple[str, ...]:
    figures = side.figures if endpoint is None else side.endpoints[endpoint]
    worst = _worst(side, endpoint)
    times = (_seconds(figures.percentile(share)) for share in (0.5, 0.95, 0.99))
    cost = (f"{figures.cost:,.6g}",) if has_price else ()
    guessed = "" if side.worst is None else f"{figures.guessed:,}"
    return (
        side.label, f"{figures.success:.1%}", f"{figures.requests:,}", f"{figures.amplification:.2f}",
        *times, guessed, *cost, "" if worst is None else str(worst),
    )  # fmt: skip


def _worst(side: Side, endpoint: str | None) -> Worst | None:
    if side.worst is None:
        return None
    if endpoint is not None:
        return side.worst[endpoint]
    return Worst(
        max(each.requests for each in side.worst.values()), max(each.seconds for each in side.worst.values())
    )


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else seconds_words(value)


def _plain(worst: Worst) -> dict[str, float | None]:
    numbers = {"requests": worst.requests, "seconds": worst.seconds}
    return {name: None if math.isinf(value) else value for name, value in numbers.items()}
