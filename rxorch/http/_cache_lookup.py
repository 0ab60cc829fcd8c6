"""What an ``HttpCache`` says about a request, what it counts, and how it reads and asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Final

from multidict import CIMultiDictProxy
from yarl import URL

from rxorch.errors import (
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiHttpError,
    ApiNetworkError,
    ApiTimeoutError,
)
from rxorch.http._cache_rules import OUTAGES, Directives
from rxorch.http._cache_store import Place, StoredAnswer, digest
from rxorch.http.redaction import is_secret_name, redact_url
from rxorch.http.request import Request
from rxorch.http.response import Response

__all__ = [
    "SAFE_METHODS",
    "HttpCacheStatistics",
    "Lookup",
    "LookupOutcome",
    "changed_nothing",
    "conditional",
    "is_outage",
    "passes_by",
    "place_of",
    "refusal",
    "same_origin",
]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OWN_CONDITIONS: Final = frozenset(
    {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
)
"""Headers of a caller that does its own caching, or wants a part: such a request passes by."""


class LookupOutcome(Enum):
    """What a lookup found."""

    HIT = "hit"
    """A fresh answer; nothing is to be sent."""
    STALE = "stale"
    """A stale answer that may be used all the same."""
    VALIDATE = "validate"
    """An answer that the server must be asked about first."""
    MISS = "miss"
    """No answer that this request could use."""
    BYPASS = "bypass"
    """A request that is no business of a cache."""
    REFUSED = "refused"
    """No usable answer, and the request said ``only-if-cached``: 504."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Lookup:
    """What is to be done with a request; to be given back to ``HttpCache.received`` or ``failed``.

    Args:
        outcome: what was found.
        response: the answer to use right away, or None.
        request: the request to send, or None. Beside a ``response`` it is sent in the background, and what
            ``received`` returns for it is of no use to anybody.
    """

    outcome: LookupOutcome
    response: Response | None
    request: Request | None
    _asked: Request
    _identity: str | tuple[str, ...]
    _place: Place
    _directives: Directives
    _at: float
    _order: int
    _stored: StoredAnswer | None = None

    def __repr__(self) -> str:
        return f"<Lookup {self.outcome.value}: {self._asked.method} {redact_url(self._asked.url)}>"


@dataclass(frozen=True, slots=True)
class HttpCacheStatistics:
    """What a cache has seen.

    Args:
        entries: answers held.
        bytes: bytes that they take, about.
        hits: requests that a fresh answer was found for.
        stale: stale answers that were given out, as request or server allowed.
        misses: requests that could have been answered from memory and were not; those included that the
            server was asked to validate an answer for.
        revalidated: validations that ended with 304.
        stored: answers stored, those included that a 304 freshened.
        evicted: answers that left for want of room.
        invalidated: answers that left because an unsafe request changed their resource.
    """

    entries: int
    bytes: int
    hits: int
    stale: int
    misses: int
    revalidated: int
    stored: int
    evicted: int
    invalidated: int


@lru_cache(maxsize=1024)
def _tells_caller(name: str) -> bool:
    return is_secret_name(name)


def place_of(request: Request, identity: str | tuple[str, ...]) -> Place:
    """Where the answers to a request are kept: by its url, and by all that tells the caller apart.

    That is the identity, and the headers whose name is that of a secret.
    """
    secrets = sorted((name.lower(), text) for name, text in request.headers.items() if _tells_caller(name))
    return str(request.url).partition("#")[0], digest(identity, secrets)


def passes_by(request: Request, directives: Directives) -> bool:
    """Tell whether a request is no business of a cache."""
    if request.method not in ("GET", "HEAD") or request.body is not None or "no-store" in directives:
        return True
    return any(name.lower() in _OWN_CONDITIONS for name in request.headers)


def refusal(plan: Lookup) -> Lookup:
    """The answer to ``only-if-cached`` where nothing usable is stored (section 5.2.1.7)."""
    gone = Response(504, reason="Gateway Timeout", url=plan._place[0])
    return replace(plan, outcome=LookupOutcome.REFUSED, response=gone, request=None)


def conditional(request: Request, stored: CIMultiDictProxy[str]) -> Request:
    """The request that asks whether a stored answer is still right (section 4.3.1)."""
    conditions = {}
    if "ETag" in stored:
        conditions["If-None-Match"] = stored["ETag"]
    if "Last-Modified" in stored:
        conditions["If-Modified-Since"] = stored["Last-Modified"]
    if not conditions:
        return request
    return replace(request, headers={**request.headers, **conditions}, sent=False)


def same_origin(target: URL, text: str | None) -> str | None:
    """The url that an answer names, if it has the origin of the one that was asked."""
    if not text:
        return None
    try:
        url = target.join(URL(text, encoded=True))
        same = url.origin() == target.origin()
    except ValueError:
        return None
    return str(url).partition("#")[0] if same else None


def changed_nothing(error: BaseException) -> bool:
    """Tell whether an unsafe request certainly had no effect that is not known already."""
    if isinstance(error, ApiHttpError):  # without a status: our own limiter, which let nothing out
        return error.status_code is None or error.status_code < 500
    if isinstance(error, ApiNetworkError):
        return not error.sent
    return isinstance(error, ApiCircuitOpenError | ApiBulkheadFullError)


def is_outage(error: BaseException) -> bool:
    """Tell whether an error is of the kind that ``stale-if-error`` is for."""
    if isinstance(error, ApiHttpError):
        return error.status_code in OUTAGES
    return isinstance(error, ApiNetworkError | ApiTimeoutError | ApiCircuitOpenError)
