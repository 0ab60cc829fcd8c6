"""MemoryJournal: a journal that ends with its process."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from types import TracebackType
from typing import Any

from rxorch.saga import audit
from rxorch.saga.errors import JournalError, LeaseLostError, SagaError, UnknownRunError
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
    StepStatus,
)

__all__ = ["MemoryJournal"]


@dataclass(slots=True)
class _Kept:
    """A run, and all that belongs to it."""

    run: RunRecord
    place: int
    events: list[AuditEvent] = field(default_factory=list)
    steps: dict[tuple[str, bool], StepRecord] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    before: dict[tuple[str, bool], tuple[int, int | None]] = field(default_factory=dict)
    """Attempts before a reopening, and the generation that counts anew because it does not know of them."""


class MemoryJournal:
    """A `Journal` without a file, for tests and trials; it ends with its process.

    What is in it stays when it is closed, so that a test may open it again, as after a restart.

    Args:
        now: The time of the day, in seconds since 1970.

    >>> import asyncio
    >>> from rxorch.saga import MemoryJournal, NewRun
    >>> async def main():
    ...     async with MemoryJournal() as journal:
    ...         claim, is_new = await journal.create(NewRun("order-1", "order", "v1", b"{}"), "me", 30.0)
    ...         return claim.run.state.value, is_new
    >>> asyncio.run(main())
    ('running', True)
    """

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._numbers = count(1)
        self._places = count()
        self._unsent: dict[int, AuditEvent] = {}
        self._is_open = False

    async def open(self) -> None:
        """Makes it usable; harmless if it is."""
        self._is_open = True

    async def aclose(self) -> None:
        """Makes it unusable; harmless if it is. What is in it stays."""
        self._is_open = False

    async def __aenter__(self) -> MemoryJournal:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"MemoryJournal(<{len(self._kept)} runs>)"

    # -- runs ------------------------------------------------------------------------------------------

    async def create(
        self, new: NewRun, owner: str, seconds: float, steps: Sequence[StepRecord] = ()
    ) -> tuple[Claim, bool]:
        """See `Journal`."""
        kept = self._all().get(new.run_id)
        if kept is not None:
            return _claim(kept), False
        now = self._now()
        run = RunRecord(
            run_id=new.run_id,
            saga=new.saga,
            fingerprint=new.fingerprint,
            state=SagaState.RUNNING,
            input_json=new.input_json,
            result_json=None,
            error=None,
            trace_id=new.trace_id,
            began=now,
            changed=now,
            generation=1,
            owner=owner,
            leased_until=now + seconds,
        )
        kept = self._kept[new.run_id] = _Kept(run, next(self._places))
        self._tell(kept, audit.STARTED, {"generation": 1})
        claim = _claim(kept)
        for step in steps:
            self._keep(kept, claim.lease, step)
        return _claim(kept) if steps else claim, True

    async def run(self, run_id: str) -> RunRecord | None:
        """See `Journal`."""
        kept = self._all().get(run_id)
        return None if kept is None else kept.run

    async def runs(
        self,
        saga: str | None = None,
        states: Collection[SagaState] | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
        newest_first: bool = False,
    ) -> list[RunRecord]:
        """See `Journal`. Raises `UnknownRunError` if there is no run of the id `after`."""
        kept = self._all().values()
        place = None if after is None else self._known(after).place
        in_order = reversed(kept) if newest_first else iter(kept)
        runs = (
            each.run
            for each in in_order
            if place is None or (each.place < place if newest_first else each.place > place)
        )
        return list(islice((run for run in runs if _is_wanted(run, saga, states)), max(0, limit)))

    async def count(self, saga: str | None = None, states: Collection[SagaState] | None = None) -> int:
        """See `Journal`."""
        return sum(_is_wanted(kept.run, saga, states) for kept in self._all().values())

    async def steps(self, run_id: str) -> list[StepRecord]:
        """See `Journal`."""
        kept = self._all().get(run_id)
        return [] if kept is None else _in_order(kept)

    async def signals(self, run_id: str) -> list[Signal]:
        """See `Journal`."""
        kept = self._all().get(run_id)
        return [] if kept is None else list(kept.signals.values())

    async def history(self, run_id: str, after: int = 0) -> list[AuditEvent]:
        """See `Journal`."""
        kept = self._all().get(run_id)
        return [] if kept is None else [event for event in kept.events if event.number > after]

    # -- leases ----------------------------------------------------------------------------------------

    async def unclaimed(self, saga: str, limit: int = 100) -> list[str]:
        """See `Journal`."""
        now = self._now()
        runs = (kept.run for kept in self._all().values())
        free = (
            run.run_id
            for run in runs
            if run.saga == saga and not run.state.is_over and (run.owner is None or run.leased_until <= now)
        )
        return list(islice(free, max(0, limit)))

    async def claim(self, run_id: str, owner: str, seconds: float) -> Claim | None:
        """See `Journal`."""
        kept = self._known(run_id)
        run = kept.run
        now = self._now()
        if run.state.is_over or (run.owner not in (None, owner) and run.leased_until > now):
            return None
        generation = run.generation + 1
        kept.run = replace(run, generation=generation, owner=owner, leased_until=now + seconds)
        self._tell(kept, audit.RESUMED, {"generation": generation})
        return _claim(kept)

    async def renew(self, lease: Lease, seconds: float) -> Heard:
        """See `Journal`."""
        kept = self._held(lease)
        if not kept.run.state.is_over:
            kept.run = replace(kept.run, owner=lease.owner, leased_until=self._now() + seconds)
        return _heard(kept)

    async def release(self, lease: Lease) -> None:
        """See `Journal`."""
        kept = self._all().get(lease.run_id)
        if kept is not None and kept.run.generation == lease.generation:
            kept.run = replace(kept.run, owner=None, leased_until=0.0)

    # -- what who drives a run writes ------------------------------------------------------------------

    def post(self, lease: Lease, step: StepRecord) -> None:
        """See `Journal`."""
        kept = self._all().get(lease.run_id)
        if kept is not None and kept.run.generation == lease.generation:
            self._keep(kept, lease, step)

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
        """See `Journal`. Raises `LeaseLostError` also if the run is over and `state` is another one."""
        event = None if state is None else audit.state_event(state, error)
        kept = self._held(lease)
        was = kept.run.state
        if was is unless:
            return _heard(kept)
        if state is not None and was.is_over and state is not was:
            raise LeaseLostError(f"the run {lease.run_id!r} is over, and its lease with it")
        for step in steps:
            self._keep(kept, lease, step)
        if error is not None:
            kept.run = replace(kept.run, error=dict(error))
        if result_json is not None:
            kept.run = replace(kept.run, result_json=result_json)
        if state is not None and event is not None and state is not was:
            kept.run = replace(kept.run, state=state)
            if state.is_over:
                failed_so = state is SagaState.FAILED and was is SagaState.COMPENSATING
                kept.run = replace(kept.run, owner=None, leased_until=0.0, was_compensating=failed_so)
            self._tell(kept, *event)
        return _heard(kept)

    # -- what others write -----------------------------------------------------------------------------

    async def request_cancel(self, run_id: str, reason: str = "") -> RunRecord:
        """See `Journal`."""
        kept = self._known(run_id)
        if kept.run.state is SagaState.RUNNING:
            kept.run = replace(kept.run, state=SagaState.CANCEL_REQUESTED)
            self._tell(kept, audit.CANCEL_REQUESTED, {"reason": reason})
        return kept.run

    async def signal(self, run_id: str, name: str, value_json: bytes) -> bool:
        """See `Journal`."""
        kept = self._known(run_id)
        if name in kept.signals:
            return False
        kept.signals[name] = Signal(name, value_json, self._now())
        self._tell(kept, audit.SIGNAL_RECEIVED, {"name": name})
        return True

    async def reopen(self, run_id: str) -> RunRecord:
        """See `Journal`."""
        kept = self._known(run_id)
        if kept.run.state is not SagaState.FAILED:
            raise SagaError(f"the run {run_id!r} is no dead letter: it is {kept.run.state.value}")
        state = SagaState.COMPENSATING if kept.run.was_compensating else SagaState.RUNNING
        kept.run = replace(kept.run, state=state, owner=None, leased_until=0.0, was_compensating=False)
        for place, step in tuple(kept.steps.items()):
            if step.status is StepStatus.FAILED:
                del kept.steps[place]
                kept.before[place] = (step.attempt, None)
        self._tell(kept, audit.REOPENED, {})
        return kept.run

    # -- outbox ----------------------------------------------------------------------------------------

    async def outbox(self, limit: int = 100) -> list[AuditEvent]:
        """See `Journal`."""
        self._all()
        return list(islice(self._unsent.values(), max(0, limit)))

    async def acknowledge(self, numbers: Collection[int]) -> None:
        """See `Journal`."""
        self._all()
        for number in numbers:
            self._unsent.pop(number, None)

    async def prune(self, before: float, *, unpublished: bool = False) -> int:
        """See `Journal`."""
        pruned = [
            kept
            for kept in self._all().values()
            if kept.run.state in (SagaState.COMPLETED, SagaState.COMPENSATED)
            and kept.run.changed < before
            and (unpublished or not any(event.number in self._unsent for event in kept.events))
        ]
        for kept in pruned:
            del self._kept[kept.run.run_id]
            await self.acknowledge([event.number for event in kept.events])
        return len(pruned)

    # -- inside ----------------------------------------------------------------------------------------

    def _all(self) -> dict[str, _Kept]:
        if not self._is_open:
            raise JournalError("the journal is not open: `async with journal:`, or await journal.open()")
        return self._kept

    def _known(self, run_id: str) -> _Kept:
        kept = self._all().get(run_id)
        if kept is None:
            raise UnknownRunError(f"there is no run {run_id!r} in the journal")
        return kept

    def _held(self, lease: Lease) -> _Kept:
        kept = self._all().get(lease.run_id)
        if kept is None or kept.run.generation != lease.generation:
            raise LeaseLostError(f"the run {lease.run_id!r} is driven by somebody else now")
        return kept

    def _keep(self, kept: _Kept, lease: Lease, step: StepRecord) -> None:
        place = (step.step, step.undo)
        if place in kept.before:
            attempts, generation = kept.before[place]
            if generation is None:
                generation = lease.generation
                kept.before[place] = (attempts, generation)
            if generation == lease.generation:
                step = replace(step, attempt=attempts + step.attempt)
        if step.error is not None:
            step = replace(step, error=dict(step.error))  # what the caller does with it later is not kept
        kept.steps[place] = step
        self._tell(kept, *audit.step_event(step))

    def _tell(self, kept: _Kept, kind: str, data: dict[str, Any]) -> None:
        now = self._now()
        kept.run = replace(kept.run, changed=now)
        event = AuditEvent(next(self._numbers), kept.run.run_id, kept.run.saga, now, kind, data)
        kept.events.append(event)
        self._unsent[event.number] = event


def _is_wanted(run: RunRecord, saga: str | None, states: Collection[SagaState] | None) -> bool:
    return (saga is None or run.saga == saga) and (states is None or run.state in states)


def _in_order(kept: _Kept) -> list[StepRecord]:
    return sorted(kept.steps.values(), key=lambda step: (step.began, step.step, step.undo))


def _claim(kept: _Kept) -> Claim:
    run = kept.run
    lease = Lease(run.run_id, run.owner or "", run.generation)
    return Claim(lease, run, tuple(_in_order(kept)), tuple(kept.signals.values()))


def _heard(kept: _Kept) -> Heard:
    return Heard(kept.run.state, len(kept.signals))
