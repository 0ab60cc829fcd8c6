"""From bytes to a case: hypothesis draws one string of bytes, which costs a tenth of drawing each choice.

Every byte is one choice, and zero the simplest one, so that hypothesis finds the smallest case that fails by
making the bytes smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from .script import Case, Consumer, End, Script, SourceKind

__all__ = ["BYTES", "case_of"]

T = TypeVar("T")

BYTES: Final = 64
"""Choices that the largest case takes."""

_MOODS: Final = ("calm",) * 4 + ("disturbed",) * 2 + ("wild",) * 2
"""Half of the cases are undisturbed, a quarter has one interference, the others have any number."""
_KINDS: Final[Sequence[SourceKind]] = ("cold", "stage", "sync", "pull")
_ENDS: Final[Sequence[End]] = ("completed", "completed", "completed", "error", "never", "cancelled")
_INNER_ENDS: Final[Sequence[End]] = ("completed",) * 11 + ("error",) * 3 + ("cancelled", "never")
_RARELY: Final = (None, None, None, None, 1, 2, 3, 4)
_SOMETIMES: Final = (None, None, None, 1, None, 3)
_AT: Final = (0, 1, 2, 3, 5, 8)


def case_of(thrown: bytes) -> Case:
    """The case that a string of bytes stands for.

    Args:
        thrown: `BYTES` of them; those that are missing count as zero.

    >>> case_of(bytes(BYTES)) == Case(sources=(Script(),), inners=(Script(),))
    True
    """
    dice = _Dice(thrown)
    trouble = _trouble(dice)
    kind = dice.pick(_KINDS)
    return Case(
        kind=kind,
        fault=trouble.get("fault"),
        second=dice.pick(_SOMETIMES),
        consumer=_consumer(dice, trouble),
        seed=dice.upto(3),
        sources=tuple(_source(dice, kind) for _ in range(1 + dice.upto(2))),
        inners=tuple(_inner(dice) for _ in range(1 + dice.upto(2))),
    )


class _Dice:
    """Makes one choice after another."""

    __slots__ = ("_bytes", "_next")

    def __init__(self, thrown: bytes) -> None:
        self._bytes = thrown
        self._next = 0

    def pick(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.upto(len(options) - 1)]

    def upto(self, largest: int) -> int:
        """A whole number from 0."""
        place = self._next
        self._next = place + 1
        return self._bytes[place] % (largest + 1) if place < len(self._bytes) else 0


def _trouble(dice: _Dice) -> dict[str, int | None]:
    """Who interferes, and when."""
    mood = dice.pick(_MOODS)
    if mood == "calm":
        return {}
    if mood == "disturbed":
        what = dice.pick(("fault", "dispose_at", "dispose_in", "raises_in"))
        return {what: dice.pick(_AT) if what == "dispose_at" else 1 + dice.upto(3)}
    return {
        "fault": dice.pick(_RARELY),
        "dispose_at": dice.pick((None,) * 5 + _AT),
        "dispose_in": dice.pick(_RARELY),
        "raises_in": dice.pick(_RARELY),
    }


def _consumer(dice: _Dice, trouble: dict[str, int | None]) -> Consumer:
    room = dice.pick((None, 0, None, 1, None, 2, None, 3))
    lean = bool(dice.upto(1))
    bounded = room is not None
    return Consumer(
        room=room,
        openings=tuple((1 + dice.upto(8), 1 + dice.upto(2)) for _ in range(dice.upto(2))) if bounded else (),
        takes_more_inside=bounded and bool(dice.upto(1)),
        lean=lean,
        dispose_at=trouble.get("dispose_at"),
        dispose_in=trouble.get("dispose_in"),
        raises_in=trouble.get("raises_in"),
    )


def _source(dice: _Dice, kind: SourceKind) -> Script:
    if kind == "pull":  # it emits when it is asked, so its times mean nothing
        return Script((0,) * dice.upto(12), dice.pick(_ENDS))
    gaps = tuple(dice.upto(3) for _ in range(dice.upto(5)))
    return Script(gaps, dice.pick(_ENDS), dice.upto(3))


def _inner(dice: _Dice) -> Script:
    gaps = tuple(dice.upto(3) for _ in range(dice.upto(2)))
    return Script(gaps, dice.pick(_INNER_ENDS), dice.upto(3))
