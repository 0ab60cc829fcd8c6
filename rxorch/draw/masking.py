"""Texts and values in cards: texts without their secrets, values by their shape alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from pydantic import BaseModel

from rxorch.draw.facts import printable
from rxorch.http.redaction import REDACTED, is_secret_name, is_secret_value, redact_url

__all__ = ["error_text", "masked", "shape_of"]

_LONGEST: Final = 300
_MOST_KEYS: Final = 6
_NAME: Final = re.compile(r"(?<![\w.-])([\w.-]++)[\"']?\s*+[=:]\s*+[\"']?")
_NAMED: Final = re.compile(r"(?!//)[^\s,;&\"'}]+")
_URL: Final = re.compile(r"\bhttps?://[^\s\"'<>\])]*[^\s\"'<>\]),.;]")
_WORD: Final = re.compile(r"[^\s\"',;()\[\]{}=]+")
_SCHEME: Final = re.compile(r"\b(basic|bearer|digest|negotiate)\s+[\w+/=._~-]{4,}", re.IGNORECASE)


def masked(text: str, most: int = _LONGEST) -> str:
    """A text in one line, cut where it is long, and without what is a secret by its name or look.

    >>> masked("401 for https://api.example.com/u?api_key=k1 with token=abc")
    '401 for https://api.example.com/u?api_key=*** with token=***'
    """
    line = printable(" ".join(text[: 4 * most].split()))
    line = _SCHEME.sub(REDACTED, line)
    line = _URL.sub(lambda found: redact_url(found[0]), line)
    line = _without_named(line)
    line = _WORD.sub(lambda found: REDACTED if is_secret_value(found[0]) else found[0], line)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _without_named(line: str) -> str:
    """A line without the values that stand behind the names of secrets."""
    parts, end = [], 0
    for name in _NAME.finditer(line):
        value = _NAMED.match(line, name.end()) if name.start() >= end and is_secret_name(name[1]) else None
        if value is not None:
            parts += [line[end : name.end()], REDACTED]
            end = value.end()
    return "".join([*parts, line[end:]])


def error_text(error: BaseException, most: int = _LONGEST) -> str:
    """The message of an error; its type alone where it has none, or where that cannot be had."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return masked(text, most) or type(error).__name__


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
