"""The request layer: single requests with hooks, retries, breaker and limiter, on the stack of endpoints."""

from rxorch.client.api_client import ApiClient
from rxorch.client.breaker import CircuitBreaker
from rxorch.client.http_client import AioHttpClient
from rxorch.client.limiter import TokenBucketRateLimiter
from rxorch.client.oauth2 import OAuth2ClientCredentials, OAuth2RefreshToken
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
from rxorch.endpoint.auth import AllAuth, ApiKeyAuth, Auth, BasicAuth, BearerAuth, bound
from rxorch.endpoint.redirects import RedirectPolicy
from rxorch.endpoint.tokens import Token
from rxorch.errors import (
    ApiCircuitOpenError,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiTimeoutError,
    ApiValidationError,
)
from rxorch.http.http_cache import HttpCache

__all__ = [
    "AioHttpClient",
    "AllAuth",
    "ApiCircuitOpenError",
    "ApiClient",
    "ApiError",
    "ApiHttpError",
    "ApiKeyAuth",
    "ApiNetworkError",
    "ApiRateLimitError",
    "ApiRequestModel",
    "ApiTimeoutError",
    "ApiValidationError",
    "Auth",
    "BaseCircuitBreaker",
    "BaseHttpClient",
    "BaseRateLimiter",
    "BaseRequestHook",
    "BaseRequestModel",
    "BaseRequestStrategy",
    "BasicAuth",
    "BearerAuth",
    "CircuitBreaker",
    "HttpCache",
    "OAuth2ClientCredentials",
    "OAuth2RefreshToken",
    "RedirectPolicy",
    "RetryRequestStrategy",
    "Token",
    "TokenBucketRateLimiter",
    "bound",
]
