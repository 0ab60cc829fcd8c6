"""Keeper: makes the steps of a flow so that they are in the journal, and those that are there already not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json
from reactivex.abc import DisposableBase

from rxorch.endpoint import APIEndpoint, Call
from rxorch.errors import ApiTimeoutError
from rxorch.flow.plan import CallPlan
from rxorch.flow.state import RunState
from rxorch.ledger.json_text import input_json
from rxorch.saga.calling import FactsKept, SagaStep, called
from rxorch.saga.effects import described, is_hopeless, kept, may_have_acted
from rxorch.saga.errors import SagaError
from rxorch.saga.records import StepRecord, StepStatus
from rxorch.saga.steps import Local, Step
from rxorch_operators import last_of
from rxorch_operators.core.async_call import AsyncCall
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.engines.backoff import RetryState

if TYPE_CHECKING:
    from rxorch.saga.drive import Drive

__all__ = ["Keeper", "StoppedError"]

_BEGUN: Final = frozenset(
    {StepStatus.STARTED, StepStatus.WAITING, StepStatus.COMPLETED, StepStatus.UNKNOWN, StepStatus.FAILED}
)
_IN_DOUBT: Final = frozenset({StepStatus.STARTED, StepStatus.UNKNOWN})


class StoppedError(SagaError):
    """A step was not begun, or not waited for, because its run is turning back."""


class _Facts:
    """What is known of a step that is no call of an endpoint."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.degraded = False
        self.cached = False
        self.stale = False
        self.attempts = 0
        self.status = "running"


