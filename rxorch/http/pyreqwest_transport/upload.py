"""The body of a request on its way out through pyreqwest, which asks for it when there is a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from rxorch.http.body import StreamedBody

__all__ = ["BytesUpload", "StreamUpload", "Upload"]

_PIECE = 256 * 1024


class _Stopped(Exception):
    """Ends the connection that asks for more of a body."""


class BytesUpload:
    """A body that is there, given out in pieces: by the thread of pyreqwest, once there is a connection.

    hyper asks for the first piece before it writes anything. So what has not ``begun`` when it is stopped has
    not been sent, and will not be: no piece is given, and the connection is dropped without the head of the
    request.

    Attributes:
        error: None: a body that is there cannot fail.
    """

    error: BaseException | None = None

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 0
        self._stopped = False
        # Two threads decide whether it begins, and setdefault lets exactly one of them be the first.
        self._fate: dict[str, bool] = {}

    @property
    def begun(self) -> bool:
        """True from the moment that the request is written."""
        return self._fate.get("begins", False)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._stopped or not self._fate.setdefault("begins", True):
            raise _Stopped
        start = self._position
        if start >= len(self._body):
            raise StopIteration
        self._position = start + _PIECE
        return self._body[start : self._position] if len(self._body) > _PIECE else self._body

    def stop(self) -> None:
        """Give out no more."""
        self._stopped = True
        self._fate.setdefault("begins", False)

    async def aclose(self) -> None:
        """Give out no more."""
        self.stop()


class StreamUpload:
    """A ``StreamedBody`` whose pieces are made on the event loop of the request.

    Attributes:
        begun: True: the head of the request may go out before the first piece is asked for.
        error: what the source raised. It is the error of the call, whatever else happens.
    """

    begun = True

    def __init__(self, body: StreamedBody) -> None:
        self.error: BaseException | None = None
        self._source = body.pieces()
        self._first: bytes | None = None
        self._making: asyncio.Task[bytes | None] | None = None
        self._stopped = False

    async def prepare(self) -> None:
        """Make the first piece, so that a body which cannot be read costs no connection."""
        self._first = await self._make()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._stopped:
            raise _Stopped
        first, self._first = self._first, None
        if first is not None:
            return first
        # A task of our own, which ``aclose`` can end: the one that runs this belongs to pyreqwest.
        self._making = asyncio.ensure_future(self._make())
        await asyncio.wait([self._making])
        if self._stopped:
            raise _Stopped
        piece = self._making.result()
        if piece is None:
            raise StopAsyncIteration
        return piece

    def stop(self) -> None:
        """Give out no more."""
        self._stopped = True

    async def aclose(self) -> None:
        """Give out no more, and close the source."""
        self._stopped = True
        if self._making is not None and not self._making.done():
            self._making.cancel()
            await asyncio.wait([self._making])
        await self._source.aclose()

    async def _make(self) -> bytes | None:
        try:
            return await anext(self._source, None)
        except BaseException as error:
            if not self._stopped:
                self.error = error
            raise


Upload = BytesUpload | StreamUpload
