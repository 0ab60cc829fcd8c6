"""How many repeats a client can afford: the engine of the retry budget.

When a service is down, retries multiply the load on it: three attempts per call at each of three layers
make 27. A budget bounds the extra calls to a share of the regular ones, whatever the callers do. Source:
"Addressing Cascading Failures", Site Reliability Engineering (O'Reilly 2016), chapter 22; the sliding window
and the floor for quiet clients follow `RetryBudget` of Finagle.

Pure: the time is passed in as monotonic seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ..errors import invalid, is_count
from .tally import Buckets

__all__ = ["RetryBudget", "RetryBudgetStatistics"]

_PARTS: Final = 10
_CALLS: Final = 0
_SPENT: Final = 1
# 0.29 * 100 is 28.999999999999996, which has to count as 29.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class RetryBudgetStatistics:
    """What a budget has seen.

    Args:
        calls: Regular calls within the window.
        spent: Repeats within the window.
        allowance: Repeats that the window allows at this rate of calls.
        granted: Repeats granted in all.
        denied: Repeats denied in all.
    """

    calls: int
    spent: int
    allowance: int
    granted: int
    denied: int


class RetryBudget:
    """Allows a share of extra calls over a sliding window. One per host, shared by retries and hedges.

    The window slides in tenths of its length, so both counts reach back `window` seconds and at most a tenth
    more. Recording and spending take constant time.

    Args:
        ratio: Extra calls per regular call, 0 or more; 0.2 is one repeat for five calls.
        window: Length of the window in seconds.
        floor: Extra calls that are always allowed in a window, so that a quiet client may repeat too. May be
            set later, as an attribute.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> budget = RetryBudget(ratio=0.5, window=10.0, floor=1)
        >>> for _ in range(4):
        ...     budget.record_call(now=0.0)
        >>> [budget.try_spend(now=1.0) for _ in range(3)]
        [True, True, False]
    """

    __slots__ = ("_buckets", "_denied", "_granted", "_ratio", "floor")

    def __init__(self, ratio: float = 0.2, window: float = 10.0, floor: int = 3) -> None:
        if not 0.0 <= ratio < math.inf:
            raise invalid("ratio", ratio, "give extra calls per call, 0 or more")
        if not 0.0 < window < math.inf:
            raise invalid("window", window, "give seconds above 0")
        if not is_count(floor, least=0):
            raise invalid("floor", floor, "give a whole number, 0 or more")
        self._ratio = ratio
        self.floor = floor
        self._buckets = Buckets(span=window, parts=_PARTS, kinds=2)
        self._granted = 0
        self._denied = 0

    def record_call(self, now: float) -> None:
        """Counts a regular call: the first attempt, not a repeat.

        Args:
            now: Monotonic seconds.
        """
        self._buckets.add(now, _CALLS)

    def try_spend(self, now: float) -> bool:
        """Takes one extra call from the budget; False when there is none left.

        Args:
            now: Monotonic seconds.
        """
        buckets = self._buckets
        buckets.advance(now)
        if buckets.totals[_SPENT] >= self._allowance(buckets.totals[_CALLS]):
            self._denied += 1
            return False
        buckets.add(now, _SPENT)
        self._granted += 1
        return True

    def statistics(self, now: float) -> RetryBudgetStatistics:
        """A snapshot.

        Args:
            now: Monotonic seconds.
        """
        self._buckets.advance(now)
        calls, spent = self._buckets.totals
        return RetryBudgetStatistics(
            calls=calls,
            spent=spent,
            allowance=self._allowance(calls),
            granted=self._granted,
            denied=self._denied,
        )

    def _allowance(self, calls: int) -> int:
        return max(self.floor, int(self._ratio * calls + _ROUNDING))
