"""Reading the time in tests on a virtual loop, which is that of `rxorch_operators.testing`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["now", "waits"]


def now() -> float:
    """Virtual seconds since the loop was made."""
    return asyncio.get_running_loop().time()


def waits(times: Sequence[float]) -> list[float]:
    """The gaps between points in time, to the microsecond."""
    return [round(later - earlier, 6) for earlier, later in pairwise(times)]
