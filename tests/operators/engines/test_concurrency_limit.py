"""Limits that find their number: single steps in numbers, and a service of known capacity to find."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.circuit_model import Outcome3
from rxorch_operators.engines.concurrency_limit import (
    AimdLimit,
    AimdPolicy,
    ConcurrencyLimit,
    GradientLimit,
    GradientPolicy,
    LimitChange,
    LimitSample,
    limit_of,
)
from tests.operators.engines.congestion import Clients, Service
from tests.operators.manual_clock import ManualClock

SUCCESS, FAILURE, IGNORED = Outcome3.SUCCESS, Outcome3.FAILURE, Outcome3.IGNORED
FOREVER = 10**9
"""A backlog that never refuses: calls only get slower."""


def aimd(**policy: Any) -> AimdLimit:
    return AimdLimit(AimdPolicy(**policy))


def gradient(**policy: Any) -> GradientLimit:
    return GradientLimit(GradientPolicy(**policy))


def started(limit: ConcurrencyLimit, number: int, now: float = 0.0) -> list[LimitSample]:
    """So many calls that begin together."""
    return [limit.start(now, in_flight) for in_flight in range(1, number + 1)]


def full_round(limit: ConcurrencyLimit, now: float = 0.0) -> list[LimitChange]:
    """As many calls as the limit allows, all in use, and all go well."""
    samples = [limit.start(now, limit.limit) for _ in range(limit.limit)]
    changes = [limit.end(sample, now + 1.0, SUCCESS) for sample in samples]
    return [change for change in changes if change is not None]


# AIMD


def test_it_starts_with_the_initial_limit() -> None:
    assert aimd(initial_limit=7).limit == 7
    assert aimd().limit == 20


@pytest.mark.parametrize("initial", [1, 3, 20, 49])
def test_a_permit_is_gained_per_round_trip(initial: int) -> None:
    limit = aimd(initial_limit=initial)
    assert full_round(limit) == [LimitChange(initial, initial + 1, 1.0, "success")]
    for _ in range(5):
        full_round(limit)
    assert limit.limit == initial + 6


def test_the_gain_per_round_trip_is_a_setting() -> None:
    limit = aimd(initial_limit=10, increase=0.5)
    assert full_round(limit) == []
    assert len(full_round(limit)) == 1
    fast = aimd(initial_limit=10, increase=3.0)
    full_round(fast)
    assert 12 <= fast.limit <= 13  # the limit grows under way, and with it the length of a round


def test_it_grows_only_when_at_least_half_the_limit_is_in_flight() -> None:
    limit = aimd(initial_limit=10)
    for _ in range(100):
        limit.end(limit.start(0.0, 4), 1.0, SUCCESS)
    assert limit.limit == 10
    for _ in range(10):
        limit.end(limit.start(0.0, 5), 1.0, SUCCESS)
    assert limit.limit == 11


def test_a_drop_takes_a_tenth_and_at_least_one() -> None:
    for initial, cut in ((200, 180), (20, 18), (11, 9), (5, 4), (2, 1)):
        limit = aimd(initial_limit=initial)
        change = limit.end(limit.start(0.0, initial), 3.0, FAILURE)
        assert change == LimitChange(initial, cut, 3.0, "dropped")
        assert limit.limit == cut


def test_trap_every_drop_of_one_round_trip_takes_its_share() -> None:
    """Netflix `AIMDLimit`: of 20 calls that time out together, each takes a tenth, and 2 permits are left."""
    limit = aimd(initial_limit=20)
    samples = started(limit, 20)
    changes = [limit.end(sample, 10.0, FAILURE) for sample in samples]
    assert [change for change in changes if change] == [LimitChange(20, 18, 10.0, "dropped")]
    assert (limit.dropped, limit.decreases) == (20, 1)


def test_a_call_that_began_after_the_cut_cuts_again_even_in_the_same_instant() -> None:
    limit = aimd(initial_limit=20)
    before, after = limit.start(0.0, 20), limit.start(0.0, 20)
    limit.end(before, 5.0, FAILURE)
    next_one = limit.start(5.0, 18)
    limit.end(after, 5.0, FAILURE)
    assert limit.limit == 18
    limit.end(next_one, 5.0, FAILURE)
    assert limit.limit == 16


def test_calls_from_before_the_cut_do_not_win_it_back() -> None:
    limit = aimd(initial_limit=20)
    first, *others = [limit.start(0.0, 20) for _ in range(20)]
    limit.end(first, 1.0, FAILURE)
    for other in others:
        assert limit.end(other, 1.5, SUCCESS) is None
    assert (limit.limit, limit.successes) == (18, 19)
    full_round(limit, 2.0)
    assert limit.limit == 19


def test_an_ignored_call_teaches_nothing() -> None:
    limit = aimd(initial_limit=1)
    for _ in range(10):
        assert limit.end(limit.start(0.0, 1), 1.0, IGNORED) is None
    assert (limit.limit, limit.ignored, limit.rtt, limit.min_rtt) == (1, 10, None, None)


def test_the_limit_stays_within_its_bounds() -> None:
    limit = aimd(initial_limit=4, min_limit=3, max_limit=5)
    for _ in range(3):
        limit.end(limit.start(0.0, 3), 1.0, FAILURE)
        assert limit.limit == 3
    assert limit.decreases == 1
    for _ in range(20):
        full_round(limit)
    assert (limit.limit, limit.increases) == (5, 2)


def test_trap_halved_at_the_maximum() -> None:
    """Netflix #155: a limit that reached its maximum without any drop was halved."""
    limit = aimd(initial_limit=5, max_limit=6)
    for _ in range(50):
        full_round(limit)
    assert limit.limit == 6


