"""Read values out of inputs and answers, turn them into text, and call the functions that users give.

Nothing here ever puts a value into a message: an error tells names, keys and types only.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from types import CoroutineType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http.redaction import REDACTED, is_secret_value

__all__ = [
    "ABSENT",
    "CONTROL",
    "MISSING",
    "DottedPath",
    "UnfitValueError",
    "call_with_context",
    "check_parser",
    "extract",
    "text_of",
]

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""The control characters, C0 and C1."""

MAX_KEYS: Final = 32
"""Longest dotted path, in keys."""

SHOWN_KEYS: Final = 20
"""How many keys of a mapping an error names."""


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What ``DottedPath.find`` returns when there is nothing; None is a value like any other."""


class _Absent:
    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Value of the only placeholder of a header that is left out. (None there is a mistake, and refused.)"""


class UnfitValueError(ValueError):
    """A value cannot stand where a template puts it; the message says why and never quotes it."""


class DottedPath:
    """A path into data such as ``data.items.0.id``, split once and then used for every call.

    Mappings are read by key, sequences by index (negative ones count from the end), pydantic models by
    declared field. No attribute of any other object is ever read, so a path reaches data and
    nothing else. A key that itself has dots is found too; where several readings fit, the one with the
    shortest first key wins.

    Args:
        text: keys and indexes with dots between them.

    Attributes:
        keys: the keys.
        only: the key, where there is one only; else None.

    Raises:
        ApiConfigurationError: an empty path, an empty key (``a..b``), or more than 32 keys.

    Example:
        >>> DottedPath("items.0.id").find({"items": [{"id": 7}]})
        7
        >>> DottedPath("items.3.id").find({"items": []})
        MISSING
    """

    __slots__ = ("keys", "only", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.keys = tuple(text.split("."))
        self.only = None if "." in text else text
        if not all(self.keys):
            raise ApiConfigurationError("a path is keys with dots between them, such as data.items.0.id")
        if len(self.keys) > MAX_KEYS:
            raise ApiConfigurationError(f"a path has at most {MAX_KEYS} keys")

    def __repr__(self) -> str:
        return f"DottedPath({self.text!r})"

    def find(self, value: Any) -> Any:
        """Return what lies at this path in ``value``, or ``MISSING``."""
        current = value
        for key in self.keys:
            current = current.get(key, MISSING) if type(current) is dict else _child(current, key)
            if current is MISSING:
                return _find_joined(value, self.keys) if len(self.keys) > 1 else MISSING
        return current

    def explain(self, value: Any, name: str = "the input") -> str:
        """Say where the path ends in ``value`` and which keys are there: keys and types, never values."""
        current = value
        for depth, key in enumerate(self.keys):
            child = _child(current, key)
            if child is MISSING:
                place = repr(".".join(self.keys[:depth])) if depth else name
                return f"{place} {_describe(current)}"
            current = child
        return f"{name} {_describe(current)}"


def _child(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key, MISSING)  # not value[key]: a defaultdict would grow
    if isinstance(value, BaseModel):
        return getattr(value, key) if key in type(value).model_fields else MISSING
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return _item(value, key)
    return MISSING


def _item(values: Sequence[Any], key: str) -> Any:
    digits = key.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < MAX_KEYS):
        return MISSING
    index = int(key)
    return values[index] if -len(values) <= index < len(values) else MISSING


def _find_joined(value: Any, keys: tuple[str, ...]) -> Any:
    """Search once more, reading ``a.b`` as one key where ``a`` alone leads nowhere."""
    for count in range(1, len(keys) + 1):
        child = _child(value, ".".join(keys[:count]))
        if child is not MISSING:
            rest = keys[count:]
            found = _find_joined(child, rest) if rest else child
            if found is not MISSING:
                return found
    return MISSING


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"has {_names(list(value), 'keys')}"
    if isinstance(value, BaseModel):
        return f"has {_names(list(type(value).model_fields), 'fields')}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return f"is a {type(value).__name__} of {len(value)}"
    return "is None" if value is None else f"is of type {type(value).__name__}"


def _names(names: list[Any], noun: str) -> str:
    if not names:
        return f"no {noun}"
    shown = [_name(name) for name in names[:SHOWN_KEYS]]
    more = f" and {len(names) - SHOWN_KEYS} more" if len(names) > SHOWN_KEYS else ""
    return f"{noun} {', '.join(shown)}{more}"


def _name(name: Any) -> str:
    if not isinstance(name, str):
        return type(name).__name__
    return repr(REDACTED if is_secret_value(name) else name[:40])


_path = lru_cache(maxsize=512)(DottedPath)


