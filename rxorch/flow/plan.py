"""From a flow to a plan: names checked, dependencies resolved, the order of every group fixed.

A plan is made once per flow and read by every run.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from rxorch.endpoint import APIEndpoint, call_with_context
from rxorch.errors import ApiConfigurationError
from rxorch.flow.nodes import Call, Choice, Flow, Group, Kind

__all__ = ["IN_ORDER", "CallPlan", "ChoicePlan", "FlowPlan", "GroupPlan", "Plan", "compile_flow"]

IN_ORDER = frozenset({Kind.SEQUENTIAL, Kind.CONDITIONAL, Kind.PIPELINE})
"""Groups whose members begin one after another."""


@dataclass(frozen=True, slots=True, eq=False)
class CallPlan:
    """One call: which results it sees, and which skip it."""

    endpoint: APIEndpoint
    condition: Callable[[Any, Any], Any] | None
    names: tuple[str, ...]
    depends_on: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GroupPlan:
    """A group: `needs[i]` are the places of the members that must be settled before member i starts."""

    kind: Kind
    members: tuple[Plan, ...]
    needs: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    max_concurrent: int | None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChoicePlan:
    """A choice between two plans."""

    condition: Callable[[Any, Any], Any]
    then: Plan
    otherwise: Plan | None
    names: tuple[str, ...]


Plan: TypeAlias = CallPlan | GroupPlan | ChoicePlan


@dataclass(frozen=True, slots=True, eq=False)
class FlowPlan:
    """A whole flow, ready to run. `names` are its endpoints in the order in which they were written."""

    root: Plan
    names: tuple[str, ...]
    mode: str
    entry: Plan
    """What a run begins with: the root, or the only member of a group that adds nothing to it."""

    hands_on: bool
    """Whether the value of a run is what the root hands on, and not that of the last endpoint."""


def compile_flow(flow: Flow) -> FlowPlan:
    """Checks a flow and plans it.

    Raises:
        ApiConfigurationError: names the endpoint and the field: a name used twice, a `depends_on` that is
            unknown, circular or out of order, an url field that nothing can supply.
    """
    names = [endpoint.name for endpoint in flow.endpoints()]
    _check_names(names)
    plan, wanted = _compile(flow)
    for dependant, name in wanted:
        raise ApiConfigurationError(_unknown(dependant, name, names))
    _check_fields(plan, frozenset())
    mode = flow.kind.value if isinstance(flow, Group) else type(flow).__name__.lower()
    return FlowPlan(plan, tuple(names), mode, _entry(plan), mode == Kind.PIPELINE.value)


def _entry(plan: Plan) -> Plan:
    # What a group makes of its results is asked for by a group around it, and by the run of a pipeline alone.
    while isinstance(plan, GroupPlan) and len(plan.members) == 1 and plan.kind is not Kind.PIPELINE:
        plan = plan.members[0]
    return plan


def _check_names(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ApiConfigurationError(f"two endpoints are called {name!r}: names must differ within a flow")
        seen.add(name)


def _unknown(dependant: str, name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, [other for other in names if other != dependant], n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, names))}"
    return (
        f"endpoint {dependant!r}: depends_on names {name!r}, which is not an endpoint of this flow; {advice}"
    )


Wanted: TypeAlias = list[tuple[str, str]]
"""Pairs (endpoint, name it depends on) that nothing below supplies."""


def _compile(node: Flow) -> tuple[Plan, Wanted]:
    if isinstance(node, Call):
        return _compile_call(node.endpoint)
    if isinstance(node, Choice):
        return _compile_choice(node)
    if isinstance(node, Group):
        return _compile_group(node)
    raise ApiConfigurationError(f"{type(node).__name__} is not a kind of flow that can be run")


def _compile_call(endpoint: APIEndpoint) -> tuple[CallPlan, Wanted]:
    if endpoint.name in endpoint.depends_on:
        raise ApiConfigurationError(f"endpoint {endpoint.name!r}: depends_on names the endpoint itself")
    condition = endpoint.condition
    ask = None if condition is None else call_with_context(condition, label="condition")
    depends_on = tuple(endpoint.depends_on)
    plan = CallPlan(endpoint, ask, (endpoint.name,), depends_on)
    return plan, [(endpoint.name, name) for name in depends_on]


def _compile_choice(node: Choice) -> tuple[ChoicePlan, Wanted]:
    then, wanted = _compile(node.then)
    otherwise: Plan | None = None
    if node.otherwise is not None:
        otherwise, more = _compile(node.otherwise)
        for dependant, name in (*wanted, *more):
            if name in then.names or name in otherwise.names:
                raise ApiConfigurationError(
                    f"endpoint {dependant!r}: depends_on names {name!r}, "
                    "which is in the other branch of a choice"
                )
        wanted = wanted + more
    names = then.names + (otherwise.names if otherwise is not None else ())
    return ChoicePlan(call_with_context(node.condition, label="condition"), then, otherwise, names), wanted


def _compile_group(node: Group) -> tuple[GroupPlan, Wanted]:
    members: list[Plan] = []
    wants: list[Wanted] = []
    for member in node.members:
        plan, wanted = _compile(member)
        members.append(plan)
        wants.append(wanted)
    place = {name: i for i, plan in enumerate(members) for name in plan.names}
    needs: list[set[int]] = [set() for _ in members]
    outside: Wanted = []
    for i, wanted in enumerate(wants):
        for dependant, name in wanted:
            if node.kind is Kind.FANOUT:
                raise ApiConfigurationError(
                    f"endpoint {dependant!r}: depends_on is not allowed in a fanout; use parallel for that"
                )
            if name in place:
                needs[i].add(place[name])
            else:
                outside.append((dependant, name))
    order = _order(members, needs, node.kind)
    if node.kind in IN_ORDER:
        needs = _chain(order)
    names = tuple(name for plan in members for name in plan.names)
    fixed = tuple(tuple(sorted(need)) for need in needs)
    return GroupPlan(node.kind, tuple(members), fixed, order, node.max_concurrent, names), outside


def _order(members: Sequence[Plan], needs: Sequence[set[int]], kind: Kind) -> tuple[int, ...]:
    """A stable topological order: among those that may start, the one written first."""
    if kind is Kind.PIPELINE:
        for i, need in enumerate(needs):
            late = [j for j in need if j > i]
            if late:
                raise ApiConfigurationError(
                    f"endpoint {members[i].names[0]!r}: depends_on names a later step of its pipeline "
                    f"({members[late[0]].names[0]!r}); a pipeline runs in the order in which it is written"
                )
    open_needs = [len(need) for need in needs]
    dependants: list[list[int]] = [[] for _ in members]
    for i, need in enumerate(needs):
        for j in need:
            dependants[j].append(i)
    ready = [i for i, count in enumerate(open_needs) if count == 0]
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for j in dependants[i]:
            open_needs[j] -= 1
            if open_needs[j] == 0:
                heapq.heappush(ready, j)
    if len(order) < len(members):
        raise ApiConfigurationError(f"depends_on is circular: {' -> '.join(_cycle(members, needs, order))}")
    return tuple(order)


def _cycle(members: Sequence[Plan], needs: Sequence[set[int]], done: Sequence[int]) -> list[str]:
    here = next(i for i in range(len(members)) if i not in done)
    path: list[int] = []
    while here not in path:
        path.append(here)
        here = min(j for j in needs[here] if j not in done)
    cycle = [*path[path.index(here) :], here]
    return [repr(members[i].names[0]) for i in cycle]


def _chain(order: Sequence[int]) -> list[set[int]]:
    needs: list[set[int]] = [set() for _ in order]
    for before, after in pairwise(order):
        needs[after] = {before}
    return needs


def _check_fields(plan: Plan, earlier: frozenset[str]) -> None:
    """Refuses a dotted field such as {auth.token} that names no step whose result is there by then.

    Inside a pipeline anything may have such a key, so nothing can be said there.
    """
    if isinstance(plan, CallPlan):
        _check_call_fields(plan, earlier | set(plan.depends_on))
    elif isinstance(plan, ChoicePlan):
        for branch in (plan.then, plan.otherwise):
            if branch is not None:
                _check_fields(branch, earlier)
    elif plan.kind is not Kind.PIPELINE:
        in_order = plan.kind in IN_ORDER
        for i in plan.order:
            _check_fields(plan.members[i], earlier)
            if in_order:
                earlier |= frozenset(plan.members[i].names)


def _check_call_fields(plan: CallPlan, known: frozenset[str]) -> None:
    endpoint = plan.endpoint
    if endpoint.transform_input is not None:
        return  # what it returns is not known before the call
    for field in endpoint.template_fields:
        if "." in field and not any(field.startswith(f"{name}.") for name in known):
            head = field.partition(".")[0]
            place = "url" if field in endpoint.template.fields else "headers, params or idempotency_key"
            raise ApiConfigurationError(
                f"endpoint {endpoint.name!r}, {place}: nothing can supply {{{field}}}: no dependency or "
                f"earlier step is called {head!r}. Add it to depends_on, or pick it from the input with "
                "transform_input"
            )


def walk(plan: Plan) -> Iterator[CallPlan]:
    """All calls of a plan, in the order in which they were written."""
    if isinstance(plan, CallPlan):
        yield plan
    elif isinstance(plan, GroupPlan):
        for member in plan.members:
            yield from walk(member)
    else:
        yield from walk(plan.then)
        if plan.otherwise is not None:
            yield from walk(plan.otherwise)
