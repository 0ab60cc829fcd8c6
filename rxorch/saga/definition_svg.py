"""A saga as SVG, before any run of it: its steps in their order, and beside each what undoes it."""

from __future__ import annotations

from collections.abc import Iterator

from rxorch.draw.facts import printable
from rxorch.draw.svg_parts import HEAD, MARGIN, sheet
from rxorch.draw.words import text_width
from rxorch.endpoint import APIEndpoint
from rxorch.saga.picture_svg import BETWEEN, CARD, LEFT, RIGHT, STEP, card, wire
from rxorch.saga.steps import Definition, Local, Step, named

__all__ = ["definition_svg"]


def definition_svg(definition: Definition, title: str) -> str:
    """The picture of a saga. No url is in it.

    Args:
        definition: Of the saga.
        title: What stands above it.
    """
    steps = list(definition.steps.values())
    columns = LEFT + BETWEEN + RIGHT if any(step.compensation for step in steps) else LEFT
    inner = max(columns, text_width(title, 16) * 1.1, 300.0)
    height = HEAD + len(steps) * STEP - (STEP - CARD) + 2 * MARGIN
    body = list(_wires(len(steps)))
    for place, step in enumerate(steps):
        body += _row(step, _top(place))
    below = f"saga · {len(steps)} step{'' if len(steps) == 1 else 's'}"
    return sheet(printable(title), below, inner + 2 * MARGIN, height, body)


def _top(place: int) -> float:
    return MARGIN + HEAD + place * STEP


def _wires(steps: int) -> Iterator[str]:
    middle = MARGIN + LEFT / 2
    for place in range(1, steps):
        yield wire(middle, _top(place - 1) + CARD, middle, _top(place) - 2)


def _row(step: Step, top: float) -> Iterator[str]:
    kinds = [_kind(step.endpoint)]
    kinds += [word for word, holds in (("pivot", step.pivot), ("retriable", step.retriable)) if holds]
    if step.endpoint.depends_on:
        kinds.append(f"after {', '.join(sorted(step.endpoint.depends_on))}")
    yield from card(MARGIN, top, LEFT, printable(step.name), printable(" · ".join(kinds)), "ct", "card")
    if step.compensation is not None:
        level = top + CARD / 2
        yield wire(MARGIN + LEFT + BETWEEN, level, MARGIN + LEFT + 2, level, dashed=True)
        left = MARGIN + LEFT + BETWEEN
        yield from card(left, top, RIGHT, printable(named(step.compensation)), "undoes it", "it", "frame")


def _kind(leaf: APIEndpoint | Local) -> str:
    if isinstance(leaf, APIEndpoint):
        return leaf.method
    return {"call": "function", "wait": "wait", "signal": "waits for a signal"}[leaf.kind]