def test_trap_slowness_alone_is_a_drop() -> None:
    """conjure-java-runtime #1022: with an update of the library, calls of more than 5 s cut the limit."""
    limit = aimd(initial_limit=1)
    limit.end(limit.start(0.0, 1), 3600.0, SUCCESS)
    assert limit.limit == 2


def test_slowness_cuts_if_it_is_asked_for() -> None:
    limit = aimd(initial_limit=10, slow_call_duration=2.0)
    slow, also_slow, fast = (limit.start(0.0, 10) for _ in range(3))
    assert limit.end(fast, 2.0, SUCCESS) is None
    assert limit.end(slow, 2.1, SUCCESS) == LimitChange(10, 9, 2.1, "slow_call")
    assert limit.end(also_slow, 2.2, SUCCESS) is None


def test_round_trips_are_smoothed_as_in_tcp() -> None:
    limit = aimd()
    assert (limit.rtt, limit.min_rtt, limit.baseline_rtt) == (None, None, None)
    limit.end(limit.start(10.0, 1), 11.0, SUCCESS)
    assert (limit.rtt, limit.min_rtt) == (1.0, 1.0)
    limit.end(limit.start(20.0, 1), 29.0, SUCCESS)
    assert (limit.rtt, limit.min_rtt) == (2.0, 1.0)
    limit.end(limit.start(30.0, 1), 300.0, FAILURE)  # how long a dropped call took says nothing
    assert (limit.rtt, limit.min_rtt) == (2.0, 1.0)
    limit.end(limit.start(40.0, 1), 39.0, SUCCESS)  # another clock: never below 0
    assert limit.min_rtt == 0.0


def test_reset_forgets_what_was_learnt_also_by_calls_under_way() -> None:
    limit = aimd(initial_limit=10)
    under_way = limit.start(0.0, 10)
    full_round(limit)
    assert limit.reset(5.0) == LimitChange(11, 10, 5.0, "reset")
    assert (limit.rtt, limit.min_rtt) == (None, None)
    assert limit.end(under_way, 6.0, FAILURE) is None
    assert limit.limit == 10
    assert limit.reset(7.0) is None


@settings(deadline=None)
@given(
    bounds=st.tuples(st.integers(1, 5), st.integers(0, 20), st.integers(0, 20)),
    steps=st.lists(
        st.tuples(st.sampled_from(["start", SUCCESS, SUCCESS, FAILURE, IGNORED]), st.integers(0, 99)),
        max_size=300,
    ),
)
def test_what_holds_whatever_happens(
    bounds: tuple[int, int, int], steps: list[tuple[str | Outcome3, int]]
) -> None:
    lowest, initial, highest = bounds[0], sum(bounds[:2]), sum(bounds)
    limit = aimd(min_limit=lowest, initial_limit=initial, max_limit=highest)
    running: list[tuple[int, LimitSample, int]] = []
    cuts: list[int] = [-1]
    for now, (step, place) in enumerate(steps):
        if isinstance(step, str):
            in_flight = len(running) + 1
            running.append((now, limit.start(now, in_flight), in_flight))
        elif running:
            began, sample, in_flight = running.pop(place % len(running))
            before = limit.limit
            change = limit.end(sample, now, step)
            if change is None:
                assert limit.limit == before
            elif change.new < change.old:
                assert step is FAILURE
                assert began > cuts[-1], "two cuts in one round trip"
                cuts.append(now)
            else:
                assert step is SUCCESS
                assert in_flight * 2 >= before
                assert began > cuts[-1]
        assert lowest <= limit.limit <= highest
    assert limit.decreases == len(cuts) - 1


