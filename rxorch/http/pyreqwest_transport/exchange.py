"""One request and its answer through pyreqwest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Self

from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING
from multidict import CIMultiDict, CIMultiDictProxy

from rxorch.errors import (
    ApiConfigurationError,
    ApiNetworkError,
    ApiProtocolError,
    ApiResponseTooLargeError,
)
from rxorch.http._failures import raise_instead
from rxorch.http.decoding import BodyDecoder
from rxorch.http.pyreqwest_transport.upload import StreamUpload, Upload
from rxorch.http.request import Request
from rxorch.http.streamed import StreamedResponse

if TYPE_CHECKING:
    from pyreqwest.http import HeaderMap
    from pyreqwest.request import StreamRequest
    from pyreqwest.response import ResponseBodyReader

__all__ = ["Exchange"]

_OUTSIDE = "the body of a stream is read inside its `async with` block"
_WITHOUT_BODY = (204, 304)
_MUST_BE_READ = (CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING)


class Exchange:
    """Sends one request, waits for the head of its answer, and iterates over the answer's body.

    Args:
        message: the request as pyreqwest has it.
        request: the same as its user has it.
        upload: its body, where it has one.
        places: what keeps the transport below its limit; a place is held from the request to the end of the
            answer. None without a limit.
        error_of: tells what a failure is raised as.

    Attributes:
        ended: True when the body was read to its end.
    """

    def __init__(
        self,
        message: StreamRequest,
        request: Request,
        upload: Upload | None,
        places: asyncio.Semaphore | None,
        error_of: Callable[[Exchange, BaseException], BaseException],
    ) -> None:
        self.upload = upload
        self.request = request
        self.ended = False
        self._message = message
        self._places = places
        self._holds_place = False
        self._error_of = error_of
        self._call: Awaitable[Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._left: asyncio.Future[None] | None = None
        self._closed = False
        self._reader: ResponseBodyReader | None = None
        self._decoder = BodyDecoder("", None)
        self._parts: Iterator[bytes] = iter(())
        self._received = 0
        self._failure: BaseException | None = None

    async def prepare(self) -> None:
        """Do what comes before the request goes out: make the first piece of its body, wait for a place."""
        if isinstance(self.upload, StreamUpload):
            await self._wait(self.upload.prepare())
        if self._places is not None:
            await self._wait(self._take_place(self._places))
        self._check_not_interrupted()

    async def begin(self) -> StreamedResponse:
        """Send the request and wait for the head of the answer.

        Raises:
            ApiResponseTooLargeError: the answer says that it is larger than the request allows.
            ApiProtocolError: the answer is framed in a way that was not asked for.
            PyreqwestError: the answer is broken or does not come.
        """
        response = await self._wait(self._message.__aenter__())
        status, headers = response.status, _readable(response.headers)
        if status < 200:
            raise ApiProtocolError("the server switched to another protocol", sent=True)
        _check_framing(headers)
        limit = self.request.max_response_bytes
        has_body = self.request.method != "HEAD" and status not in _WITHOUT_BODY
        if has_body and limit is not None and int(headers.get(CONTENT_LENGTH, 0)) > limit:
            raise ApiResponseTooLargeError(limit)
        self._decoder = BodyDecoder(headers.get(CONTENT_ENCODING, ""), limit)
        self._reader = response.body_reader
        return StreamedResponse(status, self, headers, url=self.request.url)

    def interrupt(self) -> asyncio.Future[None] | None:
        """Let the request fail where it stands, because its transport closes.

        Returns what is done when nobody waits in here any more; None if nobody does.
        """
        if self._task is not None and not self._interrupted:
            self._left = asyncio.get_running_loop().create_future()
            self._task.cancel()
        elif not self._interrupted:
            self._drop()
        self._interrupted = True
        return self._left

    def abandon(self) -> None:
        """Let go of whoever waits, who will not be woken: the interpreter ends."""
        self._interrupted = True
        if self.upload is not None:
            self.upload.stop()
        if isinstance(self._call, Coroutine):
            try:
                self._call.close()
            except RuntimeError:  # another thread is inside it, and so will find the transport closed
                pass

    async def close(self) -> None:
        """Leave the exchange wherever it stands. Unless the body was read to its end, the connection ends."""
        self._closed = True
        if self.upload is not None:
            await self.upload.aclose()
        if self._task is not None:  # somebody else reads on: only without that reader can it be dropped
            self._task.cancel()
        elif not self.ended:
            self._drop()
        self._give_place_back()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        if self.ended:
            raise StopAsyncIteration
        if self._closed:
            raise ApiConfigurationError(_OUTSIDE)
        try:
            piece = await self.read()
        except Exception as failure:
            self._drop()
            self._failure = self._error_of(self, failure)
            raise_instead(self._failure, failure)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def read(self) -> bytes | None:
        """The next piece of the body, decompressed; None at its end.

        Raises:
            ApiResponseTooLargeError: the body is too large, on the wire or opened.
            ApiProtocolError: the body is not in its content coding.
            PyreqwestError: it is cut short, or its framing is broken.
        """
        while True:
            for part in self._parts:
                return part
            data = await self._receive()
            if data is None:
                self._decoder.finish()
                self.ended = True
                self._give_place_back()
                return None
            self._parts = self._decoder.feed(data)

    async def _receive(self) -> bytes | None:
        assert self._reader is not None
        self._check_not_interrupted()
        piece = await self._wait(self._reader.read_chunk())
        if self.upload is not None and self.upload.error is not None:
            raise self.upload.error
        if piece is None:
            return None
        data = bytes(piece)
        self._received += len(data)
        limit = self.request.max_response_bytes
        if limit is not None and self._received > limit:
            raise ApiResponseTooLargeError(limit)
        return data

    async def _wait(self, call: Awaitable[Any]) -> Any:
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        self._task, self._call = task, call
        try:
            result = await call
            # When answer and cancellation come at once, pyreqwest may choose the answer.
            if task.cancelling() > before:
                raise asyncio.CancelledError
            return result
        except asyncio.CancelledError:
            if (self._interrupted or self._closed) and task.uncancel() <= before:
                self._check_not_interrupted()
                raise ApiConfigurationError(_OUTSIDE) from None
            raise
        except RuntimeError:  # ``abandon`` took away what was waited for
            self._check_not_interrupted()
            raise
        finally:
            self._task = self._call = None
            if self._left is not None and not self._left.done():
                self._left.set_result(None)

    async def _take_place(self, places: asyncio.Semaphore) -> None:
        await places.acquire()
        self._holds_place = True

    def _give_place_back(self) -> None:
        if self._holds_place and self._places is not None:
            self._holds_place = False
            self._places.release()

    def _check_not_interrupted(self) -> None:
        if self._interrupted:
            raise ApiNetworkError("the transport was closed", sent=self.request.sent) from None

    def _drop(self) -> None:
        # It never waits, so that it is over after one step: a cancellation has no place to come in.
        closing = self._message.__aexit__(None, None, None)
        try:
            closing.send(None)
        except (StopIteration, RuntimeError):  # a RuntimeError if no head of an answer came
            pass


def _readable(headers: HeaderMap) -> CIMultiDictProxy[str]:
    try:
        return CIMultiDictProxy(CIMultiDict(headers.items()))
    except ValueError:  # pyreqwest does not hand out a value that has other bytes than ASCII
        read: CIMultiDict[str] = CIMultiDict()
        for name in dict.fromkeys(headers.keys()):
            try:
                read.extend((name, value) for value in headers.getall(name))
            except ValueError:
                _check_may_be_unreadable(name)
        return CIMultiDictProxy(read)


def _check_may_be_unreadable(name: str) -> None:
    if name.title() in _MUST_BE_READ:
        raise ApiProtocolError("the answer is not valid HTTP: a header of its framing", sent=True)


def _check_framing(headers: CIMultiDictProxy[str]) -> None:
    """Refuse what hyper lets pass: it takes an unknown transfer coding for a body without one."""
    coding = headers.get(TRANSFER_ENCODING)
    if coding is None:
        return
    if coding.strip().lower() != "chunked" or len(headers.getall(TRANSFER_ENCODING)) > 1:
        raise ApiProtocolError("the answer has a transfer coding that was not asked for", sent=True)
    if CONTENT_LENGTH in headers:
        raise ApiProtocolError("the answer has a transfer coding and a Content-Length", sent=True)