class Keeper:
    """The steps of one run, as its `Drive` wants them made."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._left = len(drive.definition.plan.names)
        self._perhaps: set[str] = set()
        """Steps that may have had an effect, though they have not succeeded."""

    # -- what was decided before -----------------------------------------------------------------------

    def chosen(self, then: Sequence[str], otherwise: Sequence[str]) -> bool | None:
        """Which way a choice went: to the side of which a step was begun, or else from the one that was
        skipped first. All steps of the other may have been skipped since, by conditions of their own.
        """
        for names, answer in ((then, True), (otherwise, False)):
            if any(self._status(name) in _BEGUN for name in names):
                return answer
        left = [(self._left_at(names), answer) for names, answer in ((then, False), (otherwise, True))]
        known = [(place, answer) for place, answer in left if place is not None]
        return min(known)[1] if known else None

    def _left_at(self, names: Sequence[str]) -> int | None:
        """At which place all these steps began to be skipped; None: they were not."""
        records = [self._drive.steps.get((name, False)) for name in names]
        places = [each.began for each in records if each is not None and each.status is StepStatus.SKIPPED]
        return min(places) if places and len(places) == len(names) else None

    def _status(self, name: str) -> StepStatus | None:
        record = self._drive.steps.get((name, False))
        return None if record is None else record.status

    def holds(self, name: str) -> bool | None:
        """What a condition said: no step begins whose condition does not hold."""
        record = self._drive.steps.get((name, False))
        return None if record is None else record.status is not StepStatus.SKIPPED

    def skipped(self, name: str) -> None:
        """Notes that a step is not made, because of a condition or a choice."""
        drive = self._drive
        self._left -= 1
        if (name, False) not in drive.steps and drive.reason is None:
            place, now = drive.place(), drive.now()
            record = StepRecord(
                name, undo=False, status=StepStatus.SKIPPED, attempt=0, key=drive.key(name), began=place,
                ended=place, began_at=now, ended_at=now,
            )  # fmt: skip
            drive.note(record)

    # -- making a step ---------------------------------------------------------------------------------

    def start(
        self, plan: CallPlan, data: Any, run: RunState, link: Any, scheduler: DemandScheduler
    ) -> DisposableBase:
        """Makes a step."""
        step = self._drive.definition.steps[plan.endpoint.name]
        work = self._made(step, data, run, link, scheduler)
        return AsyncCall(work, link, scheduler.tasks, scheduler.context.copy())

    async def _made(self, step: Step, data: Any, run: RunState, link: Any, scheduler: DemandScheduler) -> Any:
        drive = self._drive
        try:
            link.call = self._facts(step, data, run)
        except Exception as error:
            self._failed(step.name, error)
            raise
        known = drive.steps.get((step.name, False))
        if known is not None and known.status is StepStatus.COMPLETED:
            self._left -= 1
            link.call.attempts, link.call.value = known.attempt, known.output
            return known.output
        try:
            record = await self._tried(step, data, run, link, scheduler, known)
        except StoppedError as error:
            self._not_made(step.name, error)
            raise
        except Exception as error:
            self._failed(step.name, error)
            raise
        self._left -= 1
        # The last step and the end of the run are written together.
        if self._left == 0 and drive.reason is None and not drive.failures:
            drive.held = record
        else:
            drive.note(record)
        link.call.attempts, link.call.value = record.attempt, record.output
        return link.call.value

    def _facts(self, step: Step, data: Any, run: RunState) -> Any:
        leaf: APIEndpoint | Local = step.endpoint
        return _Facts() if isinstance(leaf, Local) else Call(self._drive.caller.runtime(leaf), data, run)

    def failed(self, name: str, error: Exception) -> None:
        """The condition in front of a step has raised."""
        if self._drive.reason is None:  # else it was not to be asked
            self._failed(name, error)

    def _not_made(self, name: str, error: StoppedError) -> None:
        """A step may be written as begun that is not made any more, or that was made before."""
        begun = self._drive.steps.get((name, False))
        if begun is not None and begun.status is StepStatus.STARTED:
            self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> None:
        drive = self._drive
        if drive.lost is not None:
            return
        begun = drive.steps.get((name, False))
        status = StepStatus.UNKNOWN if name in self._perhaps else StepStatus.FAILED
        if begun is None or begun.status is StepStatus.SKIPPED:  # refused before it was begun
            place = drive.place()
            begun = StepRecord(
                name, undo=False, status=status, attempt=0, key=drive.key(name), began=place,
                began_at=drive.now(),
            )  # fmt: skip
        ended = drive.place()
        record = replace(begun, status=status, ended=ended, ended_at=drive.now(), error=described(error))
        drive.failures.append(record)
        drive.stop({"step": name, **described(error)})

    async def _tried(
        self,
        step: Step,
        data: Any,
        run: RunState,
        link: Any,
        scheduler: DemandScheduler,
        known: StepRecord | None,
    ) -> StepRecord:
        """Makes a step until it succeeds, or may not be made again."""
        drive = self._drive
        leaf = step.endpoint
        if step.name in drive.begun:
            known = None
        elif known is not None and known.status in _IN_DOUBT:
            self._perhaps.add(step.name)
        self._check_going()
        if isinstance(leaf, Local) and leaf.action is None:
            return await self._waited(leaf, known)
        if known is None or known.input_json is None:
            sent = input_json(data, f"the input of step {step.name!r}", "the journal")
        else:  # the same key is the same request, whatever a function makes of it now
            sent, data = known.input_json, known.input
            link.call = _renewed(link.call, data, run)
        loop = asyncio.get_running_loop()
        state = RetryState(drive.settings.recovery, drive.random, loop.time())
        attempt = 0 if known is None else known.attempt
        while True:
            attempt += 1
            record = await self._begun(step, attempt, sent)
            try:
                output = kept(await self._once(step, run, link.call, scheduler, record), step.name)
            except Exception as error:
                if may_have_acted(error, link.call):
                    self._perhaps.add(step.name)
                pause = None if is_hopeless(error, link.call) else self._pause(step, error, state)
                if pause is None or not await drive.pause(pause):
                    raise
                link.call = _renewed(link.call, data, run)
                continue
            return replace(
                record, status=StepStatus.COMPLETED, ended=drive.place(), ended_at=drive.now(),
                output_json=output,
            )  # fmt: skip

    async def _begun(self, step: Step, attempt: int, sent: bytes) -> StepRecord:
        """Notes that a step begins: who finds the run after a crash has to know what may have been done."""
        drive = self._drive
        if not drive.is_sure:
            await drive.renew()
        self._check_going()
        begun = drive.begun.pop(step.name, None)
        if begun is not None:  # with its input, which is that of the run
            return begun
        record = StepRecord(
            step.name, undo=False, status=StepStatus.STARTED, attempt=attempt, key=drive.key(step.name),
            began=drive.place(), input_json=sent, began_at=drive.now(),
        )  # fmt: skip
        await drive.write(record)
        if not drive.is_settled:
            await drive.settled()
        self._check_going()
        return record

    def _check_going(self) -> None:
        if self._drive.reason is not None:
            raise StoppedError("the run is turning back")

    def _pause(self, step: Step, error: Exception, state: RetryState) -> float | None:
        """Seconds until a step that failed is made again; None: it is not."""
        drive = self._drive
        in_doubt = step.pivot and step.name in self._perhaps
        if drive.reason is not None or not (step.retriable or in_doubt or drive.is_past_pivot):
            return None
        now = asyncio.get_running_loop().time()
        return state.next_delay(now, hint=getattr(error, "retry_after", None))

    async def _once(
        self, step: Step, run: RunState, facts: Any, scheduler: DemandScheduler, record: StepRecord
    ) -> Any:
        if isinstance(facts, Call):
            return await last_of(FactsKept(facts), scheduler=scheduler)
        leaf = step.endpoint
        assert isinstance(leaf, Local)
        assert leaf.action is not None
        facts.attempts += 1
        about = SagaStep(self._drive.run.run_id, step.name, record.key, record.attempt)
        return await called(leaf.action, about, from_json(record.input_json or b"null"), run.context)

    async def _waited(self, leaf: Local, known: StepRecord | None) -> StepRecord:
        """A step that is over when its time has passed, or its signal has come."""
        drive = self._drive
        if known is not None and known.status is StepStatus.WAITING:
            record = known
        else:
            now = drive.now()
            due = None if leaf.seconds is None else now + leaf.seconds
            attempt = 1 if known is None else known.attempt + 1
            record = StepRecord(
                leaf.name, undo=False, status=StepStatus.WAITING, attempt=attempt, key=drive.key(leaf.name),
                began=drive.place(), began_at=now, due=due,
            )  # fmt: skip
            await drive.write(record)
        if leaf.signal is not None:
            await drive.look_for_signals()
        while True:
            self._check_going()
            output = b"null"
            if leaf.signal is not None and leaf.signal in drive.signals:
                output = drive.signals[leaf.signal].value_json
                break
            left = None if record.due is None else record.due - drive.now()
            if left is not None and left <= 0:
                if leaf.signal is None:
                    break
                raise ApiTimeoutError(
                    f"signal {leaf.signal!r} did not come in time", limit=leaf.seconds, endpoint=leaf.name
                )
            await drive.wait(left)
        return replace(
            record, status=StepStatus.COMPLETED, ended=drive.place(), ended_at=drive.now(), output_json=output
        )


def _renewed(facts: Any, data: Any, run: RunState) -> Any:
    """The facts of another call of the same endpoint."""
    return Call(facts.runtime, data, run) if isinstance(facts, Call) else facts
