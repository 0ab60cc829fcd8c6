"""Checks of settings, at construction: each returns the value, or names the setting that cannot work."""

from __future__ import annotations

import math
from typing import Any

from rxorch.errors import ApiConfigurationError

__all__ = ["count", "flag", "is_seconds", "number", "wrong"]


def is_seconds(value: object) -> bool:
    """Tell whether a value is a number of seconds above 0."""
    if type(value) is float or type(value) is int:  # what it is nearly always
        return 0 < value < math.inf
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def number(field: str, value: Any, wanted: str, *, zero: bool = False, none: bool = False) -> Any:
    """A finite number above 0.

    Args:
        field: name of the setting.
        value: what was given.
        wanted: what the error says should be given.
        zero: whether 0 will do.
        none: whether None will do.

    Raises:
        ApiConfigurationError: it is something else.
    """
    if (none and value is None) or is_seconds(value):
        return value
    if zero and isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return value
    raise wrong(field, f"{wanted}, or None" if none else wanted, value)


def count(field: str, value: Any, wanted: str, *, zero: bool = False, none: bool = False) -> Any:
    """A whole number of 1 or more; see ``number``."""
    least = 0 if zero else 1
    if none and value is None:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise wrong(field, f"{wanted}, or None" if none else wanted, value)


def flag(field: str, value: Any) -> Any:
    """True or False; see ``number``."""
    if isinstance(value, bool):
        return value
    raise wrong(field, "True or False", value)


def wrong(field: str, wanted: str, given: object) -> ApiConfigurationError:
    """The error that names a setting and what it should be. Of what was given it shows a number at most.

    Example:
        >>> wrong("backoff", "a number of seconds", "2")
        ApiConfigurationError('backoff: give a number of seconds; not str')
    """
    plain = isinstance(given, int | float) and not isinstance(given, bool)
    shown = str(given)[:20] if plain else f"the class {given.__name__}" if isinstance(given, type) else None
    return ApiConfigurationError(f"{field}: give {wanted}; not {shown or type(given).__name__}")
