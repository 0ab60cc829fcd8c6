"""A group whose members wait for nothing and have room: all begin at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.flow.plan import CallPlan, GroupPlan, Plan
from rxorch.flow.state import Done, RunState
from rxorch.flow.steps import Step
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Link, Stage

__all__ = ["AtOnce", "fits_at_once"]

NodeMaker = Callable[[Plan, Any, RunState, tuple[str, ...]], Stage[Done]]


def fits_at_once(plan: GroupPlan, run: RunState) -> bool:
    """Whether a group has members, and none waits for another, nor for room."""
    cap = plan.max_concurrent or run.settings.max_concurrent
    return 0 < len(plan.members) <= cap and not any(plan.needs)


class AtOnce(Stage[Done]):
    """The members of such a group, begun in their order, and its sum at the end.

    Args:
        plan: The group.
        data: What each is given.
        run: The run.
        earlier: Results that a group around it shows all members.
        node_of: Makes the node of a member that is more than a call.
    """

    def __init__(
        self, plan: GroupPlan, data: Any, run: RunState, earlier: tuple[str, ...], node_of: NodeMaker
    ) -> None:
        self.plan = plan
        self.data = data
        self.state = run
        self.earlier = earlier
        self.node_of = node_of

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _AtOnceLink(sink, self.plan, self.state)
        try:
            for member in self.plan.members:
                if not link.takes(self._begun(member, link, scheduler)):
                    break
        except (Exception, asyncio.CancelledError) as error:
            if link.is_disposed:
                raise
            link.on_error(error)  # type: ignore[arg-type]
        return link

    def _begun(self, member: Plan, link: _AtOnceLink, scheduler: DemandScheduler) -> DisposableBase:
        if isinstance(member, CallPlan):
            return Step(member, self.data, self.state, self.earlier).attach(link, scheduler)
        return self.node_of(member, self.data, self.state, self.earlier).attach(link, scheduler)


class _AtOnceLink(Link):
    """Hears all members."""

    __slots__ = ("_cause", "_left", "_members", "_plan", "_run", "_skipped")

    def __init__(self, sink: ObserverBase[Any], plan: GroupPlan, run: RunState) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._plan = plan
        self._run = run
        self._members: list[DisposableBase] = []
        self._left = len(plan.members)
        self._cause: str | None = None
        self._skipped = True

    def takes(self, member: DisposableBase) -> bool:
        """Takes a member that has begun; returns whether another may begin."""
        if self.upstream is DISPOSED or not self._left:
            member.dispose()  # what ended us came while it was starting
            return False
        self._members.append(member)
        return True

    def on_next(self, value: Done) -> None:
        if self._cause is None:
            self._cause = value.cause
        self._skipped = self._skipped and value.skipped

    def on_completed(self) -> None:
        self._left -= 1
        if self._left or self.upstream is DISPOSED:
            return
        results = self._run.results
        output = {name: results[name] for name in self._plan.names}
        self._let_go()
        self.sink.on_next(Done(output, cause=self._cause, skipped=self._skipped))
        if self.upstream is not DISPOSED:
            self.sink.on_completed()

    def on_error(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.dispose()
            self.sink.on_error(error)

    def dispose(self) -> None:
        self.upstream = DISPOSED
        self._let_go()

    def _let_go(self) -> None:
        """They refer to us: undone here, all are freed without the collector."""
        members, self._members = self._members, []
        for member in members:
            member.dispose()
