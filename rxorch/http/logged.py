"""A transport that logs what goes through it, with secrets removed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from rxorch.http.body import StreamedBody
from rxorch.http.redaction import REDACTED
from rxorch.http.request import Request
from rxorch.http.response import Response
from rxorch.http.transport import Transport

__all__ = ["LoggedTransport"]

logger = logging.getLogger("rxorch.requests")


_PLAIN = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    """Names with the values of the few that never hold a secret: any other header may."""
    return {name: value if name.lower() in _PLAIN else REDACTED for name, value in headers.items()}


def _size(body: bytes | StreamedBody | None) -> str:
    length = body.length if isinstance(body, StreamedBody) else len(body or b"")
    return "stream" if length is None else f"{length} bytes"


class LoggedTransport:
    """Passes requests on to another transport and logs them at level INFO (logger `rxorch.requests`).

    Bodies are never logged, only their size. Of headers only values that cannot be secret are shown, of urls
    all but secret-looking query values; the rest is replaced by `***`.

    Args:
        transport: The one that sends.
        requests: Log each request before it is sent.
        responses: Log each answer, or the error in place of it.
    """

    def __init__(self, transport: Transport, *, requests: bool = True, responses: bool = True) -> None:
        self._transport = transport
        self._requests = requests
        self._responses = responses

    @property
    def sends(self) -> int:
        """Requests put on the wire since creation."""
        return self._transport.sends

    async def send(self, request: Request) -> Response:
        """Sends one request."""
        url = request.shown_url
        if self._requests:
            logger.info(
                "%s: %s %s headers=%s body=%s",
                request.endpoint, request.method, url, _shown(request.headers), _size(request.body),
            )  # fmt: skip
        started = time.monotonic()
        try:
            response = await self._transport.send(request)
        except Exception as error:
            if self._responses:
                logger.info(
                    "%s: %s %s failed: %s", request.endpoint, request.method, url, type(error).__name__
                )
            raise
        if self._responses:
            logger.info(
                "%s: %s %s -> %d, %d bytes, %.0f ms",
                request.endpoint, request.method, url, response.status, len(response.content),
                (time.monotonic() - started) * 1000,
            )  # fmt: skip
        return response

    async def aclose(self) -> None:
        """Closes the transport behind it."""
        await self._transport.aclose()
