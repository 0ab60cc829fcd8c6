"""Resilience and back-pressure operators for RxPY: over any Observable, knowing nothing of HTTP.

Operators (each a function to `pipe`): `flat_map_bounded`, `retry_backoff`, `timeout`, `rate_limit`,
`throttle`, `circuit_breaker`, `bulkhead`, `fallback`, `cache`, `coalesce`. Sources and ends that keep demand:
`from_iterable`, `from_async_iterable`, `from_async`, `to_async_iterable`, `last_of`. The state that several
pipelines may share is an object: `RateLimiter`, `CircuitBreaker`, `Bulkhead`, `TtlCache`, `Coalescer`,
`RetryBudget`. Below each stands a pure engine that takes the time as an argument: `Gcra`, `Circuit`,
`PermitPool`, `SlidingWindow`.
"""

from .bulkhead import Bulkhead, bulkhead
from .cache import cache
from .circuit_breaker import CircuitBreaker, circuit_breaker
from .coalesce import Coalescer, coalesce
from .engines.backoff import Jitter, RetryPolicy, RetryState
from .engines.budget import RetryBudget
from .engines.circuit import Circuit, CircuitChange, CircuitPermit, CircuitPolicy, CircuitState, Outcome3
from .engines.gcra import Gcra
from .engines.permits import Permit, PermitPool
from .engines.ttl_cache import TtlCache
from .engines.window import SlidingWindow
from .errors import (
    BulkheadFullError,
    CircuitOpenError,
    OperatorError,
    RateLimitExceededError,
    RetryBudgetExhaustedError,
    TimeoutExceededError,
)
from .fallback import fallback
from .flat_map_bounded import flat_map_bounded
from .from_async import from_async
from .from_async_iterable import from_async_iterable
from .from_iterable import from_iterable
from .guard import Guard, guard
from .in_memory_rate_limiter import InMemoryRateLimiter, RateLimit, RateLimiterConfig, RateLimitStatus
from .rate_limit import rate_limit
from .rate_limiter import RateLimiter
from .retry import GiveUpReason, RetryEvent, retry_backoff
from .throttle import throttle
from .timeout import timeout
from .to_async_iterable import ObservableIterator, last_of, to_async_iterable

__all__ = [
    "Bulkhead",
    "BulkheadFullError",
    "Circuit",
    "CircuitBreaker",
    "CircuitChange",
    "CircuitOpenError",
    "CircuitPermit",
    "CircuitPolicy",
    "CircuitState",
    "Coalescer",
    "Gcra",
    "GiveUpReason",
    "Guard",
    "InMemoryRateLimiter",
    "Jitter",
    "ObservableIterator",
    "OperatorError",
    "Outcome3",
    "Permit",
    "PermitPool",
    "RateLimit",
    "RateLimitExceededError",
    "RateLimitStatus",
    "RateLimiter",
    "RateLimiterConfig",
    "RetryBudget",
    "RetryBudgetExhaustedError",
    "RetryEvent",
    "RetryPolicy",
    "RetryState",
    "SlidingWindow",
    "TimeoutExceededError",
    "TtlCache",
    "bulkhead",
    "cache",
    "circuit_breaker",
    "coalesce",
    "fallback",
    "flat_map_bounded",
    "from_async",
    "from_async_iterable",
    "from_iterable",
    "guard",
    "last_of",
    "rate_limit",
    "retry_backoff",
    "throttle",
    "timeout",
    "to_async_iterable",
]
