"""From the pieces of a streamed body to its elements: lines, JSON values, server-sent events.

Decoders know no network: bytes in, elements out, in linear time and the same however the bytes were cut.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic_core import from_json

from rxorch.errors import ApiConfigurationError, ApiResponseTooLargeError, ApiValidationError

__all__ = [
    "BytesDecoder",
    "Decoder",
    "EventDecoder",
    "LineDecoder",
    "NdjsonDecoder",
    "ServerSentEvent",
    "decoder_of",
    "elements",
]

DEFAULT_MAX_ELEMENT_BYTES: Final = 1024 * 1024
_BOM: Final = codecs.BOM_UTF8


class Decoder(Protocol):
    """Turns bytes into elements."""

    def feed(self, piece: bytes) -> list[Any]:
        """Return the elements that this piece completes.

        Raises:
            ApiResponseTooLargeError: an element is larger than it may be.
            ApiValidationError: an element is not what it should be; says which one, and does not quote it.
        """
        ...

    def end(self) -> list[Any]:
        """Return the elements that the end of the body completes."""
        ...


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a ``text/event-stream``.

    Attributes:
        data: its text, the lines joined by newlines.
        event: its type; ``"message"`` if it names none.
        id: the last id that the stream has named so far; empty if it named none.
        retry: milliseconds to wait before a reconnection, if this event says so.

    Example:
        >>> ServerSentEvent('{"id": 7}').json()
        {'id': 7}
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None

    def json(self) -> Any:
        """The data as a JSON value.

        Raises:
            ApiValidationError: it is none.
        """
        try:
            return from_json(self.data, allow_inf_nan=False)
        except ValueError:
            raise ApiValidationError("the data of the event is not valid JSON") from None


class BytesDecoder:
    """The pieces as they are."""

    def feed(self, piece: bytes) -> list[bytes]:
        return [piece]

    def end(self) -> list[bytes]:
        return []


class _RawLines:
    """Splits bytes at LF or CRLF; with ``bare_cr`` also at CR alone, as server-sent events want."""

    __slots__ = ("_after_cr", "_bare_cr", "_limit", "_parts", "_size")

    def __init__(self, limit: int, *, bare_cr: bool = False) -> None:
        self._limit = limit
        self._bare_cr = bare_cr
        self._parts: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, piece: bytes) -> list[bytes]:
        if self._after_cr and piece:
            self._after_cr = False
            if piece.startswith(b"\n"):
                piece = piece[1:]
        if self._bare_cr:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, rest = piece.split(b"\n")
        lines: list[bytes] = []
        for line in whole:
            self._keep(line)
            lines.append(self._take())
        self._keep(rest)
        return lines

    def end(self) -> bytes | None:
        return self._take() if self._parts else None

    def _keep(self, part: bytes) -> None:
        if part:
            self._size += len(part)
            if self._size > self._limit:
                raise ApiResponseTooLargeError(self._limit, f"an element is larger than {self._limit} bytes")
            self._parts.append(part)

    def _take(self) -> bytes:
        line = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line if self._bare_cr else line.removesuffix(b"\r")


class LineDecoder:
    """Lines of text, without their ends; bytes that are no UTF-8 become U+FFFD.

    Args:
        max_element_bytes: limit for one line.

    Example:
        >>> decoder = LineDecoder()
        >>> decoder.feed(b"one\\r\\ntw"), decoder.feed(b"o\\nthree"), decoder.end()
        (['one'], ['two'], ['three'])
    """

    def __init__(self, max_element_bytes: int = DEFAULT_MAX_ELEMENT_BYTES) -> None:
        self._lines = _RawLines(max_element_bytes)
        self._first = True

    def feed(self, piece: bytes) -> list[str]:
        return [self._text(line) for line in self._lines.feed(piece)]

    def end(self) -> list[str]:
        line = self._lines.end()
        return [] if line is None else [self._text(line)]

    def _text(self, line: bytes) -> str:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        return line.decode("utf-8", "replace")


class NdjsonDecoder:
    """A JSON value for each line that is not blank.

    Args:
        max_element_bytes: limit for one line.

    Example:
        >>> decoder = NdjsonDecoder()
        >>> decoder.feed(b'{"id": 1}\\n\\n{"id"'), decoder.feed(b": 2}"), decoder.end()
        ([{'id': 1}], [], [{'id': 2}])
    """

    def __init__(self, max_element_bytes: int = DEFAULT_MAX_ELEMENT_BYTES) -> None:
        self._lines = _RawLines(max_element_bytes)
        self._number = 0

    def feed(self, piece: bytes) -> list[Any]:
        return self._values(self._lines.feed(piece))

    def end(self) -> list[Any]:
        line = self._lines.end()
        return [] if line is None else self._values([line])

    def _values(self, lines: list[bytes]) -> list[Any]:
        values = []
        for line in lines:
            self._number += 1
            if self._number == 1:
                line = line.removeprefix(_BOM)
            if line.isspace() or not line:
                continue
            try:
                values.append(from_json(line, allow_inf_nan=False))
            except ValueError:
                message = f"line {self._number} is not valid JSON"
                fault = {"loc": (self._number,), "msg": message, "type": "json_invalid"}
                raise ApiValidationError(message, errors=[fault]) from None
        return values


class EventDecoder:
    """Server-sent events, as the HTML standard parses them (section 9.2.6).

    An event that the body ends in the middle of is dropped; so are comments, and events without data.

    Args:
        max_element_bytes: limit for one line, and for the data of one event.

    Example:
        >>> decoder = EventDecoder()
        >>> decoder.feed(b"id: 1\\ndata: one\\ndata: two\\n\\n: a comment\\ndata: thr")
        [ServerSentEvent(data='one\\ntwo', event='message', id='1', retry=None)]
        >>> decoder.end()
        []
    """

    def __init__(self, max_element_bytes: int = DEFAULT_MAX_ELEMENT_BYTES) -> None:
        self._limit = max_element_bytes
        self._lines = _RawLines(max_element_bytes, bare_cr=True)
        self._first = True
        self._id = ""
        self._clear()

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        events = []
        for line in self._lines.feed(piece):
            if self._first:
                self._first = False
                line = line.removeprefix(_BOM)
            if line:
                self._field(line.decode("utf-8", "replace"))
            else:
                if self._data:
                    events.append(
                        ServerSentEvent(
                            "\n".join(self._data), self._event or "message", self._id, self._retry
                        )
                    )
                self._clear()
        return events

    def end(self) -> list[ServerSentEvent]:
        return []

    def _clear(self) -> None:
        self._data: list[str] = []
        self._size = 0
        self._event = ""
        self._retry: int | None = None

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._size += len(value)
                if self._size > self._limit:
                    raise ApiResponseTooLargeError(
                        self._limit, f"an event is larger than {self._limit} bytes"
                    )
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) < 10:
                self._retry = int(value)


_DECODERS: Final[dict[str, Callable[[int], Decoder]]] = {
    "lines": LineDecoder,
    "ndjson": NdjsonDecoder,
    "sse": EventDecoder,
}


def decoder_of(kind: str, max_element_bytes: int = DEFAULT_MAX_ELEMENT_BYTES) -> Decoder:
    """A new decoder.

    Args:
        kind: ``"lines"``, ``"ndjson"``, ``"sse"`` or ``"bytes"``.
        max_element_bytes: limit for one element.

    Raises:
        ApiConfigurationError: another kind.
    """
    if kind == "bytes":
        return BytesDecoder()
    if kind not in _DECODERS:
        raise ApiConfigurationError('a stream is "lines", "ndjson", "sse" or "bytes"')
    return _DECODERS[kind](max_element_bytes)


async def elements(pieces: AsyncIterator[bytes], decoder: Decoder) -> AsyncIterator[Any]:
    """The elements of a body, as its pieces complete them.

    Args:
        pieces: of the body.
        decoder: one that was not used yet.
    """
    async for piece in pieces:
        for element in decoder.feed(piece):
            yield element
    for element in decoder.end():
        yield element
