"""The seam between the policies and the wire."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rxorch.http.request import Request
from rxorch.http.response import Response

__all__ = ["Transport"]


@runtime_checkable
class Transport(Protocol):
    """Sends one request and returns one answer; knows no policy.

    A transport does not retry, follow redirects, keep cookies or limit time: whoever awaits ``send``
    cancels it. Anything with these three members is one, a fake of a few lines in a test too.
    """

    @property
    def sends(self) -> int:
        """Requests put on a connection since the transport was made."""
        ...

    async def send(self, request: Request) -> Response:
        """Send ``request`` once and return the answer, whatever its status, with its body read in full.

        Sets ``request.sent`` and adds one to ``sends`` at the moment the request goes to a connection.

        Raises:
            ApiNetworkError: no whole answer came; ``sent`` tells whether the request left.
            ApiProtocolError: what came is not valid HTTP.
            ApiResponseTooLargeError: the body is larger than ``request.max_response_bytes``.

        Cancelling it closes the connection.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections and wait until they are closed."""
        ...