@settings(deadline=None, max_examples=25)
@given(
    capacity=st.integers(1, 40),
    backlog=st.integers(0, 10),
    change=st.sampled_from([0.3, 0.5, 2.0]),
    seconds=st.sampled_from([0.05, 1.0, 7.0]),
    seed=st.integers(0, 5),
)
def test_aimd_finds_what_a_service_can_take_and_finds_it_again(
    capacity: int, backlog: int, change: float, seconds: float, seed: int
) -> None:
    service = Service(ManualClock(), capacity, backlog=backlog, seconds=seconds, seed=seed)
    clients = Clients(service, aimd(), number=150)
    for _ in range(2):
        room = service.capacity + backlog
        longest = seconds * room / service.capacity  # a call that waits behind all the others
        clients.history.during(100 * longest)  # from 20 to 90 at the most, a permit per round trip
        low, mean, high = clients.history.during(60 * longest)
        assert 0.9 * room - 2 <= low
        assert 0.9 * room - 1 <= mean <= room + 1
        assert high <= room + 2
        service.capacity = max(1, int(capacity * change))


def test_aimd_stops_at_its_maximum_whatever_the_service_can_take() -> None:
    service = Service(ManualClock(), 100)
    clients = Clients(service, aimd(max_limit=30), number=150)
    clients.history.during(50.0)
    assert clients.history.during(50.0) == (30, 30.0, 30)
    assert (service.peak, service.refused) == (30, 0)


def test_aimd_does_not_grow_beyond_twice_of_what_is_used() -> None:
    service = Service(ManualClock(), 100)
    clients = Clients(service, aimd(), number=24)
    assert clients.history.during(500.0)[2] == 49  # 24 are less than half of 49


# The gradient


def window(limit: GradientLimit, now: float, rtt: float, in_flight: int | None = None) -> LimitChange | None:
    """A window's calls, all of which take the same, one after the other and ended by `now + 1`."""
    change = None
    for part in range(10):
        ended = now + (part + 1) / 10
        sample = limit.start(ended - rtt, limit.limit if in_flight is None else in_flight)
        change = limit.end(sample, ended, SUCCESS) or change
    return change


def warm(limit: GradientLimit, rtt: float = 0.1) -> float:
    """Opens the first window and fills it; returns when it ended."""
    limit.end(limit.start(0.0, 1), rtt, SUCCESS)
    window(limit, rtt, rtt)
    return rtt + 1.0


def test_the_gradient_gains_the_root_of_the_limit_per_window() -> None:
    limit = gradient(initial_limit=16)
    now = warm(limit)
    assert limit.limit == 20
    assert limit.baseline_rtt == pytest.approx(0.1)
    change = window(limit, now, 0.14)
    assert change is not None
    assert (change.old, change.new, change.reason) == (20, 24, "success")
    assert limit.baseline_rtt == pytest.approx(0.1)  # it takes in nothing that a queue may have added


def test_a_window_has_its_seconds_and_its_samples() -> None:
    limit = gradient(initial_limit=16, window=1.0, min_samples=10)
    for _ in range(50):
        limit.end(limit.start(0.0, 16), 0.5, SUCCESS)
    assert limit.limit == 16  # samples, and no seconds
    limit.end(limit.start(1.0, 16), 1.5, SUCCESS)
    assert limit.limit == 20
    for second in range(9):
        limit.end(limit.start(2.0 + second, 20), 2.5 + second, SUCCESS)
    assert limit.limit == 20  # seconds, and one sample too few
    limit.end(limit.start(20.0, 20), 20.5, SUCCESS)
    assert limit.limit == 24


def test_a_window_is_two_round_trips_at_least() -> None:
    limit = gradient(initial_limit=16, window=0.1, min_samples=1)
    limit.end(limit.start(0.0, 16), 3.0, SUCCESS)
    assert limit.end(limit.start(5.0, 16), 8.0, SUCCESS) is None
    assert limit.end(limit.start(6.0, 16), 9.0, SUCCESS) is not None


