"""``parse_rate``: a rate as people write it."""

from __future__ import annotations

import math
import re
from typing import Final

from rxorch.errors import ApiConfigurationError

__all__ = ["parse_rate"]

_UNITS: Final = {
    "ms": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0,
    "hour": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|per)\s*(\d+(?:\.\d+)?)?\s*([a-z]+)")


def parse_rate(text: str) -> tuple[float, float]:
    """How many in how long.

    Args:
        text: A number, "/" or "per", and a time: `100/s`, `6000/min`, `5/2s`, `10 per hour`. Units are ms, s,
            min, h and d.

    Returns:
        The number, and the seconds.

    Raises:
        ApiConfigurationError: It is no rate.

    >>> parse_rate("100/s"), parse_rate("5/2s"), parse_rate("90 per hour")
    ((100.0, 1.0), (5.0, 2.0), (90.0, 3600.0))
    """
    found = _RATE.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    unit = None if found is None else _UNITS.get(found[3]) or _UNITS.get(found[3].removesuffix("s"))
    if found is None or unit is None:
        raise ApiConfigurationError("a rate is a number and a time, such as 100/s, 6000/min or 5/2s")
    number, seconds = float(found[1]), float(found[2] or 1) * unit
    if not 0 < number < math.inf or not 0 < seconds < math.inf:
        raise ApiConfigurationError("a rate is more than nothing, in a time that is more than nothing")
    return number, seconds
