"""Schemas of single values (texts, numbers, choices of constants) as types of pydantic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError, SchemaError, SchemaValidator, core_schema

from rxorch.openapi.document import Raw

__all__ = ["Limits", "constant_type", "limited", "number_type", "text_type"]

_TEXTS: Final[dict[str, Any]] = {"date-time": datetime, "date": date, "uuid": UUID, "binary": bytes | str}
"""Formats that have a type of their own; all others are texts."""


def text_type(schema: Raw) -> Any:
    """The type of a text: by its format, else ``str`` with length and pattern.

    Example:
        >>> text_type({"format": "date-time"})
        <class 'datetime.datetime'>
    """
    kind = schema.get("format")
    if isinstance(kind, str) and kind in _TEXTS:
        return _TEXTS[kind]
    limits = _limits(schema, {"minLength": "min_length", "maxLength": "max_length"}, int)
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and _is_linear(pattern):
        limits["pattern"] = pattern
    return limited(str, **limits)


def number_type(schema: Raw, *, whole: bool) -> Any:
    """The type of a number; ``number`` keeps a whole number whole, so that 20 is not sent as 20.0.

    Example:
        >>> number_type({}, whole=False)
        int | float
    """
    names = {
        "minimum": "ge",
        "maximum": "le",
        "exclusiveMinimum": "gt",
        "exclusiveMaximum": "lt",
        "multipleOf": "multiple_of",
    }
    known = dict(schema)
    for edge, strictly in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if known.get(strictly) is True:  # OpenAPI 3.0: a flag that stands beside the limit
            known[strictly] = known.pop(edge, None)
    limits = _limits(known, names, int | float)
    step = limits.get("multiple_of", 1)
    if whole:
        rounded: dict[str, Callable[[float], int]] = {
            "ge": math.ceil,
            "lt": math.ceil,
            "le": math.floor,
            "gt": math.floor,
        }
        limits = {key: rounded[key](edge) if key in rounded else edge for key, edge in limits.items()}
    if step > 0 and isinstance(step, int):
        return limited(int if whole else int | float, **limits)
    limits.pop("multiple_of")
    kind = limited(int if whole else int | float, **limits)
    return Annotated[kind, AfterValidator(_multiple_of(step))] if step > 0 else kind


def _multiple_of(step: float) -> Callable[[float], float]:
    """What checks a fractional ``multipleOf`` by decimal digits: 19.99 is a multiple of 0.01."""
    exact = Fraction(repr(step))

    def check(value: float) -> float:
        if not math.isfinite(value) or Fraction(value if isinstance(value, int) else repr(value)) % exact:
            raise PydanticCustomError("multiple_of", "Input should be a multiple of {step}", {"step": step})
        return value

    return check


@dataclass(frozen=True)
class Limits:
    """The arguments of the ``Field`` beside it, for those who write the type as source."""

    given: tuple[tuple[str, Any], ...]


def limited(kind: Any, **limits: Any) -> Any:
    """Return a type with limits; without any, the type itself."""
    return Annotated[kind, Field(**limits), Limits(tuple(limits.items()))] if limits else kind


def _limits(schema: Raw, names: dict[str, str], kind: Any) -> dict[str, Any]:
    found = {ours: schema.get(theirs) for theirs, ours in names.items()}
    return {
        ours: value
        for ours, value in found.items()
        if isinstance(value, kind) and not isinstance(value, bool) and _is_limit(value, kind)
    }


def _is_limit(value: Any, kind: Any) -> bool:
    """Whether a number limits anything: a length is not negative, and 1e999 of JSON is infinite."""
    return bool(value >= 0) if kind is int else isinstance(value, int) or math.isfinite(value)


def constant_type(values: list[Any]) -> Any:
    """The type of one of some values.

    Example:
        >>> constant_type(["on", "off"])
        typing.Literal['on', 'off']
    """
    if all(_is_constant(value) for value in values):
        made: Any = Literal
        return made[tuple(values)]

    def member(value: Any) -> Any:
        if not any(value == each and type(value) is type(each) for each in values):
            raise PydanticCustomError("enum", "Input should be one of the values of the enum")
        return value

    return Annotated[Any, AfterValidator(member)]


def _is_constant(value: Any) -> bool:
    """Whether pydantic takes a value in a Literal: lone surrogates it does not."""
    if isinstance(value, str):
        return value.isascii() or value.encode("utf-8", "ignore").decode() == value
    return isinstance(value, int | bool | None)


@lru_cache(maxsize=4096)
def _is_linear(pattern: str) -> bool:
    """Whether Rust's expressions understand a pattern: they take linear time.

    Others (with a look-ahead, say) are not checked. Python's would take exponential time for some, and a
    pattern is as trustworthy as its description.
    """
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return False
    return True
