"""Caller: what calls endpoints. Owns the transport, the event bus and the state of every endpoint."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from reactivex import Observable

from rxorch.endpoint.call import LOOSE, Trail
from rxorch.endpoint.factory import EndpointFactory
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.runtime import CallDefaults, EndpointRuntime
from rxorch.errors import ApiConfigurationError
from rxorch.events import EventBus
from rxorch.http import AioHttpTransport, Transport
from rxorch_operators import RetryBudget, TtlCache, last_of

__all__ = ["Caller"]

_MAX_HOSTS = 1024


class Caller:
    """Turns endpoints into observable factories over one transport.

    Args:
        transport: What sends requests; a new `AioHttpTransport` by default. One that is passed in is used
            and never closed here.
        defaults: What holds for endpoints that do not say otherwise.

    Attributes:
        events: Everything that happens, as an `EventBus`.
    """

    def __init__(self, transport: Transport | None = None, *, defaults: CallDefaults | None = None) -> None:
        self.defaults = CallDefaults() if defaults is None else defaults
        self.events = EventBus()
        self.cache: TtlCache[Any, Any] = TtlCache()
        self._given = transport
        self._own: Transport | None = None
        self._sessions = 0
        self._closed_sends = 0
        self._runtimes: dict[str, EndpointRuntime] = {}
        self._budgets: dict[str, RetryBudget] = {}

    @property
    def transport(self) -> Transport:
        """The transport in use; one of our own is opened when first needed."""
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = self._make_transport()
        return self._own

    def _make_transport(self) -> Transport:
        return AioHttpTransport()

    @property
    def sends(self) -> int:
        """Requests put on the wire so far, every attempt counted."""
        current = self._given if self._given is not None else self._own
        return self._closed_sends + (0 if current is None else current.sends)

    def budget_of(self, host: str) -> RetryBudget:
        """The retry budget that all calls to a host share."""
        budget = self._budgets.get(host)
        if budget is None:
            if len(self._budgets) >= _MAX_HOSTS:  # hosts from user input must not grow it without end
                self._budgets.pop(next(iter(self._budgets)))
            budget = self._budgets[host] = RetryBudget()
        return budget

    def runtime(self, endpoint: APIEndpoint) -> EndpointRuntime:
        """The state of an endpoint, made at its first use.

        Raises:
            ApiConfigurationError: another endpoint of the same name is in use here already.
        """
        runtime = self._runtimes.get(endpoint.name)
        if runtime is None:
            runtime = self._runtimes[endpoint.name] = EndpointRuntime(endpoint, self)
        elif runtime.endpoint is not endpoint and runtime.endpoint != endpoint:
            raise ApiConfigurationError(
                f"two different endpoints are called {endpoint.name!r}: "
                "limits, breaker and cache are kept by name, so give one of them another"
            )
        return runtime

    @property
    def runtimes(self) -> dict[str, EndpointRuntime]:
        """The endpoints used so far, by name."""
        return dict(self._runtimes)

    def observe(self, endpoint: APIEndpoint, *, each: bool | None = None) -> EndpointFactory:
        """The endpoint as an observable factory: `factory(data)` is a cold Observable of one call.

        Args:
            endpoint: What to call.
            each: Emit the elements of a list one by one; the endpoint's own `each` by default.
        """
        return EndpointFactory(self.runtime(endpoint), endpoint.each if each is None else each)

    async def call(self, endpoint: APIEndpoint, data: Any = None, *, trail: Trail = LOOSE) -> Any:
        """Calls an endpoint once and returns its value."""
        factory = EndpointFactory(self.runtime(endpoint), each=False)
        source: Observable[Any] = factory(data, trail=trail)
        return await last_of(source)

    def clear_cache(self, endpoint: str) -> int:
        """Forgets the kept answers of one endpoint; returns how many there were."""
        return self.cache.clear(tag=endpoint)

    def clear_all_cache(self) -> int:
        """Forgets all kept answers; returns how many there were."""
        return self.cache.clear()

    def enter(self) -> None:
        """Somebody begins to use the transport; `leave` ends it."""
        self._sessions += 1

    async def leave(self) -> None:
        """The last one to leave closes the transport, unless it was passed in."""
        self._sessions -= 1
        if self._sessions == 0:
            await self.aclose()

    async def aclose(self) -> None:
        """Closes the transport that was opened here. The state of the endpoints stays; safe to repeat."""
        own, self._own = self._own, None
        if own is not None:
            try:
                await own.aclose()
            finally:
                self._closed_sends += own.sends

    async def __aenter__(self) -> Self:
        self.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
