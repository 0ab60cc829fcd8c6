"""policy: one stack, in one order, from keyword arguments."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
import reactivex
from reactivex import Observable

from rxorch_operators import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    Coalescer,
    Outcome3,
    RateLimiter,
    RetryBudget,
    RetryPolicy,
    TimeoutExceededError,
    TtlCache,
    guard,
)
from rxorch_operators._adaptive_bulkhead import AdaptiveBulkhead
from rxorch_operators.engines.faults import ChaosPolicy
from rxorch_operators.engines.hedging import HedgePolicy, Hedger
from rxorch_operators.policy import policy
from rxorch_operators.testing import virtual_time
from tests.operators.support import Boom, Time, events

QUICK = RetryPolicy(max_attempts=3, base=1.0, jitter="none")


def test_an_attempt_has_its_time_and_a_retry_repeats_it() -> None:
    time = Time()
    source = time.marbles("---a|", "-b|")
    recorder = time.run(source.pipe(policy(retry=QUICK, timeout=2.0)))
    assert recorder.events == events("----b|")
    assert source.subscribed == [0.0, 3.0]
    assert source.released == [2.0, 5.0]


def test_the_error_of_an_attempt_says_so() -> None:
    time = Time()
    recorder = time.run(time.marbles("---a|").pipe(policy(timeout=2.0)))
    assert isinstance(recorder.error, TimeoutExceededError)
    assert (recorder.error.kind, recorder.error.limit) == ("attempt", 2.0)


def test_the_total_is_one_deadline_and_no_wait_passes_it() -> None:
    time = Time()
    patient = RetryPolicy(max_attempts=9, base=4.0, factor=1.0, jitter="none")
    source = time.marbles("-#")
    recorder = time.run(source.pipe(policy(retry=patient, total_timeout=12.0)))
    assert source.subscribed == [0.0, 5.0, 10.0]
    assert isinstance(recorder.error, Boom)  # at 11: the next attempt would begin at 15, after the deadline
    assert [at for at, _ in recorder.events] == [11.0]


def test_the_deadline_begins_with_each_subscription() -> None:
    time = Time()
    call = time.marbles("-----#").pipe(policy(retry=RetryPolicy(base=3.0, jitter="none"), total_timeout=10.0))
    first = time.run(call, seconds=100.0)
    second, _ = time.record(call)
    time.advance(100.0)
    assert len(first.events) == len(second.events) == 1
    assert second.events[0][0] - 100.0 == first.events[0][0]


def test_a_wait_for_the_limit_that_would_pass_the_deadline_fails_at_once() -> None:
    time = Time()
    limiter = RateLimiter(1, 60.0, burst=1)
    call = time.marbles("a|").pipe(policy(rate_limit=limiter, total_timeout=10.0))
    assert time.run(call, seconds=1.0).values == ["a"]
    late, _ = time.record(call)
    assert type(late.error).__name__ == "RateLimitExceededError"
    assert time.idle


def test_every_attempt_is_seen_by_the_breaker_and_pays_the_limit() -> None:
    time = Time()
    breaker, limiter = CircuitBreaker(threshold=2), RateLimiter(100, 1.0)
    source = time.marbles("#")
    recorder = time.run(source.pipe(policy(retry=QUICK, circuit_breaker=breaker, rate_limit=limiter)))
    assert isinstance(recorder.error, CircuitOpenError)
    assert len(source.subscribed) == 2
    assert limiter.statistics().granted == 2


def test_a_kept_value_costs_no_permit() -> None:
    time = Time()
    limiter, store = RateLimiter(100, 1.0), TtlCache[Any, Any]()
    call = time.marbles("a|").pipe(policy(cache=store, ttl=30.0, rate_limit=limiter))
    assert [time.run(call, seconds=2.0).values for _ in range(3)] == [["a"]] * 3
    assert limiter.statistics().granted == 1
    time.advance(30.0)
    assert time.run(call).values == ["a"]
    assert limiter.statistics().granted == 2


def test_a_substitute_stands_in_for_everything() -> None:
    time = Time()
    stack = policy(fallback=lambda error: f"instead of {type(error).__name__}", total_timeout=2.0)
    assert time.run(time.marbles("----a|").pipe(stack)).events == [
        (2.0, "instead of TimeoutExceededError"),
        (2.0, "|"),
    ]


def test_a_hedge_is_on_the_budget_of_the_retries() -> None:
    time = Time()
    budget = RetryBudget(ratio=0.0, floor=1)
    hedger = Hedger(HedgePolicy(delay=2.0))
    source = time.marbles("-----#")
    time.run(source.pipe(policy(retry=QUICK, hedge=hedger, budget=budget)))
    assert budget.statistics(0.0).calls == 1  # recorded once, by the retry
    assert len(source.subscribed) == 2


def test_whichever_bulkhead_is_given_holds_the_call() -> None:
    time = Time()
    for shared in (Bulkhead(limit=1), AdaptiveBulkhead()):
        recorder, _ = time.record(time.marbles("--a|").pipe(policy(bulkhead=shared)))
        assert shared.statistics().in_flight == 1
        time.advance(5.0)
        assert recorder.values == ["a"]
        assert shared.statistics().in_flight == 0


def test_chaos_stands_next_to_the_source() -> None:
    time = Time()
    seen: list[object] = []

    def note(result: object) -> Outcome3:
        seen.append(result)
        return Outcome3.SUCCESS

    breaker = CircuitBreaker(classify=note)
    broken = policy(chaos=ChaosPolicy(error_rate=1.0), circuit_breaker=breaker, random=Random(1))
    recorder = time.run(time.marbles("a|").pipe(broken))
    assert recorder.error is not None
    assert seen == [recorder.error]


def test_retry_if_says_what_is_worth_it() -> None:
    time = Time()
    source = time.marbles("#")
    time.run(source.pipe(policy(retry=5, retry_if=lambda error: not isinstance(error, Boom))))
    assert len(source.subscribed) == 1


@virtual_time
async def test_guarded_calls_are_told_apart_by_their_arguments() -> None:
    asked = []

    @guard(policy(cache=TtlCache(), coalesce=True, retry=2, total_timeout=5.0))
    async def price(item: str) -> str:
        asked.append(item)
        await asyncio.sleep(1.0)
        return item.upper()

    assert await asyncio.gather(price("tea"), price("milk"), price("tea")) == ["TEA", "MILK", "TEA"]
    assert await price("tea") == "TEA"
    assert sorted(asked) == ["milk", "tea"]


@virtual_time
async def test_a_key_of_ones_own_is_asked_with_the_arguments() -> None:
    asked = []

    @guard(policy(coalesce=Coalescer(), key=lambda item, **_: item))
    async def price(item: str, *, who: str) -> str:
        asked.append(who)
        await asyncio.sleep(1.0)
        return item

    await asyncio.gather(price("tea", who="Ada"), price("tea", who="Grace"))
    assert asked == ["Ada"]


def test_it_shows_its_order() -> None:
    everything = policy(
        chaos=ChaosPolicy(),
        timeout=1.0,
        bulkhead=Bulkhead(),
        rate_limit=[RateLimiter(1), RateLimiter(2)],
        circuit_breaker=CircuitBreaker(),
        hedge=HedgePolicy(),
        retry=3,
        coalesce=True,
        cache=TtlCache(),
        total_timeout=9.0,
        fallback=lambda _: None,
    )
    order = (policy.__doc__ or "").partition("::")[2].partition("What is not given")[0]
    named = [name.strip().replace(" ", "_") for name in order.replace("\n", " ").split("->")]
    assert named[-1] == "the_source"
    assert repr(everything) == f"policy({', '.join(named[:-1])})"


def test_nothing_given_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="at least one of fallback, total_timeout"):
        policy()
    with pytest.raises(TypeError, match="at least one of"):
        policy(budget=RetryBudget())
    assert repr(policy(timeout=float("inf"))) == "policy(timeout)"  # as the operator has it: no limit


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"circuit_breaker": 5}, "circuit_breaker=5: expected a CircuitBreaker"),
        ({"bulkhead": 20}, "bulkhead=20: expected a Bulkhead or AdaptiveBulkhead"),
        ({"retry": 0}, "retry=0: expected a RetryPolicy"),
        ({"retry": True}, "retry=True: expected a RetryPolicy"),
        ({"hedge": 0.5}, "hedge=0.5: expected a Hedger"),
        ({"cache": {}}, "cache={}: expected a TtlCache"),
        ({"chaos": 0.1}, "chaos=0.1: expected a FaultInjector"),
        ({"rate_limit": [7]}, "expected RateLimiter objects, got int"),
        ({"rate_limit": 7}, "rate_limit=7: expected a RateLimiter"),
        ({"fallback": 7}, "fallback=7: expected a function of the error"),
        ({"retry": 3, "retry_if": 7}, "retry_if=7: expected a function of the error"),
        ({"timeout": "5"}, "timeout='5': expected seconds"),
        ({"total_timeout": True}, "total_timeout=True: expected seconds"),
        ({"cache": TtlCache(), "ttl": "x"}, "ttl='x': expected seconds"),
        ({"retry": 3, "random": 5}, "random=5: expected a Random"),
        ({"retry": 3, "scheduler": 5}, "scheduler=5: expected a SchedulerBase"),
        ({"timeout": 1.0, "key": "a"}, "key= has no effect without cache= or coalesce="),
        ({"timeout": 1.0, "retry_if": bool}, "retry_if= has no effect without retry="),
        ({"timeout": 1.0, "budget": RetryBudget()}, "budget= has no effect without retry= or hedge="),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message.replace("{", r"\{").replace("}", r"\}")):
        policy(**given)


@pytest.mark.parametrize("name", ["timeout", "total_timeout"])
def test_times_are_seconds(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=-1: give seconds"):
        policy(**{name: -1})  # type: ignore[arg-type]


def test_it_is_an_operator_and_leaves_cold_what_is_cold() -> None:
    subscribed: list[int] = []
    source: Observable[int] = reactivex.defer(lambda _: subscribed.append(1) or reactivex.just(7))
    piped = source.pipe(policy(retry=2))
    assert subscribed == []
    piped.subscribe()
    piped.subscribe()
    assert subscribed == [1, 1]


def test_calls_of_one_pipeline_are_equal_with_a_deadline_too() -> None:
    time = Time()
    source = time.marbles("--a|")
    stack = policy(cache=TtlCache(), coalesce=True, retry=2, rate_limit=RateLimiter(100), total_timeout=9.0)
    call = source.pipe(stack)
    first, _ = time.record(call)
    second, _ = time.record(call)
    time.advance(5.0)
    assert time.run(call).values == first.values == second.values == ["a"]
    assert len(source.subscribed) == 1
