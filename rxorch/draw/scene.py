"""The scene: a flow as nodes, frames and arrows, before anything has a place.

Every form of a picture is made of it, so that all of them say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal, TypeAlias

from rxorch.draw.facts import EndpointFacts, called, facts_of, settings_of
from rxorch.draw.results import NodeResult
from rxorch.draw.subject import Subject
from rxorch.flow.nodes import Choice, Flow, Kind
from rxorch.flow.plan import CallPlan, ChoicePlan, GroupPlan, Plan, walk

__all__ = ["Arrow", "Frame", "Node", "Part", "Scene", "scene_of"]

_IN_ORDER: Final = frozenset({Kind.SEQUENTIAL, Kind.CONDITIONAL, Kind.PIPELINE})

Arrangement = Literal["chain", "grid", "layers"]


@dataclass(frozen=True, slots=True)
class Node:
    """A call, a decision, or where the flow begins and ends. `key` is unique in the scene."""

    key: str
    shape: Literal["call", "decision", "end"]
    title: str
    facts: EndpointFacts | None = None
    result: NodeResult | None = None


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one member of a frame to another, by their places. `taken`: it leads to what did run."""

    start: int
    end: int
    label: str = ""
    taken: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """Parts that belong together. One without a label is not drawn."""

    key: str
    label: str
    members: tuple[Part, ...]
    arrows: tuple[Arrow, ...]
    arrangement: Arrangement


Part: TypeAlias = Node | Frame


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole flow. `root` is the flow itself; `whole` has input and result around it.

    `ended`: it has results, and `settings` is their sum.
    """

    title: str
    settings: tuple[str, ...]
    root: Part
    whole: Frame
    ended: bool = False


def scene_of(subject: Subject, title: str | None, *, urls: bool = True) -> Scene:
    """The scene of a flow, with or without the urls of its endpoints."""
    calls = sum(1 for _ in walk(subject.plan.root))
    heading = f"{title or 'flow'} · {calls} endpoint{'' if calls == 1 else 's'}"
    builder = _Builder(subject, urls)
    root = builder.part(subject.flow, subject.plan.root)
    begin, end = Node("input", "end", "input"), Node("result", "end", "result")
    inside = root.members if isinstance(root, Frame) and root.arrangement == "chain" else (root,)
    members = (begin, *inside, end)
    whole = Frame("flow", "", members, _chain(len(members)), "chain")
    return Scene(heading, (subject.plan.mode, *settings_of(subject.config)), root, whole)


@dataclass
class _Builder:
    subject: Subject
    urls: bool
    _nodes: Iterator[int] = field(default_factory=lambda: count(1))
    _frames: Iterator[int] = field(default_factory=lambda: count(1))

    def part(self, flow: Flow, plan: Plan) -> Part:
        """A node of the flow, which has the names, with its plan, which has the order."""
        if isinstance(plan, CallPlan):
            facts = facts_of(plan.endpoint, self.subject.config, urls=self.urls)
            return Node(f"n{next(self._nodes)}", "call", facts.name, facts)
        key = f"g{next(self._frames)}"
        if isinstance(flow, Choice) and isinstance(plan, ChoicePlan):
            return self._choice(key, flow, plan)
        assert isinstance(plan, GroupPlan)
        return self._group(key, flow.children(), plan)

    def _choice(self, key: str, flow: Choice, plan: ChoicePlan) -> Frame:
        decision = Node(f"n{next(self._nodes)}", "decision", f"{called(flow.condition)}?")
        members: list[Part] = [decision, self.part(flow.then, plan.then)]
        arrows = [Arrow(0, 1, "yes")]
        if flow.otherwise is not None and plan.otherwise is not None:
            members.append(self.part(flow.otherwise, plan.otherwise))
            arrows.append(Arrow(0, 2, "no"))
        return Frame(key, "choice", tuple(members), tuple(arrows), "layers")

    def _group(self, key: str, flows: Sequence[Flow], plan: GroupPlan) -> Frame:
        label = plan.kind.value
        if plan.kind in _IN_ORDER:
            members = tuple(self.part(flows[i], plan.members[i]) for i in plan.order)
            return Frame(key, label, members, _chain(len(members)), "chain")
        members = tuple(map(self.part, flows, plan.members))
        if plan.max_concurrent is not None:
            label = f"{label} · at most {plan.max_concurrent} at once"
        arrows = tuple(
            Arrow(j, i) for i, needs in enumerate(_reduced(plan.needs, plan.order)) for j in sorted(needs)
        )
        return Frame(key, label, members, arrows, "layers" if arrows else "grid")


def _chain(length: int) -> tuple[Arrow, ...]:
    return tuple(Arrow(i, i + 1) for i in range(length - 1))


def _reduced(needs: Sequence[Sequence[int]], order: Sequence[int]) -> list[set[int]]:
    """The needs that do not follow from others: what is waited for anyway needs no arrow."""
    above: list[set[int]] = [set() for _ in needs]
    kept: list[set[int]] = [set() for _ in needs]
    for i in order:
        implied = set().union(*(above[j] for j in needs[i]))
        kept[i] = set(needs[i]) - implied
        above[i] = implied | set(needs[i])
    return kept
