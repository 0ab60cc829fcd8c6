"""RunStream: one orchestration for many inputs, one `Run` record for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sized
from types import TracebackType
from typing import Any, Final, Protocol, Self, runtime_checkable

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import Caller, InSession
from rxorch.errors import ApiError
from rxorch.flow import FlowPlan, RunBeginner, RunSettings
from rxorch.interrupts import RunInterrupted, in_kernel, interruptible
from rxorch.showing import Shown
from rxorch.stream.control import Control
from rxorch.stream.inputs import Input, Inputs, ManyInputs, source_of
from rxorch.stream.judge import Judge
from rxorch.stream.options import StreamOptions, check_cap
from rxorch.stream.record import Recording, Shape
from rxorch.stream.run import Run
from rxorch.stream.statistics import StreamStatistics, Tally
from rxorch_operators import ObservableIterator, flat_map_bounded, to_async_iterable
from rxorch_operators.core.demand import UNBOUNDED, DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage

__all__ = ["RunStream"]


class RunStream(Stage[Run], AsyncIterator[Run], Shown):
    """The runs of a stream of inputs: an async iterator, and an Observable.

    Reads its inputs as fast as its runs are consumed. `await stream.aclose()`, the end of `async with`, the
    cancellation of the consumer, and `break` once nobody else holds the stream, end what is in flight.
    `drain()` reads no more and lets what is in flight end.

    After an error of the source the runs under way go on to their end; failures that are not tolerated end
    them. Either way each gives its record before the error is raised: every input that was read has exactly
    one.

    As an Observable it is cold: each subscription reads the inputs anew, if they can be read again.

    Attributes:
        total: How many inputs there are, where that is known.

    >>> import asyncio
    >>> from rxorch import APIOrchestrationConfig, APIOrchestrator
    >>> async def main():
    ...     async with APIOrchestrator(APIOrchestrationConfig()) as orchestrator:
    ...         stream = orchestrator.stream([{"id": 7}, {"id": 8}])
    ...         return [run.ok async for run in stream], stream.statistics().read
    >>> asyncio.run(main())
    ([True, True], 2)
    """

    def __init__(
        self,
        inputs: ManyInputs,
        options: StreamOptions,
        *,
        plan: FlowPlan,
        caller: Caller,
        settings: RunSettings,
        shape: Shape,
        max_concurrent: int,
    ) -> None:
        self.total = len(inputs) if isinstance(inputs, Sized) and options.batch is None else None
        # No part of the stream holds us: else a `break` would leave us alive.
        self._width = _Width(check_cap(max_concurrent))
        runs: Stage[Run] = _Runs(
            source_of(inputs), options, RunBeginner(plan, caller, settings), shape, caller, self._width
        )
        if options.ledger is not None:
            from rxorch.stream.opened import Opened  # here and below: with the ledger comes SQLite

            runs = Opened(runs, options, caller, self._width.opening)
        self._runs = InSession(runs, caller)
        self._iterator: ObservableIterator[Run] = to_async_iterable(self._runs)

    @property
    def max_concurrent(self) -> int:
        """Inputs in flight at once.

        It may be set while the stream runs: more begin at once; under a lower cap the runs in flight go on to
        their end.
        """
        return self._width.cap

    @max_concurrent.setter
    def max_concurrent(self, cap: int) -> None:
        self._width.resize(check_cap(cap))

    def drain(self) -> None:
        """Reads no more inputs. The runs in flight end as they will, and then the stream ends."""
        for link in tuple(self._width.links):
            link.control.drain()
        for waiting in tuple(self._width.opening):
            waiting.drain()

    def abort(self, reason: str) -> None:
        """Reads no more and ends the runs in flight. Each gives its record, with what is known of it; then
        the stream ends with an `ApiError` of this reason.
        """
        for link in tuple(self._width.links):
            link.control.abort(reason, ApiError(reason))
        for waiting in tuple(self._width.opening):
            waiting.drain()

    def statistics(self) -> StreamStatistics:
        """A snapshot of its counts."""
        return self._width.tally.snapshot(self._width.cap)

    def __repr__(self) -> str:
        told = self.statistics()
        counts = {name: getattr(told, name) for name in ("read", "ok", "failed", "cancelled", "in_flight")}
        return f"<RunStream: {', '.join(f'{count:,} {name}' for name, count in counts.items())}>".replace(
            "_", " "
        )

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return self._runs.attach(sink, scheduler)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Run]:
        if in_kernel():
            return interruptible(self._iterator.__anext__(), self._interrupted)
        return self._iterator.__anext__()

    def _interrupted(self) -> RunInterrupted:
        figures = self.statistics()
        return RunInterrupted(
            f"interrupted: {figures.ok:,} ok, {figures.failed:,} failed; what was in flight was cut off"
        )

    async def aclose(self) -> None:
        """Ends the stream and waits until every call in flight is gone."""
        await self._iterator.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


@runtime_checkable
class _Resizable(Protocol):
    def resize(self, max_concurrent: int) -> None: ...


class _Opening(Protocol):
    def drain(self) -> None: ...


class _Width:
    """How many inputs at once, and what has happened: what all subscriptions of a stream share."""

    __slots__ = ("cap", "links", "opening", "tally")

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.links: set[_RunsLink] = set()
        self.opening: set[_Opening] = set()  # subscriptions that wait for their ledger
        self.tally: Final = Tally()

    def resize(self, cap: int) -> None:
        self.cap = cap
        for link in tuple(self.links):
            if isinstance(link.upstream, _Resizable):
                link.upstream.resize(cap)


class _Runs(Stage[Run]):
    """The runs of all inputs. An error of the source comes last, after the records of what was begun."""

    def __init__(
        self,
        source: Stage[Any],
        options: StreamOptions,
        beginner: RunBeginner,
        shape: Shape,
        caller: Caller,
        width: _Width,
    ) -> None:
        self.source = source
        self.options = options
        self.beginner = beginner
        self.shape = shape
        self.caller = caller
        self.width = width

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        options = self.options
        control = Control(self.width.tally, scheduler.clock.now())
        judge = Judge(options)
        recording = self._recording(control, judge, scheduler.with_demand(UNBOUNDED))
        runs = flat_map_bounded(
            recording,
            max_concurrent=self.width.cap,
            ordered=options.ordered is True,
            key=_lane if options.ordered == "key" else None,
        )
        link = _RunsLink(sink, control, judge, self.caller, self.width)
        return link.connect(as_stage(runs(Inputs(self.source, options, control))), scheduler)

    def _recording(self, control: Control, judge: Judge, scheduler: DemandScheduler) -> Recording:
        options = self.options
        if options.ledger is None:
            return Recording(self.beginner, self.shape, control, judge, scheduler)
        from rxorch.stream.ledgered import LedgerRecording

        recording = LedgerRecording(self.beginner, self.shape, control, judge, scheduler)
        recording.ledger, recording.again = options.ledger, options.again
        recording.by_place = options.key is None and not options.again
        return recording


def _lane(given: Input) -> Any:
    return given if given.error is not None else given.key  # without a key it is alone in its lane


class _RunsLink(Link):
    __slots__ = ("_judge", "_siblings", "_width", "control")

    def __init__(
        self, sink: ObserverBase[Any], control: Control, judge: Judge, caller: Caller, width: _Width
    ) -> None:
        super().__init__(sink)
        self.control = control
        self._judge = judge
        self._width = width
        self._siblings = caller.session().streams
        self._siblings.add(self)
        width.links.add(self)

    def abort(self) -> None:
        """Ends the stream because its client is closed."""
        self.control.closed()

    def on_error(self, error: Exception) -> None:
        self._over()
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self._over()
        error = self.control.error or self._judge.verdict()
        if error is None:
            self.sink.on_completed()
        else:
            self.sink.on_error(error)

    def dispose(self) -> None:
        self._over()
        super().dispose()

    def _over(self) -> None:
        self._siblings.discard(self)
        self._width.links.discard(self)
