"""Texts of any kind without their secrets: messages of errors, names, values, the reprs of records."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from rxorch.http.redaction import REDACTED, is_secret_name, is_secret_value, redact_url

__all__ = ["error_text", "masked", "named_error", "printable", "record_repr", "without_secrets"]

_LONGEST: Final = 300
_TEXTS: Final = ("error", "reason")
"""Fields of records that hold what a server or somebody's code has said."""

_SCHEME: Final = re.compile(r"\b(basic|bearer|digest|negotiate)\s+[\w+/=._~-]{4,}", re.IGNORECASE)
_URL: Final = re.compile(r"\b[a-zA-Z][\w+.-]*+://[^\s\"'<>\])]*[^\s\"'<>\]),.;]")
_NAME: Final = re.compile(r"(?<![\w.-])([\w.-]++)['\"]?\s*+[=:]\s*+")
"""A name, and what stands before its value."""
_VALUE: Final = re.compile(
    r"'[^']*'|\"[^\"]*\"|(?!//)['\"]?((basic|bearer|digest|token)\s+)?[^\s,;&\"'}]*[^\s,;&\"'})\]]",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\s\"',;()\[\]{}=]+")
_PEM: Final = re.compile(r"-----BEGIN.*", re.DOTALL)


def printable(text: str) -> str:
    """Text without control characters, which could rewrite a terminal or break a document."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def without_secrets(text: str) -> str:
    """A text without what is a secret by its look, by the name before it, or by its place in a url.

    >>> without_secrets("401 for amqp://me:pw@mq/u?api_key=k1, {'password': 'two words', 'id': 7}")
    "401 for amqp://***@mq/u?api_key=***, {'password': '***', 'id': 7}"
    """
    text = _PEM.sub(REDACTED, text)
    text = _SCHEME.sub(REDACTED, text)
    text = _URL.sub(lambda found: redact_url(found[0]), text)
    text = _without_named(text)
    return _WORD.sub(lambda found: REDACTED if is_secret_value(found[0]) else found[0], text)


def _without_named(text: str) -> str:
    """A text without the values that stand behind the names of secrets."""
    parts, end = [], 0
    while (name := _NAME.search(text, end)) is not None:
        parts.append(text[end : name.end()])
        end = name.end()
        value = _VALUE.match(text, end) if is_secret_name(name[1]) else None
        if value is not None:
            first, last = value[0][0], value[0][-1]
            parts += [first if first in "'\"" else "", REDACTED, last if last in "'\"" else ""]
            end = value.end()
    return "".join([*parts, text[end:]])


def masked(text: str, most: int = _LONGEST) -> str:
    """A text in one line, cut where it is long, and without its secrets.

    >>> masked("401 for https://api.example.com/u?api_key=k1 with token=abc")
    '401 for https://api.example.com/u?api_key=*** with token=***'
    """
    line = without_secrets(printable(" ".join(text[: 4 * most].split())))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def error_text(error: BaseException, most: int = _LONGEST) -> str:
    """The message of an error; its type alone where it has none, or where that cannot be had."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return masked(text, most) or type(error).__name__


def named_error(error: BaseException | None) -> str:
    """Kind and message of an error; nothing without one.

    >>> named_error(ValueError("token=abc is wrong"))
    'ValueError: token=*** is wrong'
    """
    return "" if error is None else f"{type(error).__name__}: {error_text(error)}"


def record_repr(record: Any) -> str:
    """The repr of a dataclass, in which what errors say is without secrets, in one line."""
    shown = ((each.name, getattr(record, each.name)) for each in dataclasses.fields(record) if each.repr)
    return (
        f"{type(record).__qualname__}({', '.join(f'{name}={_shown(name, value)}' for name, value in shown)})"
    )


def _shown(name: str, value: Any) -> str:
    if isinstance(value, BaseException):
        return _error_repr(value)
    if name in _TEXTS and isinstance(value, Mapping):
        return repr({key: masked(text) if isinstance(text, str) else text for key, text in value.items()})
    return repr(masked(value)) if name in _TEXTS and isinstance(value, str) else repr(value)


def _error_repr(error: BaseException) -> str:
    try:
        return masked(repr(error))
    except Exception:  # a record can be printed whatever is in it
        return f"{type(error).__name__}(...)"
