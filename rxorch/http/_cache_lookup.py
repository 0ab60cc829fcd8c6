"""What an ``HttpCache`` says about a request, what it counts, and how it reads and asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
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
from rxorch.http.headers import NEUTRAL_HEADERS
from rxorch.http.origins import same_origin
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
    "is_settled",
    "named_here",
    "passes_by",
    "place_of",
    "refusal",
    "strayed",
    "unconditional",
]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OWN_CONDITIONS: Final = frozenset(
    {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
)
"""Headers of a caller that does its own caching, or wants a part: such a request passes by."""
_NO_PLACE: Final = (
    NEUTRAL_HEADERS
    | _OWN_CONDITIONS
    | {"accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "pragma"}
)
"""Headers that do not count for the place: what they change is up to Vary, or to the cache itself."""


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
    _tentative: bool = False

    @property
    def unsafe(self) -> bool:
        """Whether the request may change something at the server."""
        sent = self._asked if self.request is None else self.request
        return not {self._asked.method, sent.method} <= SAFE_METHODS

    @property
    def is_stale(self) -> bool:
        """Whether ``response`` is past its time."""
        return self.outcome is LookupOutcome.STALE

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


def place_of(request: Request, identity: str | tuple[str, ...]) -> Place:
    """Where the answers to a request are kept: by its url, and by all that may tell the caller apart.

    That is the identity, and every header but those of which it is known that they do not.
    """
    told = sorted(
        (low, text) for name, text in request.headers.items() if (low := name.lower()) not in _NO_PLACE
    )
    return str(request.url).partition("#")[0], digest(identity, told)


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
    conditions = _conditions(stored)
    if not conditions:
        return request
    return replace(request, headers={**request.headers, **conditions}, sent=False)


def _conditions(stored: CIMultiDictProxy[str]) -> dict[str, str]:
    pairs = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
    return {condition: stored[validator] for condition, validator in pairs if validator in stored}


def strayed(lookup: Lookup) -> bool:
    """Tell whether what was sent is another request than the one that was looked up.

    A hook has changed it since: its answer is that to something else, or to somebody else.
    """
    asked, sent = lookup._asked, lookup.request
    if sent is None or sent.method != asked.method or sent.body is not None:
        return True
    ours = {} if lookup._stored is None else _conditions(lookup._stored.headers)
    mine = {(name.lower(), text) for name, text in ours.items()}
    carried = {(name.lower(), text) for name, text in sent.headers.items()}
    others = {(name, text) for name, text in carried if name in _OWN_CONDITIONS} - mine
    return bool(others) or place_of(sent, lookup._identity) != lookup._place


def unconditional(request: Request, stored: StoredAnswer | None) -> Request:
    """The request without the conditions that ask about a stored answer."""
    ours = (
        {} if stored is None else {name.lower(): text for name, text in _conditions(stored.headers).items()}
    )
    kept = {name: text for name, text in request.headers.items() if ours.get(name.lower()) != text}
    return request if len(kept) == len(request.headers) else replace(request, headers=kept)


def is_settled(names: tuple[str, ...]) -> bool:
    """Tell whether these headers are the same however hooks change a request that keeps its identity.

    Accept-Encoding may change: bodies are kept decoded.
    """
    return all(name == "accept-encoding" or is_secret_name(name) for name in names)


def named_here(target: URL, text: str | None) -> str | None:
    """The url that an answer names, if it has the origin of the one that was asked."""
    if not text:
        return None
    try:
        url = target.join(URL(text, encoded=True))
    except ValueError:
        return None
    return str(url).partition("#")[0] if same_origin(url, target) else None


def changed_nothing(error: BaseException) -> bool:
    """Tell whether an unsafe request certainly had no effect that is not known already."""
    if isinstance(error, ApiHttpError):  # without a status: our own limiter, which let nothing out
        return error.status_code is None or 400 <= error.status_code < 500
    if isinstance(error, ApiNetworkError):
        return not error.sent
    return isinstance(error, ApiCircuitOpenError | ApiBulkheadFullError)


def is_outage(error: BaseException) -> bool:
    """Tell whether an error is of the kind that ``stale-if-error`` is for."""
    if isinstance(error, ApiHttpError):
        return error.status_code in OUTAGES
    return isinstance(error, ApiNetworkError | ApiTimeoutError | ApiCircuitOpenError)
