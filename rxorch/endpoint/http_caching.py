"""The HTTP cache in the policy stack: outside of the retries, so that what it has costs no permit."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakKeyDictionary

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint.auth import Auth
from rxorch.endpoint.call import LOOSE, Call
from rxorch.errors import ApiProtocolError
from rxorch.http.response import Response
from rxorch_operators import last_of
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from rxorch.endpoint.caller import Session
    from rxorch.http.http_cache import HttpCache, Lookup

__all__ = ["HttpCached", "identity_of", "seen_by_cache"]


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
                    _Refresh(call, self.start)
                call.cache_hit()
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
            self.sink.on_error(error)
            return
        self.sink.on_next(value)
        self.sink.on_completed()

    def on_completed(self) -> None:
        self._ended = True
        self.sink.on_completed()

    def dispose(self) -> None:
        call = self._call
        if not self._ended and call.runtime.unsafe and call.sends and call.lookup is not None:
            # It may have changed what is kept: nobody waits for the answer that would say so.
            self._cache.failed(call.lookup, asyncio.CancelledError(), time.time())
        self._ended = True
        super().dispose()

    def on_error(self, error: Exception) -> None:
        self._ended = True
        stored = None
        if isinstance(error, Exception) and self._call.lookup is not None:
            stored = self._cache.failed(self._call.lookup, error, time.time())
        if stored is None:
            self.sink.on_error(error)
            return
        self._call.substituted(error)
        self._call.cache_hit()
        self.answer(stored)


def look_up(call: Call, cache: HttpCache) -> Lookup:
    """Asks the cache about the request of a call, as it was before the cache put a condition on it."""
    asked = call.unconditional or call.built
    assert asked is not None
    call.unconditional = asked
    call.lookup = lookup = cache.lookup(asked, time.time(), identity=call.runtime.identity)
    return lookup


def seen_by_cache(call: Call, response: Response, cache: HttpCache) -> Response:
    """What the caller gets for an answer of the server: the answer, or the stored one that it confirms.

    An answer that failed is left to the retries; if they fail too, the cache is asked for a substitute.
    """
    if call.lookup is None or response.status >= 500 or (call.redirected and not call.runtime.unsafe):
        return response
    try:
        seen = cache.received(call.lookup, response, time.time())
    except ApiProtocolError:  # it confirms what it was not asked about: the next attempt asks for the whole
        call.built = look_up(call, cache).request or call.unconditional
        raise
    assert isinstance(seen, Response)
    return seen


_identities: Final[WeakKeyDictionary[object, str]] = WeakKeyDictionary()
_numbers: Final = count(1)


def identity_of(auth: Auth | Literal[False] | None) -> str:
    """A name for whom credentials stand for, so that what one may see is not kept for another."""
    if not auth:
        return ""
    name = _identities.get(auth)
    if name is None:
        name = _identities[auth] = str(next(_numbers))
    return name


class _Refresh:
    """A call in the background that renews a stale answer. It ends with its client."""

    def __init__(self, call: Call, start: Callable[[Call], Stage[Any]]) -> None:
        again = Call(call.runtime, call.data, LOOSE)
        again.lookup = call.lookup
        self._session: Session = call.runtime.caller.session()
        self._session.calls.add(self)
        self._task = asyncio.get_running_loop().create_task(self._run(start(again)))

    async def _run(self, source: Stage[Any]) -> None:
        try:
            await last_of(source)
        except Exception:  # nobody waits for it: the events of the call tell what became of it
            pass
        finally:
            self._session.calls.discard(self)

    def abort(self) -> None:
        """Ends the refresh."""
        self._session.calls.discard(self)
        self._task.cancel()
