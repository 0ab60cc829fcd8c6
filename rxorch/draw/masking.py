"""Values in cards by their shape alone; and how texts are shown there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from pydantic import BaseModel

from rxorch.http.masking import error_text, masked, named_error

__all__ = ["error_text", "heading_text", "masked", "named_error", "shape_of"]

_MOST_KEYS: Final = 6
_LONGEST_HEADING: Final = 120


def heading_text(text: str, most: int = _LONGEST_HEADING) -> str:
    """What somebody wants to stand above a picture: in one line that finds room, and without secrets.

    >>> heading_text("orders of https://api.example.com/u?api_key=k1")
    'orders of https://api.example.com/u?api_key=***'
    """
    return masked(text, most)


def shape_of(value: Any) -> str:
    """What a value is, without saying what is in it: a notebook is stored with its outputs.

    >>> shape_of({"id": 7, "name": "Ada"}), shape_of([{"id": 1}, {"id": 2}]), shape_of("Ada"), shape_of(7)
    ('{id, name}', '2 of {id}', 'text of 3', 'int')
    """
    try:
        return _shape_of(value)
    except Exception:  # a class whose length or keys cannot be had
        return type(value).__name__


def _shape_of(value: Any) -> str:
    if isinstance(value, str):
        return f"text of {len(value):,}"
    if isinstance(value, bytes | bytearray):
        return f"{len(value):,} bytes"
    if isinstance(value, BaseModel):
        return f"{type(value).__name__}{_keys(type(value).model_fields)}"
    if isinstance(value, Mapping):
        return _keys(value)
    if isinstance(value, Sequence | Set):
        first = next(iter(value), None)
        return f"{len(value):,} of {_inner(first)}" if len(value) else "empty"
    return "None" if value is None else type(value).__name__


def _inner(value: Any) -> str:
    if isinstance(value, Mapping | BaseModel | str | bytes) or not isinstance(value, Sequence | Set):
        return "text" if isinstance(value, str) else shape_of(value)
    return "list"


def _keys(value: Mapping[Any, Any]) -> str:
    names = [masked(key, 30) if isinstance(key, str) else type(key).__name__ for key in [*value][:_MOST_KEYS]]
    more = len(value) - len(names)
    return "{" + ", ".join([*names, f"… {more:,} more"] if more > 0 else names) + "}"
