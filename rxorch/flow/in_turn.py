"""Groups whose members run one after another: `concat`, in one link.

What `flat_map_bounded(step, max_concurrent=1)` behind a source of steps would do, for a quarter of its price:
there is never more than one member, so nothing is queued, counted, numbered or asked for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.flow.nodes import Kind
from rxorch.flow.plan import GroupPlan
from rxorch.flow.state import Done, RunState, sees_results
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import NOTHING, Link, Stage

__all__ = ["Chain", "InTurn", "NodeOf"]

NodeOf: TypeAlias = Callable[..., Stage[Done]]
"""Makes a node of the flow an observable; see `rxorch.flow.groups.node_of`."""


class _OneByOne(Stage[Done]):
    """Members that run in the order of the plan."""

    def __init__(
        self, plan: GroupPlan, data: Any, run: RunState, earlier: tuple[str, ...], node_of: NodeOf
    ) -> None:
        self.plan = plan
        self.data = data
        self.state = run
        self.earlier = earlier
        self.node_of = node_of


class InTurn(_OneByOne):
    """Members that each get the input and, where their kind of group shows them, the earlier results."""

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _InTurnLink(sink, self, scheduler)
        link.advance()
        return link


class Chain(_OneByOne):
    """Members that each get what the one before made; a skipped one hands its input on.

    A chain may be as long as one likes, whatever the depth of the interpreter's stack.
    """

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _ChainLink(sink, self, scheduler)
        link.latest = Done(self.state.data_for(self.data, self.earlier))
        link.advance()
        return link


StageT = TypeVar("StageT", bound=_OneByOne)


class _TurnLink(Link, Generic[StageT]):
    """Hears one member after another; each begins when the one before has completed."""

    __slots__ = ("_at", "_busy", "_scheduler", "_stage", "_waits")

    def __init__(self, sink: ObserverBase[Any], stage: StageT, scheduler: DemandScheduler) -> None:
        super().__init__(sink)
        self._stage = stage
        self._scheduler = scheduler
        self._at = 0
        self._waits = False  # for the member that is under way
        self._busy = False

    def advance(self) -> None:
        """Begins members until one does not end at once: a loop, so nothing nests."""
        if self._busy:
            return
        self._busy = True
        order = self._stage.plan.order
        while not self._waits and not self.is_disposed and self._at < len(order):
            index = order[self._at]
            self._at += 1
            self._waits = True
            self.begin(index)
        self._busy = False
        if not self._waits and not self.is_disposed:
            self.upstream = NOTHING  # the last member, which refers to us
            self.finish()

    def on_completed(self) -> None:
        self._waits = False
        self.advance()

    @abstractmethod
    def begin(self, index: int) -> None:
        """Begins a member."""

    def finish(self) -> None:
        """All members have ended."""
        self.sink.on_next(self.outcome())
        if not self.is_disposed:
            self.sink.on_completed()

    @abstractmethod
    def outcome(self) -> Done:
        """What the group comes to."""


class _InTurnLink(_TurnLink[InTurn]):
    __slots__ = ("_cause", "_earlier", "_shows", "_skipped")

    def __init__(self, sink: ObserverBase[Any], stage: InTurn, scheduler: DemandScheduler) -> None:
        super().__init__(sink, stage, scheduler)
        self._cause: str | None = None
        plan = stage.plan
        self._skipped = bool(plan.members)
        self._shows = sees_results(plan.kind)
        self._earlier = () if plan.kind is Kind.FANOUT else stage.earlier

    def begin(self, index: int) -> None:
        stage, plan = self._stage, self._stage.plan
        member, earlier = plan.members[index], self._earlier
        if self._shows:
            self._earlier = earlier + member.names
        self.connect(stage.node_of(member, stage.data, stage.state, earlier), self._scheduler)

    def on_next(self, value: Done) -> None:
        if self._cause is None:
            self._cause = value.cause
        self._skipped = self._skipped and value.skipped

    def outcome(self) -> Done:
        results = self._stage.state.results
        output = {name: results[name] for name in self._stage.plan.names}
        return Done(output, cause=self._cause, skipped=self._skipped)


class _ChainLink(_TurnLink[Chain]):
    """Carries the latest output to the next step."""

    __slots__ = ("latest",)

    latest: Done

    def begin(self, index: int) -> None:
        stage, before = self._stage, self.latest
        plan = stage.plan.members[index]
        if before.cause is not None:
            stage.state.skip(plan, f"{before.cause!r} failed", before.cause)
            self._waits = False
            return
        self.connect(stage.node_of(plan, before.value, stage.state, (), in_pipeline=True), self._scheduler)

    def on_next(self, value: Done) -> None:
        if not value.skipped or value.cause is not None:
            self.latest = value

    def outcome(self) -> Done:
        return self.latest
