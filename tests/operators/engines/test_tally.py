"""Counting recent events at constant cost, against a list of all events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.tally import Buckets, LastCalls, LastSeconds, Run

moderate = settings(max_examples=100, deadline=None, derandomize=True)
results = st.tuples(st.booleans(), st.booleans())


def counts(tally):
    return tally.calls, tally.failed, tally.slow


@given(st.integers(1, 8), st.lists(results, max_size=60))
@moderate
def test_the_last_calls_are_counted_exactly(size, calls):
    tally = LastCalls(size)
    for number, (failed, slow) in enumerate(calls):
        tally.add(0.0, failed, slow)
        last = calls[: number + 1][-size:]
        assert counts(tally) == (len(last), sum(f for f, _ in last), sum(s for _, s in last))


@given(st.lists(results, max_size=60))
@moderate
def test_a_run_counts_the_bad_results_since_the_last_good_one(calls):
    tally, run = Run(), []
    for failed, slow in calls:
        tally.add(0.0, failed, slow)
        run = [*run, (failed, slow)] if failed or slow else []
        assert counts(tally) == (len(run), sum(f for f, _ in run), sum(s for _, s in run))


@given(st.lists(st.tuples(st.integers(0, 40), results), max_size=80))
@moderate
def test_the_last_seconds_reach_back_the_span_and_at_most_one_part_more(steps):
    tally, now, log = LastSeconds(span=10.0, parts=5), 0.0, []
    for quarters, result in steps:
        now += quarters / 4
        tally.add(now, *result)
        log.append((now, *result))
        least = [entry for entry in log if now - entry[0] < 10.0]
        most = [entry for entry in log if now - entry[0] < 12.0]
        for got, low, high in zip(counts(tally), _sums(least), _sums(most), strict=True):
            assert low <= got <= high


def _sums(entries):
    return len(entries), sum(entry[1] for entry in entries), sum(entry[2] for entry in entries)


@pytest.mark.parametrize("make", [Run, lambda: LastCalls(3), lambda: LastSeconds(10.0, 5)])
def test_a_cleared_tally_is_as_good_as_new(make):
    tally = make()
    assert counts(tally) == (0, 0, 0)
    for _ in range(5):
        tally.add(0.0, True, True)
    tally.clear()
    assert counts(tally) == (0, 0, 0)
    tally.add(0.5, True, False)
    tally.advance(0.5)
    assert counts(tally) == (1, 1, 0)


def test_a_long_rest_forgets_everything_in_one_step():
    buckets = Buckets(span=10.0, parts=5, kinds=1)
    for second in range(10):
        buckets.add(float(second), 0)
    buckets.advance(1e9)
    assert buckets.totals == [0]


def test_times_may_lie_before_zero():
    buckets = Buckets(span=10.0, parts=5, kinds=1)
    buckets.add(-100.0, 0)
    buckets.add(-91.0, 0)
    assert buckets.totals == [2]
    buckets.advance(-87.0)
    assert buckets.totals == [1]


def test_trap_wall_clocks_a_step_back_does_not_lose_events():
    buckets = Buckets(span=10.0, parts=5, kinds=1)
    buckets.add(100.0, 0)
    buckets.add(50.0, 0)
    assert buckets.totals == [2]
    buckets.advance(109.0)
    assert buckets.totals == [2]
    buckets.advance(112.0)
    assert buckets.totals == [0]
