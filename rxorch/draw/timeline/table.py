"""What a waterfall shows, as tables: for a notebook that has no tooltips, and for data frames."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from rxorch.draw.timeline.critical import PathPart
from rxorch.draw.timeline.look import WORDS
from rxorch.draw.timeline.records import SegmentKind, Timeline
from rxorch.draw.timeline.rows import GroupRow, Heading, Row, Rows
from rxorch_operators._seconds import seconds_words

__all__ = ["columns_of", "html_table"]

_MOST_PARTS = 12


def html_table(rows: Rows) -> str:
    """The rows with their segments, folded away."""
    lines = [_line(row) for row in rows.rows if not isinstance(row, Heading)]
    head = "".join(f"<th>{word}</th>" for word in ("endpoint", "outcome", "attempts, time", "what it did"))
    return (
        "<details><summary>as a table</summary><table>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></details>"
    )


def _line(row: Row | GroupRow) -> str:
    if isinstance(row, GroupRow):
        cells = [row.name, f"{row.lost:,} failed" if row.lost else "", row.count, row.more]
    else:
        cells = [row.name, " ".join(row.outcome), row.facts, _did(row)]
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _did(row: Row) -> str:
    first = row.calls[0]
    if first.status == "skipped":
        return first.note
    told = []
    for call in row.calls:
        parts = [part for part in call.segments if part.kind is not SegmentKind.WORK]
        words = [
            f"{WORDS[part.kind]}{f' {part.note}' if part.note not in ('', WORDS[part.kind]) else ''} "
            f"{seconds_words(part.end - part.start)}"
            for part in parts[:_MOST_PARTS]
        ]
        words += [f"{len(parts) - _MOST_PARTS} more"] if len(parts) > _MOST_PARTS else []
        lead = f"hedge after {seconds_words(call.late)}: " if call.hedge else ""
        told.append(lead + ", ".join(words))
    return "; ".join(told)


def columns_of(timeline: Timeline, path: Iterable[PathPart]) -> dict[str, Sequence[Any]]:
    """A row for each segment, by columns."""
    critical = {(part.call.number, part.kind, part.start) for part in path if part.call is not None}
    table: dict[str, list[Any]] = {
        name: []
        for name in (
            "run", "endpoint", "call", "kind", "start", "end", "duration", "note", "status", "critical",
        )
    }  # fmt: skip
    for call in timeline.calls:
        for part in call.segments:
            row = (
                call.run, call.endpoint, call.number, str(part.kind), part.start - timeline.start,
                part.end - timeline.start, part.end - part.start, part.note, call.status,
                (call.number, part.kind, part.start) in critical,
            )  # fmt: skip
            for column, cell in zip(table.values(), row, strict=True):
                column.append(cell)
    return dict(table)
