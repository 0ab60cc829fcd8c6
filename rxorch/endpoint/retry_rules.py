"""Which failures of a call are worth another attempt, and which say something about the service."""

from __future__ import annotations

from typing import Any, Final

from rxorch.endpoint.call import Call
from rxorch.endpoint.model import APIEndpoint
from rxorch.errors import ApiGraphQLError, ApiHttpError, ApiNetworkError
from rxorch_operators import Outcome3, RetryPolicy, TimeoutExceededError

__all__ = ["RETRYABLE_STATUSES", "THROTTLED_BASE", "RetryRules", "classify", "hint", "retry_policy"]

RETRYABLE_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that a repetition may cure."""

_NOT_EXECUTED: Final = frozenset({429, 503})
"""Statuses by which a server says that it did nothing: even a POST may be sent again."""

THROTTLED_CODES: Final = frozenset(
    {"RATE_LIMIT", "RATE_LIMITED", "RATELIMITED", "RATE_LIMIT_EXCEEDED", "THROTTLED", "TOO_MANY_REQUESTS"}
)
"""Codes by which a GraphQL server says, with status 200, what others say by a 429."""

THROTTLED_BASE: Final = 1.0
"""First wait, in seconds, after a 429 or 503 that names none itself."""


class RetryRules:
    """The retry decisions of one endpoint.

    A method that is not idempotent is repeated only when the failure came before the request was sent, on
    429 and 503, on statuses that `retry_on` names, or when the endpoint says `idempotent=True` or gives its
    own `idempotency_key`.
    """

    __slots__ = ("_default_base", "_explicit", "_idempotent", "_own_key", "_statuses")

    def __init__(self, endpoint: APIEndpoint) -> None:
        explicit = endpoint.retry_on is not None
        self._statuses = frozenset(endpoint.retry_on or ()) if explicit else RETRYABLE_STATUSES
        self._explicit = explicit
        self._default_base = endpoint.retry_delay is None and endpoint.retry is None
        self._idempotent = endpoint.is_idempotent
        self._own_key = endpoint.idempotency_key not in ("auto", None) and endpoint.idempotent is None

    def retryable(self, call: Call, error: BaseException) -> bool:
        """Whether another attempt may cure this error."""
        if isinstance(error, ApiHttpError):
            status = error.status_code
            if status is None or status not in self._statuses:
                return False
            return self._explicit or status in _NOT_EXECUTED or self.is_harmless(call)
        if isinstance(error, ApiNetworkError):
            return not error.sent or self.is_harmless(call)
        if isinstance(error, TimeoutExceededError):
            return not _was_sent(call) or self.is_harmless(call)
        return _is_throttled(error) and self.is_harmless(call)

    def is_harmless(self, call: Call) -> bool:
        """Whether the server can tell a repetition from another request, or need not."""
        return self._idempotent or (self._own_key and _has_key(call))

    def base(self, error: BaseException) -> float | None:
        """Another first wait than the policy's, for this error."""
        slow_down = isinstance(error, ApiHttpError) and error.status_code in _NOT_EXECUTED
        return THROTTLED_BASE if self._default_base and (slow_down or _is_throttled(error)) else None


def _is_throttled(error: BaseException) -> bool:
    """Whether a GraphQL server gave no data at all, and nothing but too many calls as its reason."""
    if not isinstance(error, ApiGraphQLError) or error.data is not None or not error.errors:
        return False
    return all((fault.code or "").upper() in THROTTLED_CODES for fault in error.errors)


def _was_sent(call: Call) -> bool:
    # Of this attempt, and not of the call: what went out before was answered, or we would not be here.
    return call.request is not None and call.request.sent


def _has_key(call: Call) -> bool:
    # A callable key may say None: such a call is as unsafe as any other.
    return call.request is not None and any(
        name.lower() == "idempotency-key" for name in call.request.headers
    )


def hint(error: BaseException) -> float | None:
    """Seconds the server asked to wait."""
    return error.retry_after if isinstance(error, ApiHttpError) else None


def classify(result: Any) -> Outcome3:
    """What the result of an attempt says about the health of the service, for its circuit breaker.

    Failures: 5xx and 408, network errors, our own timeouts. Ignored: what is the caller's fault (other 4xx,
    429 included: the limiter answers to that), answers we could not use, cancellation.
    """
    if not isinstance(result, BaseException):
        return Outcome3.SUCCESS
    if isinstance(result, ApiHttpError):
        status = result.status_code or 0
        return Outcome3.FAILURE if status >= 500 or status == 408 else Outcome3.IGNORED
    if isinstance(result, ApiNetworkError | TimeoutExceededError):
        return Outcome3.FAILURE
    return Outcome3.IGNORED


def retry_policy(endpoint: APIEndpoint) -> RetryPolicy | None:
    """The endpoint's retry settings as a policy; None when there is only one attempt."""
    if endpoint.retry is not None:
        return endpoint.retry
    if endpoint.retry_count == 0:
        return None
    settings: dict[str, Any] = {"max_attempts": endpoint.retry_count + 1, "jitter": endpoint.retry_jitter}
    if endpoint.retry_delay is not None:
        settings["base"] = endpoint.retry_delay
        settings["cap"] = max(20.0, endpoint.retry_delay)
    return RetryPolicy(**settings)
