"""Seconds in words: what holds of every time, however short or long."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxorch_operators._seconds import seconds_words

UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
ORDER = list(UNITS)
TIMES = st.floats(0, 1e9) | st.floats(0, 100) | st.floats(0, 1)
LIMITS = [0.00995, 0.9995, 0.99951, 0.9999999, 9.995, 59.95, 59.9999, 119.9, 3599.6, 7199.9, 86_399.9]


def parts_of(text: str) -> list[tuple[float, str]]:
    """Numbers and units."""
    assert re.fullmatch(r"[\d,]+(\.\d+)? (ms|s|min|h|d)( \d+ (s|min|h))?", text), text
    return [(float(number.replace(",", "")), unit) for number, unit in re.findall(r"([\d.,]+) (\w+)", text)]


def value_of(text: str) -> float:
    return sum(number * UNITS[unit] for number, unit in parts_of(text))


def told(seconds: float, exact: bool) -> str:
    return seconds_words(seconds, exact=exact)


@given(TIMES, st.booleans())
@example(0.0, False)
@example(0.0, True)
@example(5e-324, True)
def test_it_is_a_number_and_a_unit_and_near_the_time(seconds: float, exact: bool) -> None:
    value = value_of(told(seconds, exact))
    assert value == pytest.approx(seconds, rel=1e-5 if exact else 0.05, abs=1e-9 if exact else 5.1e-5)


@given(TIMES, TIMES, st.booleans())
def test_more_seconds_never_say_less(one: float, two: float, exact: bool) -> None:
    less, more = (told(each, exact) for each in sorted((one, two)))
    assert value_of(less) <= value_of(more)
    assert not one or not two or ORDER.index(parts_of(less)[0][1]) <= ORDER.index(parts_of(more)[0][1])


@given(TIMES | st.sampled_from(LIMITS))
def test_no_unit_is_counted_up_to_the_next(seconds: float) -> None:
    most = {"ms": 1000, "s": 60, "min": 60, "h": 24}
    assert all(number < most.get(unit, float("inf")) for number, unit in parts_of(told(seconds, False)))
    number, unit = parts_of(told(seconds, True))[0]
    assert unit == "s" or number < 1000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0 ms"),
        (0, "0 ms"),
        (0.00042, "0.4 ms"),
        (0.00994, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.0421, "42 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.2345, "1.23 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (75, "1 min 15 s"),
        (120, "2 min"),
        (3599.6, "1 h"),
        (7200, "2 h"),
        (9000, "2 h 30 min"),
        (86_400.0, "1 d"),
        (1e9, "11,574 d 1 h"),
        (float("inf"), "inf s"),
        (float("nan"), "nan s"),
    ],
)
def test_what_was_measured(seconds: float, words: str) -> None:
    assert seconds_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.0015, "1.5 ms"),
        (2e-7, "0.000200 ms"),
        (0.9999999, "1 s"),
        (593.4, "593.4 s"),
        (3_600, "3,600 s"),
        (1e7, "10,000,000 s"),
        (999_999.9, "1,000,000 s"),
    ],
)
def test_what_was_declared(seconds: float, words: str) -> None:
    assert seconds_words(seconds, exact=True) == words
