"""What one may put in the place of a part of the request layer: each a protocol with as little in it as
serves.

A class need not inherit from any of them; it is enough that it has the methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rxorch.endpoint.caller import Caller

__all__ = [
    "BaseCircuitBreaker",
    "BaseHttpClient",
    "BaseRateLimiter",
    "BaseRequestHook",
    "BaseRequestModel",
    "BaseRequestStrategy",
]


@runtime_checkable
class BaseRequestModel(Protocol):
    """One request as its caller put it. A hook may change any of it before it is sent."""

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
            response: what the HTTP client made of the answer: a JSON value, text or bytes.
        """


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

    async def acquire(self) -> Any:
        """Wait until it may. Called once for each attempt."""
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

    async def execute(self, request: BaseRequestModel, client: Caller) -> Any:
        """Return what ``call_api`` returns.

        Args:
            request: what is asked for.
            client: the client that asks: its transport, its settings, its event bus.
        """
        ...
