"""The picture as Mermaid, which GitHub and many editors draw."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rxorch.draw.results import FATES, MARKS
from rxorch.draw.scene import Frame, Node, Part, Scene

__all__ = ["mermaid_of"]

_PLAIN = re.compile(r"[^A-Za-z0-9 ._/:{}?=,·+*-]")


def mermaid_of(scene: Scene) -> str:
    """A flowchart; GitHub draws it in a fenced block of the language `mermaid`."""
    lines = ["---", f'title: "{_text(scene.title)}"', "---", "flowchart LR"]
    lines += [f"  {line}" for line in _inside(scene.whole)]
    if scene.ended:
        lines += [f"  classDef {fate} stroke:{light},stroke-width:2px" for fate, (light, _) in FATES.items()]
    return "\n".join(lines) + "\n"


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Node):
        yield _node(part)
        return
    yield f'subgraph {part.key}["{_text(part.label)}"]'
    yield "  direction LR"
    yield from (f"  {line}" for line in _inside(part))
    yield "end"


def _inside(frame: Frame) -> Iterator[str]:
    for member in frame.members:
        yield from _part(member)
    for arrow in frame.arrows:
        label = f'|"{_text(arrow.label)}"|' if arrow.label else ""
        line = "-->" if arrow.taken else "-.->"
        yield f"{frame.members[arrow.start].key} {line}{label} {frame.members[arrow.end].key}"


def _node(node: Node) -> str:
    if node.shape == "end":
        return f'{node.key}(["{_text(node.title)}"])'
    if node.shape == "decision":
        return f'{node.key}{{{{"{_text(node.title)}"}}}}'
    facts = node.facts
    assert facts is not None
    result = node.result
    if result is None:
        return f'{node.key}["{"<br/>".join(map(_text, facts.lines()))}"]'
    lines = [f"{MARKS[result.fate][0]} {facts.name}", facts.request, *result.lines]
    return f'{node.key}["{"<br/>".join(map(_text, lines))}"]:::{result.fate}'


def _text(text: str) -> str:
    # Mermaid has no escapes but codes of characters; whatever could mean something to it becomes one.
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", text)
