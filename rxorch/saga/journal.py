"""Journal: where the runs of sagas are kept, so that they survive their process."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from rxorch.saga.records import (
    AuditEvent,
    Claim,
    Heard,
    Lease,
    NewRun,
    RunRecord,
    SagaState,
    Signal,
    StepRecord,
)

__all__ = ["Journal"]


@runtime_checkable
class Journal(Protocol):
    """Where the runs of sagas are kept. `MemoryJournal` and `SqliteJournal` are such; so may be your own.

    What an awaited method has written is durable when it returns, as far as the journal is durable at all,
    and was written whole: a record, its event and the change of the run are one transaction. Writes of one
    journal object happen in the order in which they were asked for.

    Times are seconds since 1970: processes that share a journal share no other clock. Leases make a wrong
    clock harmless: who writes shows the generation of its lease, and an older one than the newest is refused.

    Raises, all of them: `JournalError` when the journal cannot be read or written; nothing of it is in it.
    """

    async def open(self) -> None:
        """Makes it usable; harmless if it is."""

    async def aclose(self) -> None:
        """Writes what was given before, and lets go of it; harmless if it is closed."""

    # -- runs ------------------------------------------------------------------------------------------

    async def create(
        self, new: NewRun, owner: str, seconds: float, steps: Sequence[StepRecord] = ()
    ) -> tuple[Claim, bool]:
        """Begins a run, leased to `owner`; or finds the run of that id, which is not changed.

        Event: `run.started`, and then those of the steps.

        Args:
            new: The run.
            owner: Who is to drive it.
            seconds: How long the lease holds.
            steps: Steps that begin with the run. Of a run that was there they are not written.

        Returns:
            What is known of it, and whether it is new. Of a run that was there `lease` is its newest, whoever
            has it.
        """

    async def run(self, run_id: str) -> RunRecord | None:
        """A run, None if there is none of that id."""

    async def runs(
        self,
        saga: str | None = None,
        states: Collection[SagaState] | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
        newest_first: bool = False,
    ) -> list[RunRecord]:
        """Runs in the order in which they began, or the other way round, at most `limit`, after that of the
        id `after`.
        """

    async def count(self, saga: str | None = None, states: Collection[SagaState] | None = None) -> int:
        """How many runs there are."""

    async def steps(self, run_id: str) -> list[StepRecord]:
        """The steps of a run and their undoings, in the order in which they began."""

    async def history(self, run_id: str, after: int = 0) -> list[AuditEvent]:
        """The events of a run with numbers above `after`, in their order."""

    # -- leases ----------------------------------------------------------------------------------------

    async def unclaimed(self, saga: str, limit: int = 100) -> list[str]:
        """Ids of runs that are not over and that nobody has a lease for that still holds, oldest first."""

    async def claim(self, run_id: str, owner: str, seconds: float) -> Claim | None:
        """Takes the lease of a run for so many seconds, under the next generation. Event: `run.resumed`.

        Returns:
            None: it is over, or another owner has a lease that still holds.

        Raises:
            UnknownRunError: There is no such run.
        """

    async def renew(self, lease: Lease, seconds: float) -> Heard:
        """Has a lease hold for so many seconds from now.

        Raises:
            LeaseLostError: There is a newer one.
        """

    async def release(self, lease: Lease) -> None:
        """Gives a lease up; harmless if it is lost."""

    # -- what who drives a run writes ------------------------------------------------------------------

    def post(self, lease: Lease, step: StepRecord) -> None:
        """Writes a step without waiting for it: it is in the journal before whatever is written later.

        If it cannot be written, nobody is told; what cannot be lost is written by `write`.
        """

    async def write(
        self,
        lease: Lease,
        steps: Sequence[StepRecord] = (),
        state: SagaState | None = None,
        *,
        error: dict[str, str] | None = None,
        result_json: bytes | None = None,
        unless: SagaState | None = None,
    ) -> Heard:
        """Writes steps and, with `state`, the change of the run, in one transaction, with their events.

        With a state that is over the lease ends too. An `error` that is given is kept from then on. If the
        run is in the state `unless`, nothing is written, and what is returned says so.

        Raises:
            LeaseLostError: There is a newer lease. Nothing was written.
        """

    # -- what others write -----------------------------------------------------------------------------

    async def request_cancel(self, run_id: str, reason: str = "") -> RunRecord:
        """Turns RUNNING into CANCEL_REQUESTED; any other state stays. Event: `run.cancel_requested`.

        Raises:
            UnknownRunError: There is no such run.
        """

    async def signal(self, run_id: str, name: str, value_json: bytes) -> bool:
        """Tells a run something. The first of a name counts; another changes nothing. Event:
        `signal.received`.

        Returns:
            Whether it was the first of its name.

        Raises:
            UnknownRunError: There is no such run.
        """

    async def signals(self, run_id: str) -> list[Signal]:
        """What a run was told, the first of each name, in the order in which it came."""

    async def reopen(self, run_id: str) -> RunRecord:
        """Turns FAILED into COMPENSATING if it failed so, else into RUNNING, without a lease. Its failed
        steps are as if they had never begun, but for the count of their attempts. Event: `run.reopened`.

        Raises:
            UnknownRunError: There is no such run.
            SagaError: It is no dead letter.
        """

    # -- outbox ----------------------------------------------------------------------------------------

    async def outbox(self, limit: int = 100) -> list[AuditEvent]:
        """The events that were not acknowledged, in their order, at most `limit`."""

    async def acknowledge(self, numbers: Collection[int]) -> None:
        """Takes events out of the outbox; they stay in the history."""

    # -- what nobody needs any more --------------------------------------------------------------------

    async def prune(self, before: float, *, unpublished: bool = False) -> int:
        """Deletes runs that are completed or compensated, with all that was written of them. Dead letters
        stay. The id of a run that was deleted is free: who gives it again begins another run.

        Args:
            before: Runs of which nothing was written since, in seconds since 1970.
            unpublished: Also those of which an event was not acknowledged; it leaves the outbox, too.

        Returns:
            How many were deleted.
        """
