"""What must hold at the end: claims about two numbers that were counted in two places."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rxorch.terminal.ink import Ink, columns, count

__all__ = ["Invariant", "at_most", "equal", "lines_of", "mark"]

_RELATIONS: dict[str, Callable[[int, int], bool]] = {"=": operator.eq, "<=": operator.le}


@dataclass(frozen=True, slots=True)
class Invariant:
    """A claim about two numbers: ``left = right`` or ``left <= right``. ``claim`` says what they are."""

    claim: str
    left: int
    relation: str
    right: int

    @property
    def holds(self) -> bool:
        """Whether the claim is true."""
        return _RELATIONS[self.relation](self.left, self.right)

    def as_json(self) -> dict[str, Any]:
        """The claim, its two numbers and whether it holds."""
        numbers = {"left": self.left, "relation": self.relation, "right": self.right}
        return {"claim": self.claim, **numbers, "holds": self.holds}


def equal(claim: str, left: int, right: int) -> Invariant:
    """Both numbers are the same."""
    return Invariant(claim, left, "=", right)


def at_most(claim: str, left: int, right: int) -> Invariant:
    """The first number is not above the second."""
    return Invariant(claim, left, "<=", right)


def mark(invariant: Invariant, ink: Ink) -> str:
    """One sign: whether it holds."""
    if invariant.holds:
        return ink(ink.sign("✓", "ok"), "green")
    return ink(ink.sign("✗", "NO"), "red", "bold")


def lines_of(invariants: Iterable[Invariant], ink: Ink) -> list[str]:
    """One line a claim: whether it holds, what it says, and its two numbers."""
    rows = []
    for each in invariants:
        relation = each.relation if each.holds else {"=": "!=", "<=": ">"}[each.relation]
        claim = each.claim if each.holds else ink(each.claim, "red")
        rows.append([mark(each, ink), claim, count(each.left), relation, count(each.right)])
    return ["  " + line for line in columns(rows, "<<>>>")]
