"""What went wrong, in a word or two and without anything that a server or a user has said."""

from __future__ import annotations

from rxorch.errors import (
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiDependencyError,
    ApiHttpError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiValidationError,
)

__all__ = ["error_word"]


def error_word(error: BaseException | None) -> str:
    """What went wrong: `503`, `timeout`, `reset`; `""` for None."""
    match error:
        case ApiRateLimitError(status_code=None):
            return "rate limit"
        case ApiHttpError(status_code=status):
            return f"{status}"
        case ApiCircuitOpenError():
            return "circuit open"
        case ApiBulkheadFullError():
            return "bulkhead full"
        case ApiDependencyError(cause_endpoint=cause):
            return f"needs {cause}"
        case ApiValidationError():
            return "invalid"
        case ApiNetworkError(sent=sent):
            return "reset" if sent else "no connection"
        case TimeoutError():
            return "timeout"
        case None:
            return ""
        case _:
            return type(error).__name__
