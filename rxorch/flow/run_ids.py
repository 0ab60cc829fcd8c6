"""Names for runs: as good as a UUID, at a tenth of its price."""

from __future__ import annotations

import itertools
import os
import uuid

__all__ = ["new_run_id"]


_half = uuid.uuid4().hex[:16]  # of this process alone
_count = itertools.count(1)


def new_run_id() -> str:
    """32 hexadecimal digits that no other run has, in this process or another.

    >>> first, second = new_run_id(), new_run_id()
    >>> len(first), first == second
    (32, False)
    """
    return f"{_half}{next(_count):016x}"


def _renew() -> None:
    global _half  # noqa: PLW0603 - a child of fork would count on where its parent was
    _half = uuid.uuid4().hex[:16]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
