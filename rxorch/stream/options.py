"""The settings of a stream, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from rxorch.errors import ApiConfigurationError
from rxorch_operators import ErrorMode, batch

if TYPE_CHECKING:
    from rxorch.ledger import Ledger

__all__ = ["Batches", "Order", "StreamOptions", "check_cap", "ledger_of"]

Order: TypeAlias = bool | Literal["key"]
Batches: TypeAlias = int | tuple[int, float]

_ERROR_MODES: Final = ("as_result", "fail_fast", "delay")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """See `APIOrchestrator.stream`."""

    ordered: Order = False
    key: Callable[[Any], Hashable] | None = None
    on_error: ErrorMode = "as_result"
    tolerated_failures: float | None = None
    batch: Batches | None = None
    ledger: Ledger | None = None
    resume: bool = False
    again: bool = False
    """Whether inputs whose record says "failed" are called again."""

    def __post_init__(self) -> None:
        self._check_order()
        if self.on_error not in _ERROR_MODES:
            raise ApiConfigurationError(f"on_error: give one of {', '.join(map(repr, _ERROR_MODES))}")
        if self.tolerated_failures is not None:
            _check_tolerance(self.tolerated_failures)
        if self.batch is not None:
            _check_batch(self.batch, in_ledger=self.ledger is not None)
        if self.resume and self.ledger is None:
            raise ApiConfigurationError("resume: it needs a ledger, which knows what was done")

    def _check_order(self) -> None:
        if self.key is not None and not callable(self.key):
            raise ApiConfigurationError("key: give a function of the input")
        if self.ordered == "key":
            if self.key is None:
                raise ApiConfigurationError("ordered='key': give key=, a function of the input, too")
        elif not isinstance(self.ordered, bool):
            raise ApiConfigurationError("ordered: give True, False or 'key'")


def ledger_of(given: str | PathLike[str] | Ledger | None) -> Ledger | None:
    """A ledger, or that of the file at a path."""
    if given is None:
        return None
    from rxorch.ledger import Ledger  # with it comes SQLite, which few need

    return given if isinstance(given, Ledger) else Ledger(given)


def check_cap(value: Any) -> int:
    """Refuses a cap that is none."""
    if type(value) is not int or value < 1:
        raise ApiConfigurationError("max_concurrent: give a whole number, 1 or more")
    return value


def _check_tolerance(value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return
    if isinstance(value, float) and 0.0 <= value <= 1.0:
        return
    raise ApiConfigurationError(
        "tolerated_failures: give a whole number of failures, or a fraction from 0.0 to 1.0"
    )


def _check_batch(value: Any, *, in_ledger: bool) -> None:
    size, within = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    timed = isinstance(within, int | float) and not isinstance(within, bool) and 0 < within < math.inf
    if type(size) is not int or size < 1 or not (within is None or timed):
        raise ApiConfigurationError(
            "batch: give a number of inputs, or a pair of it and the seconds after which a batch goes anyway"
        )
    if in_ledger and within is not None:
        raise ApiConfigurationError(
            "batch: batches by time differ from run to run, and a ledger could not know them again; "
            "give their size alone"
        )
    batch(size, within)
