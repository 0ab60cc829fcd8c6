"""Saying where an error of the user's came from, whatever the error allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["CANCELLED", "noted", "uncancelled"]

CANCELLED: Final = "a callable raised CancelledError, though nobody cancelled"

T = TypeVar("T")


def noted(error: Exception, place: str) -> Exception:
    """The error with a note that says where it came from.

    A class may refuse attributes and so notes (a frozen dataclass); it then goes without. `StopIteration`
    cannot leave a coroutine: it becomes a `RuntimeError` that says what it nearly always means.

    Args:
        error: What a callable raised.
        place: Such as `in endpoint 'user'`.
    """
    if isinstance(error, StopIteration):
        named = RuntimeError(f"StopIteration {place}: a next() without default found nothing")
        named.__cause__ = error
        return named
    with suppress(Exception):
        error.add_note(place)
    return error


def uncancelled(function: Callable[..., T], *args: Any) -> T:
    """Calls a user's function; a `CancelledError` of its own is an error, and no cancellation of ours."""
    try:
        return function(*args)
    except asyncio.CancelledError as error:
        raise RuntimeError(CANCELLED) from error
