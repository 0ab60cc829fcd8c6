"""A waterfall as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from rxorch.draw.timeline.axis import Axis
from rxorch.draw.timeline.critical import PathPart
from rxorch.draw.timeline.legend import kinds_of
from rxorch.draw.timeline.look import SIGNS, WORDS
from rxorch.draw.timeline.records import ATTEMPTS, CallRecord, SegmentKind, Timeline
from rxorch.draw.timeline.rows import Density, GroupRow, Heading, Row, Rows
from rxorch_operators._seconds import seconds_words

__all__ = ["NARROWEST", "runs_of", "text_of"]

NARROWEST: Final = 60
"""Columns below which a waterfall cannot be read."""

_CUT: Final = 2
_TICK: Final = 12
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS: Final = ".:-=+*%#"
_ASCII: Final[Mapping[int, str]] = str.maketrans(
    {
        "│": "|",
        "·": "-",
        "…": "~",
        "✓": "+",
        "✗": "x",
        "\N{EN DASH}": "-",
        "\N{MULTIPLICATION SIGN}": "x",
        "→": "->",
        "▸": "*",
    }
)


def runs_of(calls: Iterable[CallRecord], axis: Axis) -> list[tuple[SegmentKind | None, int]]:
    """What stands in a line of text as long as the axis: kinds, and how many characters in a row are of each.

    An attempt is at least one character wide; where some share a character, the later one shows. None is a
    blank.
    """
    width = int(axis.length)
    kinds: list[SegmentKind | None] = [None] * width
    for call in calls:
        for part in call.segments:
            left, right = axis.at(part.start), axis.at(part.end)
            if part.kind is SegmentKind.WORK or (part.kind not in ATTEMPTS and right - left < 1):
                continue  # what it costs to begin a call is no wait worth a mark
            first = min(width - 1, int(left + 1e-6))
            for place in range(first, min(width, max(first + 1, math.ceil(right - 1e-6)))):
                kinds[place] = part.kind
    return [(kind, len(list(run))) for kind, run in groupby(kinds)]


def text_of(
    timeline: Timeline,
    rows: Rows,
    path: Sequence[PathPart],
    title: str,
    below: str,
    width: int,
    *,
    ascii: bool,
) -> str:
    """The text of a timeline with these rows and this critical path."""
    named = [row for row in rows.rows if not isinstance(row, Heading)]
    facts = [_facts(row) for row in named]
    beside = min(max(map(len, facts), default=0), width // 3)
    names = min(max((len(row.name) for row in named), default=0), width // 5)
    axis = Axis(timeline, width - names - beside - 7, _CUT)
    critical = {part.call.number for part in path if part.call is not None}
    lines = [title, below, " " * (names + 4) + _ticks(axis)]
    told = iter(facts)
    for row in rows.rows:
        if isinstance(row, Heading):
            lines.append(f"  {row.text}")
            continue
        sign = "▸" if isinstance(row, Row) and critical & {call.number for call in row.calls} else " "
        strip = _density(row, axis, ascii) if isinstance(row, GroupRow) else _strip(row, axis, ascii)
        lines.append(f"{sign} {_cut(row.name, names):{names}} │{strip}│ {_cut(next(told), beside)}")
    lines += _lines(_legend(timeline, rows, axis, ascii), width)
    text = "\n".join(line.rstrip()[:width] for line in lines)
    return _plain(text) if ascii else text


def _plain(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def _facts(row: Row | GroupRow) -> str:
    if isinstance(row, GroupRow):
        failed = f" ✗ {row.lost:,}" if row.lost else ""
        return f"{row.made:,}{failed} {row.facts}" if row.made else row.count
    sign, word = row.outcome
    if row.winner.status == "skipped":
        return f"{sign} skipped: {row.winner.note}"
    return f"{sign} {word} {row.facts}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _ticks(axis: Axis) -> str:
    line = ""
    for place, words in axis.ticks(_TICK):
        column = int(place)
        if column >= len(line) + bool(line) and column + len(words) <= axis.length:
            line = f"{line:{column}}{words}" if column else words
    return line


def _strip(row: Row, axis: Axis, ascii: bool) -> str:
    signs = "".join(
        " " * length if kind is None else SIGNS[kind][ascii] * length
        for kind, length in runs_of(row.calls, axis)
    )
    first = row.calls[0]
    if first.cached and first.status == "ok":
        signs = _put(signs, axis.at(first.end), "c" if ascii else "◆")
    return _broken(signs, axis)


def _put(line: str, place: float, sign: str) -> str:
    at = min(int(place), len(line) - 1)
    return line[:at] + sign + line[at + 1 :]


def _density(row: GroupRow, axis: Axis, ascii: bool) -> str:
    density = Density(row.calls, axis, int(axis.length))
    most, blocks = density.most, _ASCII_BLOCKS if ascii else _BLOCKS
    line = ""
    for good, bad, waiting in zip(density.good, density.bad, density.waiting, strict=True):
        total = good + bad + waiting
        if total <= 0:
            line += " "
        elif bad > good + waiting:
            line += "x"
        else:
            line += blocks[min(len(blocks) - 1, int(total / most * len(blocks)))]
    return _broken(line, axis)


def _broken(line: str, axis: Axis) -> str:
    for each in axis.breaks:
        left = int(each.left)
        line = line[:left] + "/" * _CUT + line[left + _CUT :]
    return line


def _lines(words: Iterable[str], width: int) -> list[str]:
    lines = ["  "]
    for word in words:
        if len(lines[-1]) + len(word) > width:
            lines.append("  ")
        lines[-1] += f"{word}   "
    return lines


def _legend(timeline: Timeline, rows: Rows, axis: Axis, ascii: bool) -> Iterator[str]:
    if rows.grouped:
        yield f"{(_ASCII_BLOCKS if ascii else _BLOCKS)[-1]} under way"
        yield "x most fail"
    else:
        for kind in kinds_of(timeline):
            yield f"{SIGNS[kind][ascii]} {WORDS[kind]}"
    if any(call.cached for call in timeline.calls):
        yield f"{'c' if ascii else '◆'} cache"
    if axis.breaks:
        yield f"// {', '.join(seconds_words(each.end - each.start) for each in axis.breaks)} idle"
    yield "▸ critical path"
