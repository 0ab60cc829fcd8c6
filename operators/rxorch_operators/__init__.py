"""Resilience and back-pressure operators for RxPY: over any Observable, knowing nothing of HTTP.

Around a call: `retry_backoff`, `timeout`, `hedge`, `rate_limit`, `circuit_breaker`, `bulkhead`,
`adaptive_concurrency`, `fallback`, `cache`, `coalesce`, `chaos`; all of them in one stack: `policy`; for an
`async def`: `guard`. Streams: `flat_map_bounded`, `throttle`, `batch`, `with_overflow`; to see what passes
`tap_events` and `record`. Sources and ends that keep demand: `from_iterable`, `from_async_iterable`,
`from_async`, `to_async_iterable`, `last_of`. State that several pipelines may share is an object:
`RateLimiter`, `CircuitBreaker`, `Bulkhead`, `AdaptiveBulkhead`, `Hedger`, `TtlCache`, `Coalescer`,
`RetryBudget`. Below each stands a pure engine that takes the time as an argument: `Gcra`, `Circuit`,
`PermitPool`, `SlidingWindow`.
"""

from ._adaptive_bulkhead import AdaptiveBulkhead, AdaptiveStatistics
from .adaptive_concurrency import adaptive_concurrency
from .batch import batch
from .bulkhead import Bulkhead, bulkhead
from .cache import cache
from .chaos import chaos
from .circuit_breaker import CircuitBreaker, circuit_breaker
from .coalesce import Coalescer, coalesce
from .engines.backoff import Jitter, RetryPolicy, RetryState
from .engines.budget import RetryBudget
from .engines.circuit import Circuit, CircuitChange, CircuitPermit, CircuitPolicy, CircuitState, Outcome3
from .engines.faults import ChaosPolicy, ChaosStatistics, FaultEvent, FaultInjector
from .engines.gcra import Gcra
from .engines.hedging import HedgeEvent, HedgePolicy, Hedger, HedgeStatistics
from .engines.limit_model import AimdPolicy, GradientPolicy, LimitChange
from .engines.overflow import OverflowCounter, OverflowPolicy, OverflowStatistics
from .engines.permits import Permit, PermitPool
from .engines.ttl_cache import TtlCache
from .engines.window import SlidingWindow
from .errors import (
    BufferOverflowError,
    BulkheadFullError,
    CircuitOpenError,
    OperatorError,
    RateLimitExceededError,
    RetryBudgetExhaustedError,
    TimeoutExceededError,
)
from .fallback import fallback
from .flat_map_bounded import ErrorMode, flat_map_bounded
from .from_async import from_async
from .from_async_iterable import from_async_iterable
from .from_iterable import from_iterable
from .guard import Guard, guard
from .hedge import hedge
from .in_memory_rate_limiter import InMemoryRateLimiter, RateLimit, RateLimiterConfig, RateLimitStatus
from .policy import policy
from .rate_limit import rate_limit
from .rate_limiter import RateLimiter
from .record import record
from .recording import RecordedLane, RecordedPoint, Recording
from .results import Failure, Result, Success
from .retry import GiveUpReason, RetryEvent, retry_backoff
from .tap_events import StreamEvent, tap_events
from .throttle import throttle
from .timeout import timeout
from .to_async_iterable import ObservableIterator, last_of, to_async_iterable
from .with_overflow import with_overflow

__all__ = [
    "AdaptiveBulkhead",
    "AdaptiveStatistics",
    "AimdPolicy",
    "BufferOverflowError",
    "Bulkhead",
    "BulkheadFullError",
    "ChaosPolicy",
    "ChaosStatistics",
    "Circuit",
    "CircuitBreaker",
    "CircuitChange",
    "CircuitOpenError",
    "CircuitPermit",
    "CircuitPolicy",
    "CircuitState",
    "Coalescer",
    "ErrorMode",
    "Failure",
    "FaultEvent",
    "FaultInjector",
    "Gcra",
    "GiveUpReason",
    "GradientPolicy",
    "Guard",
    "HedgeEvent",
    "HedgePolicy",
    "HedgeStatistics",
    "Hedger",
    "InMemoryRateLimiter",
    "Jitter",
    "LimitChange",
    "ObservableIterator",
    "OperatorError",
    "Outcome3",
    "OverflowCounter",
    "OverflowPolicy",
    "OverflowStatistics",
    "Permit",
    "PermitPool",
    "RateLimit",
    "RateLimitExceededError",
    "RateLimitStatus",
    "RateLimiter",
    "RateLimiterConfig",
    "RecordedLane",
    "RecordedPoint",
    "Recording",
    "Result",
    "RetryBudget",
    "RetryBudgetExhaustedError",
    "RetryEvent",
    "RetryPolicy",
    "RetryState",
    "SlidingWindow",
    "StreamEvent",
    "Success",
    "TimeoutExceededError",
    "TtlCache",
    "adaptive_concurrency",
    "batch",
    "bulkhead",
    "cache",
    "chaos",
    "circuit_breaker",
    "coalesce",
    "fallback",
    "flat_map_bounded",
    "from_async",
    "from_async_iterable",
    "from_iterable",
    "guard",
    "hedge",
    "last_of",
    "policy",
    "rate_limit",
    "record",
    "retry_backoff",
    "tap_events",
    "throttle",
    "timeout",
    "to_async_iterable",
    "with_overflow",
]
