"""worst_case: from a flow to what it can cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rxorch.draw.subject import Drawable, Subject, subject_of
from rxorch.flow.plan import walk
from rxorch.worst_case.calls import CallCost, call_cost, longest_hint, queueing, units
from rxorch.worst_case.findings import findings_of
from rxorch.worst_case.model import WorstCase
from rxorch.worst_case.paths import Weight, heaviest
from rxorch_operators import RateLimiter

__all__ = ["worst_case"]


def worst_case(what: Drawable) -> WorstCase:
    """What one input can cost at worst: requests, seconds, and what a linter would say.

    An upper bound for an input that is alone with its limits: nothing else uses up its rate limits, and the
    time of callables is not counted, nor are requests for tokens. Hints of a server (Retry-After) count as
    far as they are waited for.

    Args:
        what: A flow, an `APIEndpoint`, an `APIOrchestrationConfig` or an `APIOrchestrator`. Flows and
            endpoints are taken with the default settings of a run.

    Returns:
        A `WorstCase`; `text()` explains it, `as_dict()` is fit for JSON.

    Raises:
        ApiConfigurationError: it is none of these, or a flow that cannot be planned.

    >>> from rxorch import APIEndpoint, parallel
    >>> flow = parallel(
    ...     APIEndpoint(name="user", url="https://api.example.com/users/{id}", timeout=5, total_timeout=12),
    ...     APIEndpoint(name="rates", url="https://api.example.com/rates", retry_count=0),
    ... )
    >>> print(worst_case(flow).text())
    worst case for one input: 4 requests, 30 s
      when all goes well: 2 requests (2x)
      under load, where the retry budget allows 20 % of repeats: 1.1x
    <BLANKLINE>
    endpoint  attempts  requests  an attempt  waits  at worst
    user             3         3         5 s  132 s      12 s  held by total_timeout 12 s
    rates            1         1        30 s    0 s      30 s
    <BLANKLINE>
    note short-total-timeout: user: total_timeout=12 ends a call that could take 65 s
    """
    subject = subject_of(what)
    plan, config = subject.plan, subject.config
    costs = {call.endpoint.name: call_cost(call.endpoint, config) for call in walk(plan.root)}
    worst = _weigh(subject, {name: Weight(cost.requests, cost.seconds) for name, cost in costs.items()})
    needed = worst.seconds + sum(_shared_queues(subject, costs, worst.requests))
    usual = _weigh(subject, dict.fromkeys(costs, Weight(1, 0.0))).requests
    loaded = _weigh(subject, {name: Weight(cost.requests_under_load, 0.0) for name, cost in costs.items()})
    total = config.total_timeout
    return WorstCase(
        requests=worst.requests,
        seconds=needed if total is None else min(needed, total),
        needed=needed,
        usual_requests=usual,
        under_load=(loaded.requests / usual if usual else 1.0) if config.retry_budget else None,
        total_timeout=total,
        endpoints=tuple(costs.values()),
        findings=findings_of(plan, config, costs, needed, worst.requests / usual if usual else 1.0),
    )


def _weigh(subject: Subject, calls: Mapping[str, Weight]) -> Weight:
    return heaviest(subject.plan.root, calls, subject.config.max_concurrent)


def _shared_queues(subject: Subject, costs: Mapping[str, CallCost], requests: float) -> Iterator[float]:
    """Seconds for which each limiter that several calls may share can hold a run up."""
    config = subject.config
    if config.global_rate_limit is not None:
        yield queueing(requests, RateLimiter(config.global_rate_limit, config.rate_limit_window))
    shared: dict[int, tuple[RateLimiter, float, float]] = {}
    for call in walk(subject.plan.root):
        limiter = call.endpoint.rate_limiter
        if limiter is None:
            continue
        _, before, pauses = shared.get(id(limiter), (limiter, 0.0, 0.0))
        sent = costs[call.endpoint.name].requests
        # An answer with Retry-After makes all who share the limiter wait.
        taken = units(call.endpoint, limiter, sent)
        shared[id(limiter)] = (limiter, before + taken, pauses + sent * longest_hint(call.endpoint))
    for limiter, taken, pauses in shared.values():
        yield queueing(taken, limiter) + pauses
