"""Which answers an ``HttpCache`` keeps, and what of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rxorch.errors import ApiConfigurationError
from rxorch.http._cache_lookup import Lookup, unconditional
from rxorch.http._cache_rules import Timing, answer_directives, request_directives
from rxorch.http._cache_store import Selection, StoredAnswer, vary_names
from rxorch.http.response import Response

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["answer_to_keep", "load_verdicts"]

_NEVER_STORED: Final = frozenset({428, 429, 431, 511})
"""RFC 6585 forbids it."""


def load_verdicts() -> ModuleType:
    """The module that asks hishel; raises ``ApiConfigurationError`` where that is not installed."""
    try:
        from rxorch.http import _cache_verdicts
    except ModuleNotFoundError as error:
        if error.name != "hishel":
            raise
        message = 'HttpCache needs hishel; install it with: pip install "rxorch[http-cache]"'
        raise ApiConfigurationError(message) from None
    return _cache_verdicts


def answer_to_keep(
    lookup: Lookup, response: Response, now: float, verdicts: ModuleType, *, shared: bool, heuristic: float
) -> StoredAnswer | None:
    """What to store of an answer; None if RFC 9111 forbids it, or it could be of no use.

    Args:
        lookup: that of its request; what was sent decides, not what was looked up.
        response: the answer.
        now: wall-clock seconds, at its arrival.
        verdicts: what ``load_verdicts`` returned.
        shared: whether the rules for shared caches hold.
        heuristic: see ``HttpCache``.
    """
    directives = answer_directives(response.headers)
    names = vary_names(response.headers)
    if names is None or "no-store" in directives or (shared and "private" in directives):
        return None
    if response.status in _NEVER_STORED:
        return None
    assert lookup.request is not None
    sent = unconditional(lookup.request, lookup._stored)
    if "no-store" in request_directives(sent.headers):
        return None
    headers = verdicts.storable_headers(sent.headers, response, shared=shared)
    if headers is None:
        return None
    timing = Timing.of(
        response.status,
        headers,
        sent=lookup._at,
        received=now,
        shared=shared,
        heuristic=heuristic,
    )
    if timing.lifetime == 0.0 and not (directives or "ETag" in headers or "Last-Modified" in headers):
        return None
    return StoredAnswer(
        place=lookup._place,
        selection=Selection.of(names, sent.headers),
        order=lookup._order,
        status=response.status,
        reason=response.reason,
        headers=headers,
        content=response.content,
        directives=directives,
        timing=timing,
    )
