"""Undoing: the compensations of a run, each after those of the steps that came after its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rxorch.endpoint import APIEndpoint, Call, Trail, call_with_context
from rxorch.ledger.json_text import result_json
from rxorch.saga.calling import FactsKept, SagaStep, called
from rxorch.saga.effects import described, is_hopeless
from rxorch.saga.keeper import StoppedError
from rxorch.saga.records import SagaState, StepRecord, StepStatus
from rxorch_operators import last_of
from rxorch_operators.engines.backoff import RetryState

if TYPE_CHECKING:
    from rxorch.saga.drive import Drive

__all__ = ["Undoing"]

_HAD_AN_EFFECT = frozenset({StepStatus.COMPLETED, StepStatus.STARTED, StepStatus.UNKNOWN})
"""Or it may have had one: nobody knows of those that were begun and have no end."""


class Undoing:
    """The compensations of a run.

    A step is undone when all those are that began after its end: a sequence in reverse order, what ran at the
    same time at the same time. One that fails for good holds up none of the others, and the run is a dead
    letter in the end.
    """

    def __init__(self, drive: Drive) -> None:
        self._drive = drive

    async def go(self) -> None:
        """Undoes what is not undone yet."""
        drive = self._drive
        todo = [
            record
            for (name, undo), record in drive.steps.items()
            if not undo
            and record.status in _HAD_AN_EFFECT
            and name in drive.definition.steps
            and drive.definition.steps[name].compensation is not None
        ]
        over = {record.step: asyncio.Event() for record in todo}
        try:
            async with asyncio.TaskGroup() as group:
                for record in todo:
                    later = [each for each in todo if record.ended is not None and each.began > record.ended]
                    group.create_task(
                        self._undone(record, [over[each.step] for each in later], over[record.step])
                    )
        except ExceptionGroup as errors:
            raise (drive.lost or errors.exceptions[0]) from None
        if drive.lost is not None:
            raise drive.lost
        failed = [
            record.step
            for (_, undo), record in drive.steps.items()
            if undo and record.status is not StepStatus.COMPLETED
        ]
        cause = {name: text for name, text in (drive.error or {}).items() if name != "undo"}
        if failed:
            first = drive.steps[failed[0], True].error or {}
            parts = (f"{', '.join(map(repr, failed))} could not be undone", *first.values())
            await drive.write(state=SagaState.FAILED, error={**cause, "undo": ": ".join(filter(None, parts))})
        else:  # by now: a dead letter may have been tried again
            await drive.write(state=SagaState.COMPENSATED, error=None if cause == drive.error else cause)

    async def _undone(self, record: StepRecord, later: list[asyncio.Event], over: asyncio.Event) -> None:
        drive = self._drive
        for each in later:
            await each.wait()
        known = drive.steps.get((record.step, True))
        if known is None or known.status is not StepStatus.COMPLETED:
            # What was begun is brought to its end, whoever loses interest meanwhile.
            work = asyncio.ensure_future(self._tried(record, known))
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                drive.leave()
                with suppress(Exception):
                    await work
                raise
        over.set()  # not if that could not be written: then nothing more is asked of anybody

    async def _tried(self, done: StepRecord, known: StepRecord | None) -> None:
        drive = self._drive
        key = drive.key(done.step, undo=True)
        data = self._data(done)
        undone = drive.definition.steps[done.step].compensation
        loop = asyncio.get_running_loop()
        state = RetryState(drive.settings.undo, drive.random, loop.time())
        attempt = 0 if known is None else known.attempt
        while True:
            attempt += 1
            if not drive.is_sure:
                await drive.renew()
            _check_driven(drive)
            record = StepRecord(
                done.step, undo=True, status=StepStatus.STARTED, attempt=attempt, key=key,
                began=drive.place(), input_json=result_json(data), began_at=drive.now(),
            )  # fmt: skip
            drive.post(record)
            call: Call | None = None
            try:
                if isinstance(undone, APIEndpoint):
                    call = self._call(undone, record, data)
                    value = await last_of(FactsKept(call))
                else:
                    value = await self._called(undone, record, data)
            except Exception as error:
                ended = replace(
                    record, status=StepStatus.FAILED, ended=drive.place(), ended_at=drive.now(),
                    error=described(error),
                )  # fmt: skip
                pause = state.next_delay(loop.time(), hint=getattr(error, "retry_after", None))
                if pause is None or is_hopeless(error, call):
                    await drive.write(ended)
                    return
                if not await drive.pause(pause):
                    _check_driven(drive)
                continue
            await drive.write(
                replace(
                    record,
                    status=StepStatus.COMPLETED,
                    ended=drive.place(),
                    ended_at=drive.now(),
                    output_json=result_json(value),
                )
            )
            return

    def _data(self, done: StepRecord) -> dict[str, Any]:
        given = done.input
        base = dict(given) if isinstance(given, Mapping) else {"input": given}
        about = {"run_id": self._drive.run.run_id, "step": done.step, "key": done.key}
        return {**base, done.step: done.output, "saga": about}

    def _call(self, undone: APIEndpoint, record: StepRecord, data: dict[str, Any]) -> Call:
        drive = self._drive
        trail = Trail(run=drive.run.run_id, context=self._results(), idempotency=lambda _: record.key)
        trail.headers = drive.headers()
        return Call(drive.caller.runtime(undone), data, trail)

    async def _called(self, undone: Any, record: StepRecord, data: dict[str, Any]) -> Any:
        about = SagaStep(self._drive.run.run_id, record.step, record.key, record.attempt, undo=True)
        function = call_with_context(undone, label="compensation", may_be_async=True)
        return await called(function, about, data, self._results())

    def _results(self) -> dict[str, Any]:
        return {
            name: each.output
            for (name, undo), each in self._drive.steps.items()
            if not undo and each.status is StepStatus.COMPLETED
        }


def _check_driven(drive: Drive) -> None:
    """Raises if the run is not in our hands any more: whoever goes on with it tries again, in this order."""
    if drive.lost is not None:
        raise drive.lost
    if drive.is_leaving:
        raise StoppedError("the saga is being closed")
