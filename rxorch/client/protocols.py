"""What one may put in the place of a part of the request layer: each a protocol with as little in it as
serves.

A class need not inherit from any of them; it is enough that it has the methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = [
    "AfterHook",
    "BaseCircuitBreaker",
    "BaseHttpClient",
    "BaseRateLimiter",
    "BaseRequestHook",
    "BaseRequestModel",
    "BaseRequestStrategy",
    "BeforeHook",
    "RequestHook",
]


@runtime_checkable
class BaseRequestModel(Protocol):
    """One request as its caller put it, for a hook on a copy that is one attempt's alone.

    A hook may change what is sent: ``url``, ``method``, ``headers``, ``params``, ``data`` and
    ``json_payload``; also within them, for dicts, lists and tuples are copied too. Whether it may be sent
    again is judged by the method that was sent. A hook may change what is taken of the answer:
    ``response_key`` and ``model``, for ``call_api`` only; an endpoint has its own. ``timeout`` is the
    caller's: a hook can read it, and what it writes there changes nothing.
    """

    url: str
    method: str
    headers: dict[str, str] | None
    params: dict[str, Any] | None
    data: Any
    json_payload: Any
    timeout: float | None
    response_key: str | None
    model: Any


class BaseRequestHook:
    """Looks at every request before it is sent, and at every answer. Override one method or both.

    A hook need not inherit from it: an object with one of the two methods, plain or ``async``, will do.

    The hooks of a strategy form an onion: ``before`` runs in the order of the list, ``after`` in the reverse
    order. Both run for each attempt, on a request of that attempt alone, so that a fresh token is put on a
    repetition and nothing is added twice. An error in a hook is the call's error: it is raised as it is, not
    repeated, and no circuit breaker counts it.

    Attributes:
        keeps_identity: set it to True on a hook that does not change who is asking (no credentials, no
            tenant). Only with such hooks may answers be kept or shared between callers.

    Example:
        >>> from rxorch.client import ApiRequestModel
        >>> class Version(BaseRequestHook):
        ...     keeps_identity = True
        ...
        ...     async def before(self, request: BaseRequestModel) -> None:
        ...         request.headers = {**(request.headers or {}), "X-Api-Version": "2"}
        >>> async def main() -> None:
        ...     request = ApiRequestModel(url="https://api.example.com/users/7")
        ...     await Version().before(request)
        ...     print(request.headers)
        >>> import asyncio
        >>> asyncio.run(main())
        {'X-Api-Version': '2'}
    """

    keeps_identity: bool = False

    async def before(self, request: BaseRequestModel) -> None:
        """Look at a request just before it is sent; change it if need be."""

    async def after(self, request: BaseRequestModel, response: Any) -> None:
        """Look at the parsed answer of a success, before ``response_key`` and ``model`` are applied.

        Args:
            request: as it was sent.
            response: what the HTTP client made of the answer: a JSON value, text or bytes; of a ``fetch`` the
                ``Response``.
        """


class BeforeHook(Protocol):
    """A hook that looks at requests; see ``BaseRequestHook``."""

    def before(self, request: Any, /) -> Any:
        """Look at a request just before it is sent; plain or ``async``."""
        ...


class AfterHook(Protocol):
    """A hook that looks at answers; see ``BaseRequestHook``."""

    def after(self, request: Any, response: Any, /) -> Any:
        """Look at the answer of a success; plain or ``async``."""
        ...


RequestHook = BeforeHook | AfterHook
"""What a list of hooks may hold."""


@runtime_checkable
class BaseHttpClient(Protocol):
    """Sends one request, once, and returns what the answer holds."""

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        json_payload: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the parsed answer.

        Raises:
            ApiError: the call failed, as the error tree says: an ``ApiHttpError`` with its status, an
                ``ApiNetworkError``, an ``ApiTimeoutError``. A plain ``OSError`` or ``TimeoutError`` is taken
                for one of the last two.
        """
        ...


@runtime_checkable
class BaseRateLimiter(Protocol):
    """Says when a request may leave."""

    def acquire(self) -> Any:
        """Wait until it may, as an ``async`` method; a plain one lets it leave. Called for each attempt."""
        ...


@runtime_checkable
class BaseCircuitBreaker(Protocol):
    """Says whether a request may be made at all, and learns what became of it."""

    def is_open(self) -> Any:
        """Tell whether calls are refused now."""
        ...

    def record_failure(self) -> Any:
        """Learn that the service failed."""
        ...

    def reset(self) -> Any:
        """Learn that it answered."""
        ...


@runtime_checkable
class BaseRequestStrategy(Protocol):
    """Carries out the requests of an ``ApiClient``."""

    async def execute(self, request: Any, client: Any, /) -> Any:
        """Return what ``call_api`` returns.

        Args:
            request: what is asked for, an ``ApiRequestModel``.
            client: the ``ApiClient`` that asks: its transport, its settings, its event bus.
        """
        ...
