"""IOMetrics: counters and latencies of calls, by endpoint, read as one frozen snapshot."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from rxorch.events import CallFinished, Event
from rxorch.observe.histogram import Histogram

__all__ = ["EndpointFigures", "IOMetrics", "MetricsSnapshot"]


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    """The figures of one endpoint, or of all together.

    Attributes:
        total_requests: Requests put on the wire: every attempt that got that far, cached answers not.
        calls: Calls that ended, one each however many attempts it took.
        successes: Calls that gave a value, a substitute included.
        errors: Calls that failed.
        degraded: Calls whose value is a substitute for an error.
        retries: Attempts beyond the first of their call.
        cache_hits: Calls answered from the cache.
        success_rate: Successful calls, in percent of all; 100 when there were none.
        error_rate: Failed calls as a fraction of all.
        avg_latency: Mean duration of a call, in milliseconds; p50, p95, p99 likewise (at most 1 % off).
        errors_by_type: Failed calls by kind of error.
    """

    total_requests: int = 0
    calls: int = 0
    successes: int = 0
    errors: int = 0
    degraded: int = 0
    retries: int = 0
    cache_hits: int = 0
    success_rate: float = 100.0
    error_rate: float = 0.0
    avg_latency: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    errors_by_type: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricsSnapshot(EndpointFigures):
    """The figures of everything together, and `endpoints` with those of each name."""

    endpoints: Mapping[str, EndpointFigures] = field(default_factory=dict)


class _Account:
    """What is counted for one name."""

    __slots__ = ("cache_hits", "calls", "degraded", "errors", "kinds", "latency", "requests", "retries")

    def __init__(self) -> None:
        self.requests = 0
        self.calls = 0
        self.errors = 0
        self.degraded = 0
        self.retries = 0
        self.cache_hits = 0
        self.latency = Histogram()
        self.kinds: Counter[str] = Counter()

    def merge(self, other: _Account) -> None:
        """Adds what another account has counted."""
        self.requests += other.requests
        self.calls += other.calls
        self.errors += other.errors
        self.degraded += other.degraded
        self.retries += other.retries
        self.cache_hits += other.cache_hits
        self.latency.merge(other.latency)
        self.kinds.update(other.kinds)

    def figures(self) -> dict[str, object]:
        """The fields of `EndpointFigures`."""
        calls, latency = self.calls, self.latency
        return {
            "total_requests": self.requests,
            "calls": calls,
            "successes": calls - self.errors,
            "errors": self.errors,
            "degraded": self.degraded,
            "retries": self.retries,
            "cache_hits": self.cache_hits,
            "success_rate": 100.0 * (calls - self.errors) / calls if calls else 100.0,
            "error_rate": self.errors / calls if calls else 0.0,
            "avg_latency": latency.mean,
            "p50": latency.percentile(0.50),
            "p95": latency.percentile(0.95),
            "p99": latency.percentile(0.99),
            "errors_by_type": MappingProxyType(dict(self.kinds)),
        }


class IOMetrics:
    """Collects requests and errors by name; the orchestrator feeds one, and you may keep your own.

    >>> metrics = IOMetrics()
    >>> metrics.record_request("custom_api", latency=150)
    >>> metrics.record_error("custom_api", error_type="timeout")
    >>> figures = metrics.snapshot()
    >>> figures.total_requests, figures.calls, figures.success_rate, figures.errors_by_type["timeout"]
    (1, 2, 50.0, 1)
    """

    KINDS: ClassVar[tuple[type[Event], ...]] = (CallFinished,)
    """The events that `on_event` counts, for `EventBus.subscribe(..., kinds=)`."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def _account(self, name: str) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account()
        return account

    def record_request(self, name: str, latency: float) -> None:
        """Counts a request that was answered.

        Args:
            name: Of the endpoint or whatever else is measured.
            latency: In milliseconds, 0 or more.
        """
        if not math.isfinite(latency) or latency < 0:
            raise ValueError(f"latency must be milliseconds, 0 or more, got {latency!r}")
        account = self._account(name)
        account.requests += 1
        account.calls += 1
        account.latency.add(latency)

    def record_error(self, name: str, error_type: str = "error") -> None:
        """Counts a call that failed.

        Args:
            name: Of the endpoint or whatever else is measured.
            error_type: Kind of the failure, such as `"timeout"`.
        """
        account = self._account(name)
        account.calls += 1
        account.errors += 1
        account.kinds[error_type] += 1

    def on_event(self, event: Event) -> None:
        """Counts a finished call; made to be subscribed to an `EventBus`. Cancelled calls do not count."""
        if type(event) is CallFinished:
            self.count(
                event.endpoint, event.status, event.duration, event.attempts, event.error, event.degraded,
                event.cached, event.sends,
            )  # fmt: skip

    def count(
        self,
        endpoint: str,
        status: str,
        duration: float,
        attempts: int,
        error: BaseException | None,
        degraded: bool,
        cached: bool,
        sends: int,
    ) -> None:
        """Counts a finished call by its facts, which are those of `CallFinished`."""
        account = self._accounts.get(endpoint)
        if account is None:
            account = self._account(endpoint)
        account.requests += sends
        if attempts > 1:
            account.retries += attempts - 1
        if status == "cancelled":
            return
        account.calls += 1
        account.latency.add(duration * 1000)
        if cached:
            account.cache_hits += 1
        if degraded:
            account.degraded += 1
        if status != "ok":
            account.errors += 1
            account.kinds[status if error is None else type(error).__name__] += 1

    def snapshot(self) -> MetricsSnapshot:
        """The figures now; later records do not change it."""
        endpoints = {
            name: EndpointFigures(**account.figures())  # type: ignore[arg-type]
            for name, account in self._accounts.items()
        }
        everything = _Account()
        for account in self._accounts.values():
            everything.merge(account)
        return MetricsSnapshot(**everything.figures(), endpoints=MappingProxyType(endpoints))  # type: ignore[arg-type]

    def reset(self) -> None:
        """Starts counting anew."""
        self._accounts.clear()
