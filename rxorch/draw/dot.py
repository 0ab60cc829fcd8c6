"""The picture in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from rxorch.draw.results import FATES, MARKS
from rxorch.draw.scene import Frame, Node, Part, Scene

__all__ = ["dot_of"]


def dot_of(scene: Scene) -> str:
    """A directed graph; frames are clusters, and arrows to a frame end at its border."""
    lines = [
        "digraph flow {",
        "  rankdir=LR; compound=true; fontname=sans;",
        '  node [shape=box, style=rounded, fontname=sans, fontsize=11, color="#0969da"];',
        '  edge [color="#8c959f", fontname=sans, fontsize=10];',
        f"  labelloc=t; label={_quoted(scene.title)};",
        *(f"  {line}" for line in _inside(scene.whole)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Node):
        yield _node(part)
        return
    yield f"subgraph cluster_{part.key} {{"
    yield f'  label={_quoted(part.label)}; style="rounded,dashed"; color="#8c959f"; fontsize=10;'
    if not part.members:
        yield f'  {part.key}_empty [shape=point, style=invis, label=""];'
    yield from (f"  {line}" for line in _inside(part))
    yield "}"


def _inside(frame: Frame) -> Iterator[str]:
    for member in frame.members:
        yield from _part(member)
    for arrow in frame.arrows:
        start, end = frame.members[arrow.start], frame.members[arrow.end]
        options = []
        if isinstance(start, Frame):
            options.append(f"ltail=cluster_{start.key}")
        if isinstance(end, Frame):
            options.append(f"lhead=cluster_{end.key}")
        if arrow.label:
            options.append(f"label={_quoted(arrow.label)}")
        if not arrow.taken:
            options.append('style=dashed, color="#d1d9e0"')
        tail = f" [{', '.join(options)}]" if options else ""
        yield f"{_leaf(start, last=True)} -> {_leaf(end, last=False)}{tail};"


def _leaf(part: Part, *, last: bool) -> str:
    """A node inside a part, for an arrow that is cut off at the border."""
    while isinstance(part, Frame):
        if not part.members:
            return f"{part.key}_empty"
        part = part.members[-1 if last else 0]
    return part.key


def _node(node: Node) -> str:
    if node.shape == "end":
        return f'{node.key} [label={_quoted(node.title)}, shape=ellipse, color="#1a7f37"];'
    if node.shape == "decision":
        return f'{node.key} [label={_quoted(node.title)}, shape=hexagon, style="", color="#7d4e00"];'
    facts = node.facts
    assert facts is not None
    result = node.result
    if result is None:
        return f"{node.key} [label={_quoted(*facts.lines())}];"
    lines = [f"{MARKS[result.fate][0]} {facts.name}", facts.request, *result.lines]
    return f'{node.key} [label={_quoted(*lines)}, color="{FATES[result.fate][0]}"];'


def _quoted(*lines: str) -> str:
    # A backslash begins an escape of labels (\N is the name of the node), so it is doubled as a quote is.
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'
