"""Sending a body piece by piece while its answer is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter

from rxorch.http.body import StreamedBody

__all__ = ["Upload"]


class Upload:
    """One ``StreamedBody`` on its way out.

    Its source is begun before there is a connection, so that a body which cannot be read costs none.

    Attributes:
        error: what the source raised; None if nothing. It is the error of the call, whatever else happens.
        complete: True once the last byte of the body was handed to the connection.
    """

    def __init__(self, body: StreamedBody) -> None:
        self.error: BaseException | None = None
        self.complete = False
        self._body = body
        self._left = body.length
        self._source = body.pieces()
        self._first: bytes | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def begin(self) -> None:
        """Make the first piece.

        Raises:
            Exception: what the source raises.
        """
        self._first = await self._next()

    def start(self, protocol: ResponseHandler) -> None:
        """Send the body, its head being on the way. The connection is broken off where the source fails."""
        writer = StreamWriter(protocol, asyncio.get_running_loop())
        if self._body.length is None:
            writer.enable_chunking()
        self._task = asyncio.create_task(self._send(writer), name="rxorch-upload")

    def raise_error(self) -> None:
        """Raise ``error``, where there is one."""
        if self.error is not None:
            raise self.error

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body from its first piece."""
        while True:
            piece = await self._next()
            if piece is None:
                return
            yield piece

    async def stop(self) -> None:
        """Send no more, and close the source."""
        self._stopped = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self._source.aclose()
        except BaseException as error:
            self.error = self.error or error
            raise

    async def _send(self, writer: StreamWriter) -> None:
        self._note_sent(0)
        try:
            while (piece := await self._next()) is not None:
                await writer.write(piece, drain=False)
                self._note_sent(len(piece))
                await writer.drain()
            await writer.write_eof()
            self.complete = True
        except BaseException as failure:
            if isinstance(failure, OSError) and failure is not self.error:
                return  # the connection is gone: who reads the answer sees it, and may still find one
            if self._stopped:
                raise
            self.error = failure
            _break_off(writer)
            if not isinstance(failure, Exception):
                raise

    async def _next(self) -> bytes | None:
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            return await anext(self._source, None)
        except BaseException as error:
            if not self._stopped:
                self.error = error
            raise

    def _note_sent(self, size: int) -> None:
        # A server that was told the length may answer before the source has said that it is at its end.
        if self._left is not None:
            self._left -= size
            self.complete = self._left == 0


def _break_off(writer: StreamWriter) -> None:
    # Of the transport alone: the protocol then learns of it, and wakes who waits for an answer.
    if writer.transport is not None:
        writer.transport.abort()
