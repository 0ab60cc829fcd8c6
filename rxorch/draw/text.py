"""The picture as text: a tree that a terminal of any width can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rxorch.draw.facts import EndpointFacts
from rxorch.draw.results import MARKS, NodeResult
from rxorch.draw.scene import Frame, Node, Part, Scene

__all__ = ["NARROWEST", "text_of"]

NARROWEST: Final = 40
"""Columns below which a tree with urls cannot be read."""

_ASCII: Final[Mapping[int, str]] = str.maketrans(
    {"├": "+", "└": "`", "│": "|", "─": "-", "·": "-", "…": "~", "←": "<-", "→": "->"} | dict(MARKS.values())
)


@dataclass(frozen=True, slots=True)
class _Columns:
    """How wide the names and methods of a group are."""

    name: int
    method: int


def text_of(scene: Scene, width: int | None, *, ascii: bool) -> str:
    """The tree of a scene, a line or two for each endpoint."""
    lines = [*_wrapped("", " · ", [scene.title, *scene.settings], "  ", width)]
    root = scene.root
    if isinstance(root, Frame) and root.label != "choice":
        lines += _members(root, "", width)
    else:
        lines += _part(root, "", width, last=True)
    text = "\n".join(line.rstrip() for line in lines)
    return text.translate(_ASCII).encode("ascii", "replace").decode() if ascii else text


def _members(frame: Frame, indent: str, width: int | None) -> Iterator[str]:
    calls = [member.facts for member in frame.members if isinstance(member, Node) and member.facts]
    columns = _Columns(
        max((len(facts.name) for facts in calls), default=0),
        max((len(facts.method) for facts in calls), default=0),
    )
    labels = {arrow.end: f"{arrow.label}: " for arrow in frame.arrows if arrow.label}
    shown = [i for i, member in enumerate(frame.members) if not _is_decision(member)]
    for i in shown:
        last = i == shown[-1]
        yield from _part(frame.members[i], indent, width, last=last, columns=columns, lead=labels.get(i, ""))


def _is_decision(part: Part) -> bool:
    return isinstance(part, Node) and part.shape == "decision"


def _part(
    part: Part,
    indent: str,
    width: int | None,
    *,
    last: bool,
    columns: _Columns | None = None,
    lead: str = "",
) -> Iterator[str]:
    branch, below = (f"{indent}└─ ", f"{indent}   ") if last else (f"{indent}├─ ", f"{indent}│  ")
    if isinstance(part, Frame):
        asked = next((m.title for m in part.members if isinstance(m, Node) and m.shape == "decision"), "")
        yield _cut(f"{branch}{lead}{part.label}{': ' if asked else ''}{asked}", width)
        yield from _members(part, below, width)
    elif part.facts is not None:
        yield from _call(part, part.facts, branch + lead, below, columns, width)


def _call(
    node: Node, facts: EndpointFacts, branch: str, below: str, columns: _Columns | None, width: int | None
) -> Iterator[str]:
    wide, result = columns or _Columns(0, 0), node.result
    mark = f"{MARKS[result.fate][0]} " if result else ""
    first = _cut(f"{branch}{mark}{facts.name:{wide.name}}  {facts.method:{wide.method}} {facts.url}", width)
    if result is not None:
        yield from _ended(first, below, result, width)
        return
    notes = [] if facts.condition is None else [f"if {facts.condition}"]
    notes += facts.chips
    if facts.depends_on:
        notes.append(f"← {', '.join(facts.depends_on)}")
    if notes and (width is None or len(first) + 3 + len(notes[0]) <= width):
        yield from _wrapped(f"{first}   ", " · ", notes, f"{below}   ", width)
        return
    yield first
    if notes:
        yield from _wrapped(f"{below}   ", " · ", notes, f"{below}   ", width)


def _ended(first: str, below: str, result: NodeResult, width: int | None) -> Iterator[str]:
    notes = list(result.lines)
    if width is None or len(first) + 3 + len(notes[0]) <= width:
        yield from _wrapped(f"{first}   ", " · ", notes, f"{below}   ", width)
        return
    yield first
    yield from _wrapped(f"{below}   ", " · ", notes, f"{below}   ", width)


def _wrapped(start: str, between: str, words: list[str], indent: str, width: int | None) -> Iterator[str]:
    """Words in lines of at most this width, each line but the first indented."""
    line, empty = start, True
    for word in words:
        longer = f"{line}{word}" if empty else f"{line}{between}{word}"
        if width is not None and len(longer) > width and not empty:
            yield _cut(line, width)
            longer = f"{indent}{word}"
        line, empty = longer, False
    yield _cut(line, width)


def _cut(line: str, width: int | None) -> str:
    line = line.rstrip()
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"
