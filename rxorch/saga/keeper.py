"""Keeper: makes the steps of a flow so that they are in the journal, and those that are there already not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json
from reactivex.abc import DisposableBase

from rxorch.endpoint import APIEndpoint, Call
from rxorch.endpoint.stack import EndpointCall
from rxorch.errors import ApiTimeoutError
from rxorch.flow.plan import CallPlan
from rxorch.flow.state import RunState
from rxorch.ledger.json_text import input_json
from rxorch.saga.errors import SagaError
from rxorch.saga.records import StepRecord, StepStatus
from rxorch.saga.steps import Local, SagaStep, Step, _current
from rxorch_operators import last_of
from rxorch_operators.core.async_call import AsyncCall
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage
from rxorch_operators.engines.backoff import RetryState

if TYPE_CHECKING:
    from rxorch.saga.drive import Drive

__all__ = ["Keeper", "StoppedError", "described"]

_BEGUN = frozenset({StepStatus.STARTED, StepStatus.WAITING, StepStatus.COMPLETED})
_IN_DOUBT = frozenset({StepStatus.STARTED, StepStatus.UNKNOWN})


class StoppedError(SagaError):
    """A step was not begun, or not waited for, because its run is turning back."""


class _Facts:
    """What is known of a step that is no call of an endpoint."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.degraded = False
        self.attempts = 0
        self.status = "running"


