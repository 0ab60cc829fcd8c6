"""The histogram: percentiles within one percent, in constant memory."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.observe.histogram import Histogram


def histogram(*values: float) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


def exact(values: list[float], fraction: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]


def test_empty_is_all_zero() -> None:
    empty = Histogram()
    assert (empty.count, empty.total, empty.mean, empty.max, empty.percentile(0.5)) == (0, 0, 0, 0, 0)


def test_count_total_mean_and_maximum_are_exact() -> None:
    filled = histogram(1.0, 2.0, 6.0)
    assert (filled.count, filled.total, filled.mean, filled.max) == (3, 9.0, 3.0, 6.0)


@pytest.mark.parametrize("value", [1e-6, 0.001, 0.5, 1.0, 150.0, 86_400_000.0])
def test_one_value_is_every_percentile(value: float) -> None:
    single = histogram(value)
    for fraction in (0.0, 0.01, 0.5, 0.99, 1.0):
        assert single.percentile(fraction) == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_at_most_one_percent_off(seed: int) -> None:
    random = Random(seed)
    values = [random.lognormvariate(3, 1.5) for _ in range(5000)]
    filled = histogram(*values)
    for fraction in (0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0):
        assert filled.percentile(fraction) == pytest.approx(exact(values, fraction), rel=0.011)


@given(st.lists(st.floats(min_value=1e-6, max_value=1e8), min_size=1, max_size=60), st.floats(0, 1))
def test_whatever_the_values_are(values: list[float], fraction: float) -> None:
    found = histogram(*values).percentile(fraction)
    assert found == pytest.approx(exact(values, fraction), rel=0.011)
    assert found <= max(values)


def test_percentiles_never_go_down() -> None:
    filled = histogram(*(float(n) for n in range(1, 200)))
    found = [filled.percentile(n / 100) for n in range(101)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(199.0, rel=0.01) and found[-1] <= 199.0


def test_zero_and_less_count_as_zero() -> None:
    filled = histogram(0.0, -1.0, 1e-12, 5.0)
    assert filled.percentile(0.5) == 0.0
    assert filled.percentile(1.0) == pytest.approx(5.0, rel=0.01)


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    random = Random(1)
    filled = Histogram()
    for _ in range(20_000):
        filled.add(random.uniform(0.001, 86_400_000.0) ** random.random())
    assert len(filled._buckets) < 1500


def test_merged_is_as_if_counted_together() -> None:
    random = Random(2)
    values = [random.expovariate(0.01) for _ in range(1000)]
    together, first, second = histogram(*values), histogram(*values[:300]), histogram(*values[300:])
    first.merge(second)
    assert (first.count, first.max) == (together.count, together.max)
    assert first.total == pytest.approx(together.total)
    assert [first.percentile(f) for f in (0.5, 0.95, 0.99)] == [
        together.percentile(f) for f in (0.5, 0.95, 0.99)
    ]
    assert second.count == 700  # the other one is left as it is
