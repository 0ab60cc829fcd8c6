"""What a step that failed has done: whether it may have had an effect, and what is kept of its error."""

from __future__ import annotations

from typing import Any

from rxorch.endpoint import Call
from rxorch.errors import ApiHttpError, ApiNetworkError, ApiValidationError
from rxorch.ledger.json_text import input_json
from rxorch.saga.calling import CutOffError

__all__ = ["NoJsonError", "described", "is_hopeless", "kept", "may_have_acted"]


class NoJsonError(ApiValidationError):
    """A step has succeeded with what JSON cannot hold."""


def kept(value: Any, name: str) -> bytes:
    """The result of a step as it is kept.

    Raises:
        NoJsonError: JSON cannot hold it.
    """
    try:
        return input_json(value, f"the result of step {name!r}", "the journal")
    except ApiValidationError as error:
        raise NoJsonError(error.message, endpoint=name) from error.__cause__


def may_have_acted(error: Exception, call: Any) -> bool:
    """Whether a step that failed may have had an effect all the same.

    It has had none if nothing was sent, or if all that was sent was refused: answered 4xx. Of a function only
    its error is known: it counts as none, but for those that say that something was sent or not waited for.

    Args:
        error: What failed it.
        call: The facts of the call.
    """
    if isinstance(call, Call):
        if call.sends != call.answered or call.changed:
            return call.sends > 0
        return call.sends > 0 and not all(map(_is_refusal, (*call.failures, error)))
    if isinstance(error, ApiNetworkError):
        return error.sent
    if isinstance(error, ApiHttpError):
        return not _is_refusal(error)
    return isinstance(error, TimeoutError | ConnectionError | NoJsonError | CutOffError)


def is_hopeless(error: Exception, call: Any) -> bool:
    """Whether no request can be made of what an endpoint is called with: it is the same the next time."""
    return isinstance(error, ApiValidationError) and isinstance(call, Call) and call.sends == 0


def _is_refusal(error: Exception | None) -> bool:
    """Ours before anything was sent, or that of the server."""
    if isinstance(error, ApiNetworkError):
        return not error.sent
    return isinstance(error, ApiHttpError) and (error.status_code is None or 400 <= error.status_code < 500)


def described(error: BaseException) -> dict[str, str]:
    """Type and message of an error."""
    return {"type": type(error).__name__, "message": str(error)}
