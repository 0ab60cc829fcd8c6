"""Names for runs: as good as a UUID, at a tenth of its price."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable

__all__ = ["new_run_id"]


def _names() -> Callable[[], str]:
    """A random half, of this process alone, and a count."""
    half, count = uuid.uuid4().hex[:16], itertools.count(1)
    return lambda: f"{half}{next(count):016x}"


_next = _names()


def new_run_id() -> str:
    """32 hexadecimal digits that no other run has, in this process or another.

    >>> first, second = new_run_id(), new_run_id()
    >>> len(first), first == second
    (32, False)
    """
    return _next()


def _renew() -> None:
    global _next  # noqa: PLW0603 - a child of fork would count on where its parent was
    _next = _names()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
