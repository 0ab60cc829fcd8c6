"""The HTTP cache in the policy stack: outside of the retries, so that what it has costs no permit."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import ref

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint.auth import Auth
from rxorch.endpoint.call import LOOSE, Call
from rxorch.endpoint.exchange import Aside
from rxorch.errors import ApiProtocolError
from rxorch.http.response import Response
from rxorch_operators import last_of
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from rxorch.endpoint.caller import Session
    from rxorch.http.http_cache import HttpCache, Lookup
    from rxorch.http.request import Request

__all__ = ["HttpCached", "identity_of", "rewritten", "seen_by_cache", "unread"]


class HttpCached(Stage[Any]):
    """Answers a call from an `HttpCache`, or sends it on with the condition that the cache wants.

    Args:
        source: the call itself.
        call: its facts.
        cache: the cache.
        start: begins another call, for a refresh in the background.
    """

    def __init__(
        self, source: Stage[Any], call: Call, cache: HttpCache, start: Callable[[Call], Stage[Any]]
    ) -> None:
        self.source = source
        self.call = call
        self.cache = cache
        self.start = start

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call, link = self.call, _CachedLink(sink, self.call, self.cache)
        if call.lookup is None:
            lookup = look_up(call, self.cache)
            if lookup.response is not None:
                if lookup.request is not None:
                    _Refresh(call, self.cache, self.start)
                call.cache_hit(stale=lookup.is_stale)
                link.answer(lookup.response)
                return link
        else:
            lookup = call.lookup
        if lookup.request is not None:
            call.built = call.request = lookup.request
        return link.connect(self.source, scheduler)


class _CachedLink(Link):
    __slots__ = ("_cache", "_call", "_ended")

    def __init__(self, sink: ObserverBase[Any], call: Call, cache: HttpCache) -> None:
        super().__init__(sink)
        self._call = call
        self._cache = cache
        self._ended = False

    def answer(self, response: Response) -> None:
        """Emits what an answer of the cache holds."""
        self._call.headers = response.headers
        self._ended = True
        try:
            value = self._call.runtime.read(self._call, response)
        except Exception as error:
            unread(self._call, response, error, self._cache)
            self.sink.on_error(error)
            return
        self.sink.on_next(value)
        self.sink.on_completed()

    def on_completed(self) -> None:
        self._ended = True
        self.sink.on_completed()

    def dispose(self) -> None:
        call = self._call
        if not self._ended and call.lookup is not None and call.lookup.unsafe and call.sends:
            # It may have changed what is kept: nobody waits for the answer that would say so.
            self._cache.changed(call.lookup)
        self._ended = True
        super().dispose()

    def on_error(self, error: Exception) -> None:
        self._ended = True
        call, stored = self._call, None
        if call.lookup is not None:
            # What failed last may be another attempt, or a hop after the one that changed something.
            changed = call.redirected or call.sends > call.answered
            if call.lookup.unsafe and changed:
                self._cache.changed(call.lookup)
            if isinstance(error, Exception):
                stored = self._cache.failed(call.lookup, error, time.time())
        if stored is None:
            self.sink.on_error(error)
            return
        call.substituted(error)
        call.cache_hit(stale=True)
        self.answer(stored)


def look_up(call: Call, cache: HttpCache) -> Lookup:
    """Asks the cache about the request of a call, as it was before the cache put a condition on it."""
    asked = call.unconditional or call.built
    assert asked is not None
    call.unconditional = asked
    runtime = call.runtime
    call.lookup = lookup = cache.lookup(
        asked, time.time(), identity=runtime.identity, tentative=runtime.hooks is not None
    )
    return lookup


def rewritten(call: Call, request: Request, cache: HttpCache) -> Request:
    """The request to send in the place of what hooks made of an attempt; the cache goes by it from now on."""
    if call.lookup is None:
        return request
    call.lookup = lookup = cache.rewritten(call.lookup, request)
    return lookup.request or request


def seen_by_cache(call: Call, response: Response, cache: HttpCache) -> Response:
    """What the caller gets for an answer of the server: the answer, or the stored one that it confirms.

    An answer that failed is left to the retries; if they fail too, the cache is asked for a substitute.
    """
    lookup = call.lookup
    if lookup is None:
        return response
    if lookup.unsafe:
        cache.received(lookup, response, time.time())
        return response
    if response.status >= 500 or call.redirected:
        return response
    try:
        seen = cache.received(lookup, response, time.time())
    except ApiProtocolError:  # it confirms what it was not asked about: the next attempt asks for the whole
        _ask_anew(call, cache)
        raise
    assert isinstance(seen, Response)
    return seen


def unread(call: Call, response: Response, error: Exception, cache: HttpCache) -> None:
    """Forgets an answer that was stored and cannot be read: the next call, or attempt, asks for it anew."""
    if call.lookup is None or call.lookup.unsafe or isinstance(error, Aside):
        return
    if 200 <= response.status < 300:  # others fail because of what they say, and may be kept
        cache.forget(call.lookup)
        if call.built is not call.unconditional:  # asking about it would bring it back
            _ask_anew(call, cache)


def _ask_anew(call: Call, cache: HttpCache) -> None:
    call.built = look_up(call, cache).request or call.unconditional


_identities: Final[dict[int, tuple[str, object]]] = {}
"""By id: a name, and what keeps that id from being given to another object while the name is known."""
_numbers: Final = count(1)


def identity_of(auth: Auth | Literal[False] | None) -> str:
    """A name for whom credentials stand for, so that what one may see is not kept for another.

    It is that of the object, whatever the object says that it equals.
    """
    if auth is None or auth is False:
        return ""
    key = id(auth)
    if key not in _identities:
        kept: object = auth
        with suppress(TypeError):  # one without a place for weak references stays for good
            kept = ref(auth, lambda _: _identities.pop(key, None))
        _identities[key] = (str(next(_numbers)), kept)
    return _identities[key][0]


class _Refresh:
    """A call in the background that renews a stale answer.

    It keeps the session of the call that found the answer open until it has ended, as any call does; if the
    client is closed before, it ends with it.
    """

    def __init__(self, call: Call, cache: HttpCache, start: Callable[[Call], Stage[Any]]) -> None:
        again = Call(call.runtime, call.data, LOOSE)
        again.rewrite = call.rewrite
        again.lookup = self._lookup = call.lookup
        self._cache = cache
        self._caller = call.runtime.caller
        self._session: Session = self._caller.session()
        self._session.calls.add(self)
        self._inside = self._session.entered > 0  # else whoever made the caller closes it
        self._session.entered += self._inside
        self._task = asyncio.get_running_loop().create_task(self._run(start(again)))
        self._task.add_done_callback(self._ended)

    async def _run(self, source: Stage[Any]) -> None:
        with suppress(Exception):  # nobody waits for it: the events of the call tell what became of it
            try:
                await last_of(source)
            finally:
                self._session.calls.discard(self)
                if self._inside:
                    self._inside = False
                    await self._caller.leave()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._session.ending.discard(task)
        if task.cancelled() and self._lookup is not None:
            self._cache.failed(self._lookup, asyncio.CancelledError(), time.time())  # another may be begun

    def abort(self) -> None:
        """Ends the refresh."""
        self._session.calls.discard(self)
        self._session.entered -= self._inside
        self._inside = False
        self._session.ending.add(self._task)
        self._task.cancel()
