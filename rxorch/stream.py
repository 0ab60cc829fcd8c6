"""RunStream: one orchestration for many inputs, one `Run` record for each."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import Caller, InSession
from rxorch.errors import ErrorThresholdExceeded
from rxorch.flow import FlowPlan, FlowRun, OrchestrationResult, Outcome, RunSettings
from rxorch_operators import (
    ObservableIterator,
    flat_map_bounded,
    from_async_iterable,
    from_iterable,
    to_async_iterable,
)
from rxorch_operators._demand import DemandScheduler
from rxorch_operators._stage import Link, Stage, as_stage

__all__ = ["Run", "RunStream"]


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
    input: Any
    ok: bool
    result: Any
    error: BaseException | None = None
    duration: float = 0.0
    outcomes: Mapping[str, Outcome] = field(default_factory=dict, repr=False)

    @property
    def attempts(self) -> int:
        """Requests that this run sent."""
        return sum(outcome.attempts for outcome in self.outcomes.values())


class RunStream(AsyncIterator[Run]):
    """The runs of a stream of inputs: an async iterator, and as `observable` an Observable.

    Reads its inputs as fast as its runs are consumed. `await stream.aclose()`, `async with`, `break` and the
    cancellation of the consumer end what is in flight.
    """

    def __init__(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any] | Observable[Any],
        *,
        plan: FlowPlan,
        caller: Caller,
        settings: RunSettings,
        shape: Callable[[OrchestrationResult], Any],
        max_concurrent: int,
        ordered: bool,
    ) -> None:
        # Not a method of ours: a source that referred to us would keep us alive after a `break`.
        runner = _Runner(plan, caller, settings, shape)
        source = _Indexed(as_stage(_source(inputs)))
        runs = flat_map_bounded(runner, max_concurrent=max_concurrent, ordered=ordered)(source)
        self.observable: Observable[Run] = InSession(as_stage(runs), caller)
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


class _Indexed(Stage[tuple[int, Any]]):
    """Numbers the inputs, from 0 in each subscription."""

    def __init__(self, source: Stage[Any]) -> None:
        self.source = source

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return _IndexLink(sink).connect(self.source, scheduler)


class _IndexLink(Link):
    __slots__ = ("_count",)

    def __init__(self, sink: ObserverBase[Any]) -> None:
        super().__init__(sink)
        self._count = 0

    def on_next(self, value: Any) -> None:
        index = self._count
        self._count += 1
        self.sink.on_next((index, value))


class _Runner:
    """Makes the run of each input."""

    def __init__(
        self,
        plan: FlowPlan,
        caller: Caller,
        settings: RunSettings,
        shape: Callable[[OrchestrationResult], Any],
    ) -> None:
        self._plan = plan
        self._caller = caller
        self._settings = settings
        self._shape = shape

    def __call__(self, numbered: tuple[int, Any]) -> Stage[Run]:
        index, data = numbered
        return _RunStage(FlowRun(self._plan, data, self._caller, self._settings), index, self._shape)


class _RunStage(Stage[Run]):
    def __init__(self, run: FlowRun, index: int, shape: Callable[[OrchestrationResult], Any]) -> None:
        self.flow_run = run
        self.index = index
        self.shape = shape

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return _RecordLink(sink, self).connect(self.flow_run, scheduler)


class _RecordLink(Link):
    """Makes one record of a run, whichever way it ended. Only the error threshold ends the stream."""

    __slots__ = ("_stage",)

    def __init__(self, sink: ObserverBase[Any], stage: _RunStage) -> None:
        super().__init__(sink)
        self._stage = stage

    def on_next(self, value: OrchestrationResult) -> None:
        stage = self._stage
        ok = value.ok
        error: BaseException | None = None if ok else next(iter(value.errors.values()), None)
        shaped: Any = value
        try:
            shaped = stage.shape(value)
        except Exception as failure:
            ok, error = False, failure
        self.sink.on_next(
            Run(stage.index, stage.flow_run.data, ok, shaped, error, value.duration, value.outcomes)
        )

    def on_error(self, error: Exception) -> None:
        if isinstance(error, ErrorThresholdExceeded) or not isinstance(error, Exception):
            self.sink.on_error(error)
            return
        stage = self._stage
        found = getattr(error, "result", None)
        result = found if isinstance(found, OrchestrationResult) else OrchestrationResult({})
        self.sink.on_next(
            Run(stage.index, stage.flow_run.data, False, result, error, result.duration, result.outcomes)
        )
        self.sink.on_completed()
