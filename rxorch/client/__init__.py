"""The request layer: single requests with hooks, retries, breaker and limiter, on the stack of endpoints."""

from rxorch.client.api_client import ApiClient
from rxorch.client.breaker import CircuitBreaker
from rxorch.client.http_client import AioHttpClient
from rxorch.client.limiter import TokenBucketRateLimiter
from rxorch.client.protocols import (
    BaseCircuitBreaker,
    BaseHttpClient,
    BaseRateLimiter,
    BaseRequestHook,
    BaseRequestModel,
    BaseRequestStrategy,
)
from rxorch.client.request_model import ApiRequestModel
from rxorch.client.strategy import RetryRequestStrategy
from rxorch.endpoint.redirects import RedirectPolicy
from rxorch.errors import (
    ApiCircuitOpenError,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiTimeoutError,
    ApiValidationError,
)

__all__ = [
    "AioHttpClient",
    "ApiCircuitOpenError",
    "ApiClient",
    "ApiError",
    "ApiHttpError",
    "ApiNetworkError",
    "ApiRateLimitError",
    "ApiRequestModel",
    "ApiTimeoutError",
    "ApiValidationError",
    "BaseCircuitBreaker",
    "BaseHttpClient",
    "BaseRateLimiter",
    "BaseRequestHook",
    "BaseRequestModel",
    "BaseRequestStrategy",
    "CircuitBreaker",
    "RedirectPolicy",
    "RetryRequestStrategy",
    "TokenBucketRateLimiter",
]
