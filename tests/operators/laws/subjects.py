"""Our operators as the law book sees them: how each is built, and which laws it can be held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

from rxorch_operators import (
    AdaptiveBulkhead,
    AimdPolicy,
    Bulkhead,
    ChaosPolicy,
    CircuitBreaker,
    Coalescer,
    Failure,
    HedgePolicy,
    Hedger,
    Outcome3,
    RateLimiter,
    Recording,
    RetryBudget,
    RetryPolicy,
    TtlCache,
    adaptive_concurrency,
    batch,
    bulkhead,
    cache,
    chaos,
    circuit_breaker,
    coalesce,
    fallback,
    flat_map_bounded,
    from_async,
    from_async_iterable,
    from_iterable,
    hedge,
    policy,
    rate_limit,
    record,
    retry_backoff,
    tap_events,
    throttle,
    timeout,
    to_async_iterable,
    with_overflow,
)
from rxorch_operators.testing import Lab, Recorder, Subject

Operator = Callable[[Observable[Any]], Observable[Any]]
TRANSPARENT: dict[str, Any] = {"keeps": "marbles", "max_ahead": 0}
HANDLES: dict[str, Any] = {"handles_errors": True}
"""Repeats or replaces what failed."""


def retrying(lab: Lab) -> Operator:
    return retry_backoff(
        max_attempts=3,
        jitter="none",
        base=1.0,
        retry_if=lab.callback(lambda error: True),
        hint=lab.callback(lambda error: None),
        on_retry=lab.callback(lambda event: None),
        on_give_up=lab.callback(lambda reason, error: None),
    )


def retrying_results(lab: Lab) -> Operator:
    return retry_backoff(max_attempts=2, jitter="none", retry_result=lab.callback(lambda value: value == 1))


def resuming(lab: Lab) -> Operator:
    return retry_backoff(
        max_attempts=3,
        random=lab.random,
        resume=lab.callback(lambda count, last: from_iterable([last])),
    )


def breaking(lab: Lab) -> Operator:
    breaker = CircuitBreaker(5, 2.0, on_change=lab.listener())
    lab.holds("trials", lambda: breaker.statistics().trials)
    return circuit_breaker(breaker, classify=lab.callback(_failed_if_error))


def _failed_if_error(result: object) -> Outcome3:
    return Outcome3.FAILURE if isinstance(result, Exception) else Outcome3.SUCCESS


def breaking_and_repeating(lab: Lab) -> Operator:
    """So that the circuit opens, refuses and tries again within one case."""
    shared = CircuitBreaker(1, 2.0, on_change=lab.listener())
    lab.holds("trials", lambda: shared.statistics().trials)
    breaker = circuit_breaker(shared)
    return lambda source: source.pipe(breaker, retry_backoff(max_attempts=4, base=1.0, jitter="none"))


def _one(*_: Any) -> int:
    return 1


def limited(lab: Lab, limiter: RateLimiter) -> Operator:
    lab.holds("waiting", lambda: limiter.statistics().waiting)
    return rate_limit(limiter, cost=lab.callback(_one), on_wait=lab.listener())


def limited_twice(lab: Lab) -> Operator:
    total, own = RateLimiter(2, 3.0, burst=1), RateLimiter(1, 2.5, burst=1, max_wait=6.0)
    lab.holds("waiting", lambda: total.statistics().waiting + own.statistics().waiting)
    limit = rate_limit(total, own, on_wait=lab.listener())
    return lambda source: source.pipe(limit, ops.repeat(2))


def permitted(lab: Lab, shared: Bulkhead) -> Operator:
    lab.holds("permits", lambda: shared.statistics().in_flight)
    lab.holds("waiting", lambda: shared.statistics().waiting)
    return bulkhead(shared)


def shared_call(lab: Lab) -> Operator:
    calls = Coalescer()
    lab.holds("calls", lambda: calls.statistics().in_flight)
    lab.holds("waiting", lambda: calls.statistics().waiting)
    return coalesce(calls, lab.callback(lambda: "key"))


def cached(lab: Lab) -> Operator:
    return cache(
        TtlCache(),
        lab.callback(lambda: "key"),
        ttl=5.5,
        size=lab.callback(lambda value: 1),
        on_hit=lab.listener(),
    )


def substituted_later(lab: Lab) -> Operator:
    return fallback(lab.callback(lambda error: lab.inner(7)), degraded=lab.callback(lambda error: None))


def through_async_for(source: Observable[Any]) -> Observable[Any]:
    """Out of Rx and back: `to_async_iterable` and `from_async_iterable`."""
    return from_async_iterable(to_async_iterable(source))


def async_call(lab: Lab) -> Operator:
    return lambda source: from_async(lab.call, 7)


def keyed(lab: Lab) -> Operator:
    key = lab.callback(lambda number: number % 2)
    return flat_map_bounded(lab.callback(lab.call), max_concurrent=2, key=key, buffer=2)


def in_results(lab: Lab) -> Operator:
    return flat_map_bounded(lab.callback(lab.call), max_concurrent=2, on_error="as_result")


def recorded_inside(lab: Lab) -> Operator:
    """On all sides of an operator, in a recording that is soon full."""
    recording = Recording(max_events=5)
    inner = flat_map_bounded(recording.inner(lab.callback(lab.inner)), max_concurrent=2)
    return lambda source: source.pipe(record(recording, "in"), inner, record(recording, "out"))


def shows_as_failure(record: Recorder, raised: BaseException) -> bool:
    return any(isinstance(value, Failure) and value.error is raised for value in record.values)


def delaying(lab: Lab) -> Operator:
    return flat_map_bounded(lab.callback(lab.inner), max_concurrent=2, on_error="delay")


def adapting(lab: Lab, shared: AdaptiveBulkhead) -> Operator:
    lab.holds("permits", lambda: shared.statistics().in_flight)
    lab.holds("waiting", lambda: shared.statistics().waiting)
    return adaptive_concurrency(shared, classify=lab.callback(_failed_if_error))


def hedged(lab: Lab, delay: float) -> Operator:
    return hedge(
        delay=delay,
        max_hedges=2,
        budget=RetryBudget(floor=5),
        hedge_if=lab.callback(lambda error: True),
        on_hedge=lab.listener(),
    )


def befallen(lab: Lab) -> Operator:
    plan = ChaosPolicy(
        latency_rate=0.5,
        latency=(0.5, 2.0),
        error_rate=0.2,
        reset_rate=0.2,
        reset_after=(0, 2),
        outcome_rate=0.2,
        outcome=lab.callback(lambda: 7),
    )
    return chaos(plan, enabled=lab.callback(lambda: True), random=lab.random, on_fault=lab.listener())


def serving_stale(lab: Lab) -> Operator:
    """Repeated, so that stale values are met; what refreshes them belongs to the store, which is closed."""
    store: TtlCache[Any, Any] = TtlCache()
    stale = cache(store, "key", ttl=1.5, stale_if_error=20.0, on_stale=lab.listener(), on_hit=lab.listener())
    return lambda source: source.pipe(stale, ops.repeat(3))


def in_batches(lab: Lab) -> Operator:
    whole = batch(3, within=1.5, weigh=lab.callback(lambda number: 1))
    return lambda source: source.pipe(whole, flat_map_bounded(from_iterable, max_concurrent=1))


def whole_stack(lab: Lab) -> Operator:
    permits, limiter = Bulkhead(limit=5), RateLimiter(100, 1.0)
    lab.holds("permits", lambda: permits.statistics().in_flight)
    return policy(
        fallback=lab.callback(lambda error: 7),
        total_timeout=400.0,
        retry=RetryPolicy(max_attempts=2, jitter="none"),
        hedge=Hedger(HedgePolicy(delay=300.0)),
        circuit_breaker=CircuitBreaker(),
        rate_limit=limiter,
        bulkhead=permits,
        timeout=300.0,
        chaos=ChaosPolicy(),
        random=lab.random,
    )


def plan_of_one() -> AimdPolicy:
    return AimdPolicy(initial_limit=1, min_limit=1, max_limit=2)


SUBJECTS = [
    Subject(name="retry_backoff", build=retrying, **HANDLES, **TRANSPARENT),
    Subject(name="retry_backoff(retry_result)", build=retrying_results, max_ahead=2, **HANDLES),
    Subject(name="retry_backoff(resume)", build=resuming, independent=False, **HANDLES),
    Subject(name="timeout(long)", build=lambda lab: timeout(500.0, each=300.0), **TRANSPARENT),
    Subject(name="timeout(short)", build=lambda lab: timeout(5.5, each=2.5, first=1.5), max_ahead=0),
    Subject(
        name="throttle",
        build=lambda lab: throttle(1, 1.37, cost=lab.callback(_one)),
        keeps="values",
        max_ahead=1,
    ),
    Subject(
        name="fallback", build=lambda lab: fallback(lab.callback(lambda error: 7)), **HANDLES, **TRANSPARENT
    ),
    Subject(name="fallback(observable)", build=substituted_later, keeps="marbles", **HANDLES),
    Subject(name="circuit_breaker", build=breaking, **TRANSPARENT),
    Subject(name="circuit_breaker(trials)", build=breaking_and_repeating, independent=False, **HANDLES),
    Subject(name="rate_limit", build=lambda lab: limited(lab, RateLimiter(100, 1.0)), **TRANSPARENT),
    Subject(name="rate_limit(waiting)", build=limited_twice, independent=False, tells=False),
    Subject(name="bulkhead", build=lambda lab: permitted(lab, Bulkhead(limit=5)), **TRANSPARENT),
    Subject(
        name="bulkhead(queue)",
        build=lambda lab: permitted(lab, Bulkhead(1, max_wait=2.5)),
        max_ahead=0,
        independent=False,
    ),
    Subject(name="coalesce", build=shared_call, keeps="values", cold=False, independent=False),
    Subject(name="cache", build=cached, keeps="values", cold=False, independent=False),
    Subject(
        name="flat_map_bounded",
        build=lambda lab: flat_map_bounded(lab.callback(lab.call), max_concurrent=2),
        projects="any order",
        max_ahead=2,
        max_inners=2,
    ),
    Subject(
        name="flat_map_bounded(inner)",
        build=lambda lab: flat_map_bounded(lab.callback(lab.inner), max_concurrent=2),
        max_inners=2,
    ),
    Subject(
        name="flat_map_bounded(ordered)",
        build=lambda lab: flat_map_bounded(lab.callback(lab.call), max_concurrent=2, ordered=True, buffer=1),
        projects="in order",
        max_ahead=3,
        max_inners=2,
    ),
    Subject(
        name="flat_map_bounded(ordered inner)",
        build=lambda lab: flat_map_bounded(lab.callback(lab.inner), max_concurrent=2, ordered=True),
        max_inners=2,
    ),
    Subject(name="from_iterable", build=lambda lab: lambda source: from_iterable([1, 2, 3]), cold=False),
    Subject(name="from_async", build=async_call, cold=False, independent=False, passes_cancellation=False),
    Subject(
        name="to_async_iterable, from_async_iterable",
        build=lambda lab: through_async_for,
        max_ahead=1,
        independent=False,
        lets_go_first=False,  # its task lets go of the source, in its next turn
    ),
    Subject(name="flat_map_bounded(key)", build=keyed, projects="any order", max_ahead=4, max_inners=2),
    Subject(
        name="flat_map_bounded(as_result)",
        build=in_results,
        max_ahead=2,
        max_inners=2,
        shows=shows_as_failure,
    ),
    Subject(name="flat_map_bounded(delay)", build=delaying, max_inners=2, delays_errors=True),
    Subject(
        name="with_overflow",
        build=lambda lab: with_overflow("error", buffer=50, on_drop=lab.listener()),
        keeps="values",
        max_ahead=50,
    ),
    Subject(
        name="with_overflow(latest)",
        build=lambda lab: with_overflow("latest", on_drop=lab.listener()),
        max_ahead=1,
    ),
    Subject(name="adaptive_concurrency", build=lambda lab: adapting(lab, AdaptiveBulkhead()), **TRANSPARENT),
    Subject(
        name="adaptive_concurrency(queue)",
        build=lambda lab: adapting(lab, AdaptiveBulkhead(plan_of_one(), max_wait=2.5)),
        max_ahead=0,
        independent=False,
    ),
    Subject(name="hedge(late)", build=lambda lab: hedged(lab, delay=400.0), keeps="marbles", **HANDLES),
    Subject(name="hedge(soon)", build=lambda lab: hedged(lab, delay=1.5), independent=False, **HANDLES),
    Subject(name="hedge(at once)", build=lambda lab: hedged(lab, delay=0.0), independent=False, **HANDLES),
    Subject(name="chaos(off)", build=lambda lab: chaos(ChaosPolicy(error_rate=1.0)), **TRANSPARENT),
    Subject(name="chaos(on)", build=befallen, independent=False, **HANDLES),
    Subject(name="cache(stale)", build=serving_stale, cold=False, independent=False, tells=False, **HANDLES),
    Subject(name="batch", build=in_batches, keeps="values", max_ahead=6),
    Subject(name="tap_events", build=lambda lab: tap_events(lab.listener()), **TRANSPARENT),
    Subject(name="record", build=lambda lab: record(Recording(), "here"), **TRANSPARENT),
    Subject(name="record(inner)", build=recorded_inside, max_inners=2),
    Subject(name="policy", build=whole_stack, keeps="marbles", **HANDLES),
]
