"""What left when: the measure that every rate limit is held against."""

from __future__ import annotations

from fractions import Fraction


def heaviest_window(departures, window):
    """Most calls and most units in any closed stretch of `window` seconds, in exact arithmetic."""
    exact = [(Fraction(at), Fraction(cost)) for at, cost in departures]
    calls, units, first = 0, Fraction(0), 0
    most_calls, most_units = 0, Fraction(0)
    for at, cost in exact:
        calls, units = calls + 1, units + cost
        while at - exact[first][0] > Fraction(window):
            calls, units = calls - 1, units - exact[first][1]
            first += 1
        most_calls, most_units = max(most_calls, calls), max(most_units, units)
    return most_calls, most_units
