"""rxorch: reactive API orchestration.

Every endpoint is an observable factory, every orchestration a composition of operators, every policy (retry,
rate limit, circuit breaker ...) an operator.

>>> from rxorch import APIEndpoint, pipeline, parallel
>>> user = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
>>> posts = APIEndpoint(name="posts", url="https://api.example.com/users/{id}/posts")
>>> flow = parallel(user, posts, max_concurrent=2)
"""

from rxorch import operators
from rxorch.client import ApiClient
from rxorch.config import APIOrchestrationConfig, OrchestrationMode
from rxorch.endpoint import APIEndpoint
from rxorch.errors import (
    ApiAddressRefusedError,
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiConfigurationError,
    ApiDependencyError,
    ApiError,
    ApiGraphQLError,
    ApiHttpError,
    ApiNetworkError,
    ApiProtocolError,
    ApiRateLimitError,
    ApiResponseTooLargeError,
    ApiTimeoutError,
    ApiValidationError,
    ErrorThresholdExceeded,
)
from rxorch.factories import (
    create_graphql_orchestrator,
    create_parallel_aggregator,
    create_rest_api_orchestrator,
    create_sequential_api_chain,
)
from rxorch.flow import (
    Flow,
    OrchestrationResult,
    Outcome,
    OutcomeStatus,
    conditional,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.http import AioHttpTransport, Request, Response, Transport
from rxorch.observe import IOMetrics, MetricsSnapshot
from rxorch.orchestrator import APIOrchestrator
from rxorch.stream import Run, RunStream
from rxorch_operators import (
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    InMemoryRateLimiter,
    RateLimit,
    RateLimiter,
    RateLimiterConfig,
    RateLimitExceededError,
    RetryPolicy,
    TimeoutExceededError,
)

__version__ = "0.1.0"

__all__ = [
    "APIEndpoint",
    "APIOrchestrationConfig",
    "APIOrchestrator",
    "AioHttpTransport",
    "ApiAddressRefusedError",
    "ApiBulkheadFullError",
    "ApiCircuitOpenError",
    "ApiClient",
    "ApiConfigurationError",
    "ApiDependencyError",
    "ApiError",
    "ApiGraphQLError",
    "ApiHttpError",
    "ApiNetworkError",
    "ApiProtocolError",
    "ApiRateLimitError",
    "ApiResponseTooLargeError",
    "ApiTimeoutError",
    "ApiValidationError",
    "BulkheadFullError",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "ErrorThresholdExceeded",
    "Flow",
    "IOMetrics",
    "InMemoryRateLimiter",
    "MetricsSnapshot",
    "OrchestrationMode",
    "OrchestrationResult",
    "Outcome",
    "OutcomeStatus",
    "RateLimit",
    "RateLimitExceededError",
    "RateLimiter",
    "RateLimiterConfig",
    "Request",
    "Response",
    "RetryPolicy",
    "Run",
    "RunStream",
    "TimeoutExceededError",
    "Transport",
    "conditional",
    "create_graphql_orchestrator",
    "create_parallel_aggregator",
    "create_rest_api_orchestrator",
    "create_sequential_api_chain",
    "fanout",
    "graph",
    "operators",
    "parallel",
    "pipeline",
    "sequential",
]
