"""The record of one run, whichever way it ended."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import uncancelled
from rxorch.errors import ApiError
from rxorch.flow import OrchestrationResult, RunBeginner, RunLink, SoloRun
from rxorch.stream.control import Control
from rxorch.stream.inputs import Input
from rxorch.stream.judge import Judge
from rxorch.stream.run import Run
from rxorch_operators._flat_map_merging import Inner, InnerMaker, Merging
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Stage

__all__ = ["RecordLink", "Recording", "RunHearer", "Shape"]

Shape: TypeAlias = Callable[[OrchestrationResult], Any] | None

_ABSENT: Final = object()


class Recording(InnerMaker):
    """What the records of one subscription have in common.

    Args:
        beginner: Begins the run of an input.
        shape: Makes of its result what `execute` would return; None: nothing else.
        control: Of the subscription.
        judge: Decides after each record whether the stream goes on.
        scheduler: Time and tasks of the runs. A run gives one record, whatever the demand.
    """

    __slots__ = ("beginner", "control", "judge", "scheduler", "shape")

    def __init__(
        self, beginner: RunBeginner, shape: Shape, control: Control, judge: Judge, scheduler: DemandScheduler
    ) -> None:
        self.beginner = beginner
        self.shape = shape
        self.control = control
        self.judge = judge
        self.scheduler = scheduler

    def __call__(self, value: Input) -> Stage[Run]:
        """The record of an input as an observable."""
        return Record(value, self)

    def inner(self, value: Input, sink: ObserverBase[Any], parent: Merging | None) -> RecordLink:
        """The same as a link, for a `flat_map_bounded` that runs it, or for nobody."""
        return RecordLink(value, self, sink, parent)


class Record(Stage[Run]):
    """The record of one input: emits one `Run`."""

    def __init__(self, given: Input, recording: Recording) -> None:
        self.given = given
        self.recording = recording

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = self.recording.inner(self.given, sink, None)
        link.begin()
        return link


class Shaping(Protocol):
    """Knows the shape of results."""

    shape: Shape


class RunHearer:
    """Hears how a run ends, and has a record made of it, whichever way that is."""

    __slots__ = ()

    _recording: Shaping
    _over: bool

    def on_next(self, value: OrchestrationResult) -> None:
        """The run has ended with a result."""
        ok = value.ok
        error: BaseException | None = None if ok else next(iter(value.errors.values()), None)
        shaped: Any = value
        shape = self._recording.shape
        if shape is not None:
            try:
                shaped = uncancelled(shape, value)
            except Exception as failure:
                ok, error = False, failure
        self._record(ok, shaped, error, value)

    on_only = on_next  # there is never more of it

    def on_error(self, error: BaseException) -> None:
        """The run has ended with an error."""
        if not isinstance(error, Exception):  # its task was cancelled by somebody else
            self.broken(error)
            return
        if self._over:
            return
        found = getattr(error, "result", None)
        result = found if isinstance(found, OrchestrationResult) else OrchestrationResult({})
        self._record(False, result, error, result)

    def on_completed(self) -> None:
        """The record has been made already."""

    @abstractmethod
    def broken(self, error: BaseException) -> None:
        """There is no record."""

    @abstractmethod
    def _record(
        self, ok: bool, shaped: Any, error: BaseException | None, result: OrchestrationResult
    ) -> None:
        """Makes the record."""


class RecordLink(RunHearer, Inner):
    """Makes one record of a run, whichever way it ends."""

    __slots__ = ("_given", "_over", "_recording", "_started", "is_cut")

    _recording: Recording

    def __init__(
        self, given: Input, recording: Recording, sink: ObserverBase[Any], parent: Merging | None
    ) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._parent = parent
        self._given = given
        self._recording = recording
        self._over = False
        self.is_cut = False
        control = recording.control
        self._started = recording.scheduler.clock.now() - control.began
        control.under_way[self] = None
        control.tally.in_flight += 1

    def begin(self) -> None:
        """Runs the input, if it can be run."""
        recording, given = self._recording, self._given
        reason = recording.control.aborted
        if reason is not None:
            self.abort(reason)
        elif given.error is not None:
            self.failed(given.error)
        else:
            self.joined(recording.beginner.begin(given.value, self, recording.scheduler))

    def abort(self, reason: str) -> None:
        """Ends the run because the stream ends; its record follows."""
        if self._over:
            return
        self.is_cut = True
        run = self.upstream
        if isinstance(run, RunLink | SoloRun):
            run.abort(reason)
        else:
            self.failed(ApiError(reason))

    def failed(self, error: BaseException) -> None:
        """A record without a run."""
        result = OrchestrationResult({})
        self._record(False, result, error, result)

    def _record(
        self, ok: bool, shaped: Any, error: BaseException | None, result: OrchestrationResult
    ) -> None:
        if self._over:
            return
        self._over = True
        given = self._given
        self.keep(
            Run(
                given.index, given.value, ok, shaped, error, result.duration, result.outcomes, given.key,
                self._started,
            )
        )  # fmt: skip

    def give(self, run: Run) -> None:
        """Hands the record on, and asks whether the stream goes on."""
        recording, control = self._recording, self._recording.control
        tally = control.tally
        if control.under_way.pop(self, _ABSENT) is not _ABSENT:  # `end`, without another call
            tally.in_flight -= 1
        end = None
        if self.is_cut:
            tally.cancelled += 1
        else:
            if run.ok:
                tally.ok += 1
            else:
                tally.failed += 1
            end = recording.judge.judge(run) if control.aborted is None else None
            if end is not None:
                control.aborted, error = end
                control.stop(error)  # before the slot is free: nothing begins in it
        self.upstream = DISPOSED  # the run has ended
        self.give_only(run)
        if end is not None:
            control.cut(end[0])

    def broken(self, error: BaseException) -> None:
        """Ends the whole stream, without a record."""
        self.end()
        Inner.on_error(self, error)  # type: ignore[arg-type]

    keep = give
    """What happens to the record when it is made."""

    def end(self) -> None:
        """It is not under way any more."""
        control = self._recording.control
        if control.under_way.pop(self, _ABSENT) is not _ABSENT:
            control.tally.in_flight -= 1

    def dispose(self) -> None:
        self._over = True
        self.end()
        super().dispose()
