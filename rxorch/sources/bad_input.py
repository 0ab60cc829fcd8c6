"""BadInput: what stands in the place of an input that could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from rxorch.errors import ApiValidationError

__all__ = ["BadInput"]


@dataclass(frozen=True, slots=True)
class BadInput:
    """An input that could not be read. A stream makes a failed record of it, without a call.

    Attributes:
        source: Name of the file or queue.
        line: Where in it, from 1; None where there are no lines.
        error: What is wrong; it names the place and shows nothing of the content.

    >>> str(BadInput("orders.jsonl", 17, ApiValidationError("not JSON")))
    'orders.jsonl:17'
    """

    source: str
    line: int | None
    error: ApiValidationError

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"
