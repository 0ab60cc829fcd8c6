"""Schemas of single values (texts, numbers, choices of constants) as types of pydantic."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
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
    check = _pattern(pattern) if isinstance(pattern, str) else None
    if check == "rust":
        return limited(str, pattern=pattern, **limits)
    return limited(str, **limits) if check is None else Annotated[limited(str, **limits), check]


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
    if not limits.get("multiple_of", 1) > 0:
        del limits["multiple_of"]
    return limited(int if whole else int | float, **limits)


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
        if isinstance(value, kind) and not isinstance(value, bool)
    }


def constant_type(values: list[Any]) -> Any:
    """The type of one of some values.

    Example:
        >>> constant_type(["on", "off"])
        typing.Literal['on', 'off']
    """
    if all(isinstance(value, str | int | bool | None) for value in values):
        made: Any = Literal
        return made[tuple(values)]

    def member(value: Any) -> Any:
        if not any(value == each and type(value) is type(each) for each in values):
            raise PydanticCustomError("enum", "Input should be one of the values of the enum")
        return value

    return Annotated[Any, AfterValidator(member)]


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> Any:
    """What checks a pattern: ``"rust"``, which takes linear time; Python's for those that need more.

    None for a pattern that neither understands: it is not checked.
    """
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        pass
    else:
        return "rust"
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # Python's re has an opinion on some sets of characters
            search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError):
        return None
    return AfterValidator(_matching(search))


def _matching(search: Callable[[str], Any]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if search(value) is None:
            raise PydanticCustomError(
                "string_pattern_mismatch", "String does not match the pattern of the schema"
            )
        return value

    return check
