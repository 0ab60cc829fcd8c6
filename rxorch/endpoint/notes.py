"""Saying where an error of the user's came from, whatever the error allows."""

from __future__ import annotations

from contextlib import suppress

__all__ = ["noted"]


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
