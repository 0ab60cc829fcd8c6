"""Marbles: streams as text, to read and to print.

One column is one unit of time:

==========  =======================================================
``-``       nothing
``a``       an element; its value is the letter, or what `values` says
``|``       the end
``#``       an error
``(ab|)``   at one instant, that of the bracket; it takes its own width, so that lines stay aligned
space       no time at all, for alignment
==========  =======================================================

The alphabet is that of RxJS and of `reactivex.from_marbles`, with one letter for each element as in RxJS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

__all__ = ["Event", "Kind", "MarbleError", "as_list", "read_marbles", "write_marbles"]

Kind: TypeAlias = Literal["next", "error", "completed"]
"""What an event is."""

_SIGNS: Final = "-|#() "
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_GRID: Final = 1e-6
_WIDEST: Final = 400


class MarbleError(Exception):
    """What `#` stands for, unless an error is given."""


@dataclass(frozen=True, slots=True)
class Event:
    """One notification of a stream.

    Args:
        at: Seconds.
        kind: `next`, `error` or `completed`.
        value: The element, or the error; None at the end.
    """

    at: float
    kind: Kind
    value: Any = None

    @property
    def is_end(self) -> bool:
        """Whether nothing may follow."""
        return self.kind != "next"


def read_marbles(
    text: str,
    values: Mapping[str, Any] | None = None,
    *,
    error: BaseException | None = None,
    unit: float = 1.0,
) -> list[Event]:
    """Reads marbles.

    Args:
        text: The marbles.
        values: What letters stand for; a letter that is not in it stands for itself.
        error: What `#` stands for; a `MarbleError` by default.
        unit: Seconds of a column.

    Raises:
        ValueError: An unpaired bracket, time inside of brackets, or something after the end; the message
            names the column.

    >>> [(event.at, event.value) for event in read_marbles("-a-(bc)|", {"c": 3})]
    [(1.0, 'a'), (3.0, 'b'), (3.0, 3), (7.0, None)]
    """
    found: list[Event] = []
    group: int | None = None
    column = 0
    for place, sign in enumerate(text):
        if sign == " ":
            continue
        if sign == "(" or sign == ")":
            group = _bracket(text, place, sign, group, column)
        elif sign == "-":
            if group is not None:
                raise _wrong(text, place, "no time passes inside of brackets")
        else:
            if found and found[-1].is_end:
                raise _wrong(text, place, "nothing may follow the end")
            at = (column if group is None else group) * unit
            found.append(_event(at, sign, values or {}, error))
        column += 1
    if group is not None:
        raise _wrong(text, len(text), "a bracket was not closed")
    return found


def _bracket(text: str, place: int, sign: str, group: int | None, column: int) -> int | None:
    if sign == "(" and group is None:
        return column
    if sign == ")" and group is not None:
        return None
    raise _wrong(text, place, "brackets come in pairs and do not nest")


def _event(at: float, sign: str, values: Mapping[str, Any], error: BaseException | None) -> Event:
    if sign == "|":
        return Event(at, "completed")
    if sign == "#":
        return Event(at, "error", MarbleError() if error is None else error)
    return Event(at, "next", values.get(sign, sign))


def _wrong(text: str, place: int, what: str) -> ValueError:
    return ValueError(f"marbles {text!r}, column {place}: {what}")


def write_marbles(
    events: Iterable[Event], *, names: Mapping[Any, str] | None = None, unit: float = 1.0
) -> str:
    """Prints events as marbles.

    `read_marbles` reads them back if the elements are single letters: an error comes back as a `MarbleError`
    then. Other elements are named by letters that are not in use, in order of appearance, and a legend
    follows, which is for people and cannot be read back; the marbles before it can, with `values`. What
    does not lie on columns, or would not fit between them, is printed by `as_list`, for people too.

    Args:
        events: In the order of time.
        names: The letter for a value (a hashable one).
        unit: Seconds of a column.

    >>> write_marbles([Event(1.0, "next", "a"), Event(3.0, "next", "b"), Event(3.0, "completed")])
    '-a-(b|)'
    >>> write_marbles([Event(0.0, "next", 10), Event(1.0, "next", 20), Event(2.0, "next", 10)])
    'aba   a=10 b=20'
    >>> write_marbles([Event(0.0, "next", "a"), Event(1.0, "next", 10)])
    'ab   b=10'
    >>> write_marbles([Event(0.0, "next", "a"), Event(0.3, "completed")])
    '0 a, 0.3 |'
    """
    listed = list(events)
    letters = _Letters(listed, names or {})
    columns: dict[int, str] = {}
    for event in listed:
        column = round(event.at / unit)
        if abs(event.at - column * unit) > _GRID or not 0 <= column < _WIDEST:
            return as_list(listed)
        columns[column] = columns.get(column, "") + letters.of(event)
    line = ""
    for column, signs in sorted(columns.items()):
        if len(line) > column:
            return as_list(listed)
        line += "-" * (column - len(line)) + (signs if len(signs) == 1 else f"({signs})")
    return line + letters.legend() if letters.enough else as_list(listed)


class _Letters:
    """Gives each value a letter of its own."""

    def __init__(self, events: list[Event], names: Mapping[Any, str]) -> None:
        self._names = names
        self._given: list[tuple[Any, str]] = []
        self._taken = set(names.values())
        own = {event.value for event in events if self._is_letter(event.value)}
        self._spare = [letter for letter in _LETTERS if letter not in own | self._taken]
        self.enough = True

    def _is_letter(self, value: Any) -> bool:
        single = isinstance(value, str) and len(value) == 1 and value not in _SIGNS
        return single and value not in self._taken

    def of(self, event: Event) -> str:
        if event.kind != "next":
            return "#" if event.kind == "error" else "|"
        value = event.value
        if self._is_letter(value):
            return str(value)
        for known, letter in [*self._names.items(), *self._given]:
            if known is value or (type(known) is type(value) and known == value):
                return letter
        self.enough = self.enough and bool(self._spare)
        letter = self._spare.pop(0) if self._spare else "?"
        self._given.append((value, letter))
        return letter

    def legend(self) -> str:
        """What the letters stand for that were made up here."""
        if not self._given:
            return ""
        return "   " + " ".join(f"{letter}={value!r}" for value, letter in self._given)


def as_list(events: Iterable[Event]) -> str:
    """Events with their times in a row, for what does not fit marbles.

    Args:
        events: In the order of time.

    >>> as_list([Event(0.25, "next", "a"), Event(0.5, "error", KeyError("b"))])
    "0.25 a, 0.5 #KeyError('b')"
    """
    return ", ".join(f"{event.at:.9g} {_word(event)}" for event in events)


def _word(event: Event) -> str:
    if event.kind == "completed":
        return "|"
    if event.kind == "error":
        return f"#{event.value!r}"
    return event.value if isinstance(event.value, str) else repr(event.value)
