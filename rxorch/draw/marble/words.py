"""What is said of a value: a few letters for a marble, a line for the table, and no secret in either."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Final

from pydantic import BaseModel

from rxorch.http.masking import printable, without_secrets
from rxorch.http.redaction import REDACTED, is_secret_name, is_secret_value
from rxorch_operators import Failure, Success

__all__ = ["HIDDEN", "TIMES", "error_name", "heading", "in_full", "in_short"]

HIDDEN: Final = "•"
"""What stands for an element that was not recorded."""
TIMES: Final = "\N{MULTIPLICATION SIGN}"

_SHORT: Final = 8

_LONGEST: Final = 240
_READ: Final = 2000
"""Letters of a text that are looked at: all beyond is left out."""
_LARGEST: Final = 100
_MEMBERS: Final = 8
_DEEPEST: Final = 3
_NAMES: Final = ("id", "name")
"""What tells one record from another, mostly."""
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def in_short(value: Any) -> str:
    """A few letters by which a value is known."""
    text = " ".join(printable(_short(value)).split()) or "''"
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def in_full(value: Any) -> str:
    """A line about a value, cut where it is too long."""
    return _cut(printable(_said(value, 0)), _LONGEST)


def heading(text: str) -> str:
    """A title, or the name of a place."""
    return _cut(without_secrets(printable(text[:_READ])), _LONGEST)


def error_name(error: BaseException) -> str:
    """What kind of error it is, without the word that all of them end with.

    >>> error_name(ConnectionResetError()), error_name(OSError())
    ('ConnectionReset', 'OSError')
    """
    name = _cut(printable(type(error).__name__), _LONGEST)
    short = name.removesuffix("Error")
    return short if len(short) > 6 else name


def _masked(text: str) -> str:
    """A value without its secrets; one that is a secret as a whole is nothing else."""
    text = text[:_READ]
    return REDACTED if is_secret_value(text) else without_secrets(text)


def _short(value: Any) -> str:
    match value:
        case Success(value=inside):
            return _short(inside)
        case Failure(error=error):
            return f"✗ {error_name(error)}"
        case str():
            return _masked(value)
        case float():
            return f"{value:.4g}"
        case None | bool() | int():
            return _repr(value)
        case BaseException():
            return error_name(value)
    named = dict(_fields(value))
    for name in _NAMES:
        if isinstance(named.get(name), str | int):
            return _short(named[name])
    if isinstance(value, list | tuple | Set):
        return f"[{len(value)}]"
    return type(value).__name__


def _said(value: Any, depth: int) -> str:
    match value:
        case str():
            return _repr(_cut(_masked(value), _LONGEST))
        case None | bool() | int() | float() | complex():
            return _repr(value)
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case BaseException():
            return f"{type(value).__name__}: {_masked(_text(value))}".removesuffix(": ")
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return f"{{{_joined(_entries(value, depth))}}}"
    if isinstance(value, list | tuple | Set):
        return _collection(value, depth)
    if isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return f"{type(value).__name__}({_joined(_entries(dict(_fields(value)), depth, '='))})"
    return _masked(_ADDRESS.sub("", _repr(value)))


def _collection(value: list[Any] | tuple[Any, ...] | Set[Any], depth: int) -> str:
    if isinstance(value, Set):
        if len(value) > _LARGEST:  # they are sorted, so that the same set is always told in the same way
            return f"{type(value).__name__} of {len(value):,}"
        return f"{{{_joined(sorted(_said(each, depth + 1) for each in value))}}}"
    inside = _joined(_said(each, depth + 1) for each in value)
    return f"[{inside}]" if isinstance(value, list) else f"({inside})"


def _fields(value: Any) -> Iterator[tuple[Any, Any]]:
    """Names and values of what has any."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, BaseModel):
        yield from ((name, getattr(value, name, None)) for name in type(value).model_fields)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((each.name, getattr(value, each.name, None)) for each in dataclasses.fields(value))


def _entries(value: Mapping[Any, Any], depth: int, between: str = ": ") -> Iterator[str]:
    for name, each in value.items():
        secret = isinstance(name, str) and is_secret_name(name)
        told = name if between == "=" else _said(name, depth + 1)
        yield f"{told}{between}{REDACTED if secret else _said(each, depth + 1)}"


def _joined(parts: Iterable[str]) -> str:
    shown: list[str] = []
    for part in parts:
        if len(shown) == _MEMBERS:
            shown.append("…")
            break
        shown.append(part)
    return ", ".join(shown)


def _repr(value: Any) -> str:
    try:
        return _cut(repr(value), 4 * _LONGEST)
    except Exception:  # it is the user's, and no picture is worth an error
        return f"<{type(value).__name__}>"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
