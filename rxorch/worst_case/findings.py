"""What a linter says about a flow: only what can be known from its data alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint
from rxorch.endpoint.retry_rules import retry_policy
from rxorch.flow.plan import FlowPlan, walk
from rxorch.worst_case.calls import CallCost, own_limiter, queueing
from rxorch.worst_case.model import Finding, duration
from rxorch_operators import RateLimiter
from rxorch_operators._seconds import seconds_words

__all__ = ["AMPLIFIES", "findings_of"]

AMPLIFIES: Final = 5.0
"""Requests for one that would be enough, beyond which a failing service gets no chance to recover."""

_BATCH: Final = 1_000
_SAFE_TO_REPEAT: Final = frozenset({429, 503})
_BODY_OF_DATA: Final = frozenset({"POST", "PUT", "PATCH"})

_Rule = Callable[[APIEndpoint, CallCost, APIOrchestrationConfig], Iterator[Finding]]


def findings_of(
    plan: FlowPlan,
    config: APIOrchestrationConfig,
    costs: dict[str, CallCost],
    needed: float,
    amplification: float,
) -> tuple[Finding, ...]:
    """The findings, warnings first, then in the order in which the endpoints were written."""
    found: list[Finding] = []
    for call in walk(plan.root):
        endpoint = call.endpoint
        for rule in _RULES:
            found += rule(endpoint, costs[endpoint.name], config)
    found += _of_flow(config, needed, amplification, len(costs))
    return tuple(sorted(found, key=lambda finding: finding.level != "warning"))


def _of_flow(
    config: APIOrchestrationConfig, needed: float, amplification: float, calls: int
) -> Iterator[Finding]:
    if amplification > AMPLIFIES:
        many = "any number of" if math.isinf(amplification) else f"up to {amplification:.3g}"
        yield Finding(
            "amplification",
            "warning",
            None,
            f"{many} requests for each one that would be enough; fewer attempts (retry_count) or redirects "
            "spare a service that is down already",
        )
    total = config.total_timeout
    if total is None and math.isinf(needed):
        yield Finding("no-total-timeout", "warning", None, "a run may take for ever: set total_timeout")
    elif total is not None and total < needed < math.inf:
        yield Finding(
            "short-total-timeout",
            "note",
            None,
            f"total_timeout={total:g} ends a run that could take {duration(needed)}",
        )
    if config.global_rate_limit is not None and calls:
        limiter = RateLimiter(config.global_rate_limit, config.rate_limit_window)
        yield from _pace(None, "global_rate_limit", limiter)


def _no_timeout(endpoint: APIEndpoint, _: CallCost, config: APIOrchestrationConfig) -> Iterator[Finding]:
    if endpoint.timeout is None and endpoint.total_timeout is None:
        only = "" if config.total_timeout is None else "; only the run's total_timeout ends it"
        yield Finding(
            "no-timeout", "warning", endpoint.name, f"an attempt may take for ever{only}: set timeout"
        )


def _repeats_orders(endpoint: APIEndpoint, cost: CallCost, _: APIOrchestrationConfig) -> Iterator[Finding]:
    statuses = sorted(set(endpoint.retry_on or ()) - _SAFE_TO_REPEAT)
    keyed = endpoint.idempotency_key is not None or endpoint.header("idempotency-key") is not None
    if endpoint.is_idempotent or cost.attempts == 1 or keyed or not statuses:
        return
    yield Finding(
        "unsafe-retry",
        "warning",
        endpoint.name,
        f"a {endpoint.method} is sent again after {', '.join(map(str, statuses))}, when the server may have "
        'acted already, and without a key by which it could tell: set idempotency_key="auto"',
    )


def _breaker(endpoint: APIEndpoint, _: CallCost, config: APIOrchestrationConfig) -> Iterator[Finding]:
    threshold = config.circuit_breaker_threshold
    if endpoint.circuit_breaker is None and threshold is not None and threshold < endpoint.max_attempts:
        yield Finding(
            "breaker-in-retries",
            "note",
            endpoint.name,
            f"one failing call can open its circuit: circuit_breaker_threshold={threshold} is below its "
            f"{endpoint.max_attempts} attempts, and the later ones are refused",
        )


def _never_repeated(endpoint: APIEndpoint, cost: CallCost, _: APIOrchestrationConfig) -> Iterator[Finding]:
    policy, timeout, total = retry_policy(endpoint), endpoint.timeout, endpoint.total_timeout
    if policy is None or policy.max_attempts == 1 or timeout is None or endpoint.stream:
        return
    limits = {"max_elapsed of retry": policy.max_elapsed, "total_timeout": total}
    for field, limit in limits.items():
        if limit is not None and limit <= timeout:
            yield Finding(
                "timeout-not-retried",
                "note",
                endpoint.name,
                f"an attempt that reaches its timeout={timeout:g} is not made again, as {field}={limit:g} "
                "is over by then",
            )
            return
    if total is not None and total < cost.needed:
        yield Finding(
            "short-total-timeout",
            "note",
            endpoint.name,
            f"total_timeout={total:g} ends a call that could take {duration(cost.needed)}",
        )


def _paced(endpoint: APIEndpoint, _: CallCost, config: APIOrchestrationConfig) -> Iterator[Finding]:
    limiter = endpoint.rate_limiter or own_limiter(endpoint, config)
    kept = endpoint.cache_ttl or (config.cache_ttl and endpoint.cache_ttl != 0)
    cost = endpoint.rate_cost
    # An endpoint that may be skipped or answered from memory need not send a request for each input, and what
    # a function says that they cost may be nothing.
    if limiter is not None and endpoint.condition is None and not kept and not callable(cost):
        yield from _pace(endpoint.name, "rate_limit", limiter, cost)


def _pace(name: str | None, field: str, limiter: RateLimiter, cost: int = 1) -> Iterator[Finding]:
    meter, seconds = limiter.line.meter, queueing(_BATCH * cost, limiter)
    if seconds >= 1.0:
        yield Finding(
            "pace",
            "note",
            name,
            f"{_BATCH:,} requests take at least {duration(seconds)} by {field} "
            f"({meter.limit:g} in {seconds_words(meter.window, exact=True)})",
        )


def _unread(endpoint: APIEndpoint, _: CallCost, __: APIOrchestrationConfig) -> Iterator[Finding]:
    """A dependency whose result nothing of the endpoint can read; a callable may read anything."""
    readers = (
        endpoint.transform_input,
        endpoint.transform_output,
        endpoint.condition,
        endpoint.error_handler,
        *(value for value in (endpoint.params, endpoint.body, endpoint.idempotency_key) if callable(value)),
    )
    if any(reader is not None for reader in readers):
        return
    if (
        endpoint.method in _BODY_OF_DATA and endpoint.body is None
    ):  # the data are sent, with all that is in them
        return
    read = {field.partition(".")[0] for field in endpoint.template_fields}
    for name in endpoint.depends_on:
        if name not in read and not any(field.startswith(f"{name}.") for field in endpoint.template_fields):
            yield Finding(
                "unread-dependency",
                "note",
                endpoint.name,
                f"depends_on={name!r} makes it wait, and nothing of it reads that result",
            )


_RULES: Final[tuple[_Rule, ...]] = (_no_timeout, _repeats_orders, _breaker, _never_repeated, _paced, _unread)
