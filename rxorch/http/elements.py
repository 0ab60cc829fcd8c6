"""From the pieces of a streamed body to its elements: lines, JSON values, server-sent events.

Decoders know no network: bytes in, elements out, in linear time and the same however the bytes were cut.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic_core import from_json

from rxorch.errors import ApiConfigurationError, ApiError, ApiResponseTooLargeError, ApiValidationError

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
_JSON_SPACE: Final = b" \t\r\n"


class Decoder(Protocol):
    """Turns bytes into elements."""

    def feed(self, piece: bytes) -> list[Any]:
        """Return the elements that this piece completes; an empty piece completes none.

        A fault behind the first of them is raised by the next call.

        Raises:
            ApiResponseTooLargeError: an element is larger than it may be; says which one.
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
        retry: milliseconds to wait before a reconnection, if the stream has said so since the event before.

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
        return [piece] if piece else []

    def end(self) -> list[bytes]:
        return []


class _TooLongError(Exception):
    """A line is larger than it may be."""


class _RawLines:
    """Splits bytes at LF or CRLF; with ``bare_cr`` also at CR alone, as server-sent events want."""

    __slots__ = ("_after_cr", "_bare_cr", "_limit", "_part")

    def __init__(self, limit: int, *, bare_cr: bool = False) -> None:
        self._limit = limit
        self._bare_cr = bare_cr
        self._part = bytearray()
        self._after_cr = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        if not piece:
            return  # which must not come between a CR and its LF
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        if self._bare_cr:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield self._take(line)
        self._keep(rest)

    def end(self) -> Iterator[bytes]:
        if self._part:
            yield self._take(b"")

    def _keep(self, part: bytes) -> None:
        if len(self._part) + len(part) > self._limit:
            raise _TooLongError
        self._part += part

    def _take(self, line: bytes) -> bytes:
        if self._part or len(line) > self._limit:
            self._keep(line)
            line = bytes(self._part)
            self._part.clear()
        return line if self._bare_cr else line.removesuffix(b"\r")


class _LineByLine:
    """What the decoders have in common that go by lines.

    The elements before a faulty one are returned, and its error is raised by the next call: what comes out
    does not depend on how the bytes were cut.
    """

    _bare_cr = False

    def __init__(self, max_element_bytes: int = DEFAULT_MAX_ELEMENT_BYTES) -> None:
        self._limit = max_element_bytes
        self._lines = _RawLines(max_element_bytes, bare_cr=self._bare_cr)
        self._number = 0
        self._failure: ApiError | None = None

    def feed(self, piece: bytes) -> list[Any]:
        return self._elements(self._lines.feed(piece))

    def end(self) -> list[Any]:
        return self._elements(self._lines.end())

    def _elements(self, lines: Iterator[bytes]) -> list[Any]:
        if self._failure is not None:
            raise self._failure
        found: list[Any] = []
        try:
            for line in lines:
                self._number += 1
                self._line(line.removeprefix(_BOM) if self._number == 1 else line, found)
        except _TooLongError:
            place = self._place()
            self._failure = ApiResponseTooLargeError(
                self._limit, f"{place} is larger than {self._limit} bytes"
            )
        except ApiError as error:
            self._failure = error
        if self._failure is not None and not found:
            raise self._failure
        return found

    def _place(self) -> str:
        """The element that is being read."""
        return f"line {self._number + 1}"

    def _line(self, line: bytes, found: list[Any]) -> None:
        """Take one line, without its end, and add to ``found`` what it completes."""
        raise NotImplementedError


class LineDecoder(_LineByLine):
    """Lines of text, without their ends; bytes that are no UTF-8 become U+FFFD.

    Args:
        max_element_bytes: limit for one line.

    Example:
        >>> decoder = LineDecoder()
        >>> decoder.feed(b"one\\r\\ntw"), decoder.feed(b"o\\nthree"), decoder.end()
        (['one'], ['two'], ['three'])
    """

    def _line(self, line: bytes, found: list[Any]) -> None:
        found.append(line.decode("utf-8", "replace"))


class NdjsonDecoder(_LineByLine):
    """A JSON value for each line that is not blank.

    Args:
        max_element_bytes: limit for one line.

    Example:
        >>> decoder = NdjsonDecoder()
        >>> decoder.feed(b'{"id": 1}\\n\\n{"id"'), decoder.feed(b": 2}"), decoder.end()
        ([{'id': 1}], [], [{'id': 2}])
    """

    def _line(self, line: bytes, found: list[Any]) -> None:
        if not line.strip(_JSON_SPACE):
            return
        try:
            found.append(from_json(line, allow_inf_nan=False))
        except ValueError:
            message = f"line {self._number} is not valid JSON"
            fault = {"loc": (self._number,), "msg": message, "type": "json_invalid"}
            raise ApiValidationError(message, errors=[fault]) from None


class EventDecoder(_LineByLine):
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

    _bare_cr = True

    def __init__(self, max_element_bytes: int = DEFAULT_MAX_ELEMENT_BYTES) -> None:
        super().__init__(max_element_bytes)
        self._events = 0
        self._id = ""
        self._retry: int | None = None  # belongs to the stream: it need not stand in an event with data
        self._clear()

    def end(self) -> list[Any]:
        return self._elements(iter(()))

    def _place(self) -> str:
        return f"event {self._events + 1}"

    def _clear(self) -> None:
        self._data: list[str] = []
        self._size = 0
        self._event = ""

    def _line(self, line: bytes, found: list[Any]) -> None:
        if line:
            self._field(line)
            return
        if self._data:
            self._events += 1
            text = "\n".join(self._data)
            found.append(ServerSentEvent(text, self._event or "message", self._id, self._retry))
            self._retry = None
        self._clear()

    def _field(self, line: bytes) -> None:
        name, _, rest = line.partition(b":")
        rest = rest.removeprefix(b" ")
        value = rest.decode("utf-8", "replace")
        match name:
            case b"data":
                self._size += len(rest) + 1  # with the newline that joins it: empty lines count too
                if self._size > self._limit + 1:
                    raise _TooLongError
                self._data.append(value)
            case b"event":
                self._event = value
            case b"id" if "\0" not in value:
                self._id = value
            case b"retry" if rest.isdigit() and len(rest) < 10:
                self._retry = int(rest)


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


async def elements(pieces: AsyncIterator[bytes], decoder: Decoder) -> AsyncGenerator[Any, None]:
    """The elements of a body, as its pieces complete them.

    Args:
        pieces: of the body.
        decoder: one that was not used yet.
    """
    async for piece in pieces:
        for element in decoder.feed(piece):
            yield element
        decoder.feed(b"")  # raises at once what is wrong behind these elements
    for element in decoder.end():
        yield element
