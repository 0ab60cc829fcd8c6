"""RunStream: one orchestration for many inputs, one `Run` record for each."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import Caller, InSession, uncancelled
from rxorch.errors import ApiError, ErrorThresholdExceeded
from rxorch.flow import FlowPlan, FlowRun, OrchestrationResult, Outcome, RunLink, RunSettings
from rxorch_operators import (
    ObservableIterator,
    flat_map_bounded,
    from_async_iterable,
    from_iterable,
    to_async_iterable,
)
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage

__all__ = ["Run", "RunStream"]

Shape: TypeAlias = Callable[[OrchestrationResult], Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one input of a stream.

    Attributes:
        index: Place of the input in the stream, from 0.
        input: The input.
        ok: Whether nothing failed.
        result: What `execute` would have returned; after an error the partial `OrchestrationResult`.
        error: The error that ended the run, or else the first one in it that no handler took.
        duration: Seconds.
        outcomes: How each endpoint ended, by name.
    """

    index: int
    input: Any = field(repr=False)  # as the result, it may hold what must not be printed
    ok: bool
    result: Any = field(repr=False)
    error: BaseException | None = None
    duration: float = 0.0
    outcomes: Mapping[str, Outcome] = field(default_factory=dict, repr=False)

    @property
    def attempts(self) -> int:
        """Requests that this run sent."""
        return sum(outcome.attempts for outcome in self.outcomes.values())


class RunStream(AsyncIterator[Run]):
    """The runs of a stream of inputs: an async iterator, and as `observable` an Observable.

    Reads its inputs as fast as its runs are consumed. `await stream.aclose()`, the end of `async with`, the
    cancellation of the consumer, and `break` once nobody else holds the stream, end what is in flight.

    After an error of the source the runs under way go on to their end; the error threshold ends them. Either
    way each gives its record before the error is raised: every input that was read has exactly one.
    """

    def __init__(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any] | Observable[Any],
        *,
        plan: FlowPlan,
        caller: Caller,
        settings: RunSettings,
        shape: Shape,
        max_concurrent: int,
        ordered: bool,
    ) -> None:
        def make(data: Any) -> FlowRun:  # no method: a source that held us would keep us alive after `break`
            return FlowRun(plan, data, caller, settings)

        flat_map_bounded(_source, max_concurrent=max_concurrent)  # refuses a cap that is none, here and now
        runs = _Runs(as_stage(_source(inputs)), make, shape, caller, max_concurrent, ordered)
        self.observable: Observable[Run] = InSession(runs, caller)
        self._iterator: ObservableIterator[Run] = to_async_iterable(self.observable)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Run:
        return await self._iterator.__anext__()

    async def aclose(self) -> None:
        """Ends the stream and waits until every call in flight is gone."""
        await self._iterator.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _source(inputs: Iterable[Any] | AsyncIterable[Any] | Observable[Any]) -> Observable[Any]:
    if isinstance(inputs, Observable):
        return inputs
    if isinstance(inputs, AsyncIterable):
        return from_async_iterable(inputs)
    if isinstance(inputs, Mapping | str | bytes):
        raise TypeError(
            "inputs must be many inputs (an iterable, async iterable or Observable), "
            f"got one {type(inputs).__name__}: put it into a list"
        )
    if isinstance(inputs, Iterable):
        return from_iterable(inputs)
    raise TypeError(f"inputs must be an iterable, async iterable or Observable, got {type(inputs).__name__}")


class _Control:
    """What the parts of one subscription share: the means to stop reading, and why it was stopped."""

    __slots__ = ("aborted", "error", "inputs", "under_way")

    def __init__(self) -> None:
        self.aborted: str | None = None
        self.error: Exception | None = None
        self.inputs: _InputsLink | None = None
        self.under_way: set[_RecordLink] = set()

    def stop(self, error: Exception) -> None:
        """Reads no more; the runs under way end as they will, and then the stream ends with this error."""
        if self.error is None:
            self.error = error
            if self.inputs is not None:
                self.inputs.stop()

    def abort(self, reason: str, error: Exception) -> None:
        """Reads no more and ends the runs under way; each gives its record, with what is known.

        Inputs that a source has pushed already get their record without a run.
        """
        self.aborted = reason
        self.stop(error)
        for record in tuple(self.under_way):
            record.abort(reason)


class _Runs(Stage[Run]):
    """The runs of all inputs. An error of the source comes last, after the records of what was begun."""

    def __init__(
        self,
        source: Stage[Any],
        make: Callable[[Any], FlowRun],
        shape: Shape,
        caller: Caller,
        max_concurrent: int,
        ordered: bool,
    ) -> None:
        self.source = source
        self.make = make
        self.shape = shape
        self.caller = caller
        self.max_concurrent = max_concurrent
        self.ordered = ordered

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        control = _Control()

        def record(numbered: tuple[int, Any]) -> Stage[Run]:
            if control.aborted is not None:
                return as_stage(from_iterable([_not_begun(*numbered, control.aborted)]))
            return _Record(self.make(numbered[1]), numbered[0], self.shape, control)

        runs = flat_map_bounded(record, max_concurrent=self.max_concurrent, ordered=self.ordered)
        link = _RunsLink(sink, control, self.caller)
        return link.connect(as_stage(runs(_Inputs(self.source, control))), scheduler)


