"""Drive: one run in the hands of this process, from where it stands to its end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

from rxorch.endpoint import Caller
from rxorch.flow import FlowRun, OrchestrationResult, RunSettings
from rxorch.ledger.json_text import result_json
from rxorch.saga.journal import Journal
from rxorch.saga.keeper import Keeper
from rxorch.saga.records import Claim, Heard, SagaState, Signal, StepRecord, StepStatus
from rxorch.saga.steps import Definition, key_of
from rxorch.saga.undoing import Undoing
from rxorch_operators import last_of

if TYPE_CHECKING:
    from rxorch.saga.settings import SagaSettings

__all__ = ["Drive"]

T = TypeVar("T")

_NOTHING_NEW: Final = Heard(SagaState.RUNNING, 0)
_JITTER: Final = Random()
"""One for all runs: to seed one takes longer than to write a step."""

_DONE: Final = frozenset({StepStatus.COMPLETED})
_PERHAPS_DONE: Final = frozenset({StepStatus.COMPLETED, StepStatus.STARTED, StepStatus.UNKNOWN})
_SPREAD: Final = RunSettings(max_concurrent=10, fail_fast=False, total_timeout=None)


class Drive:
    """One run in the hands of this process.

    Args:
        definition: Of the saga.
        claim: What is known of the run, and the lease.
        journal: Where it is kept.
        caller: Makes the calls.
        settings: Of the saga.
        told: Called after each write: there is something to see.
        asked_at: When the lease was asked for, on the clock of the loop: it may have run out before it came.
        is_new: Whether the run has just begun, for this drive.

    Attributes:
        steps: What is known of each step and each undoing.
        begun: Steps that were written as begun together with the run, and are not made yet.
        now: The time of the day, in seconds since 1970.
        reason: Why no further step begins; None while the run goes forward.
        error: Why the run does not go forward, as the journal has it.
        is_leaving: Whether this process lets go of the run: what was begun is ended, nothing else begins.
        result_json: Of a run that was completed here.
        gone: Set when this process drives it no more.
    """

    def __init__(
        self,
        definition: Definition,
        claim: Claim,
        journal: Journal,
        caller: Caller,
        settings: SagaSettings,
        told: Callable[[str], None],
        *,
        asked_at: float,
        is_new: bool = False,
    ) -> None:
        self.definition = definition
        self.run = claim.run
        self.lease = claim.lease
        self.journal = journal
        self.caller = caller
        self.settings = settings
        self.steps = {(each.step, each.undo): each for each in claim.steps}
        self.begun = {each.step: each for each in claim.steps} if is_new else {}
        self.signals: dict[str, Signal] = {each.name: each for each in claim.signals}
        self.reason: dict[str, str] | None = None
        self.error = claim.run.error
        self.is_cancelled = claim.run.state is SagaState.CANCEL_REQUESTED
        self.failures: list[StepRecord] = []
        self.held: StepRecord | None = None
        self.result_json: bytes | None = None
        self.lost: Exception | None = None
        self.is_undoing = claim.run.state is SagaState.COMPENSATING
        self.now = settings.now
        self.random = _JITTER
        self._told = told
        self.gone = asyncio.Event()
        self._changed = asyncio.Event()
        self._ended: list[StepRecord] = []
        self._notes: set[asyncio.Future[None]] = set()
        """Writes of ends that are under way: those of others, which begin a step, too."""
        self._place = max((max(each.began, each.ended or 0) for each in claim.steps), default=0)
        self._sure_until = asked_at + settings.lease * 0.8
        self.is_leaving = False
        self._heed_cancellation()

    # -- what steps need -------------------------------------------------------------------------------

    def place(self) -> int:
        """The next place among beginnings and ends."""
        self._place += 1
        return self._place

    @property
    def is_past_pivot(self) -> bool:
        """Whether there is no way back."""
        return self._has_pivot(_DONE)

    @property
    def is_at_pivot(self) -> bool:
        """Whether a pivot was begun, and for all that is known it may have succeeded."""
        return self._has_pivot(_PERHAPS_DONE)

    def _has_pivot(self, statuses: frozenset[StepStatus]) -> bool:
        records = (
            self.steps.get((name, False))
            for name, step in self.definition.steps.items()
            if step.pivot and name not in self.begun
        )
        return any(record is not None and record.status in statuses for record in records)

    def _heed_cancellation(self) -> None:
        """Turns back, unless the way back is closed, or may be: then it goes on, and the pivot decides."""
        if self.is_cancelled and not self.is_at_pivot:
            self.stop({"type": "cancelled", "message": "its cancellation was requested"})

    def key(self, name: str, *, undo: bool = False) -> str:
        """The idempotency key of a step or of its undoing."""
        return key_of(self.run.run_id, name, undo=undo)

    def headers(self) -> dict[str, str]:
        """Of the requests of a step: the workflow id, and the trace with a span of its own."""
        headers = {"traceparent": f"00-{self.run.trace_id}-{secrets.token_hex(8)}-01"}
        if self.settings.workflow_header is not None:
            headers[self.settings.workflow_header] = self.run.run_id
        return headers

    def stop(self, reason: dict[str, str]) -> None:
        """No further step begins."""
        if self.reason is None:
            self.reason = reason
            self._changed.set()

    def leave(self) -> None:
        """This process lets go of the run."""
        self.is_leaving = True
        self._changed.set()

    async def wait(self, seconds: float | None) -> None:
        """Waits for the time, or for something that happens to the run."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def pause(self, seconds: float) -> bool:
        """Waits for the time before a step is repeated. False: it is not to be repeated."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not (
            self.is_leaving or self.lost is not None or (self.reason is not None and not self.is_undoing)
        ):
            left = until - loop.time()
            if left <= 0:
                return True
            await self.wait(left)
        return False

    # -- the journal -----------------------------------------------------------------------------------

    @property
    def is_sure(self) -> bool:
        """Whether the lease surely holds; else it is renewed before something is sent on its strength."""
        return asyncio.get_running_loop().time() <= self._sure_until

    async def renew(self) -> None:
        """Renews the lease, and hears what others did with the run."""
        began = asyncio.get_running_loop().time()
        heard = await self._guarded(self.journal.renew(self.lease, self.settings.lease))
        self._sure_until = began + self.settings.lease * 0.8
        await self.hear(heard)

    def post(self, record: StepRecord) -> None:
        """Notes that a step begins."""
        self.steps[record.step, record.undo] = record
        try:
            self.journal.post(self.lease, record)
        except Exception as error:
            self._lose(error)
            raise

    def note(self, record: StepRecord) -> None:
        """Writes the end of a step, or that it is skipped: together with the beginning of the next one, or in
        the background.
        """
        self.steps[record.step, record.undo] = record
        if not self._ended:
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._write_ended)  # in the next turn the next step begins
        self._ended.append(record)

    def _write_ended(self) -> None:
        if self._ended:  # else a write took them along
            task = asyncio.ensure_future(self._noted())
            self._notes.add(task)
            task.add_done_callback(self._notes.discard)

    async def _noted(self) -> None:
        if self._ended:
            with suppress(Exception):  # `lost` says so
                await self.write()

    async def _all_noted(self) -> None:
        self._write_ended()
        if self._notes:
            await asyncio.wait(self._notes)

    @property
    def is_settled(self) -> bool:
        """Whether all ends of steps are written."""
        return self.lost is None and not self._ended and not self._notes

    async def settled(self) -> None:
        """Waits until all ends of steps are written; raises if one could not be."""
        await self._all_noted()
        if self.lost is not None:
            raise self.lost

    async def write(
        self,
        *records: StepRecord,
        state: SagaState | None = None,
        error: dict[str, str] | None = None,
        result: bytes | None = None,
        unless: SagaState | None = None,
    ) -> Heard:
        """Writes steps and the change of the run together; nothing if the run is in the state `unless`."""
        carried: asyncio.Future[None] | None = None
        if state is None and self._ended:
            records = (*self._ended, *records)
            self._ended.clear()
            carried = asyncio.get_running_loop().create_future()
            self._notes.add(carried)
        try:
            heard = await self.journal.write(
                self.lease, records, state, error=error, result_json=result, unless=unless
            )
        except Exception as failed:
            self._lose(failed)
            raise
        finally:
            if carried is not None:
                self._notes.discard(carried)
                carried.set_result(None)
        for record in records:
            self.steps[record.step, record.undo] = record
        if heard.state is SagaState.COMPLETED:
            self.result_json = result
        self._told(self.run.run_id)
        if state is None and heard != _NOTHING_NEW:
            await self.hear(heard)
        return heard

    async def _guarded(self, asked: Awaitable[T]) -> T:
        """What the journal answers. An error of it is none of the step that is being made."""
        try:
            return await asked
        except Exception as error:
            self._lose(error)
            raise

    def _lose(self, error: Exception) -> None:
        """The run is not in our hands any more, or cannot be written: nothing else begins."""
        self.lost = self.lost or error
        self.stop({"type": type(error).__name__, "message": "the journal could not be written"})
        self._changed.set()  # for who waits between two tries of an undoing, which has a reason already

    async def hear(self, heard: Heard) -> None:
        """Takes note of what others have written."""
        if heard.state is SagaState.CANCEL_REQUESTED:
            self.is_cancelled = True
            self._heed_cancellation()
        if heard.signals > len(self.signals):
            await self.look_for_signals()

    async def look_for_signals(self) -> None:
        """Reads the signals anew."""
        found = await self._guarded(self.journal.signals(self.run.run_id))
        self.signals = {each.name: each for each in found}
        self._changed.set()

    # -- the run ---------------------------------------------------------------------------------------

    async def go(self) -> None:
        """Drives the run to its end.

        Raises:
            LeaseLostError: Somebody else drives it now.
            JournalError: The journal could not be written. The run can be resumed.
        """
        if not self.is_undoing:
            await self._forward()
        if self.is_undoing:
            await Undoing(self).go()

    async def _forward(self) -> None:
        result: OrchestrationResult | None = None
        if self.reason is None or self.begun:  # of what is not made the keeper tells that it is not
            keeper = Keeper(self)
            run = FlowRun(
                self.definition.plan, self.run.input, self.caller, _SPREAD, keeper=keeper,
                idempotency=self.key, headers=self.headers(),
            )  # fmt: skip
            try:
                result = await last_of(run)
            finally:
                await self._all_noted()
        if self.lost is not None:
            raise self.lost
        if self.reason is None and result is not None and not result.ok:
            self.stop(_first_error(result))  # a condition that raised, or what no step has told
        if self.reason is not None:
            await self._turn_back()
            return
        assert result is not None
        held = () if self.held is None else (self.held,)
        for record in held:
            self.steps[record.step, False] = record
        kept = result_json(result.value)
        # A request to cancel that nobody has heard of yet is not to be written over.
        unless = None if self.is_at_pivot else SagaState.CANCEL_REQUESTED
        heard = await self.write(
            *held, state=SagaState.COMPLETED, result=b"null" if kept is None else kept, unless=unless
        )
        if heard.state is not SagaState.COMPLETED:
            await self.hear(heard)
            if self.lost is not None:  # meanwhile: that is no reason to turn back
                raise self.lost
            await self._turn_back()

    async def _turn_back(self) -> None:
        """Begins to undo; behind the pivot there is nothing but a dead letter."""
        records = list(self.failures)
        if self.held is not None:
            records.append(self.held)
        for record in records:
            self.steps[record.step, False] = record
        if self.is_at_pivot:
            await self.write(*records, state=SagaState.FAILED, error=self.reason)
            return
        await self.write(*records, state=SagaState.COMPENSATING, error=self.reason)
        self.error = self.reason
        self.is_undoing = True


def _first_error(result: OrchestrationResult) -> dict[str, str]:
    for name, error in result.errors.items():
        return {"step": name, "type": type(error).__name__, "message": str(error)}
    return {"type": "SagaError", "message": "the run did not end well"}