class _Made(Stage[Any]):
    """A call whose facts were made before."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: Any, scheduler: DemandScheduler) -> DisposableBase:
        return EndpointCall.start(self.call, sink, scheduler)


class Keeper:
    """The steps of one run, as its `Drive` wants them made."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._left = len(drive.definition.plan.names)
        self._in_doubt: set[str] = set()

    # -- what was decided before -----------------------------------------------------------------------

    def chosen(self, then: Sequence[str], otherwise: Sequence[str]) -> bool | None:
        """Which way a choice went: the side of which a step was begun."""
        steps = self._drive.steps
        for names, answer in ((then, True), (otherwise, False)):
            for name in names:
                record = steps.get((name, False))
                if record is not None and record.status in _BEGUN:
                    self._left -= len(otherwise if answer else then)
                    return answer
        return None

    def holds(self, name: str) -> bool | None:
        """What a condition said: no step begins whose condition does not hold."""
        record = self._drive.steps.get((name, False))
        return None if record is None else record.status is not StepStatus.SKIPPED

    def skipped(self, name: str) -> None:
        """Notes that a condition does not hold."""
        drive = self._drive
        self._left -= 1
        if (name, False) not in drive.steps and drive.lost is None:
            place = drive.place()
            drive.post(
                StepRecord(
                    name, undo=False, status=StepStatus.SKIPPED, attempt=0, key=drive.key(name), began=place,
                    ended=place, began_at=time.time(), ended_at=time.time(),
                )
            )  # fmt: skip

    # -- making a step ---------------------------------------------------------------------------------

    def start(
        self, plan: CallPlan, data: Any, run: RunState, link: Any, scheduler: DemandScheduler
    ) -> DisposableBase:
        """Makes a step."""
        step = self._drive.definition.steps[plan.endpoint.name]
        leaf: APIEndpoint | Local = step.endpoint
        link.call = _Facts() if isinstance(leaf, Local) else Call(self._drive.caller.runtime(leaf), data, run)
        work = self._made(step, data, run, link, scheduler)
        return AsyncCall(work, link, scheduler.tasks, scheduler.context.copy())

    async def _made(self, step: Step, data: Any, run: RunState, link: Any, scheduler: DemandScheduler) -> Any:
        drive = self._drive
        known = drive.steps.get((step.name, False))
        if known is not None and known.status is StepStatus.COMPLETED:
            self._left -= 1
            link.call.attempts, link.call.value = known.attempt, known.output
            return known.output
        if known is not None and known.status in _IN_DOUBT:
            self._in_doubt.add(step.name)
        try:
            record = await self._tried(step, data, run, link, scheduler, known)
        except StoppedError:
            raise
        except Exception as error:
            self._failed(step, error, is_unknown=self._note_doubt(step, link))
            raise
        self._left -= 1
        # The last step and the end of the run are written together.
        if self._left == 0 and drive.reason is None and not drive.failures:
            drive.held = record
        else:
            await drive.write(record)
        link.call.attempts, link.call.value = record.attempt, record.output
        return link.call.value

    def _note_doubt(self, step: Step, link: Any) -> bool:
        """Notes whether nobody knows how an attempt ended, and tells if that is so of any.

        One is enough: that a service cannot be reached now says nothing of what it did before.
        """
        if link.call.status == "unknown":
            self._in_doubt.add(step.name)
        return step.name in self._in_doubt

    def _failed(self, step: Step, error: Exception, *, is_unknown: bool) -> None:
        drive = self._drive
        if drive.lost is not None:
            return
        begun = drive.steps.get((step.name, False))
        status = StepStatus.UNKNOWN if is_unknown else StepStatus.FAILED
        if begun is None:  # refused before it was begun
            place = drive.place()
            begun = StepRecord(
                step.name, undo=False, status=status, attempt=0, key=drive.key(step.name), began=place,
                began_at=time.time(),
            )  # fmt: skip
        ended = drive.place()
        record = replace(begun, status=status, ended=ended, ended_at=time.time(), error=described(error))
        drive.failures.append(record)
        drive.stop({"step": step.name, **described(error)})

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
        if drive.reason is not None:
            raise StoppedError("the run is turning back", endpoint=step.name)
        if isinstance(leaf, Local) and leaf.action is None:
            return await self._waited(leaf, known)
        sent = input_json(data, f"the input of step {step.name!r}", "the journal")
        loop = asyncio.get_running_loop()
        state = RetryState(drive.settings.recovery, drive.random, loop.time())
        attempt = 0 if known is None else known.attempt
        while True:
            attempt += 1
            await drive.be_sure()
            if drive.reason is not None:
                raise StoppedError("the run is turning back", endpoint=step.name)
            record = StepRecord(
                step.name, undo=False, status=StepStatus.STARTED, attempt=attempt, key=drive.key(step.name),
                began=drive.place(), input_json=sent, began_at=time.time(),
            )  # fmt: skip
            if step.compensation is None:
                drive.post(record)
            else:  # its effect would stay, if whoever finds the run after a crash knew nothing of it
                await drive.write(record)
            try:
                value = await self._once(step, run, link.call, scheduler, record)
                output = input_json(value, f"the result of step {step.name!r}", "the journal")
            except Exception as error:
                if not (step.retriable or drive.is_past_pivot) or drive.lost is not None:
                    raise
                pause = state.next_delay(loop.time(), hint=getattr(error, "retry_after", None))
                if pause is None or (await drive.wait(pause) and drive.reason is not None):
                    raise
                self._note_doubt(step, link)
                if isinstance(link.call, Call):
                    link.call = Call(link.call.runtime, data, run)
                continue
            return replace(
                record, status=StepStatus.COMPLETED, ended=drive.place(), ended_at=time.time(),
                output_json=output,
            )  # fmt: skip

    async def _once(
        self, step: Step, run: RunState, facts: Any, scheduler: DemandScheduler, record: StepRecord
    ) -> Any:
        if isinstance(facts, Call):
            return await last_of(_Made(facts), scheduler=scheduler)
        leaf = step.endpoint
        assert isinstance(leaf, Local)
        assert leaf.action is not None
        facts.attempts += 1
        _current.set(SagaStep(run.run, step.name, record.key, record.attempt))
        result = leaf.action(from_json(record.input_json or b"null"), run.context)
        return await result if asyncio.iscoroutine(result) else result

    async def _waited(self, leaf: Local, known: StepRecord | None) -> StepRecord:
        """A step that is over when its time has passed, or its signal has come."""
        drive = self._drive
        if known is not None and known.status is StepStatus.WAITING:
            record = known
        else:
            now = time.time()
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
            if drive.reason is not None:
                raise StoppedError("the run is turning back", endpoint=leaf.name)
            output = b"null"
            if leaf.signal is not None and leaf.signal in drive.signals:
                output = drive.signals[leaf.signal].value_json
                break
            left = None if record.due is None else record.due - time.time()
            if left is not None and left <= 0:
                if leaf.signal is None:
                    break
                raise ApiTimeoutError(
                    f"signal {leaf.signal!r} did not come in time", limit=leaf.seconds, endpoint=leaf.name
                )
            await drive.wait(left)
        return replace(
            record, status=StepStatus.COMPLETED, ended=drive.place(), ended_at=time.time(), output_json=output
        )


def described(error: BaseException) -> dict[str, str]:
    """Type and message of an error."""
    return {"type": type(error).__name__, "message": str(error)}
