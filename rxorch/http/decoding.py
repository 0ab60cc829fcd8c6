"""Undoing a Content-Encoding, never beyond a limit and never from a body that was cut short."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from rxorch.errors import ApiProtocolError, ApiResponseTooLargeError

__all__ = ["ACCEPT_ENCODING", "BodyDecoder", "decode_body"]

ACCEPT_ENCODING = "gzip, deflate"
"""What is undone here, for the request header of that name."""

# Others that are in use. An error names no coding but these: anything else is the server's own text.
_OTHERS = frozenset({"br", "compress", "dcb", "dcz", "x-compress", "zstd"})
_GZIP = 16 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS
# A body of half a million empty gzip members would copy its own rest half a million times: fed in slices, a
# member copies at most the rest of its slice, and a body has only so many members.
_SLICE = 64 * 1024
_MAX_MEMBERS = 10_000
_PART = 256 * 1024
"""Most bytes that come out at a time: a slice of a bomb opens to a thousand times its size."""
_HEADER_BYTES = 2
"""As much of a deflated body tells whether it has the zlib wrapper."""


class _Coding(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


class BodyDecoder:
    """Undoes a content coding piece by piece.

    Args:
        coding: value of the Content-Encoding header; ``""`` and ``"identity"`` mean none.
        limit: most bytes that may come out of a compressed body; None for no limit. Not more than that (plus
            one) is ever inflated, and never more than 256 KiB at a time.

    Example:
        >>> import zlib
        >>> decoder, body = BodyDecoder("deflate", limit=100), zlib.compress(b"hello")
        >>> b"".join([*decoder.feed(body[:4]), *decoder.feed(body[4:])]), decoder.finish()
        (b'hello', None)
    """

    __slots__ = ("_coding", "_limit", "_name")

    def __init__(self, coding: str, limit: int | None) -> None:
        self._name = coding.strip().lower()
        self._limit = limit
        self._coding: _Coding | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what ``data``, the next part of the body, opens to; all of it is to be taken.

        Raises:
            ApiResponseTooLargeError: more than the limit would come out.
            ApiProtocolError: unknown coding, data that is damaged, or something follows the compressed body.
        """
        if not data:
            return iter(())
        if self._coding is None:  # an answer without a body may name any coding
            self._coding = _coding(self._name, self._limit)
        return self._coding.feed(data)

    def finish(self) -> None:
        """Say that the body has ended.

        Raises:
            ApiProtocolError: it was cut short.
        """
        if self._coding is not None:
            self._coding.finish()


def decode_body(body: bytes, coding: str, limit: int | None) -> bytes:
    """Return ``body`` without its content coding.

    Args:
        body: the whole body as it came over the wire.
        coding: value of the Content-Encoding header; ``""`` and ``"identity"`` mean none.
        limit: most bytes that the result may have; None for no limit. Not more than that (plus one) is ever
            inflated.

    Raises:
        ApiResponseTooLargeError: the result would be larger than ``limit``.
        ApiProtocolError: unknown coding, or data that is damaged, cut short or followed by something else.

    Example:
        >>> import gzip
        >>> decode_body(gzip.compress(b"hello"), "gzip", limit=100)
        b'hello'
    """
    if not body:
        return body
    decoder = _coding(coding.strip().lower(), limit)
    parts = list(decoder.feed(body))
    decoder.finish()
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _coding(name: str, limit: int | None) -> _Coding:
    if name in ("", "identity"):
        return _Identity()
    if name in ("gzip", "x-gzip"):
        return _Inflating(_GZIP, limit)
    if name == "deflate":
        return _Deflate(limit)
    shown = repr(name) if name in _OTHERS else "of the answer"
    raise ApiProtocolError(f"the content coding {shown} is not supported", sent=True)


class _Identity:
    """No coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        pass


class _Inflating:
    """One or more compressed streams, one after another, of the kind that ``wbits`` names for zlib."""

    def __init__(self, wbits: int, limit: int | None) -> None:
        self._wbits = wbits
        self._limit = limit
        self._room = limit
        self._members = 1
        self._inflater = zlib.decompressobj(wbits)

    def feed(self, data: bytes) -> Iterator[bytes]:
        view, position = memoryview(data), 0
        while position < len(view):
            if self._inflater.eof:
                self._next_member()
            piece = view[position : position + _SLICE]
            yield from self._inflate(piece)
            position += len(piece) - len(self._inflater.unused_data)

    def finish(self) -> None:
        if not self._inflater.eof:
            raise ApiProtocolError("the compressed body is cut short", sent=True)

    def _next_member(self) -> None:
        # Only gzip may have several members (RFC 1952, section 2.2).
        if self._wbits != _GZIP or self._members == _MAX_MEMBERS:
            raise ApiProtocolError("something follows the compressed body", sent=True)
        self._members += 1
        self._inflater = zlib.decompressobj(self._wbits)

    def _inflate(self, piece: memoryview | bytes) -> Iterator[bytes]:
        inflater = self._inflater
        while True:
            most = _PART if self._room is None else min(_PART, self._room + 1)
            part = _decompress(inflater, piece, most)
            if self._room is not None:
                self._room -= len(part)
                if self._room < 0:
                    assert self._limit is not None
                    raise ApiResponseTooLargeError(self._limit)
            if part:
                yield part
            # A part of full length may not be all: zlib keeps the rest of the input, or of a match.
            if len(part) < most or inflater.eof:
                return
            piece = inflater.unconsumed_tail


class _Deflate:
    """What servers call deflate: with or without the zlib wrapper that the name stands for (RFC 1950)."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._begun = b""
        self._inflating: _Inflating | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._inflating is not None:
            return self._inflating.feed(data)
        self._begun += data
        if len(self._begun) < _HEADER_BYTES:
            return iter(())
        wbits = zlib.MAX_WBITS if _has_zlib_header(self._begun) else _RAW_DEFLATE
        self._inflating = _Inflating(wbits, self._limit)
        return self._inflating.feed(self._begun)

    def finish(self) -> None:
        if self._inflating is None:
            raise ApiProtocolError("the compressed body is cut short", sent=True)
        self._inflating.finish()


def _decompress(inflater: zlib._Decompress, piece: memoryview | bytes, most: int) -> bytes:
    try:
        return inflater.decompress(piece, most)
    except zlib.error:
        raise ApiProtocolError("the compressed body is damaged", sent=True) from None


def _has_zlib_header(body: bytes) -> bool:
    return body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
