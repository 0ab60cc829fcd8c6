"""What one call of an endpoint can cost at worst.

The bounds follow `rxorch.endpoint.stack`: a retry around (once in a call) the renewal of credentials, around
the hops of redirects, each of which has the attempt's time limit and passes the rate limiter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint
from rxorch.endpoint.auth import AllAuth, Auth, Bound, TokenAuth
from rxorch.endpoint.retry_rules import THROTTLED_BASE, retry_policy
from rxorch_operators import RateLimiter, RetryPolicy
from rxorch_operators._seconds import seconds_words

__all__ = ["BUDGET_RATIO", "CallCost", "call_cost", "longest_hint", "own_limiter", "queueing", "units"]

BUDGET_RATIO: Final = 0.2
"""Repeats per call that the retry budget allows where there are many calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """What one call of an endpoint can cost at worst.

    Args:
        name: of the endpoint.
        attempts: at most; infinite for a stream that reconnects.
        hops: redirects that each attempt may follow.
        renewals: repetitions with new credentials after a 401, 0 or 1.
        attempt_seconds: longest attempt, its redirects included; infinite without a limit.
        wait_seconds: longest waits between the attempts, together, Retry-After included.
        queue_seconds: longest waits for the endpoint's own rate limit, together.
        needed: seconds at worst if no `total_timeout` ended the call.
        seconds: seconds at worst.
        held_by: the setting that makes `seconds` less than the sum of the above; None if nothing does.
        missing: the field to set where `seconds` is infinite; None otherwise.
    """

    name: str
    attempts: float
    hops: int
    renewals: int
    attempt_seconds: float
    wait_seconds: float
    queue_seconds: float
    needed: float
    seconds: float
    held_by: str | None
    missing: str | None

    @property
    def requests(self) -> float:
        """Requests at most: an attempt, and the one with new credentials, each with all its redirects."""
        return (self.attempts + self.renewals) * (1 + self.hops)

    @property
    def requests_under_load(self) -> float:
        """Requests for each call, where there are so many calls that the retry budget rules."""
        return (min(self.attempts, 1 + BUDGET_RATIO) + self.renewals) * (1 + self.hops)


def call_cost(endpoint: APIEndpoint, config: APIOrchestrationConfig) -> CallCost:
    """The worst case of an endpoint whose call is alone with its limits."""
    policy = retry_policy(endpoint)
    reconnects = policy is not None and policy.max_attempts > 1 and _goes_on(endpoint)
    attempts = math.inf if reconnects else endpoint.max_attempts
    hops = endpoint.follow_redirects.max_hops if endpoint.follow_redirects else 0
    renewals = int(_renews(endpoint.auth or None))
    attempt = _attempt_seconds(endpoint) * (1 + hops)
    waits = _waits(endpoint, policy)
    queue = _own_queue(endpoint, config, (attempts + renewals) * (1 + hops))
    needed, held_by = (attempts + renewals) * attempt + waits, None
    elapsed = None if policy is None else policy.max_elapsed
    # A wait has to end before `max_elapsed`; the attempt after it, the last one, may take its time.
    if (
        elapsed is not None
        and attempts > 1
        and not reconnects
        and elapsed + (1 + renewals) * attempt < needed
    ):
        needed, held_by = (
            elapsed + (1 + renewals) * attempt,
            f"max_elapsed {seconds_words(elapsed, exact=True)}",
        )
    needed += queue
    seconds, total = needed, endpoint.total_timeout
    if total is not None and total < needed:
        seconds, held_by = total, f"total_timeout {seconds_words(total, exact=True)}"
    return CallCost(
        name=endpoint.name,
        attempts=attempts,
        hops=hops,
        renewals=renewals,
        attempt_seconds=attempt,
        wait_seconds=waits,
        queue_seconds=queue,
        needed=needed,
        seconds=seconds,
        held_by=held_by,
        missing=_missing(endpoint) if math.isinf(seconds) else None,
    )


def own_limiter(endpoint: APIEndpoint, config: APIOrchestrationConfig) -> RateLimiter | None:
    """A limiter like the one that a run makes for this endpoint; None if it has none of its own."""
    if endpoint.rate_limit is None:
        return None
    window = endpoint.rate_limit_window or config.rate_limit_window
    return RateLimiter(endpoint.rate_limit, window, burst=endpoint.burst_limit)


def longest_hint(endpoint: APIEndpoint) -> float:
    """Seconds for which an answer with Retry-After can stop the limiter of its endpoint."""
    return (retry_policy(endpoint) or RetryPolicy()).max_hint


def queueing(units: float, limiter: RateLimiter) -> float:
    """Seconds for which requests can have to wait for a limiter, all those on one path together.

    While somebody waits, the limiter lets a unit leave every `window / limit` seconds, and the first `burst`
    do not wait. So no path through a run can be held up for longer than all its requests take to leave.

    Args:
        units: What the requests take together; most take one each.
        limiter: What they wait for.
    """
    meter = limiter.line.meter
    return max(0.0, units - meter.burst) * meter.window / meter.limit


def units(endpoint: APIEndpoint, limiter: RateLimiter, requests: float) -> float:
    """What requests of an endpoint take of its own limiter at most.

    What a function would say of their data cannot be known; a call that could never pass is not made.
    """
    cost = endpoint.rate_cost
    most = limiter.line.meter.max_cost if callable(cost) else cost
    return requests * most if most else 0.0


def _attempt_seconds(endpoint: APIEndpoint) -> float:
    # The limit of a stream is for each of its elements, of which there may be any number.
    return math.inf if endpoint.timeout is None or endpoint.stream else endpoint.timeout


def _goes_on(endpoint: APIEndpoint) -> bool:
    # A broken stream of events is taken up where it broke; each event that comes makes the count begin anew.
    return endpoint.stream == "sse" and endpoint.method in ("GET", "HEAD", "OPTIONS")


def _renews(auth: Auth | None) -> bool:
    if isinstance(auth, AllAuth):
        return any(_renews(each) for each in auth._auths)
    if isinstance(auth, Bound):
        return _renews(auth._auth)
    if isinstance(auth, TokenAuth):
        return auth._source is not None  # there is no other for a text
    return auth is not None


def _waits(endpoint: APIEndpoint, policy: RetryPolicy | None) -> float:
    if policy is None:
        return 0.0
    if _goes_on(endpoint) and policy.max_attempts > 1:
        return math.inf
    hinted = 0.0
    if (
        endpoint.retry_on is None or endpoint.retry_on
    ):  # else no answer is repeated, and only answers have hints
        hinted = policy.max_hint + max(0.1, 0.1 * policy.max_hint)
    usual = endpoint.retry_delay is None and endpoint.retry is None
    bases = (None, THROTTLED_BASE) if usual else (None,)
    repeats = range(policy.max_attempts - 1)
    return sum(max(hinted, *(policy.ceiling(repeat, base) for base in bases)) for repeat in repeats)


def _own_queue(endpoint: APIEndpoint, config: APIOrchestrationConfig, requests: float) -> float:
    limiter = own_limiter(endpoint, config)
    if limiter is None:
        return 0.0
    # A 401 with Retry-After stops the limiter, which the repetition with new credentials waits for.
    stopped = longest_hint(endpoint) if _renews(endpoint.auth or None) else 0.0
    return queueing(units(endpoint, limiter, requests), limiter) + stopped


def _missing(endpoint: APIEndpoint) -> str:
    return "timeout" if endpoint.timeout is None and not endpoint.stream else "total_timeout"
