"""The seam between the policies and the wire."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from rxorch.http.request import Request
from rxorch.http.response import Response
from rxorch.http.streamed import StreamedResponse

__all__ = ["StreamingTransport", "Transport"]


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


@runtime_checkable
class StreamingTransport(Transport, Protocol):
    """A transport that can also hand out an answer before its body is there."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send ``request`` once; the block is entered when the head of the answer is there.

        Counts and raises like ``send``; what befalls the body is raised from the reading of its pieces.
        Leaving the block before the body was read to its end closes the connection.

        Example:
            >>> async def lines(transport: StreamingTransport, request: Request) -> None:
            ...     async with transport.stream(request) as response:
            ...         async for piece in response.pieces:
            ...             print(len(piece))
        """
        ...
