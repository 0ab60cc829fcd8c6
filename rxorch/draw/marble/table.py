"""What passed as a table in HTML: what a tooltip would say, where there are none."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Final

from rxorch.draw.marble.scale import spoken
from rxorch.draw.marble.scene import Row, Scene

__all__ = ["table_of"]

_MOST: Final = 200


def table_of(scene: Scene) -> str:
    """A row for each element and each end, in the order of time."""
    told = sorted((entry for row in scene.rows for entry in _entries(row)), key=lambda entry: entry[0])
    lines = [
        f"<tr><td>{spoken(at)}</td><td>{html.escape(where)}</td><td>{html.escape(what)}</td></tr>"
        for at, where, what in told[:_MOST]
    ]
    if len(told) > _MOST:
        lines.append(f"<tr><td></td><td></td><td>and {len(told) - _MOST:,} more</td></tr>")
    head = "<tr><th>at</th><th>where</th><th>what</th></tr>"
    return f"<details><summary>what passed</summary><table>{head}{''.join(lines)}</table></details>"


def _entries(row: Row) -> Iterator[tuple[float, str, str]]:
    for mark in row.marks:
        yield mark.at, row.label, mark.full
    for span in row.spans:
        if span.ending != "open":
            yield span.end, row.label, f"{span.ending}: {span.said}" if span.said else span.ending
