"""``AioHttpClient``: one request at a time, without policies; and what strategies send with."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rxorch.client.arguments import named_params, plain_url
from rxorch.client.engine import RequestEngine
from rxorch.client.request_model import ApiRequestModel
from rxorch.client.settings import is_seconds
from rxorch.endpoint.caller import Caller
from rxorch.errors import ApiConfigurationError
from rxorch.http.aiohttp_transport import AioHttpTransport
from rxorch.http.transport import Transport

__all__ = ["AioHttpClient"]


class AioHttpClient:
    """Sends requests over HTTP. Implements ``BaseHttpClient``.

    Given to a strategy it says how its requests are sent, and the policies of the strategy stand around them.
    By itself, ``request`` sends one request once, without any policy but its time limit.

    Connections are kept inside ``async with`` (that of the client which uses it, or its own). Without, each
    request opens its own and closes it.

    Args:
        default_timeout: seconds for one attempt, where a request does not say; None for no limit.
        options: of ``AioHttpTransport``: ``limit``, ``connection_reuse``, ``tls``, ``proxy`` ...

    Example:
        >>> client = AioHttpClient(default_timeout=30)
        >>> async def main() -> None:
        ...     async with client:
        ...         print(await client.request("GET", "https://api.example.com/users/7"))
    """

    def __init__(self, default_timeout: float | None = 30.0, **options: Any) -> None:
        if default_timeout is not None and not is_seconds(default_timeout):
            raise ApiConfigurationError(
                "default_timeout is a number of seconds above 0, or None for no limit"
            )
        self.default_timeout = default_timeout
        self._options: dict[str, Any] = {"limit": 0, **options}
        self.make_transport()  # what is wrong with the options is said here; it opens nothing yet
        self._caller = Caller(make_transport=self.make_transport)
        self._engine = RequestEngine(
            retry={"retry_count": 0},
            breaker=False,
            limiter=None,
            hooks=None,
            http=None,
            default_timeout=default_timeout,
        )

    def make_transport(self) -> Transport:
        """A transport with the options of this client, for one event loop."""
        return AioHttpTransport(**self._options)

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
        """Send one request once.

        Args:
            method: HTTP method.
            url: absolute.
            headers: names to values.
            params: query parameters.
            data: body as it is, or a mapping or pairs that are sent as a form.
            json_payload: body that is sent as JSON.
            timeout: seconds; None for ``default_timeout``.

        Returns:
            The answer's JSON value, text or bytes, by its content type; None for an empty one.

        Raises:
            ApiError: see ``rxorch.errors``.
        """
        model = ApiRequestModel.unchecked(
            url=plain_url(url), method=method, headers=headers, params=named_params(params), data=data,
            json_payload=json_payload, timeout=timeout, response_key=None, model=None,
        )  # fmt: skip
        return await self._engine.execute(model, self._caller)

    async def aclose(self) -> None:
        """Close the connections that ``request`` has opened on the running loop."""
        await self._caller.aclose()

    async def __aenter__(self) -> Self:
        await self._caller.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._caller.__aexit__(kind, error, trace)
