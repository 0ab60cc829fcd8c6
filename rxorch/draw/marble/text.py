"""Marbles as text, for a terminal of any width.

The signs are those of `rxorch_operators.testing`: `-` time, `|` the end, `#` an error, `(ab)` at one instant;
and `!` for a disposal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rxorch.draw.marble.scale import Scale
from rxorch.draw.marble.scene import Box, Ending, Mark, Room, Row, Scene
from rxorch.draw.marble.words import TIMES

__all__ = ["NARROWEST", "USUAL", "text_of"]

NARROWEST: Final = 40
"""Columns below which there is no room for time."""
USUAL: Final = 100
"""Columns where nobody says how many."""

_LABELS: Final = 24
_INSTANT: Final = 14
"""Columns of what happened at one instant; of more it is said how many they are."""
_MOVED: Final = 3
"""Columns by which a marble may be late before it is grouped with its neighbours."""
_ENDS: Final[dict[Ending, str]] = {"completed": "|", "error": "#", "disposed": "!", "open": ">"}
_SAID: Final[dict[Ending, str]] = {
    "completed": "| completed",
    "error": "# error",
    "disposed": "! disposed",
    "open": "> goes on",
}
_ASCII: Final = str.maketrans({TIMES: "x", "…": "~", "·": "-", "•": "*", "✗": "x", "→": ">"})


def text_of(scene: Scene, width: int | None, *, ascii: bool) -> str:
    """The marbles of a scene, a line for each row."""
    whole = USUAL if width is None else width
    indent = 2 if any(row.inner for row in scene.rows) else 0
    longest = max((len(row.label) + (indent if row.inner else 0) for row in scene.rows), default=0)
    names = min(longest, _LABELS, whole // 3) + 2
    scale = Scale(scene.duration, max(whole - names - 8, 1))
    lines = list(_wrapped([scene.title, *scene.notes], whole))
    for part in scene.parts:
        if isinstance(part, Box):
            lines.append(f"{'':{names}}[ {_cut(part.text, whole - names - 4)} ]")
        else:
            label = _cut(f"{'':{indent if part.inner else 0}}{part.label}", names - 1)
            lines.append(f"{label:{names}}{_line(part, scale, whole - names)}")
            if part.room:
                lines.append(f"{_cut('  room', names - 1):{names}}{_room(part.room, scale)}")
    lines.append(f"{'':{names}}{_axis(scale, whole - names)}")
    lines += _legend(scene, whole)
    text = "\n".join(line.rstrip() for line in lines)
    return text.translate(_ASCII).encode("ascii", "replace").decode() if ascii else text


@dataclass(slots=True)
class _Token:
    """What is written at one place: elements, how many they are, and where they belong."""

    at: int
    text: str
    count: int

    def with_next(self, other: _Token) -> _Token:
        """One for both, which tells only how many they are."""
        count = self.count + other.count
        return _Token(self.at, f"{TIMES}{count}", count)


def _line(row: Row, scale: Scale, room: int) -> str:
    cells, taken = [" "] * room, [False] * room
    for span in row.spans:
        start, end = round(scale.at(span.start)), round(scale.at(span.end))
        cells[start:end] = "-" * (end - start)
    for start, text in _fitted(list(_tokens(row.marks, scale)), room - 1):
        cells[start : start + len(text)] = text
        taken[start : start + len(text)] = [True] * len(text)
    for span in row.spans:
        place = round(scale.at(span.end))
        while place < room - 1 and taken[place]:
            place += 1
        cells[min(place, room - 1)] = _ENDS[span.ending]
    return "".join(cells[:room])


def _tokens(marks: Sequence[Mark], scale: Scale) -> Iterator[_Token]:
    """What each instant has to show."""
    instants: dict[float, list[str]] = {}
    for mark in sorted(marks, key=lambda mark: mark.at):
        instants.setdefault(mark.at, []).append(_several(mark))
    for at, texts in instants.items():
        text = texts[0]
        if len(texts) > 1:
            text = f"({('' if all(len(each) == 1 for each in texts) else ' ').join(texts)})"
            text = text if len(text) <= _INSTANT else f"{TIMES}{len(texts)}"
        yield _Token(round(scale.at(at)), text, len(texts))


def _several(mark: Mark) -> str:
    together = f"[{' '.join(text for text, _ in mark.parts)}]"
    return together if mark.parts and len(together) <= _INSTANT else mark.text


def _fitted(tokens: Sequence[_Token], room: int) -> list[tuple[int, str]]:
    """Where each is written: none covers another, and none is far from its place."""
    kept: list[tuple[int, _Token]] = []
    for token in tokens:
        start = _start(kept, token)
        while kept and (start > token.at + _MOVED or start + len(token.text) > room):
            token = kept.pop()[1].with_next(token)
            start = _start(kept, token)
        kept.append((start, token))
    return [(min(start, max(room - len(token.text), 0)), token.text[:room]) for start, token in kept]


def _start(kept: Sequence[tuple[int, _Token]], token: _Token) -> int:
    """The first free column: beside a single letter the next one, else one later."""
    if not kept:
        return token.at
    start, last = kept[-1]
    gap = 0 if len(last.text) == len(token.text) == 1 else 1
    return max(token.at, start + len(last.text) + gap)


def _room(rooms: Sequence[Room], scale: Scale) -> str:
    cells = [" "] * round(scale.length + 1)
    for each in rooms:
        start, end = round(scale.at(each.start)), round(scale.at(each.end))
        cells[start:end] = ("^" if each.credit is None or each.credit > 0 else ".") * (end - start)
    return "".join(cells)


def _axis(scale: Scale, room: int) -> str:
    line = ""
    for place, told in scale.ticks(9):
        start = round(place)
        if (start >= len(line) + 2 or not line) and start + len(told) <= room:
            line = f"{line:{start}}{told}"
    return line


def _legend(scene: Scene, width: int) -> Iterator[str]:
    endings = {span.ending for row in scene.rows for span in row.spans}
    words = [said for ending, said in _SAID.items() if ending in endings]
    if any(row.room for row in scene.rows):
        words += ["^ room", ". none"]
    yield from _wrapped(words, width, "   ")


def _wrapped(words: Sequence[str], width: int, between: str = " · ") -> Iterator[str]:
    line = ""
    for word in words:
        longer = f"{line}{between}{word}" if line else word
        if line and len(longer) > width:
            yield line
            longer = f"  {word}"
        line = _cut(longer, width)
    if line:
        yield line


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"
