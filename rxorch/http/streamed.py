"""An answer whose body is read piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from multidict import CIMultiDictProxy
from yarl import URL

from rxorch.http.redaction import redact_url
from rxorch.http.response import AnswerHead, Response

__all__ = ["StreamedResponse"]


class StreamedResponse(AnswerHead):
    """One HTTP answer as its head arrived; the body comes as it is read.

    Attributes:
        status: the HTTP status.
        reason: the text beside it, often empty.
        headers: case-insensitive.
        pieces: the body, decompressed, in pieces as they arrive; to be read once. Ends with an error when the
            body is cut short or larger than the request's ``max_response_bytes``.
    """

    __slots__ = ("pieces",)

    def __init__(
        self,
        status: int,
        pieces: AsyncIterator[bytes],
        headers: Mapping[str, str] | CIMultiDictProxy[str] | None = None,
        *,
        reason: str = "",
        url: URL | str = "",
    ) -> None:
        super().__init__(status, headers, reason, url)
        self.pieces = pieces

    async def read(self) -> Response:
        """The whole answer, its body read to the end."""
        content = b"".join([piece async for piece in self.pieces])
        return Response(self.status, content, self.headers, reason=self.reason, url=self._url)

    def __repr__(self) -> str:
        reason = f" {self.reason}" if self.reason else ""
        return f"<StreamedResponse {self.status}{reason}, {redact_url(self._url)}>"
