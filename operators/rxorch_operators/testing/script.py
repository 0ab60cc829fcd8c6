"""What happens in one generated case: what sources do, what the consumer does, which callback fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .marbles import Event, MarbleError, write_marbles

__all__ = ["Case", "Consumer", "End", "Script", "SourceKind"]

End: TypeAlias = Literal["completed", "error", "cancelled", "never"]
SourceKind: TypeAlias = Literal["cold", "stage", "sync", "pull"]
"""A stock observable that pushes; the same as a lean stage; one that emits all while it is being subscribed;
one that emits only while there is demand."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a source does in one subscription.

    Args:
        gaps: Seconds before each element, whole ones.
        end: How it ends.
        last_gap: Seconds before the end.
    """

    gaps: tuple[int, ...] = ()
    end: End = "completed"
    last_gap: int = 0

    def events(self, first: int = 0) -> list[Event]:
        """The events, elements numbered from `first`."""
        found, at = [], 0
        for number, gap in enumerate(self.gaps):
            at += gap
            found.append(Event(float(at), "next", first + number))
        at += self.last_gap
        if self.end == "completed":
            found.append(Event(float(at), "completed"))
        elif self.end != "never":
            found.append(Event(float(at), "error", self.error()))
        return found

    def error(self) -> BaseException:
        """A new one, as it ends."""
        return asyncio.CancelledError() if self.end == "cancelled" else MarbleError()

    def __str__(self) -> str:
        return write_marbles(self.events(), names={n: str(n) for n in range(10)}) or "(never)"


@dataclass(frozen=True, slots=True)
class Consumer:
    """What the subscriber does.

    Args:
        lean: It attaches as a lean stage does, not as a user of `subscribe`.
        room: Elements that it can take at first; None for any number.
        openings: When it can take more, as (seconds, elements); in the end it can take any number.
        takes_more_inside: It asks for one more from inside of each `on_next`.
        dispose_at: Seconds at which it disposes.
        dispose_in: Number of the event, from 1, from inside of which it disposes.
        raises_in: Number of the element, from 1, at which its `on_next` raises.
    """

    lean: bool = False
    room: int | None = None
    openings: tuple[tuple[int, int], ...] = ()
    takes_more_inside: bool = False
    dispose_at: int | None = None
    dispose_in: int | None = None
    raises_in: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One generated case.

    Args:
        kind: Of which kind the source is.
        sources: What it does in its first subscription, its second one ...; the last one for all further.
        inners: What the observables and calls do that an operator makes for elements, in turn.
        consumer: What the subscriber does.
        fault: Number of the call of a user's function, from 1, that raises; None for none.
        second: Seconds after which a second subscriber comes; None for none.
        seed: For whatever asks for chance.
    """

    kind: SourceKind = "cold"
    sources: tuple[Script, ...] = (Script(),)
    inners: tuple[Script, ...] = (Script((1,)),)
    consumer: Consumer = Consumer()
    fault: int | None = None
    second: int | None = None
    seed: int = 0

    @property
    def plain(self) -> bool:
        """Whether nobody interferes: no disposal, no failing function, a consumer that takes all."""
        return self.undisturbed and self.consumer.room is None

    @property
    def undisturbed(self) -> bool:
        """Whether there is no disposal, and no function that fails."""
        who = self.consumer
        stays = who.dispose_at is None and who.dispose_in is None
        return stays and who.raises_in is None and self.fault is None
