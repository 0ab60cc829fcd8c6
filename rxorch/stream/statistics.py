"""What a stream has done so far, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StreamStatistics", "Tally"]


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """A snapshot of a stream; all subscriptions of it together.

    At any time `read == in_flight + ok + failed + cancelled + skipped`, but for inputs that wait for their
    turn.

    Attributes:
        read: Inputs that were read, batches where there are batches.
        in_flight: Inputs of which the run has begun and the record was not given yet.
        ok: Records of runs in which nothing failed.
        failed: Records of the others, and of inputs that could not be read.
        cancelled: Records of runs that the end of the stream cut off.
        skipped: Inputs that the ledger has a record of already: they are not called again, and no record of
            them is given.
        repeated: Inputs that an earlier process had begun and not ended, called again with the same
            idempotency keys. They are counted among the others too.
        max_concurrent: The cap at this time.
    """

    read: int
    in_flight: int
    ok: int
    failed: int
    cancelled: int
    skipped: int
    repeated: int
    max_concurrent: int


class Tally:
    """The counts behind it."""

    __slots__ = ("cancelled", "failed", "in_flight", "ok", "read", "repeated", "skipped")

    def __init__(self) -> None:
        self.read = 0
        self.in_flight = 0
        self.ok = 0
        self.failed = 0
        self.cancelled = 0
        self.skipped = 0
        self.repeated = 0

    def snapshot(self, max_concurrent: int) -> StreamStatistics:
        """The counts at this time."""
        return StreamStatistics(
            self.read,
            self.in_flight,
            self.ok,
            self.failed,
            self.cancelled,
            self.skipped,
            self.repeated,
            max_concurrent,
        )
