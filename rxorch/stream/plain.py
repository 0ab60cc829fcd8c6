"""What is written of inputs and errors, in ledgers and files alike."""

from __future__ import annotations

from typing import Any

from rxorch.sources import BadInput

__all__ = ["described", "place_of"]


def described(error: BaseException | None) -> dict[str, str] | None:
    """Type and message of an error; None without one. A message that cannot be had is empty."""
    if error is None:
        return None
    try:
        message = str(error)
    except Exception:
        message = ""
    return {"type": type(error).__name__, "message": message}


def place_of(given: Any) -> Any:
    """An input as it is, and one that could not be read as its `source` and `line`."""
    return {"source": given.source, "line": given.line} if isinstance(given, BadInput) else given