class _RunsLink(Link):
    __slots__ = ("_control", "_siblings")

    def __init__(self, sink: ObserverBase[Any], control: _Control, caller: Caller) -> None:
        super().__init__(sink)
        self._control = control
        self._siblings = caller.session().streams
        self._siblings.add(self)

    def abort(self) -> None:
        """Ends the stream because its client is closed; the runs under way are ended after this."""
        error = ApiError("the client was closed while this stream was under way")
        self._control.abort("the client was closed while this run was under way", error)

    def on_error(self, error: Exception) -> None:
        self._siblings.discard(self)
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self._siblings.discard(self)
        if self._control.error is None:
            self.sink.on_completed()
        else:
            self.sink.on_error(self._control.error)

    def dispose(self) -> None:
        self._siblings.discard(self)
        super().dispose()


class _Inputs(Stage[tuple[int, Any]]):
    """Numbers the inputs, from 0 in each subscription, until it is stopped."""

    def __init__(self, source: Stage[Any], control: _Control) -> None:
        self.source = source
        self.control = control

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        self.control.inputs = link = _InputsLink(sink, self.control)
        return link.connect(self.source, scheduler)


class _InputsLink(Link):
    __slots__ = ("_control", "_count", "_stopped")

    def __init__(self, sink: ObserverBase[Any], control: _Control) -> None:
        super().__init__(sink)
        self._control = control
        self._count = 0
        self._stopped = False

    def stop(self) -> None:
        """As if the source had ended here."""
        if not self._stopped:
            self._stopped = True
            self.release()
            self.sink.on_completed()

    def on_next(self, value: Any) -> None:
        if not self._stopped:
            index = self._count
            self._count += 1
            self.sink.on_next((index, value))

    def on_error(self, error: Exception) -> None:
        self._control.stop(error)

    def on_completed(self) -> None:
        self.stop()


def _not_begun(index: int, data: Any, reason: str) -> Run:
    return Run(index, data, False, OrchestrationResult({}), ApiError(reason))


class _Record(Stage[Run]):
    """The record of one run."""

    def __init__(self, run: FlowRun, index: int, shape: Shape, control: _Control) -> None:
        self.flow_run = run
        self.index = index
        self.shape = shape
        self.control = control

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _RecordLink(sink, self)
        self.control.under_way.add(link)
        return link.connect(self.flow_run, scheduler)


class _RecordLink(Link):
    """Makes one record of a run, whichever way it ended."""

    __slots__ = ("_stage",)

    def __init__(self, sink: ObserverBase[Any], stage: _Record) -> None:
        super().__init__(sink)
        self._stage = stage

    def on_next(self, value: OrchestrationResult) -> None:
        ok = value.ok
        error: BaseException | None = None if ok else next(iter(value.errors.values()), None)
        shaped: Any = value
        try:
            shaped = uncancelled(self._stage.shape, value)
        except Exception as failure:
            ok, error = False, failure
        self._emit(ok, shaped, error, value)

    def on_error(self, error: BaseException) -> None:
        if not isinstance(error, Exception):  # its task was cancelled by somebody else
            self.sink.on_error(error)  # type: ignore[arg-type]
            return
        self._over()
        control = self._stage.control
        exceeded = isinstance(error, ErrorThresholdExceeded) and control.aborted is None
        if exceeded:
            control.aborted = "the stream was stopped: too many calls failed"
            control.stop(error)
        found = getattr(error, "result", None)
        result = found if isinstance(found, OrchestrationResult) else OrchestrationResult({})
        self._emit(False, result, error, result)
        self.sink.on_completed()
        if exceeded and control.aborted is not None:
            control.abort(control.aborted, error)

    def on_completed(self) -> None:
        self._over()
        self.sink.on_completed()

    def abort(self, reason: str) -> None:
        """Ends the run; its record follows."""
        run = self.upstream
        if isinstance(run, RunLink):
            run.abort(reason)

    def dispose(self) -> None:
        self._over()
        super().dispose()

    def _over(self) -> None:
        self._stage.control.under_way.discard(self)

    def _emit(self, ok: bool, shaped: Any, error: BaseException | None, result: OrchestrationResult) -> None:
        stage = self._stage
        data = stage.flow_run.data
        self.sink.on_next(Run(stage.index, data, ok, shaped, error, result.duration, result.outcomes))
