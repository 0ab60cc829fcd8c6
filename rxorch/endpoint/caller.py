"""Caller: what calls endpoints. Owns the transport, the event bus and the state of every endpoint."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from types import TracebackType
from typing import Any, Protocol, Self

from rxorch.endpoint.call import LOOSE, CallCounter, Trail
from rxorch.endpoint.defaults import CallDefaults
from rxorch.endpoint.factory import EndpointFactory
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.runtime import EndpointRuntime
from rxorch.endpoint.stack import EndpointCall
from rxorch.errors import ApiConfigurationError
from rxorch.events import EventBus
from rxorch.http import AioHttpTransport, Transport
from rxorch.interrupts import RunInterrupted, in_kernel, interruptible
from rxorch_operators import RetryBudget, TtlCache, last_of
from rxorch_operators.core.clock import base_scheduler, clock_of
from rxorch_operators.core.demand import UNBOUNDED, DemandScheduler
from rxorch_operators.core.inbox import settle

__all__ = ["Caller", "Session"]

_MAX_HOSTS = 1024
_BUDGET_FLOOR = 3


def _default_transport() -> Transport:
    return AioHttpTransport(limit=0)  # how much is in flight is what `max_concurrent` and bulkheads say


class Abortable(Protocol):
    """What is under way on a session and ends with it."""

    def abort(self) -> None:
        """Ends it and tells who waits for it."""


class Session:
    """The transport of one event loop, how many use it, and what is under way on it.

    Attributes:
        scheduler: The loop's, made once: a fifth of what a single call takes beyond its request.
    """

    __slots__ = ("calls", "contexts", "ending", "entered", "runs", "scheduler", "streams", "transport")

    def __init__(self) -> None:
        base = base_scheduler(None)
        self.scheduler = DemandScheduler(base, UNBOUNDED, clock_of(base), set(), Context())
        self.contexts = 0
        self.entered = 0
        self.streams: set[Abortable] = set()
        self.runs: set[Abortable] = set()
        self.calls: set[Abortable] = set()
        self.ending: set[asyncio.Task[Any]] = set()
        """Tasks that were told to end: who closes the session waits for them."""
        self.transport: Transport | None = None

    def abort(self) -> None:
        """Ends what is under way: the outer first, for the end of the inner would have it begin another."""
        for under_way in (self.streams, self.runs, self.calls):
            for each in tuple(under_way):
                each.abort()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self.streams or self.runs or self.calls)


class Caller:
    """Turns endpoints into observable factories over one transport per event loop.

    Args:
        transport: What sends requests. One that is passed in is used and never closed here.
        make_transport: Makes the transport of each event loop, where none is passed in; a new
            `AioHttpTransport` by default.
        defaults: What holds for endpoints that do not say otherwise.

    Attributes:
        events: Everything that happens, as an `EventBus`.
        count: Told the facts of every call that has ended, without a record of it; see `IOMetrics.count`.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        make_transport: Callable[[], Transport] | None = None,
        defaults: CallDefaults | None = None,
    ) -> None:
        self.defaults = CallDefaults() if defaults is None else defaults
        self.events = EventBus()
        self.count: CallCounter | None = None
        self.cache: TtlCache[Any, Any] = TtlCache()
        self._given = transport
        self._make = make_transport or _default_transport
        self._sessions: dict[asyncio.AbstractEventLoop, Session] = {}
        self._closed_sends = 0
        self._runtimes: dict[str, EndpointRuntime] = {}
        self._budgets: dict[str, RetryBudget] = {}
        self.loose_runtimes: OrderedDict[Hashable, EndpointRuntime] = OrderedDict()

    @property
    def transport(self) -> Transport:
        """The transport for the running loop; one of our own is opened when first needed."""
        if self._given is not None:
            return self._given
        session = self._sessions.get(asyncio.get_running_loop())
        if session is None:
            session = self._session()
        if session.transport is None:
            session.transport = self._make_transport()
        return session.transport

    def session(self) -> Session:
        """What belongs to the running loop, to begin something on it.

        Raises:
            ApiConfigurationError: something is under way on another loop.
        """
        session = self._sessions.get(asyncio.get_running_loop())
        if session is None:
            session = self._session()
        if len(self._sessions) > 1 and not all(
            other.idle for other in self._sessions.values() if other is not session
        ):
            raise ApiConfigurationError(
                "this client is at work on another event loop: its limits, breakers and cache belong to one "
                "loop at a time. Use one client for each loop"
            )
        return session

    def _session(self) -> Session:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            for old in [other for other in self._sessions if other.is_closed()]:
                self._forget(old)
            session = self._sessions[loop] = Session()
        return session

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        transport = self._sessions.pop(loop).transport
        if transport is not None:
            self._closed_sends += transport.sends

    def _make_transport(self) -> Transport:
        return self._make()

    @property
    def sends(self) -> int:
        """Requests put on the wire so far, every attempt counted."""
        if self._given is not None:
            return self._given.sends
        return self._closed_sends + sum(
            session.transport.sends for session in self._sessions.values() if session.transport is not None
        )

    def budget_of(self, host: str, *, one_more: bool = False) -> RetryBudget:
        """The retry budget that all calls to a host share.

        Args:
            host: Name or address.
            one_more: Another endpoint of this host begins to use it: its floor grows by that of one endpoint,
                so that endpoints which are called once each may all repeat.
        """
        budget = self._budgets.get(host)
        if budget is None:
            if len(self._budgets) >= _MAX_HOSTS:  # hosts from user input must not grow it without end
                self._budgets.pop(next(iter(self._budgets)))
            budget = self._budgets[host] = RetryBudget()
        elif one_more:
            budget.floor += _BUDGET_FLOOR
        return budget

    def runtime(self, endpoint: APIEndpoint) -> EndpointRuntime:
        """The state of an endpoint, made at its first use.

        Raises:
            ApiConfigurationError: another endpoint of the same name is in use here already.
        """
        runtime = self._runtimes.get(endpoint.name)
        if runtime is None:
            runtime = self._runtimes[endpoint.name] = EndpointRuntime(endpoint, self)
        elif runtime.declared is not endpoint and runtime.declared != endpoint:
            raise ApiConfigurationError(
                f"two different endpoints are called {endpoint.name!r}: "
                "limits, breaker and cache are kept by name, so give one of them another"
            )
        return runtime

    def loose_runtime(self, key: Hashable) -> EndpointRuntime | None:
        """The state that `keep_loose` was given under a key; it counts as used now."""
        runtime = self.loose_runtimes.get(key)
        if runtime is not None:
            self.loose_runtimes.move_to_end(key)
        return runtime

    def keep_loose(self, key: Hashable, runtime: EndpointRuntime) -> None:
        """Keep the state of requests that no endpoint declares, under a key of whoever makes them.

        Of too many, the one that was used longest ago leaves; none that has a call in flight does.
        """
        if len(self.loose_runtimes) >= _MAX_HOSTS:
            kept = self.loose_runtimes.items()
            idle = next((other for other, one in kept if not one.calls_in_flight), None)
            if idle is not None:
                del self.loose_runtimes[idle]
        self.loose_runtimes[key] = runtime

    @property
    def runtimes(self) -> dict[str, EndpointRuntime]:
        """The endpoints used so far, by name."""
        return dict(self._runtimes)

    @property
    def breakers(self) -> dict[str, Any]:
        """The circuit breakers in use so far, by endpoint name."""
        return {name: each.breaker for name, each in self._runtimes.items() if each.breaker is not None}

    def observe(self, endpoint: APIEndpoint, *, each: bool | None = None) -> EndpointFactory:
        """The endpoint as an observable factory: `factory(data)` is a cold Observable of one call.

        Args:
            endpoint: What to call.
            each: Emit the elements of a list one by one; the endpoint's own `each` by default.
        """
        return EndpointFactory(self.runtime(endpoint), endpoint.each if each is None else each)

    async def call(self, endpoint: APIEndpoint, data: Any = None, *, trail: Trail = LOOSE) -> Any:
        """Calls an endpoint once and returns its value; of one with `stream` the list of its elements."""
        source = EndpointCall(self.runtime(endpoint), data, trail)
        if self.is_open:
            return await self._last_of(source, endpoint)
        self.enter()
        try:
            return await self._last_of(source, endpoint)
        finally:
            await self.leave()

    def _last_of(self, source: EndpointCall, endpoint: APIEndpoint) -> Awaitable[Any]:
        last = last_of(source, scheduler=self._session().scheduler)
        if not in_kernel():
            return last
        return interruptible(
            last, lambda: RunInterrupted(f"interrupted: the call of {endpoint.name!r} was cut off")
        )

    def clear_cache(self, endpoint: str) -> int:
        """Forgets the kept answers of one endpoint; returns how many there were.

        Who calls from now on does not share a call that is under way: its answer may be the one to forget.
        """
        runtime = self._runtimes.get(endpoint)
        if runtime is not None:
            runtime.coalescer.forget_all()
        return self.cache.clear(tag=endpoint)

    def clear_all_cache(self) -> int:
        """Forgets all kept answers, as `clear_cache` those of one endpoint; returns how many there were."""
        for runtime in self._runtimes.values():
            runtime.coalescer.forget_all()
        return self.cache.clear()

    def enter(self) -> None:
        """Somebody begins to use the transport of the running loop; `leave` ends it."""
        self.session().entered += 1

    @property
    def is_open(self) -> bool:
        """Whether the running loop is in an `async with` block of this client, which closes what is left."""
        return self._session().contexts > 0

    def release(self) -> bool:
        """Somebody has done with the transport; returns whether it was the last one, who has to close it."""
        session = self._session()
        session.entered -= 1
        return session.entered <= 0

    async def leave(self) -> None:
        """The last one to leave closes the transport, unless it was passed in."""
        if self.release():
            await self.close_unused()

    async def close_unused(self) -> None:
        """Closes the transport unless somebody has begun to use it meanwhile."""
        if self._session().entered <= 0:
            await self.aclose()

    async def aclose(self) -> None:
        """Ends what is under way on the running loop, then closes its transport, unless that was passed in.

        A run or call that is ended this way fails with an `ApiError`. The state of the endpoints stays.
        """
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            return
        session.abort()
        transport, session.transport = session.transport, None  # who comes meanwhile opens a new one
        if session.entered <= 0:
            self._sessions.pop(loop, None)
        if transport is not None:
            before = transport.sends
            self._closed_sends += before
            await transport.aclose()
            self._closed_sends += transport.sends - before
        await settle(session.ending)

    async def __aenter__(self) -> Self:
        session = self._session()
        session.contexts += 1
        session.entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session()
        session.contexts -= 1
        session.entered -= 1
        if session.contexts <= 0:  # whoever still uses it outlives the block that it was made for
            await self.aclose()