def test_slower_calls_cut_to_a_little_less_than_what_is_worked_on() -> None:
    limit = gradient(initial_limit=100)
    now = warm(limit)
    assert limit.limit == 110
    change = window(limit, now, 0.2)  # twice as long as needed: half of them stood in a queue
    assert change is not None
    assert (change.old, change.new, change.reason) == (110, 49, "latency")


def test_an_outlier_does_not_take_all() -> None:
    limit = gradient(initial_limit=100)
    now = warm(limit)
    window(limit, now, 0.4)
    assert limit.limit == 33  # as for three times the baseline


def test_after_a_cut_the_calls_without_a_queue_renew_the_baseline() -> None:
    limit = gradient(initial_limit=100)
    now = warm(limit)
    old = [limit.start(now, 110) for _ in range(50)]
    window(limit, now, 0.2)
    window(limit, now + 0.9, 0.05)  # the first to end after it are the short ones
    for sample in old:  # began before the cut
        assert limit.end(sample, now + 3.0, SUCCESS) is None
    window(limit, now + 4.0, 0.07)
    assert limit.baseline_rtt == pytest.approx(0.07)


def test_a_baseline_that_turns_out_longer_goes_half_the_way() -> None:
    limit = gradient(initial_limit=100)
    now = warm(limit)
    window(limit, now, 0.2)
    for step in range(3, 6):
        window(limit, now + step, 0.2)  # the cut did not help: it is no queue of ours
    assert limit.baseline_rtt == pytest.approx(0.15)
    assert limit.limit > 49  # and 0.2 is within the tolerance now


def test_the_gradient_moves_only_when_at_least_half_the_limit_is_in_flight() -> None:
    limit = gradient(initial_limit=100)
    now = warm(limit)
    assert window(limit, now, 0.1, in_flight=54) is None
    assert window(limit, now + 1, 9.9, in_flight=54) is None
    assert window(limit, now + 30, 0.1, in_flight=55) is not None


def test_trap_calls_that_all_time_out_look_stable() -> None:
    """Netflix #137: to `Gradient2Limit`, round trips of 5 s each without any change are a healthy service."""
    limit = gradient(initial_limit=100)
    now = warm(limit)
    for step in range(5):
        samples = [limit.start(now, limit.limit) for _ in range(50)]
        now += 5.0
        changes = [limit.end(sample, now, FAILURE) for sample in samples]
        assert [change.reason for change in changes if change] == ["dropped"], step
    assert limit.limit == 64  # 110, 99, 89, 80, 72, 64


def test_a_drop_of_an_older_round_trip_leaves_the_window_as_it_is() -> None:
    limit = gradient(initial_limit=16)
    now = warm(limit)
    late = limit.start(now, 20)
    limit.end(limit.start(now, 20), now, FAILURE)
    for part in range(9):
        limit.end(limit.start(now + 0.1 * part, 18), now + 0.1 * part + 0.1, SUCCESS)
    limit.end(late, now + 1.2, FAILURE)
    assert limit.end(limit.start(now + 1.2, 18), now + 1.3, SUCCESS) is not None


def test_a_drop_begins_the_window_anew() -> None:
    limit = gradient(initial_limit=16)
    now = warm(limit)
    for part in range(9):
        limit.end(limit.start(now + 0.1 * part, 20), now + 0.1 * part + 0.1, SUCCESS)
    limit.end(limit.start(now + 0.9, 20), now + 0.95, FAILURE)
    assert limit.end(limit.start(now + 1.0, 18), now + 1.1, SUCCESS) is None
    assert limit.limit == 18


def test_a_clock_that_goes_back_is_another_clock() -> None:
    limit = gradient(initial_limit=16)
    warm(limit)
    window(limit, 1000.0, 0.1)
    assert limit.limit == 24
    limit.end(limit.start(5.0, 24), 5.1, SUCCESS)
    window(limit, 5.1, 0.1)
    assert limit.limit == 29


def test_calls_that_take_no_time_are_not_slower_than_each_other() -> None:
    limit = gradient(initial_limit=16)
    limit.end(limit.start(0.0, 16), 0.0, SUCCESS)
    for second in range(1, 4):
        window(limit, second, 0.0)
    assert limit.limit > 16
    assert limit.baseline_rtt == 0.0


def test_reset_of_the_gradient() -> None:
    limit = gradient(initial_limit=16)
    warm(limit)
    assert limit.reset(2.0) == LimitChange(20, 16, 2.0, "reset")
    assert limit.baseline_rtt is None
    warm(limit, 0.3)
    assert limit.baseline_rtt == pytest.approx(0.3)


