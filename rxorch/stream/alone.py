"""The record of one run that belongs to no stream."""

from __future__ import annotations

from typing import Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import Caller, InSession
from rxorch.flow import OrchestrationResult, RunBeginner, RunLink, SoloRun
from rxorch.interrupts import RunInterrupted, interruptible
from rxorch.stream.record import RunHearer, Shape
from rxorch.stream.run import Run
from rxorch_operators import last_of
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import NOTHING, Link, Stage

__all__ = ["AloneRun", "record_of"]


async def record_of(beginner: RunBeginner, shape: Shape, data: Any) -> Run:
    """Awaits the record of a run; see `AloneRun`. The HTTP session is open as long as it goes on."""
    caller = beginner.caller
    alone: Stage[Run] = AloneRun(beginner, shape, data)
    if not caller.is_open:
        alone = InSession(alone, caller)
    last = last_of(alone, scheduler=caller.session().scheduler)
    return await interruptible(last, lambda: RunInterrupted("interrupted: the run was cut off"))


class AloneRun(Stage[Run]):
    """A run as an observable of its one record: what a stream of this one input would give.

    Cold: each subscription is a run of its own. An error of the run is in the record.

    Args:
        beginner: Begins it.
        shape: Makes of its result what `execute` would return; None: nothing else.
        data: The input.
    """

    def __init__(self, beginner: RunBeginner, shape: Shape, data: Any) -> None:
        self.beginner = beginner
        self.shape = shape
        self.data = data

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _AloneLink(sink, self, self.beginner.caller)
        return link.joined(self.beginner.begin(self.data, link, scheduler))


class _AloneLink(RunHearer, Link):
    """Makes the record, and ends the run with its client."""

    __slots__ = ("_over", "_recording", "_siblings")

    _recording: AloneRun

    def __init__(self, sink: ObserverBase[Any], recording: AloneRun, caller: Caller) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._recording = recording
        self._over = False
        self._siblings = caller.session().runs
        self._siblings.add(self)

    def abort(self) -> None:
        """Ends the run because its client is closed; its record follows."""
        run = self.upstream
        assert isinstance(run, RunLink | SoloRun)
        run.abort("the client was closed while this run was under way")

    def broken(self, error: BaseException) -> None:
        self._end()
        self.sink.on_error(error)  # type: ignore[arg-type]

    def _record(
        self, ok: bool, shaped: Any, error: BaseException | None, result: OrchestrationResult
    ) -> None:
        if self._over:
            return
        self._end()
        self.sink.on_next(Run(0, self._recording.data, ok, shaped, error, result.duration, result.outcomes))
        self.sink.on_completed()

    def _end(self) -> None:
        self._over = True
        self._siblings.discard(self)

    def dispose(self) -> None:
        self._end()
        super().dispose()
