"""Figures: what calls came to, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rxorch.errors import ApiConfigurationError
from rxorch.lab.tape import Tape

__all__ = ["Figures", "Played", "Price", "checked_price", "figures_of", "recorded_calls"]

Price: TypeAlias = float | Mapping[str, float]
"""What one request costs: the same for all endpoints, or by name; one that is not named costs nothing."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a call came to.

    Attributes:
        endpoint: Its name.
        duration: Seconds.
        ok: Whether it gave a value.
        requests: That were sent for it.
        guessed: How many of these have an answer that is not the one recorded for them.
    """

    endpoint: str
    duration: float
    ok: bool
    requests: int
    guessed: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What calls came to.

    Attributes:
        calls: How many there were.
        ok: How many gave a value.
        requests: How many requests were sent for them.
        guessed: How many of these have an answer that was not recorded for them, but for another at about
            that time.
        cost: Of the requests; None if no price was given.
        durations: Seconds of the calls that gave a value, from the shortest to the longest.
    """

    calls: int
    ok: int
    requests: int
    guessed: int
    cost: float | None
    durations: tuple[float, ...] = field(repr=False)

    @property
    def success(self) -> float:
        """The share of calls that gave a value."""
        return self.ok / self.calls if self.calls else 1.0

    @property
    def amplification(self) -> float:
        """Requests for each call."""
        return self.requests / self.calls if self.calls else 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the calls that gave a value did so; NaN if none did.

        The nearest rank, as nothing between two calls was ever measured.
        """
        if not self.durations:
            return math.nan
        return self.durations[max(0, math.ceil(share * len(self.durations)) - 1)]

    def as_dict(self) -> dict[str, float | int | None]:
        """All numbers, fit for JSON: `calls`, `ok`, `success`, `requests`, `amplification`, `guessed`,
        `cost`, and `p50`, `p95` and `p99` in seconds, None where there is nothing to measure.
        """
        quantiles = {f"p{share}": self.percentile(share / 100) for share in (50, 95, 99)}
        return {
            "calls": self.calls,
            "ok": self.ok,
            "success": self.success,
            "requests": self.requests,
            "amplification": self.amplification,
            "guessed": self.guessed,
            "cost": self.cost,
            **{name: None if math.isnan(value) else value for name, value in quantiles.items()},
        }


def figures_of(calls: Sequence[Played], price: Price | None) -> Figures:
    """The figures of calls."""
    return Figures(
        calls=len(calls),
        ok=sum(call.ok for call in calls),
        requests=sum(call.requests for call in calls),
        guessed=sum(call.guessed for call in calls),
        cost=None if price is None else math.fsum(call.requests * _priced(price, call) for call in calls),
        durations=tuple(sorted(call.duration for call in calls if call.ok)),
    )


def recorded_calls(tape: Tape) -> list[Played]:
    """The calls as they were recorded."""
    return [
        Played(call.endpoint, call.duration, call.ok, sum(each.sent for each in call.attempts))
        for call in tape.calls
    ]


def checked_price(price: Price | None) -> Price | None:
    """Refuses what is no price."""
    prices: Sequence[object] = list(price.values()) if isinstance(price, Mapping) else [price]
    for each in prices:
        if each is None and price is None:
            continue
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 <= each < math.inf:
            raise ApiConfigurationError("price: give a number of 0 or more, or one for each endpoint")
    return price


def _priced(price: Price, call: Played) -> float:
    return price.get(call.endpoint, 0.0) if isinstance(price, Mapping) else price
