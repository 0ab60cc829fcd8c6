"""What the parts of one subscription share: the means to stop reading, and why it was stopped."""

from __future__ import annotations

from typing import Any, Final, Protocol

from reactivex.abc import ObserverBase

from rxorch.errors import ApiError
from rxorch.stream.statistics import Tally
from rxorch_operators.core.stage import Link

__all__ = ["CLOSED", "Control", "Gate", "UnderWay"]

CLOSED: Final = "the client was closed while this stream was under way"


class UnderWay(Protocol):
    """A run, or what stands for it."""

    def abort(self, reason: str) -> None:
        """Ends it; its record follows."""


class Gate(Link):
    """Inputs pass it until it is shut; then the source has ended, for all behind it."""

    __slots__ = ("_control", "is_shut")

    def __init__(self, sink: ObserverBase[Any], control: Control) -> None:
        super().__init__(sink)
        self._control = control
        self.is_shut = False

    def shut(self) -> None:
        """As if the source had ended here."""
        if not self.is_shut:
            self.is_shut = True
            self.release()
            self.sink.on_completed()

    def on_error(self, error: Exception) -> None:
        self._control.stop(error)

    def on_completed(self) -> None:
        self.shut()


class Control:
    """One subscription of a stream.

    Args:
        tally: Counts for all subscriptions.
        began: When it began, by the clock of the subscription.

    Attributes:
        aborted: Why runs were cut off, None while they go on.
        error: With what the stream ends once all runs have; None for a good end.
        is_short: Whether the source was left, or failed, before its end.
    """

    __slots__ = ("aborted", "began", "error", "gate", "is_short", "tally", "under_way")

    def __init__(self, tally: Tally, began: float) -> None:
        self.tally = tally
        self.began = began
        self.aborted: str | None = None
        self.error: Exception | None = None
        self.is_short = False
        self.gate: Gate | None = None
        self.under_way: dict[UnderWay, object] = {}  # in the order in which they began

    def drain(self) -> None:
        """Reads no more; the runs under way end as they will, and then the stream ends well."""
        if self.gate is not None and not self.gate.is_shut:
            self.is_short = True
            self.gate.shut()

    def stop(self, error: Exception) -> None:
        """Reads no more; the runs under way end as they will, and then the stream ends with this error."""
        if self.error is None:
            self.error = error
            self.drain()

    def abort(self, reason: str, error: Exception) -> None:
        """Reads no more and ends the runs under way; each gives its record, with what is known.

        Inputs that a source has pushed already get their record without a run.
        """
        self.aborted = reason
        self.stop(error)
        self.cut(reason)

    def cut(self, reason: str) -> None:
        """Ends what is under way."""
        for each in tuple(self.under_way):
            each.abort(reason)

    def closed(self) -> None:
        """Ends the stream because its client is closed; the runs under way are ended after this."""
        self.abort(
            "the client was closed while this run was under way",
            ApiError(CLOSED),
        )
