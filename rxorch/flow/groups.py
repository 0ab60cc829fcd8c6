"""Groups of a flow as compositions of operators.

::

    parallel, fanout, graph   ready steps -> flat_map_bounded(step, max_concurrent=n)     merge with a cap
                              or `at_once`, where nothing waits
    sequential, conditional   concat, see `in_turn`
    pipeline                  concat of the step of the output so far
    condition                 a filter in front of the step; what it drops is a skip

`ReadySteps` is a source that waits: it emits a member the moment its needs are settled and there is demand.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import noted, uncancelled
from rxorch.flow.at_once import AtOnce, fits_at_once
from rxorch.flow.in_turn import Chain, InTurn
from rxorch.flow.nodes import Kind
from rxorch.flow.plan import CallPlan, ChoicePlan, GroupPlan, Plan, walk
from rxorch.flow.ready import ReadySteps
from rxorch.flow.state import Done, RunState, sees_results
from rxorch.flow.steps import Step, StepLink
from rxorch_operators import flat_map_bounded, from_iterable
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import NOTHING, Link, Stage, as_stage

__all__ = ["node_of"]


def node_of(
    plan: Plan, data: Any, run: RunState, earlier: tuple[str, ...], *, in_pipeline: bool = False
) -> Stage[Done]:
    """A node as an observable of its `Done`.

    Args:
        plan: The node.
        data: What it is given.
        run: The run.
        earlier: Results that a group around it shows all members.
        in_pipeline: It is a step of a pipeline, so the keys of its data win over results.
    """
    if isinstance(plan, CallPlan):
        return Step(plan, data, run, earlier, own_keys_win=in_pipeline)
    if isinstance(plan, ChoicePlan):
        return _choice(plan, data, run, earlier, in_pipeline)
    if plan.kind is Kind.PIPELINE:
        return Chain(plan, data, run, earlier, node_of)
    if sees_results(plan.kind) or len(plan.members) == 1:
        return InTurn(plan, data, run, earlier, node_of)
    if fits_at_once(plan, run):
        return AtOnce(plan, data, run, () if plan.kind is Kind.FANOUT else earlier, node_of)
    return _GroupStage(plan, data, run, earlier)


def _choice(
    plan: ChoicePlan, data: Any, run: RunState, earlier: tuple[str, ...], in_pipeline: bool
) -> Stage[Done]:
    steps = list(walk(plan))
    obstacles = [obstacle for step in steps if (obstacle := run.obstacle(step)) is not None]
    if steps and len(obstacles) == len(steps):  # nothing below can run, whatever the condition says
        for step, (reason, cause) in zip(steps, obstacles, strict=True):
            run.skip(step, reason, cause)
        causes = [cause for _, cause in obstacles if cause is not None]
        return as_stage(from_iterable([Done(cause=causes[0] if causes else None, skipped=True)]))
    holds = None
    if run.keeper is not None:
        holds = run.keeper.chosen(plan.then.names, () if plan.otherwise is None else plan.otherwise.names)
    if holds is None:
        try:
            holds = bool(uncancelled(plan.condition, run.data_for(data, earlier), run.context))
        except Exception as error:
            return _Failing(plan, run, error)
    taken, left = (plan.then, plan.otherwise) if holds else (plan.otherwise, plan.then)
    if left is not None:
        if run.keeper is not None:
            for step in walk(left):
                run.keeper.skipped(step.endpoint.name)
        run.skip(
            left, "the choice went the other way" if taken is not None else "its condition does not hold"
        )
    if taken is None:
        return as_stage(from_iterable([Done(skipped=True)]))
    return node_of(taken, data, run, earlier, in_pipeline=in_pipeline)


class _Failing(Stage[Done]):
    """A choice whose condition raised: its first endpoint failed, the others cannot run."""

    def __init__(self, plan: ChoicePlan, run: RunState, error: Exception) -> None:
        self.plan = plan
        self.state = run
        self.error = error

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        if not self.plan.names:  # nobody to fail in its place
            sink.on_error(self.error)
            return NOTHING
        first, *others = walk(self.plan)
        name = first.endpoint.name
        error = noted(self.error, f"in the condition of the choice in front of endpoint {name!r}")
        return StepLink(sink, self.state, name).fail_before_start(error, others)


class _GroupStage(Stage[Done]):
    """Members that run as their needs are settled, at most so many at once."""

    def __init__(self, plan: GroupPlan, data: Any, run: RunState, earlier: tuple[str, ...]) -> None:
        self.plan = plan
        self.data = data
        self.state = run
        self.earlier = earlier

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        plan, run = self.plan, self.state
        ready = ReadySteps(plan.needs, run.now if run.listening else None)
        cap = plan.max_concurrent or run.settings.max_concurrent
        members = flat_map_bounded(partial(self._member, ready), max_concurrent=cap)(ready)
        return _GroupLink(sink, plan, run, ready).connect(as_stage(members), scheduler)

    def _member(self, ready: ReadySteps, index: int) -> Stage[tuple[int, Done]]:
        plan = self.plan
        earlier = () if plan.kind is Kind.FANOUT else self.earlier
        node = node_of(plan.members[index], self.data, self.state, earlier)
        if isinstance(node, Step) and self.state.listening:
            node.waited = ready.waited(index)
        return _Numbered(node, index)


class _Numbered(Stage[Any]):
    """Says which member of its group a `Done` is of."""

    def __init__(self, source: Stage[Done], index: int) -> None:
        self.source = source
        self.index = index

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return _NumberedLink(sink, self.index).connect(self.source, scheduler)


class _NumberedLink(Link):
    __slots__ = ("_index",)

    def __init__(self, sink: ObserverBase[Any], index: int) -> None:
        super().__init__(sink)
        self._index = index

    def on_next(self, value: Done) -> None:
        self.sink.on_next((self._index, value))


class _GroupLink(Link):
    """Settles members, so that their dependants start, and sums the group up at its end."""

    __slots__ = ("_cause", "_plan", "_ready", "_run", "_skipped")

    def __init__(self, sink: ObserverBase[Any], plan: GroupPlan, run: RunState, ready: ReadySteps) -> None:
        super().__init__(sink)
        self._plan = plan
        self._run = run
        self._ready = ready
        self._cause: str | None = None
        self._skipped = bool(plan.members)

    def on_next(self, value: tuple[int, Done]) -> None:
        index, done = value
        if self._cause is None:
            self._cause = done.cause
        self._skipped = self._skipped and done.skipped
        self._ready.settle(index)

    def on_completed(self) -> None:
        results = self._run.results
        output = {name: results[name] for name in self._plan.names}
        self.sink.on_next(Done(output, cause=self._cause, skipped=self._skipped))
        if not self.is_disposed:
            self.sink.on_completed()
