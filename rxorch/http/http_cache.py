"""Keeping answers as their servers allow it: an HTTP cache by RFC 9111, in memory and without any IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Final

from rxorch.errors import (
    ApiConfigurationError,
    ApiProtocolError,
)
from rxorch.http._cache_keeping import answer_to_keep, load_verdicts
from rxorch.http._cache_lookup import (
    SAFE_METHODS,
    HttpCacheStatistics,
    Lookup,
    LookupOutcome,
    changed_nothing,
    conditional,
    is_outage,
    is_settled,
    named_here,
    passes_by,
    place_of,
    refusal,
    strayed,
    unconditional,
)
from rxorch.http._cache_rules import (
    OUTAGES,
    Use,
    may_stand_in,
    request_directives,
    use,
)
from rxorch.http._cache_store import AnswerStore, StoredAnswer
from rxorch.http.request import Request
from rxorch.http.response import Response
from rxorch.http.streamed import StreamedResponse

__all__ = ["HttpCache", "HttpCacheStatistics", "Lookup", "LookupOutcome", "http_cache_of"]

_SAYS_NOTHING: Final = frozenset({408, 429})
"""Beside 5xx: statuses that say nothing about the stored answer."""
_REFRESH_SECONDS: Final = 60.0
"""How long one refresh in the background keeps others from being asked for."""


def http_cache_of(given: HttpCache | bool) -> HttpCache | None:
    """The cache that a user asked for: one of his own, a new one, or none.

    Raises:
        ApiConfigurationError: neither; or what it needs is missing.
    """
    if not isinstance(given, HttpCache | bool):
        raise ApiConfigurationError(f"http_cache: give an HttpCache, or True; not {type(given).__name__}")
    return (HttpCache() if given else None) if isinstance(given, bool) else given


class HttpCache:
    """Keeps answers to GET as RFC 9111 allows, and never shares one between callers.

    Callers are told apart by ``identity`` and by every header of the request, whatever ``Cache-Control:
    public`` says; but for those that say nothing about the caller: Accept, Accept-Charset, Accept-Encoding
    and Accept-Language (they count if the answer names them in Vary), Cache-Control, Pragma, User-Agent,
    Idempotency-Key, traceparent, tracestate, X-Correlation-ID, X-Request-ID. So this must be asked *after*
    credentials were put on the request, or with an ``identity`` that stands for them.

    Use it in two steps: ``lookup`` before sending; ``received`` with the answer or ``failed`` with the error
    after it; tell it by ``rewritten`` if the request was changed in between. Both steps are needed for unsafe
    requests too: a POST, PUT, PATCH or DELETE makes the stored answers of its url invalid, for all callers,
    unless the server certainly refused it. Bodies read piece by piece are not kept, nor is what a Range or a
    condition of the caller's own asked for. A HEAD is answered by a stored GET.

    Args:
        max_entries: most answers held, 1 or more; the least recently used leaves.
        max_bytes: most bytes held (about), 1 or more.
        shared: hold to the rules for shared caches: ``private``, ``s-maxage``, ``proxy-revalidate``, and
            nothing stored for a request with Authorization unless the server allows it.
        heuristic: part of the time since Last-Modified for which an answer is taken to be fresh when the
            server says nothing (section 4.2.2), at most a day; 0 to guess nothing.

    Raises:
        ApiConfigurationError: a number is out of its range, or the extra ``http-cache`` is not installed.

    Example:
        >>> from yarl import URL
        >>> cache = HttpCache()
        >>> request = Request("GET", URL("https://api.example.com/users/7"))
        >>> lookup = cache.lookup(request, now_wall=1000.0)
        >>> lookup
        <Lookup miss: GET https://api.example.com/users/7>
        >>> answer = Response(200, b'{"id": 7}', {"Cache-Control": "max-age=60"})
        >>> cache.received(lookup, answer, now_wall=1000.0)
        <Response 200, 9 bytes, >
        >>> again = cache.lookup(request, now_wall=1042.0)
        >>> again.response.json(), again.response.headers["Age"]
        ({'id': 7}, '42')
        >>> cache.lookup(request, now_wall=1042.0, identity="somebody else")
        <Lookup miss: GET https://api.example.com/users/7>
    """

    def __init__(
        self,
        *,
        max_entries: int = 1024,
        max_bytes: int = 64 * 1024 * 1024,
        shared: bool = False,
        heuristic: float = 0.1,
    ) -> None:
        for field, value in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ApiConfigurationError(f"{field} of HttpCache: give a whole number, 1 or more")
        if not isinstance(heuristic, int | float) or not 0.0 <= heuristic <= 1.0:
            raise ApiConfigurationError("heuristic of HttpCache: give a fraction from 0 (guess nothing) to 1")
        self._verdicts = load_verdicts()
        self._shared = shared
        self._heuristic = heuristic
        self._store = AnswerStore(max_entries, max_bytes)
        self._orders = count(1)
        self._hits = 0
        self._stale = 0
        self._misses = 0
        self._revalidated = 0
        self._stored = 0
        self._invalidated = 0

    def lookup(
        self,
        request: Request,
        now_wall: float,
        *,
        identity: str | tuple[str, ...] = "",
        tentative: bool = False,
    ) -> Lookup:
        """Find out what to do with a request.

        Args:
            request: the request with all its headers, credentials too. It is never changed.
            now_wall: seconds since 1970.
            identity: tells the caller apart from others, beyond the headers.
            tentative: the request may still be changed before it is sent. An answer that was selected by a
                header (Vary) is then not used unless the server confirms it: nobody knows yet what that
                header will say.
        """
        directives = request_directives(request.headers)
        plan = Lookup(
            LookupOutcome.BYPASS,
            None,
            request,
            _asked=request,
            _identity=identity,
            _place=place_of(request, identity),
            _directives=directives,
            _at=now_wall,
            _order=next(self._orders),
            _tentative=tentative,
        )
        if passes_by(request, directives):
            wants_stored = "only-if-cached" in directives and request.method in SAFE_METHODS
            return refusal(plan) if wants_stored else plan
        stored = self._store.find(plan._place, request.headers)
        if stored is not None:
            found = self._found(plan, stored)
            if found is not None:
                return found
        self._misses += 1
        if "only-if-cached" in directives:
            return refusal(plan)
        if stored is None or request.method == "HEAD":
            return replace(plan, outcome=LookupOutcome.MISS)
        asking = conditional(request, stored.headers)
        return replace(plan, outcome=LookupOutcome.VALIDATE, request=asking, _stored=stored)

    def rewritten(self, lookup: Lookup, request: Request) -> Lookup:
        """The lookup of a request that was changed since; its ``request`` is the one to send.

        If method, url or a header that tells callers apart was changed, it asks about nothing that is stored,
        and its answer will not be stored.

        Args:
            lookup: what ``lookup`` returned, or ``rewritten`` for an earlier attempt.
            request: the request as it will be sent, but for credentials that ``identity`` stands for.
        """
        lookup = replace(lookup, request=request, _tentative=False)
        if not strayed(lookup):
            return lookup
        return replace(lookup, request=unconditional(request, lookup._stored))

    def received(
        self, lookup: Lookup, response: Response | StreamedResponse, now_wall: float
    ) -> Response | StreamedResponse:
        """What the caller gets for the answer to ``lookup.request``; it is stored if it may be.

        That is the answer itself; or, after a 304 or instead of an error that ``stale-if-error`` covers, the
        stored one.

        Args:
            lookup: what ``lookup`` returned.
            response: the answer of the server.
            now_wall: seconds since 1970, at its arrival.

        Raises:
            ApiProtocolError: the server answered 304 for another version than the one it was asked about.
                That one is forgotten, so that the next lookup asks without condition.
        """
        if lookup.unsafe:
            if not 400 <= response.status < 500:  # nobody knows what was done before a 5xx
                self._invalidate(lookup, response.headers)
            return response
        if lookup.outcome is LookupOutcome.BYPASS:
            return response
        stored = lookup._stored
        if stored is not None:
            stored.refreshing_until = float("-inf")
        if strayed(lookup):
            return response
        known = None if stored is None else self._known(lookup, stored, response, now_wall)
        if known is not None:
            return known
        if isinstance(response, StreamedResponse):
            self._forget(stored, response.status)
        elif lookup._asked.method == "HEAD":
            self._compare(lookup, response)
        else:
            self._keep(lookup, response, now_wall)
        return response

    def failed(self, lookup: Lookup, error: BaseException, now_wall: float) -> Response | None:
        """The stored answer that may stand in for an error (``stale-if-error``), or None: raise it.

        An unsafe request without an answer may have changed something, unless it certainly did not leave:
        what is stored for its url is forgotten.

        Args:
            lookup: what ``lookup`` returned.
            error: why there is no answer to ``lookup.request``.
            now_wall: seconds since 1970.
        """
        if lookup.unsafe:
            if not changed_nothing(error):
                self._invalidate(lookup, None)
            return None
        if lookup._stored is None:
            return None
        lookup._stored.refreshing_until = float("-inf")
        return self._substitute(lookup, now_wall) if is_outage(error) and not strayed(lookup) else None

    def changed(self, lookup: Lookup) -> None:
        """An unsafe request may have had its effect, whatever its last answer says: as ``received``."""
        self._invalidate(lookup, None)

    def forget(self, lookup: Lookup) -> None:
        """Drop what is stored for a GET, for it cannot be read: the next lookup asks for it anew."""
        stored = self._store.find(lookup._place, (lookup.request or lookup._asked).headers)
        if stored is not None and lookup._asked.method == "GET":
            self._store.remove(stored)

    def clear(self) -> None:
        """Forget everything; answers to requests that are under way are not stored either."""
        self._store.clear(next(self._orders))

    def statistics(self) -> HttpCacheStatistics:
        """A snapshot."""
        return HttpCacheStatistics(
            entries=len(self._store),
            bytes=self._store.bytes,
            hits=self._hits,
            stale=self._stale,
            misses=self._misses,
            revalidated=self._revalidated,
            stored=self._stored,
            evicted=self._store.evicted,
            invalidated=self._invalidated,
        )

    def __repr__(self) -> str:
        return f"<HttpCache of {len(self._store)} answers, {self._store.bytes} bytes>"

    def _found(self, plan: Lookup, stored: StoredAnswer) -> Lookup | None:
        """The lookup that a stored answer settles; None if the server must be asked first."""
        now = plan._at
        verdict = use(stored.timing, stored.directives, plan._directives, now, shared=self._shared)
        if verdict is Use.VALIDATE or (plan._tentative and not is_settled(stored.selection.names)):
            return None
        response = stored.answer(now, head=plan._asked.method == "HEAD")
        if verdict is Use.FRESH:
            self._hits += 1
            return replace(plan, outcome=LookupOutcome.HIT, response=response, request=None)
        self._stale += 1
        refresh = None
        if verdict is Use.STALE_WHILE_REVALIDATE and not stored.refreshing_until > now:
            stored.refreshing_until = now + _REFRESH_SECONDS
            # Asked as a GET, whatever found it: a HEAD would refresh nothing.
            asking = replace(plan._asked, method="GET", sent=False)
            refresh = conditional(asking, stored.headers)
            plan = replace(plan, _asked=asking)
        return replace(plan, outcome=LookupOutcome.STALE, response=response, request=refresh, _stored=stored)

    def _known(
        self, lookup: Lookup, stored: StoredAnswer, response: Response | StreamedResponse, now: float
    ) -> Response | None:
        """The stored answer, if the server confirmed it or it stands in for an error."""
        asking = lookup.request
        if response.status == 304 and asking is not None and unconditional(asking, stored) is not asking:
            return self._validated(lookup, stored, response, now)
        return self._substitute(lookup, now) if response.status in OUTAGES else None

    def _keep(self, lookup: Lookup, response: Response, now: float) -> bool:
        """Store an answer if RFC 9111 allows it and it can be of use; else forget what it replaces."""
        answer = answer_to_keep(
            lookup, response, now, self._verdicts, shared=self._shared, heuristic=self._heuristic
        )
        if answer is not None and self._store.put(answer):
            self._stored += 1
            return True
        self._forget(lookup._stored, response.status)
        return False

    def _validated(
        self, lookup: Lookup, stored: StoredAnswer, validation: Response | StreamedResponse, now: float
    ) -> Response:
        told = Response(validation.status, b"", validation.headers)
        before = stored.as_response()
        headers = self._verdicts.refreshed_headers(before, told, shared=self._shared)
        if headers is None:
            self._store.remove(stored)
            raise ApiProtocolError(
                "the server answered 304 for another version than the one it was asked about; "
                "the stored answer was dropped, so that the next call asks for a whole one",
                sent=True,
            )
        self._revalidated += 1
        answer = Response(stored.status, stored.content, headers, reason=stored.reason, url=stored.place[0])
        if not self._keep(lookup, answer, now):
            self._store.remove(stored)
        return answer

    def _substitute(self, lookup: Lookup, now: float) -> Response | None:
        stored = lookup._stored
        if stored is None or lookup.response is not None:  # else: what was refreshed in the background
            return None
        if not may_stand_in(stored.timing, stored.directives, lookup._directives, now, shared=self._shared):
            return None
        if not is_settled(stored.selection.names) and (
            lookup._tentative or not stored.selection.matches((lookup.request or lookup._asked).headers)
        ):
            return None
        self._stale += 1
        return stored.answer(now, head=lookup._asked.method == "HEAD")

    def _forget(self, stored: StoredAnswer | None, status: int) -> None:
        """Drop what an answer has shown to be out of date; an error of the server shows nothing."""
        if stored is not None and status < 500 and status not in _SAYS_NOTHING:
            self._store.remove(stored)

    def _compare(self, lookup: Lookup, response: Response) -> None:
        """Drop the stored GET that the answer to a HEAD contradicts (section 4.3.5)."""
        stored = self._store.find(lookup._place, (lookup.request or lookup._asked).headers)
        if stored is None or response.status >= 500 or response.status in _SAYS_NOTHING:
            return
        told, held = response.headers, stored.headers
        names = ("ETag", "Last-Modified", "Content-Length")
        if response.status != stored.status or any(
            told.get(name, held.get(name)) != held.get(name) for name in names
        ):
            self._store.remove(stored)

    def _invalidate(self, lookup: Lookup, headers: Mapping[str, str] | None) -> None:
        """Forget the target of an unsafe request, and what its answer names there (section 4.4)."""
        target = (lookup.request or lookup._asked).url
        order = next(self._orders)
        urls = {lookup._place[0], str(target).partition("#")[0]}
        for name in ("Location", "Content-Location"):
            url = named_here(target, (headers or {}).get(name))
            if url is not None:
                urls.add(url)
        for text in urls:
            self._invalidated += self._store.invalidate(text, order)