@settings(deadline=None, max_examples=15)
@given(
    capacity=st.integers(4, 40),
    initial=st.sampled_from([1, 5, 20]),
    change=st.sampled_from([0.5, 1.0, 2.0]),
    seconds=st.sampled_from([0.2, 1.0, 3.0]),
    seed=st.integers(0, 5),
)
def test_the_gradient_finds_what_a_service_works_on_without_any_drop(
    capacity: int, initial: int, change: float, seconds: float, seed: int
) -> None:
    service = Service(ManualClock(), capacity, backlog=FOREVER, seconds=seconds, seed=seed)
    policy = gradient(initial_limit=min(initial, 2 * capacity), window=5 * seconds)
    clients = Clients(service, policy, number=150)
    for _ in range(2):
        clients.history.during(400 * seconds)
        served = service.served
        low, mean, high = clients.history.during(200 * seconds)
        assert 0.7 * service.capacity - 2 <= low
        assert service.capacity <= mean <= 3 * service.capacity + 2
        assert high <= 3 * service.capacity + 6
        assert service.served - served >= 0.8 * 200 * service.capacity  # and it is kept busy
        service.capacity = max(2, int(capacity * change))
    assert service.refused == 0


def test_trap_a_baseline_that_drifts_under_steady_load() -> None:
    """Netflix `Gradient2Limit`: after an hour at its limit, all calls wait in a queue, and that is normal."""
    service = Service(ManualClock(), 10, backlog=FOREVER, seconds=0.2)
    clients = Clients(service, gradient(initial_limit=5), number=150)
    early = clients.history.during(600.0)
    for _ in range(5):
        clients.history.during(600.0)
    low, mean, high = clients.history.during(600.0)
    assert abs(mean - early[1]) < 1.0
    assert 9 <= low < high <= 22


def test_the_gradient_takes_a_slower_service_for_what_it_is() -> None:
    service = Service(ManualClock(), 20, backlog=FOREVER, seconds=0.2)
    clients = Clients(service, gradient(initial_limit=5), number=150)
    clients.history.during(200.0)
    service.seconds = 0.6  # it still works on 20 at once
    clients.history.during(200.0)
    _, mean, high = clients.history.during(200.0)
    assert 18 <= mean <= 32
    assert high <= 45
    assert clients.limit.baseline_rtt == pytest.approx(0.6, rel=0.1)


# Policies


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"min_limit": 0}, "min_limit=0: give a whole number, 1 or more"),
        ({"min_limit": True}, "min_limit=True"),
        ({"min_limit": 21}, "initial_limit=20: give a whole number, at least min_limit=21"),
        ({"initial_limit": 2.5}, "initial_limit=2.5"),
        ({"max_limit": 19}, "max_limit=19: give a whole number, at least initial_limit=20"),
        ({"increase": 0.0}, "increase=0.0: give"),
        ({"increase": float("inf")}, "increase=inf: give"),
        ({"increase": float("nan")}, "increase=nan: give"),
        ({"decrease": 1.0}, "decrease=1.0: give"),
        ({"decrease": 0.0}, "decrease=0.0: give"),
    ],
)
@pytest.mark.parametrize("kind", [AimdPolicy, GradientPolicy])
def test_what_cannot_work_is_refused(
    kind: type[AimdPolicy | GradientPolicy], policy: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        kind(**policy)


@pytest.mark.parametrize("slow", [0.0, -1.0, float("inf"), float("nan")])
def test_a_slow_call_takes_some_time(slow: float) -> None:
    with pytest.raises(ValueError, match="slow_call_duration="):
        AimdPolicy(slow_call_duration=slow)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"tolerance": 1.0}, "tolerance=1.0: give a number above 1"),
        ({"window": 0.0}, "window=0.0: give seconds"),
        ({"min_samples": 0}, "min_samples=0: give a whole number"),
    ],
)
def test_a_gradient_that_cannot_work_is_refused(policy: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        GradientPolicy(**policy)


def test_the_policy_chooses_the_engine() -> None:
    assert isinstance(limit_of(AimdPolicy()), AimdLimit)
    assert isinstance(limit_of(GradientPolicy()), GradientLimit)
    with pytest.raises(TypeError, match="expected an AimdPolicy or a GradientPolicy, got int"):
        limit_of(20)  # type: ignore[arg-type]
