"""WorstCase: what one input can cost, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rxorch.worst_case.calls import CallCost
from rxorch_operators._seconds import seconds_words

__all__ = ["Finding", "WorstCase", "count", "duration", "table"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a flow that its author may not have meant.

    Args:
        code: Short and stable, such as `no-timeout`.
        level: `"warning"`: change it or know why not; `"note"`: good to know.
        endpoint: The endpoint that it is about; None: the whole flow.
        message: What is the case, and what to set.
    """

    code: str
    level: Literal["warning", "note"]
    endpoint: str | None
    message: str

    def __str__(self) -> str:
        place = "" if self.endpoint is None else f"{self.endpoint}: "
        return f"{self.level} {self.code}: {place}{self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCase:
    """What one input can cost at worst, when it is alone with its limits.

    Args:
        requests: HTTP requests at most; those for tokens are not counted.
        seconds: longest run; infinite where nothing limits it.
        needed: seconds at worst if the run's `total_timeout` did not end it.
        usual_requests: requests when all goes well, on the dearer side of each choice.
        under_load: requests for each one that would be enough, when so many inputs run that the retry budget
            rules; None without a budget.
        total_timeout: of the run, in seconds; None: no limit.
        endpoints: the worst case of each call, in the order in which they were written.
        findings: warnings, then notes.
    """

    requests: float
    seconds: float
    needed: float
    usual_requests: float
    under_load: float | None
    total_timeout: float | None
    endpoints: tuple[CallCost, ...]
    findings: tuple[Finding, ...]

    @property
    def amplification(self) -> float:
        """Requests at worst for each one that would be enough."""
        return self.requests / self.usual_requests if self.usual_requests else 1.0

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that call for a change."""
        return tuple(finding for finding in self.findings if finding.level == "warning")

    def text(self) -> str:
        """The explanation: the sum, a row for each endpoint, the findings."""
        lines = [f"worst case for one input: {count(self.requests, 'request')}, {duration(self.seconds)}"]
        lines += [f"  {line}" for line in self._reasons()]
        if self.endpoints:
            lines += ["", *table([_HEAD, *map(_row, self.endpoints)])]
        if self.findings:
            lines += ["", *map(str, self.findings)]
        return "\n".join(lines)

    def _reasons(self) -> list[str]:
        lines = [f"when all goes well: {count(self.usual_requests, 'request')} ({self.amplification:.3g}x)"]
        if self.under_load is not None:
            lines.append(
                f"under load, where the retry budget allows 20 % of repeats: {self.under_load:.3g}x"
                if self.under_load < self.amplification
                else "the retry budget changes nothing: nothing is repeated often enough"
            )
        total = self.total_timeout
        if total is not None and total < self.needed:
            could = "take for ever" if math.isinf(self.needed) else f"take {duration(self.needed)}"
            lines.append(f"total_timeout ends the run after {duration(total)}; it could {could}")
        lines += [
            f"{each.name!r} has no limit of its own: set {each.missing}"
            for each in self.endpoints
            if each.missing
        ]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, fit for JSON; what is infinite is None."""
        return {
            "requests": _finite(self.requests),
            "seconds": _finite(self.seconds),
            "needed": _finite(self.needed),
            "usual_requests": self.usual_requests,
            "amplification": _finite(self.amplification),
            "under_load": self.under_load,
            "total_timeout": self.total_timeout,
            "endpoints": [
                {
                    "name": each.name,
                    "requests": _finite(each.requests),
                    "attempts": _finite(each.attempts),
                    "hops": each.hops,
                    "renewals": each.renewals,
                    "attempt_seconds": _finite(each.attempt_seconds),
                    "wait_seconds": _finite(each.wait_seconds),
                    "queue_seconds": _finite(each.queue_seconds),
                    "needed": _finite(each.needed),
                    "seconds": _finite(each.seconds),
                    "held_by": each.held_by,
                    "missing": each.missing,
                }
                for each in self.endpoints
            ],
            "findings": [
                {"code": f.code, "level": f.level, "endpoint": f.endpoint, "message": f.message}
                for f in self.findings
            ],
        }

    def __str__(self) -> str:
        return self.text()


def count(number: float, noun: str) -> str:
    """A number of things: `1 request`, `8 requests`, `any number of requests`."""
    if math.isinf(number):
        return f"any number of {noun}s"
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds in words: `350 ms`, `93 s`, `no limit`."""
    return "no limit" if math.isinf(seconds) else seconds_words(float(f"{seconds:.4g}"), exact=True)


_HEAD = ("endpoint", "attempts", "requests", "an attempt", "waits", "at worst", "")


def _row(cost: CallCost) -> tuple[str, ...]:
    also = [f"{cost.hops} redirects each"] if cost.hops else []
    also += ["401: once more"] if cost.renewals else []
    also += [f"rate limit {duration(cost.queue_seconds)}"] if cost.queue_seconds else []
    also += [f"held by {cost.held_by}"] if cost.held_by else []
    return (
        cost.name,
        _number(cost.attempts),
        _number(cost.requests),
        duration(cost.attempt_seconds),
        duration(cost.wait_seconds),
        duration(cost.seconds),
        ", ".join(also),
    )


def _number(value: float) -> str:
    return "any" if math.isinf(value) else f"{value:,.0f}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of text: numbers to the right, the first and the last column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value
