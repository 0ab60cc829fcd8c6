"""Undoing a Content-Encoding, never beyond a limit and never from a body that was cut short."""

from __future__ import annotations

import zlib

from rxorch.errors import ApiProtocolError, ApiResponseTooLargeError

__all__ = ["ACCEPT_ENCODING", "decode_body"]

ACCEPT_ENCODING = "gzip, deflate"
"""What ``decode_body`` can undo, for the request header of that name."""

# Others that are in use. An error names no coding but these: anything else is the server's own text.
_OTHERS = frozenset({"br", "compress", "dcb", "dcz", "x-compress", "zstd"})
_GZIP = 16 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS
# A body of half a million empty gzip members would copy its own rest half a million times: fed in slices, a
# member copies at most the rest of its slice, and a body has only so many members.
_SLICE = 64 * 1024
_MAX_MEMBERS = 10_000


def decode_body(body: bytes, coding: str, limit: int) -> bytes:
    """Return ``body`` without its content coding.

    Args:
        body: the whole body as it came over the wire.
        coding: value of the Content-Encoding header; ``""`` and ``"identity"`` mean none.
        limit: most bytes that the result may have. Not more than that (plus one) is ever inflated.

    Raises:
        ApiResponseTooLargeError: the result would be larger than ``limit``.
        ApiProtocolError: unknown coding, or data that is damaged, cut short or followed by something else.

    Example:
        >>> import gzip
        >>> decode_body(gzip.compress(b"hello"), "gzip", limit=100)
        b'hello'
    """
    coding = coding.strip().lower()
    if not body or coding in ("", "identity"):
        return body
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, _GZIP, limit)
    if coding == "deflate":
        return _inflate(body, zlib.MAX_WBITS if _has_zlib_header(body) else _RAW_DEFLATE, limit)
    name = repr(coding) if coding in _OTHERS else "of the answer"
    raise ApiProtocolError(f"the content coding {name} is not supported", sent=True)


def _inflate(body: bytes, wbits: int, limit: int) -> bytes:
    view, position = memoryview(body), 0
    parts: list[bytes] = []
    room = limit
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(wbits)
        while not inflater.eof:
            piece = view[position : position + _SLICE]
            if not piece:
                raise ApiProtocolError("the compressed body is cut short", sent=True)
            part = _feed(inflater, piece, room + 1)
            room -= len(part)
            if room < 0:
                raise ApiResponseTooLargeError(limit)
            parts.append(part)
            position += len(piece) - len(inflater.unused_data)
        if position == len(body):
            return b"".join(parts)
        if wbits != _GZIP:  # only gzip may have several members (RFC 1952, section 2.2)
            break
    raise ApiProtocolError("something follows the compressed body", sent=True)


def _feed(inflater: zlib._Decompress, piece: memoryview, room: int) -> bytes:
    try:
        return inflater.decompress(piece, room)
    except zlib.error:
        raise ApiProtocolError("the compressed body is damaged", sent=True) from None


def _has_zlib_header(body: bytes) -> bool:
    # Some servers send "deflate" without the zlib wrapper that the name stands for (RFC 1950, section 2.2).
    return len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
