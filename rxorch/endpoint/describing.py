"""From what the policies raise to the errors of `rxorch.errors`, with the facts of the call on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxorch.endpoint.exchange import Aside
from rxorch.endpoint.notes import noted
from rxorch.errors import (
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiError,
    ApiRateLimitError,
    ApiTimeoutError,
)
from rxorch_operators import (
    BulkheadFullError,
    CircuitOpenError,
    RateLimitExceededError,
    TimeoutExceededError,
)

if TYPE_CHECKING:
    from rxorch.endpoint.call import Call

__all__ = ["described"]


def described(call: Call, error: BaseException) -> BaseException:
    """The error as one of the tree, with name, place and facts of its call. A cancellation stays as it is."""
    if not isinstance(error, Exception):
        return error
    try:
        return _described(call, error)
    except Exception as broken:  # a strange error of the user's must still end the call
        return broken


def _described(call: Call, error: Exception) -> Exception:
    if isinstance(error, Aside):
        error = error.error
    if isinstance(error, ApiError):
        return call.describe(error)
    named = _named(error)
    if isinstance(named, ApiTimeoutError) and named.kind == "total":
        # The operator was given what was left of it when the call began.
        named = ApiTimeoutError(limit=call.runtime.endpoint.total_timeout, kind="total")
    if named is None:
        # A callable of the endpoint failed: its own error says more than any class of ours.
        return noted(error, f"in endpoint {call.runtime.endpoint.name!r}")
    named.__cause__ = error
    if isinstance(named, ApiCircuitOpenError) and call.failures and call.failures[-1] is not None:
        named.__cause__ = described(call, call.failures[-1])  # what the attempt before it met says more
    return call.describe(named)


def _named(error: Exception) -> ApiError | None:
    if isinstance(error, TimeoutExceededError):
        return ApiTimeoutError(limit=error.limit, kind=error.kind)
    if isinstance(error, RateLimitExceededError):
        return ApiRateLimitError(retry_after=error.retry_after, name=getattr(error, "name", None))
    if isinstance(error, CircuitOpenError):
        return ApiCircuitOpenError(name=error.name, retry_after=error.retry_after)
    if isinstance(error, BulkheadFullError):
        return ApiBulkheadFullError(limit=error.limit, queue=error.queue)
    return None
