"""From calls to a flow: how many requests, and how long along the critical path."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rxorch.flow.nodes import Kind
from rxorch.flow.plan import CallPlan, ChoicePlan, GroupPlan, Plan

__all__ = ["Weight", "heaviest", "makespan"]

_ONE_BY_ONE = frozenset({Kind.SEQUENTIAL, Kind.CONDITIONAL, Kind.PIPELINE})


@dataclass(frozen=True, slots=True)
class Weight:
    """What a part of a flow costs."""

    requests: float
    seconds: float


def heaviest(plan: Plan, calls: Mapping[str, Weight], cap: int) -> Weight:
    """The most that a part of a flow can cost.

    Every condition of an endpoint holds; of a choice the dearer side counts, for requests and seconds apart.

    Args:
        plan: The part.
        calls: What each call costs.
        cap: How many members of a group run at once, where the group does not say.
    """
    if isinstance(plan, CallPlan):
        return calls[plan.endpoint.name]
    if isinstance(plan, ChoicePlan):
        sides = [side for side in (plan.then, plan.otherwise) if side is not None]
        weights = [heaviest(side, calls, cap) for side in sides]
        return Weight(max(each.requests for each in weights), max(each.seconds for each in weights))
    weights = [heaviest(member, calls, cap) for member in plan.members]
    at_once = 1 if plan.kind in _ONE_BY_ONE else plan.max_concurrent or cap
    seconds = makespan([each.seconds for each in weights], plan, at_once)
    return Weight(sum(each.requests for each in weights), seconds)


def makespan(seconds: Sequence[float], plan: GroupPlan, cap: int) -> float:
    """Seconds after which the members of a group are over, however long each takes up to its worst.

    With room for all it is the longest path. With a cap and no dependencies it is what the order of the
    members comes to. With both it is Graham's bound for list scheduling ("Bounds on Multiprocessing Timing
    Anomalies", 1969): there, a member that ends *earlier* may make the whole end later, so that a simulation
    of the worst durations proves nothing.
    """
    work = math.fsum(seconds)
    if cap == 1:
        return work
    path = _longest_path(seconds, plan)
    if len(seconds) <= cap:
        return path
    if not any(plan.needs):
        return _in_turn([seconds[i] for i in plan.order], cap)
    return min(work, work / cap + (1 - 1 / cap) * path)


def _longest_path(seconds: Sequence[float], plan: GroupPlan) -> float:
    ends = [0.0] * len(seconds)
    for i in plan.order:
        ends[i] = max((ends[j] for j in plan.needs[i]), default=0.0) + seconds[i]
    return max(ends, default=0.0)


def _in_turn(seconds: Sequence[float], cap: int) -> float:
    ends = [0.0] * cap
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)
