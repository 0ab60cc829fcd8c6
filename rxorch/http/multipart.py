"""Forms with files, as ``multipart/form-data`` (RFC 7578), made while they are sent."""

from __future__ import annotations

import asyncio
import errno
import mimetypes
import os
import re
import secrets
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from rxorch.errors import ApiConfigurationError
from rxorch.http.body import StreamedBody

__all__ = ["FilePart", "multipart"]

_READ_BYTES: Final = 256 * 1024
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")  # RFC 2046, section 5.1.1, without the space
_UNSAFE: Final = re.compile(r'[\x00-\x1f"\x7f]')
_UNKNOWN: Final = "application/octet-stream"

Stream = StreamedBody | Callable[[], Any] | AsyncIterable[bytes] | Iterable[bytes]


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file among the fields of a form.

    Args:
        source: path of a file, which is read while it is sent, on a thread; or its bytes; or what a
            ``StreamedBody`` is made of, or such a body where its length is known.
        filename: as the server is told; by default the last part of the path.
        content_type: by default what the filename stands for, else ``application/octet-stream``.

    Example:
        >>> FilePart(b"id,name", filename="users.csv", content_type="text/csv").filename
        'users.csv'
    """

    source: str | os.PathLike[str] | bytes | Stream
    filename: str | None = None
    content_type: str | None = None


Value = str | bytes | FilePart
Fields = Mapping[str, Value | list[Value]] | Iterable[tuple[str, Value]]


def multipart(fields: Fields, *, boundary: str | None = None) -> StreamedBody:
    """A form as the body of a request.

    Args:
        fields: name to text, bytes, a ``FilePart``, or a list of these; or pairs of name and value. They are
            sent in this order.
        boundary: what stands between the parts. It may not be in any of them; the default is random. A body
            keeps it, so that a repetition is the same to the byte.

    Returns:
        A body that can be sent again unless one of its streams cannot; of known length unless one of its
        streams is not. The size of a file is looked up now, and held to when it is sent.

    Raises:
        ApiConfigurationError: a field that is none of these, a file that cannot be found, or a boundary,
            filename or content type that cannot be sent; names the field.

    Example:
        >>> form = multipart({"title": "Users", "file": FilePart(b"1,2", "a.csv", "text/csv")}, boundary="x")
        >>> form, form.content_type
        (<StreamedBody of 166 bytes>, 'multipart/form-data; boundary=x')
    """
    boundary = secrets.token_hex(16) if boundary is None else boundary
    if not isinstance(boundary, str) or _BOUNDARY.fullmatch(boundary) is None:
        raise ApiConfigurationError("multipart: boundary is 1 to 70 letters, digits and '()+_,./:=?-")
    parts = [_part(name, value, boundary) for name, value in _pairs(fields)]
    end = f"--{boundary}--\r\n".encode()
    lengths = [part.length for part in parts]
    length = None if None in lengths else sum(map(int, filter(None, lengths)), len(end))
    made = partial(_pieces, parts, end)
    repeatable = all(part.repeatable for part in parts)
    quoted = f'"{boundary}"' if re.search(r"[^\w-]", boundary) else boundary
    return StreamedBody(
        made if repeatable else made(), length=length, content_type=f"multipart/form-data; boundary={quoted}"
    )


@dataclass(frozen=True, slots=True)
class _Part:
    head: bytes
    body: bytes | StreamedBody

    @property
    def length(self) -> int | None:
        size = self.body.length if isinstance(self.body, StreamedBody) else len(self.body)
        return None if size is None else len(self.head) + size + 2

    @property
    def repeatable(self) -> bool:
        return self.body.repeatable if isinstance(self.body, StreamedBody) else True


def _pairs(fields: Fields) -> Iterable[tuple[str, Value]]:
    for name, value in fields.items() if isinstance(fields, Mapping) else fields:
        if not isinstance(name, str):
            raise ApiConfigurationError(f"multipart: the name of a field is text, not {type(name).__name__}")
        if isinstance(value, list):
            yield from ((name, one) for one in value)
        else:
            yield name, value


def _part(name: str, value: object, boundary: str) -> _Part:
    lines = [f"--{boundary}", f'Content-Disposition: form-data; name="{_escaped(name)}"']
    body: bytes | StreamedBody
    if isinstance(value, FilePart):
        filename = _filename(name, value)
        guessed, packed = mimetypes.guess_type(filename)  # "f.csv.gz" is no text/csv
        content_type = value.content_type or (_UNKNOWN if packed or not guessed else guessed)
        if not isinstance(content_type, str) or not content_type.isprintable() or not content_type.isascii():
            raise ApiConfigurationError(f"multipart: field {name!r}: content_type is printable ASCII")
        lines[1] += f'; filename="{_escaped(filename)}"'
        lines.append(f"Content-Type: {content_type}")
        body = _file_body(name, value.source)
    elif isinstance(value, str | bytes):
        body = _encoded(name, value) if isinstance(value, str) else value
    else:
        kind = type(value).__name__
        raise ApiConfigurationError(f"multipart: field {name!r} is text, bytes or a FilePart, not {kind}")
    return _Part(_encoded(name, "\r\n".join([*lines, "", ""])), body)


def _filename(name: str, file: FilePart) -> str:
    if file.filename is not None:
        if not isinstance(file.filename, str):
            raise ApiConfigurationError(f"multipart: field {name!r}: filename is text")
        return file.filename
    if isinstance(file.source, str | os.PathLike):
        return Path(file.source).name
    raise ApiConfigurationError(f"multipart: field {name!r}: give a filename, for there is no path")


def _file_body(name: str, source: str | os.PathLike[str] | bytes | Stream) -> bytes | StreamedBody:
    if isinstance(source, bytes | StreamedBody):
        return source
    if not isinstance(source, str | os.PathLike):
        return StreamedBody(source)
    path = Path(source)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
    except ValueError:  # NUL
        raise ApiConfigurationError(f"multipart: field {name!r}: not a path") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno is not None else type(error).__name__
        message = f"multipart: field {name!r}: cannot read {str(path)!r}: {reason}"
        raise ApiConfigurationError(message) from None
    return StreamedBody(partial(_read, path), length=size)


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ApiConfigurationError(f"multipart: field {name!r} has text that is not Unicode") from None


def _escaped(text: str) -> str:
    # As browsers do it: no quote ends the name, no line begins another header.
    return _UNSAFE.sub(lambda found: f"%{ord(found.group()):02X}", text)


async def _pieces(parts: list[_Part], end: bytes) -> AsyncGenerator[bytes]:
    before = b""
    for part in parts:
        yield before + part.head
        if isinstance(part.body, StreamedBody):
            async with aclosing(part.body.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            yield part.body
        before = b"\r\n"
    yield before + end


async def _read(path: Path) -> AsyncGenerator[bytes]:
    file = _OpenFile(path)
    try:
        while piece := await asyncio.to_thread(file.read):
            yield piece
    finally:
        await asyncio.to_thread(file.close)


class _OpenFile:
    """A file that is opened, read and closed on threads, one at a time even where nobody waits for one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._file: BinaryIO | None = None
        self._closed = False

    def read(self) -> bytes:
        with self._turn:
            if self._closed:
                return b""
            if self._file is None:
                self._file = self._path.open("rb")
            return self._file.read(_READ_BYTES)

    def close(self) -> None:
        with self._turn:
            self._closed = True
            if self._file is not None:
                self._file.close()