def extract(
    value: Any, path: str | DottedPath, *, endpoint: str | None = None, label: str = "response_key"
) -> Any:
    """Return what lies at a dotted path of ``value``.

    Args:
        value: a parsed answer or any other data.
        path: ``"data.items.0"``, or the path already split.
        endpoint: name for the error.
        label: what the path is called in the error.

    Raises:
        ApiValidationError: nothing is there; names the endpoint, the path and the keys that exist.

    Example:
        >>> extract({"data": {"items": [1, 2]}}, "data.items.-1")
        2
    """
    dotted = _path(path) if isinstance(path, str) else path
    found = dotted.find(value)
    if found is MISSING:
        message = f"{label} {dotted.text!r} leads nowhere: {dotted.explain(value, 'the answer')}"
        fault = {"loc": dotted.keys, "msg": message, "type": "missing"}
        raise ApiValidationError(message, endpoint=endpoint, errors=[fault])
    return found


def text_of(value: Any) -> str:
    """Return the text of a single value as it is written into urls, parameters and headers.

    ``True`` becomes ``true``, dates are ISO 8601, an enum member is its value. Anything that has no plain
    text of its own (None, containers, bytes, other objects) is refused: their ``str`` is rarely meant.

    Raises:
        UnfitValueError: the type is not one of str, int, float, bool, Decimal, UUID, date or Enum,
            or the number is not finite.

    Example:
        >>> text_of(True), text_of(7), text_of("a b")
        ('true', '7', 'a b')
    """
    if type(value) is int:
        return _digits(value)
    if isinstance(value, Enum):
        return text_of(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float | Decimal):
        return _number(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if value is None:
        raise UnfitValueError("is None")
    raise UnfitValueError(f"is of type {type(value).__name__}, which has no plain text")


def _number(value: float | Decimal) -> str:
    if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        raise UnfitValueError("is not a finite number")
    return float.__repr__(value) if isinstance(value, float) else str(value)


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # the interpreter's limit on digits
        raise UnfitValueError("is a number with too many digits") from None


def call_with_context(
    fn: Callable[..., Any], *, label: str = "callable", may_be_async: bool = False
) -> Callable[[Any, Any], Any]:
    """Return ``fn`` as a function of ``(data, context)``, whatever number of parameters it takes.

    The number is found out here, once. A function of one parameter gets the data, one of two
    gets data and context, one of none is called without. A second parameter that has a default is left alone
    (``lambda data, i=i: ...`` binds a loop variable), unless its name is ``context``.

    Args:
        fn: a plain function or other callable; one without a signature (some builtins) gets the data.
        label: what the function is called in errors.
        may_be_async: it may be ``async``; what it returned has then to be awaited.

    Raises:
        ApiConfigurationError: not callable, ``async def``, or parameters that cannot be filled. The returned
            function raises it when ``fn`` turns out to return a coroutine.

    Example:
        >>> double = call_with_context(lambda data: data * 2)
        >>> double(4, {"auth": "t"})
        8
    """
    count = _parameters(fn, label, may_be_async=may_be_async)

    def call(data: Any, context: Any = None) -> Any:
        if count == 1:
            result = fn(data)
        else:
            result = fn(data, context) if count else fn()
        if type(result) is CoroutineType and not may_be_async:  # truthy: a condition would seem to hold
            result.close()
            raise ApiConfigurationError(f"{label} returned a coroutine; it must be a plain function")
        return result

    return call


def check_parser(fn: Callable[..., Any], *, label: str) -> None:
    """Refuse what cannot be called with exactly one argument, or is ``async def``.

    Raises:
        ApiConfigurationError: says what is wrong.
    """
    if _parameters(fn, label) != 1:
        raise ApiConfigurationError(f"{label} must take exactly one parameter")


def _parameters(fn: Any, label: str, *, may_be_async: bool = False) -> int:
    if not callable(fn):
        raise ApiConfigurationError(f"{label} must be callable")
    if not may_be_async and _is_async(fn):
        raise ApiConfigurationError(
            f"{label} must be a plain function, not async: it is called without waiting. "
            "What needs waiting is an endpoint of its own"
        )
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # some builtins do not tell
        return 1
    return _count(parameters, label)


def _count(parameters: list[inspect.Parameter], label: str) -> int:
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(1 for p in positional if p.default is p.empty)
    named_only = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    if required > 2 or named_only:
        raise ApiConfigurationError(f"{label} must take (data) or (data, context)")
    if required == 2 or (len(positional) > 1 and positional[1].name == "context"):
        return 2
    return 1 if positional or any(p.kind is p.VAR_POSITIONAL for p in parameters) else 0


def _is_async(fn: Any) -> bool:
    while isinstance(fn, partial):
        fn = fn.func
    method = getattr(type(fn), "__call__", None)  # noqa: B004 - the method of a callable object is looked at
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (fn, method))
