"""How long to wait before the next attempt."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.backoff import RetryPolicy, RetryState, RetryStatistics

moderate = settings(max_examples=100, deadline=None, derandomize=True)
JITTERS = ["none", "full", "equal", "decorrelated"]


class Chance(Random):
    """Always draws the same number."""

    def __init__(self, drawn):
        super().__init__()
        self.drawn = drawn

    def random(self):
        return self.drawn


def waits(policy, random, times=None, **how):
    state = RetryState(policy, random, started=0.0)
    return [state.next_delay(0.0, **how) for _ in range(times or policy.max_attempts - 1)]


# Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: the four formulas, with the
# lowest, the middle and (nearly) the highest draw.
@pytest.mark.parametrize(
    ("jitter", "drawn", "expected"),
    [
        ("none", 0.5, [1.0, 2.0, 4.0, 5.0, 5.0]),
        ("full", 0.0, [0.0, 0.0, 0.0, 0.0, 0.0]),
        ("full", 0.5, [0.5, 1.0, 2.0, 2.5, 2.5]),
        ("equal", 0.0, [0.5, 1.0, 2.0, 2.5, 2.5]),
        ("equal", 0.5, [0.75, 1.5, 3.0, 3.75, 3.75]),
        ("decorrelated", 0.0, [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("decorrelated", 0.5, [2.0, 3.5, 5.0, 5.0, 5.0]),
    ],
)
def test_the_formulas_of_the_aws_architecture_blog(jitter, drawn, expected):
    policy = RetryPolicy(max_attempts=6, base=1.0, cap=5.0, jitter=jitter)
    assert waits(policy, Chance(drawn)) == expected


def test_the_documented_waits_of_a_fixed_schedule():
    """With `jitter="none"`: 2 s, 4 s, 8 s."""
    assert waits(RetryPolicy(max_attempts=4, base=2.0, jitter="none"), Random(1)) == [2.0, 4.0, 8.0]


def test_the_defaults():
    policy = RetryPolicy()
    assert policy == RetryPolicy(
        max_attempts=3, base=0.2, factor=2.0, cap=20.0, jitter="full", max_elapsed=60.0, max_hint=60.0
    )
    assert policy.delays() == (0.2, 0.4)


@pytest.mark.parametrize(
    ("jitter", "expected"),
    [
        ("none", (1.0, 2.0, 4.0)),
        ("full", (1.0, 2.0, 4.0)),
        ("equal", (1.0, 2.0, 4.0)),
        ("decorrelated", (3.0, 9.0, 20.0)),
    ],
)
def test_delays_are_the_longest_possible_waits(jitter, expected):
    policy = RetryPolicy(max_attempts=4, base=1.0, jitter=jitter)
    assert policy.delays() == expected
    assert waits(policy, Chance(1.0)) == list(expected)


@given(
    jitter=st.sampled_from(JITTERS),
    base=st.floats(0.0, 10.0, allow_subnormal=False),
    factor=st.floats(1.0, 10.0),
    spare=st.floats(0.0, 100.0),
    number=st.integers(),
)
@moderate
def test_a_wait_is_never_negative_and_never_above_its_ceiling(jitter, base, factor, spare, number):
    policy = RetryPolicy(
        max_attempts=40, base=base, factor=factor, cap=base + spare, jitter=jitter, max_elapsed=None
    )
    for wait, ceiling in zip(waits(policy, Random(number)), policy.delays(), strict=True):
        assert 0.0 <= wait <= policy.cap
        assert wait <= ceiling * (1 + 1e-12)
        if jitter == "equal":
            assert wait >= ceiling / 2
        if jitter == "decorrelated":
            assert wait >= base


@pytest.mark.parametrize("jitter", JITTERS)
def test_hundreds_of_attempts_do_not_overflow(jitter):
    policy = RetryPolicy(max_attempts=2_000, base=1.0, factor=10.0, jitter=jitter, max_elapsed=None)
    assert max(waits(policy, Random(1))) <= 20.0
    assert policy.ceiling(1_998) == 20.0
    assert RetryPolicy(base=0.0, factor=10.0, jitter=jitter).ceiling(1_000) == 0.0


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
def test_max_attempts_counts_the_first_call(max_attempts):
    state = RetryState(RetryPolicy(max_attempts=max_attempts, jitter="none"), Random(1), started=0.0)
    answers = [state.next_delay(0.0) for _ in range(max_attempts)]
    assert [answer is None for answer in answers] == [False] * (max_attempts - 1) + [True]
    assert (state.attempts, state.limit) == (max_attempts, "attempts")


@pytest.mark.parametrize(
    ("max_elapsed", "deadline", "now", "limit"),
    [
        (10.0, None, 8.9, None),
        (10.0, None, 9.0, "max_elapsed"),  # the next attempt would have no time left
        (10.0, None, 50.0, "max_elapsed"),
        (None, 10.0, 8.9, None),
        (None, 10.0, 9.0, "deadline"),
        (None, None, 1e9, None),
        (20.0, 10.0, 9.5, "deadline"),
        (10.0, 20.0, 9.5, "max_elapsed"),
    ],
)
def test_it_gives_up_at_once_rather_than_sleep_past_a_limit(max_elapsed, deadline, now, limit):
    policy = RetryPolicy(max_attempts=9, base=1.0, jitter="none", max_elapsed=max_elapsed)
    state = RetryState(policy, Random(1), started=0.0)
    assert state.next_delay(now, deadline=deadline) == (1.0 if limit is None else None)
    assert state.limit == limit


@given(
    jitter=st.sampled_from(JITTERS),
    deadline=st.floats(0.1, 50.0),
    hints=st.lists(st.none() | st.floats(-1.0, 20.0), min_size=1, max_size=30),
    number=st.integers(),
)
@moderate
def test_no_wait_ever_ends_after_the_deadline(jitter, deadline, hints, number):
    policy = RetryPolicy(max_attempts=1_000, base=0.5, jitter=jitter, max_elapsed=40.0)
    state, now = RetryState(policy, Random(number), started=0.0), 0.0
    for hint in hints:
        wait = state.next_delay(now, hint=hint, deadline=deadline)
        if wait is None:
            break
        now += wait
        assert now < min(deadline, 40.0)


def test_the_first_failure_counts_as_the_start_when_nothing_else_is_known():
    state = RetryState(RetryPolicy(max_attempts=9, base=1.0, jitter="none", max_elapsed=5.0), Random(1))
    assert (state.started, state.limit) == (None, None)
    assert state.next_delay(100.0) == 1.0
    assert state.started == 100.0
    assert state.next_delay(103.5) is None


@given(hint=st.floats(0.0, 60.0), number=st.integers())
@moderate
def test_a_hint_is_kept_and_exceeded_by_a_little(hint, number):
    state = RetryState(RetryPolicy(max_elapsed=None), Random(number))
    wait = state.next_delay(0.0, hint=hint)
    assert wait is not None
    assert hint < wait <= hint + max(0.1, 0.1 * hint)


@pytest.mark.parametrize("drawn", [0.0, 0.5, math.nextafter(1.0, 0.0)])
def test_the_jitter_on_a_hint_is_always_positive(drawn):
    state = RetryState(RetryPolicy(), Chance(drawn))
    assert state.next_delay(0.0, hint=2.0) > 2.0


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (60.0, 63.3),
        (math.nextafter(60.0, 61.0), None),
        (math.inf, None),
        (-5.0, 0.055),
        (math.nan, 1.0),
        (None, 1.0),
    ],
)
def test_hints_at_the_edge(hint, expected):
    state = RetryState(RetryPolicy(base=2.0, max_elapsed=None, max_hint=60.0), Chance(0.5))
    assert state.next_delay(0.0, hint=hint) == pytest.approx(expected)
    assert state.limit == ("hint" if expected is None else None)


def test_a_hint_beyond_the_deadline_fails_at_once():
    state = RetryState(RetryPolicy(), Chance(0.5), started=0.0)
    assert state.next_delay(0.0, hint=5.0, deadline=5.0) is None
    assert state.limit == "deadline"


def test_trap_herd_the_same_retry_after_given_to_55_waiters_does_not_release_them_at_once():
    random = Random(7)
    released = sorted(RetryState(RetryPolicy(), random).next_delay(0.0, hint=10.0) for _ in range(55))
    assert released[0] > 10.0
    assert len(set(released)) == 55
    assert released[-1] - released[0] > 0.5
    busiest = max(sum(start <= wait < start + 0.1 for wait in released) for start in released)
    assert busiest < 55 / 3


def test_trap_a_count_shared_by_all_subscriptions():
    policy = RetryPolicy(max_attempts=2)
    first, second = RetryState(policy, Random(1)), RetryState(policy, Random(1))
    assert first.next_delay(0.0) is not None
    assert first.next_delay(0.0) is None
    assert second.next_delay(0.0) is not None


def test_the_base_can_be_raised_for_one_wait():
    state = RetryState(RetryPolicy(max_attempts=9, base=0.2, jitter="none"), Random(1))
    assert [state.next_delay(0.0, base=base) for base in (None, 1.0, None)] == [0.2, 2.0, 0.8]


def test_the_cap_holds_for_a_raised_base_too():
    for jitter in JITTERS:
        policy = RetryPolicy(base=0.2, cap=2.0, jitter=jitter)
        assert waits(policy, Chance(1.0), times=1, base=50.0) == [2.0]


def test_the_same_chance_gives_the_same_waits():
    policy = RetryPolicy(max_attempts=20)
    assert waits(policy, Random(3)) == waits(policy, Random(3)) != waits(policy, Random(4))


def test_statistics():
    state = RetryState(RetryPolicy(max_attempts=3, base=1.0, jitter="none"), Random(1), started=5.0)
    for now in (5.0, 6.0, 8.0):
        state.next_delay(now)
    assert state.statistics() == RetryStatistics(attempts=3, waited=3.0, started=5.0)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"max_attempts": 0}, "max_attempts=0: give a whole number"),
        ({"max_attempts": True}, "max_attempts=True: give"),
        ({"max_attempts": 2.0}, "max_attempts=2.0: give"),
        ({"base": -1.0}, "base=-1.0: give seconds"),
        ({"base": math.nan}, "base=nan: give seconds"),
        ({"base": math.inf}, "base=inf: give seconds"),
        ({"factor": 0.5}, "factor=0.5: give 1"),
        ({"factor": math.inf}, "factor=inf: give 1"),
        ({"cap": 0.1}, "cap=0.1: give seconds, at least base=0.2"),
        ({"cap": math.inf}, "cap=inf: give seconds"),
        ({"jitter": "some"}, "jitter='some': give one of full, equal, decorrelated, none"),
        ({"max_elapsed": 0.0}, "max_elapsed=0.0: give seconds above 0, or None for no limit"),
        ({"max_elapsed": math.nan}, "max_elapsed=nan: give seconds above 0"),
        ({"max_hint": -1.0}, "max_hint=-1.0: give seconds"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(setting, text):
    with pytest.raises(ValueError) as caught:
        RetryPolicy(**setting)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    "setting", [{"base": 0.0}, {"base": 20.0}, {"factor": 1.0}, {"max_elapsed": 0.001}, {"max_hint": 0.0}]
)
def test_a_policy_at_the_edge_of_what_works_is_accepted(setting):
    ((field, value),) = setting.items()
    assert getattr(RetryPolicy(**setting), field) == value


def test_no_hint_is_worth_a_wait_if_none_may_be_longer_than_nothing():
    state = RetryState(RetryPolicy(max_hint=0.0), Chance(0.5))
    assert state.next_delay(0.0, hint=0.0) == pytest.approx(0.055)
    assert state.next_delay(0.0, hint=0.001) is None
