"""How long a stored answer may be used: the arithmetic of RFC 9111, section 4.2, and of RFC 5861.

Pure: wall-clock seconds are passed in. Where a header can be read in two ways, the shorter life is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from multidict import CIMultiDictProxy

from rxorch.http.retry_after import http_date

__all__ = [
    "OUTAGES",
    "Directives",
    "Timing",
    "Use",
    "answer_directives",
    "may_stand_in",
    "request_directives",
    "use",
]

Directives = Mapping[str, str]
"""The directives of Cache-Control, in lower case, each with its argument ("" for none)."""

OUTAGES: Final = frozenset({500, 502, 503, 504})
"""The statuses that ``stale-if-error`` is for (RFC 5861, section 4)."""

_HEURISTIC: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses of which the age may be guessed (RFC 9110, section 15.1; a 206 is never stored)."""

_LONGEST_GUESS: Final = 86_400.0
_DIRECTIVE: Final = re.compile(
    r"""([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?"""
)
_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_CONTRADICTORY: Final = "contradictory"


class Use(Enum):
    """What may be done with a stored answer."""

    FRESH = "fresh"
    STALE = "stale"
    STALE_WHILE_REVALIDATE = "stale while revalidate"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class Timing:
    """How old an answer is, and how old it may become; all in seconds.

    Args:
        received: wall-clock time of its arrival.
        initial_age: its age at that time (``corrected_initial_age``).
        lifetime: the age at which it becomes stale.
    """

    received: float
    initial_age: float
    lifetime: float

    @classmethod
    def of(
        cls,
        status: int,
        headers: CIMultiDictProxy[str],
        *,
        sent: float,
        received: float,
        shared: bool,
        heuristic: float,
    ) -> Timing:
        """The timing of an answer to a request that went out at ``sent``."""
        made = http_date(headers.get("Date", ""))
        apparent = 0.0 if made is None else max(0.0, received - made)
        age = _seconds(headers.get("Age", "").partition(",")[0].strip()) or 0.0
        initial = max(apparent, age + max(0.0, received - sent))
        if made is None:
            made = received
        return cls(received, initial, _lifetime(status, headers, made, shared=shared, heuristic=heuristic))

    def age(self, now: float) -> float:
        """Its age. A clock that was set back does not make it younger than it was on arrival."""
        return self.initial_age + max(0.0, now - self.received)


def answer_directives(headers: CIMultiDictProxy[str]) -> Directives:
    """The cache directives of an answer."""
    return _directives(", ".join(headers.getall("Cache-Control", ())))


def request_directives(headers: Mapping[str, str]) -> Directives:
    """The cache directives of a request; ``Pragma: no-cache`` counts where there are none (section 5.4)."""
    controls = [text for name, text in headers.items() if name.lower() == "cache-control"]
    if controls:
        return _directives(", ".join(controls))
    pragma = [text for name, text in headers.items() if name.lower() == "pragma"]
    return {"no-cache": ""} if "no-cache" in _directives(", ".join(pragma)) else {}


def use(timing: Timing, answer: Directives, request: Directives, now: float, *, shared: bool) -> Use:
    """What a request allows to be done with a stored answer (sections 4.2, 5.2.1 and 5.2.2).

    Args:
        timing: that of the stored answer.
        answer: its directives.
        request: those of the request.
        now: wall-clock seconds.
        shared: whether the rules for shared caches hold.
    """
    if "no-cache" in request or "no-cache" in answer:
        return Use.VALIDATE
    late = _lateness(timing, request, now)
    if late < 0.0:
        return Use.FRESH
    if not _may_be_stale(answer, shared=shared):
        return Use.VALIDATE
    if "max-stale" in request and (request["max-stale"] == "" or late <= _argument(request, "max-stale")):
        return Use.STALE
    if not _wants_fresh(request) and late < _argument(answer, "stale-while-revalidate"):
        return Use.STALE_WHILE_REVALIDATE
    return Use.VALIDATE


def may_stand_in(
    timing: Timing, answer: Directives, request: Directives, now: float, *, shared: bool
) -> bool:
    """Tell whether a stored answer may take the place of an error (RFC 5861, section 4)."""
    if "no-cache" in request or not _may_be_stale(answer, shared=shared):
        return False
    allowed = _argument(request, "stale-if-error")
    if not _wants_fresh(request):
        allowed = max(allowed, _argument(answer, "stale-if-error"))
    return timing.age(now) - timing.lifetime < allowed


def _lateness(timing: Timing, request: Directives, now: float) -> float:
    """Seconds since the answer is no longer what the request wants; negative while it is."""
    if now < timing.received:  # the clock was set back: nobody knows how much time has passed
        return float("inf")
    lifetime = timing.lifetime
    if "max-age" in request:
        lifetime = min(lifetime, _argument(request, "max-age"))
    if "min-fresh" in request:
        wanted = _seconds(request["min-fresh"])
        lifetime -= float("inf") if wanted is None else wanted
    return timing.age(now) - lifetime


def _wants_fresh(request: Directives) -> bool:
    return "max-age" in request or "min-fresh" in request


def _may_be_stale(answer: Directives, *, shared: bool) -> bool:
    if "no-cache" in answer or "must-revalidate" in answer:
        return False
    return not (shared and ("proxy-revalidate" in answer or "s-maxage" in answer))


def _lifetime(
    status: int, headers: CIMultiDictProxy[str], made: float, *, shared: bool, heuristic: float
) -> float:
    directives = answer_directives(headers)
    if shared and "s-maxage" in directives:
        return _argument(directives, "s-maxage")
    if "max-age" in directives:
        return _argument(directives, "max-age")
    if "Expires" in headers:
        expires = http_date(headers["Expires"]) if len(headers.getall("Expires")) == 1 else None
        return 0.0 if expires is None else max(0.0, expires - made)
    changed = http_date(headers.get("Last-Modified", ""))
    if changed is None or (status not in _HEURISTIC and "public" not in directives):
        return 0.0
    return min(_LONGEST_GUESS, max(0.0, made - changed) * heuristic)


def _directives(text: str) -> Directives:
    found: dict[str, str] = {}
    for name, quoted, plain in _DIRECTIVE.findall(text):
        key, argument = name.lower(), quoted or plain
        if found.setdefault(key, argument) != argument:
            found[key] = _CONTRADICTORY  # no number, hence the shortest time
    return found


def _argument(directives: Directives, name: str) -> float:
    """The seconds of a directive; 0 where it is missing or is no number."""
    return _seconds(directives.get(name, "")) or 0.0


def _seconds(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None
