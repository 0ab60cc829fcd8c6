"""A body that is sent piece by piece, for what is too large to hold or not known yet."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from rxorch.errors import ApiConfigurationError, ApiValidationError

__all__ = ["StreamedBody"]

Pieces = AsyncIterable[bytes] | Iterable[bytes]


class StreamedBody:
    """The body of a request, made while it is sent.

    Args:
        source: a function that begins anew each time it is called, so that a repetition sends the same (such
            as ``lambda: open_and_read(path)``); or an iterable or async iterable of bytes, which can be sent
            once.
        length: number of bytes, where it is known: sent as Content-Length, and held to. Without it the body
            goes in chunks.
        content_type: sent as Content-Type unless the request has one.

    Raises:
        ApiConfigurationError: ``source`` is none of these, or ``length`` is negative.

    Example:
        >>> body = StreamedBody(lambda: [b"one", b"two"], length=6)
        >>> body
        <StreamedBody of 6 bytes>
        >>> body.repeatable, StreamedBody(iter([b"once"])).repeatable
        (True, False)
    """

    __slots__ = ("_begun", "_source", "content_type", "length", "repeatable")

    def __init__(
        self,
        source: Callable[[], Pieces] | Pieces,
        *,
        length: int | None = None,
        content_type: str = "application/octet-stream",
    ) -> None:
        if isinstance(source, str | bytes | bytearray | memoryview):
            raise ApiConfigurationError(
                "a body that is whole already is given as it is, not as a StreamedBody"
            )
        if not callable(source) and not isinstance(source, AsyncIterable | Iterable):
            raise ApiConfigurationError(
                f"a StreamedBody wants an iterable of bytes, or a function that makes one; "
                f"not {type(source).__name__}"
            )
        if length is not None and (not isinstance(length, int) or length < 0):
            raise ApiConfigurationError("the length of a StreamedBody is a number of bytes, 0 or more")
        self._source = source
        self._begun = False
        self.length = length
        self.content_type = content_type
        self.repeatable = callable(source) or isinstance(source, list | tuple)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body from its beginning, empty pieces left out.

        Raises:
            ApiValidationError: it can be sent once and was begun before, a piece is not bytes, or there are
                more or fewer bytes than ``length`` says.
        """
        if self._begun and not self.repeatable:
            raise ApiValidationError(
                "the body was begun before and cannot be sent again; give StreamedBody a function"
            )
        self._begun = True
        sent = 0
        made = self._source() if callable(self._source) else self._source
        async with aclosing(_asynchronous(made)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, bytes | bytearray | memoryview):
                    kind = type(piece).__name__
                    raise ApiValidationError(f"the body has a piece of type {kind}, not bytes")
                sent += len(piece)
                if self.length is not None and sent > self.length:
                    raise ApiValidationError(
                        f"the body has more than the {self.length} bytes that it was said to have"
                    )
                if piece:
                    yield bytes(piece)
        if self.length is not None and sent < self.length:
            raise ApiValidationError(f"the body has {sent} bytes, and was said to have {self.length}")

    def __repr__(self) -> str:
        size = "unknown size" if self.length is None else f"{self.length} bytes"
        return f"<StreamedBody of {size}>"


async def _asynchronous(pieces: Pieces) -> AsyncGenerator[Any]:
    if isinstance(pieces, AsyncIterable):
        iterator = aiter(pieces)
        try:
            async for piece in iterator:
                yield piece
        finally:
            close = getattr(iterator, "aclose", None)  # a generator left half-way still holds what it opened
            if close is not None:
                await close()
    else:
        for piece in pieces:
            yield piece
