"""LineSplitter: from blocks of bytes to numbered lines, in bounded memory."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["DEFAULT_MAX_LINE", "LineSplitter", "Lines"]

DEFAULT_MAX_LINE = 1 << 20
"""Bytes."""

Lines: TypeAlias = list[tuple[int, bytes | None]]
"""Numbers, from 1, and lines without their ends; None for a line that is too long."""


class LineSplitter:
    """Cuts blocks into lines.

    Args:
        max_line: Longest line in bytes. Of a longer one nothing is kept.

    Attributes:
        count: Lines that have begun.

    >>> splitter = LineSplitter(max_line=5)
    >>> (
    ...     splitter.feed(b"one\\r\\ntw"),
    ...     splitter.feed(b"o\\nmuch too"),
    ...     splitter.feed(b" long\\nx"),
    ...     splitter.finish(),
    ... )
    ([(1, b'one')], [(2, b'two')], [(3, None)], [(4, b'x')])
    """

    __slots__ = ("_is_skipping", "_max", "_parts", "_size", "count")

    def __init__(self, max_line: int = DEFAULT_MAX_LINE) -> None:
        self._max = max_line
        self._parts: list[bytes] = []
        self._size = 0
        self._is_skipping = False
        self.count = 0

    @property
    def is_within(self) -> bool:
        """Whether a line has begun that has no end yet."""
        return self._size > 0 or self._is_skipping

    def feed(self, block: bytes) -> Lines:
        """The lines that end in this block."""
        pieces = block.split(b"\n")
        last = pieces.pop()
        lines: Lines = []
        for piece in pieces:
            if self._size or self._is_skipping:
                self._keep(piece)
                lines.append(self._line())
            else:
                self.count += 1
                piece = piece.removesuffix(b"\r")
                lines.append((self.count, piece if len(piece) <= self._max else None))
        self._keep(last)
        return lines

    def finish(self) -> Lines:
        """The last line, if it has no end."""
        return [self._line()] if self.is_within else []

    def _keep(self, piece: bytes) -> None:
        if self._is_skipping or not piece:
            return
        self._parts.append(piece)
        self._size += len(piece)
        if self._size > self._max + 1:  # it may end in a carriage return
            self._is_skipping = True
            self._parts.clear()

    def _line(self) -> tuple[int, bytes | None]:
        self.count += 1
        line = b"".join(self._parts).removesuffix(b"\r")
        too_long = self._is_skipping or len(line) > self._max
        self._parts.clear()
        self._size, self._is_skipping = 0, False
        return self.count, None if too_long else line
