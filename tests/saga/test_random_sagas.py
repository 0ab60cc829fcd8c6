"""Small sagas at random, in processes that die at random: the promises of a saga hold in each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rxorch import conditional, graph, parallel, pipeline, sequential
from rxorch.flow.nodes import Flow
from rxorch.saga import (
    JournalError,
    MemoryJournal,
    Saga,
    SagaResult,
    SagaState,
    Step,
    StepStatus,
    current_step,
)
from rxorch_operators import RetryPolicy
from tests.saga.dying import Dying
from tests.saga.journals import Clock

PATIENCE = 20.0
"""Seconds after which a run hangs."""

QUICK = RetryPolicy(max_attempts=2, base=0.0001, cap=0.0001, jitter="none", max_elapsed=None)
GROUPS: dict[str, Callable[..., Flow]] = {
    "sequential": sequential, "parallel": parallel, "pipeline": pipeline, "graph": graph,
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How a step behaves: what its attempts come to, the last of them for ever, and those of its undoing."""

    ends: tuple[str, ...] = ("ok",)
    undo: tuple[bool, ...] | None = (True,)
    pivot: bool = False
    retriable: bool = False
    yields: int = 0
    holds: bool = True


Tree: TypeAlias = "Plan | tuple[str, list[Tree]]"

ENDS = st.lists(
    st.sampled_from(["ok", "ok", "ok", "ok", "refused", "lost", "missed"]), min_size=1, max_size=3
)
PLANS = st.builds(
    Plan,
    ends=ENDS.map(tuple),
    undo=st.none() | st.lists(st.sampled_from([True, True, True, False]), min_size=1, max_size=3).map(tuple),
    pivot=st.sampled_from([False] * 6 + [True]),
    retriable=st.sampled_from([False] * 4 + [True]),
    yields=st.integers(0, 3),
    holds=st.sampled_from([True] * 5 + [False]),
)
TREES: st.SearchStrategy[Tree] = st.recursive(
    PLANS,
    lambda inner: st.tuples(
        st.sampled_from([*GROUPS, "sequential", "then", "otherwise"]), st.lists(inner, min_size=1, max_size=4)
    ),
    max_leaves=7,
)
DEATHS = st.lists(st.tuples(st.integers(1, 14), st.booleans()), max_size=4)


@dataclass
class World:
    """What the steps have done, by key: an action that was undone before it came has no effect."""

    seen: set[str] = field(default_factory=set)
    log: list[tuple[str, str]] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    before: set[tuple[str, str]] = field(default_factory=set)
    plans: dict[str, Plan] = field(default_factory=dict)
    waits: set[str] = field(default_factory=set)
    wrongs: list[str] = field(default_factory=list)
    """What must not be: an assertion within a step would be a failure of the step, and no more."""
    is_healed: bool = False

    def effects(self) -> set[str]:
        """Steps with an effect that was not undone."""
        done: set[str] = set()
        for kind, name in self.log:
            (done.add if kind == "do" else done.discard)(name)
        return done

    # -- making the saga -------------------------------------------------------------------------------

    def flow(self, tree: Tree) -> Flow:
        """The flow of a tree."""
        if isinstance(tree, Plan):
            return self.step(tree)
        kind, members = tree
        flows = [self.flow(member) for member in members]
        if kind in ("then", "otherwise"):
            way = kind == "then"
            one = GROUPS["sequential"](*flows)
            other = self.step(Plan(ends=("refused",)))
            return conditional(lambda _: way, then=one if way else other, otherwise=other if way else one)
        return self.group(kind, flows)

    def group(self, kind: str, flows: list[Flow]) -> Flow:
        """A group of flows; remembers which step comes after which."""
        if kind in ("sequential", "pipeline"):
            for index, later in enumerate(flows):
                for earlier in flows[:index]:
                    self.before |= {(a.name, b.name) for a in earlier.endpoints() for b in later.endpoints()}
        return GROUPS[kind](*flows)

    def step(self, plan: Plan) -> Step:
        """A step that behaves so."""
        name = f"s{len(self.plans)}"
        if plan.pivot:
            plan = replace(plan, undo=None)
        self.plans[name] = plan

        async def act(data: Any) -> str:
            for _ in range(plan.yields):
                await asyncio.sleep(0)
            return self.act(name)

        async def revert(data: Any) -> None:
            for _ in range(plan.yields):
                await asyncio.sleep(0)
            self.revert(name)

        return Step(
            act, name=name, compensation=None if plan.undo is None else revert, pivot=plan.pivot,
            retriable=plan.retriable, condition=None if plan.holds else lambda _: False,
        )  # fmt: skip

    # -- what the steps do -----------------------------------------------------------------------------

    def _attempt(self, key: str) -> int:
        self.attempts[key] = self.attempts.get(key, 0) + 1
        return self.attempts[key] - 1

    def act(self, name: str) -> str:
        """An action: has its effect once, unless it was undone before."""
        step = current_step()
        assert step is not None
        if (step.key, step.undo) != (f"r:{name}", False):
            self.wrongs.append(f"{name} is called as {step}")
        ends = self.plans[name].ends
        attempt = self._attempt(step.key)
        end = "ok" if self.is_healed else ends[min(attempt, len(ends) - 1)]
        if end == "refused" and step.key not in self.seen:
            raise ValueError("refused")
        if end == "missed":
            raise TimeoutError("it never came there")
        if step.key not in self.seen:
            self.seen.add(step.key)
            if self.plans[name].undo and any(kind == "undo" for kind, _ in self.log):
                self.wrongs.append(f"{name} is done after the abort")
            self.log.append(("do", name))
        if end == "lost":
            raise TimeoutError("the answer is lost")
        return name

    def revert(self, name: str) -> None:
        """An undoing: the same, of an action that came or did not."""
        step = current_step()
        assert step is not None
        if (step.key, step.undo) != (f"r:{name}:undo", True):
            self.wrongs.append(f"{name} is undone as {step}")
        ends = self.plans[name].undo
        assert ends is not None
        attempt = self._attempt(step.key)
        if not self.is_healed and not ends[min(attempt, len(ends) - 1)]:
            raise ValueError("not now")
        if step.key not in self.seen:
            self.seen |= {step.key, f"r:{name}"}
            self.log.append(("undo", name))


async def lived(world: World, flow: Flow, deaths: list[tuple[int, bool]], yields: int) -> SagaResult:
    """The end of a run whose processes die so, one after another."""
    clock = Clock()
    async with MemoryJournal(now=clock) as journal:

        def saga(of: Any) -> Saga:
            return Saga("order", flow, journal=of, recovery=QUICK, undo=QUICK)

        for writes, is_written in deaths:
            dying = Dying(journal, writes, is_written=is_written, yields=yields)
            async with saga(dying) as dies:
                with suppress(JournalError):
                    run = await dies.start({}, run_id="r")
                    await run
            clock.now += 100
        async with saga(Dying(journal, 10_000, yields=yields)) as lives:
            result = await lives.execute({}, run_id="r")
            await check(world, lives, result)
            if result.state is SagaState.FAILED:
                world.is_healed = True
                was_compensating = (await lives.status("r")).was_compensating
                result = await (await lives.retry_dead_letter("r"))
                assert result.state is (SagaState.COMPENSATED if was_compensating else SagaState.COMPLETED)
                await check(world, lives, result)
    return result


async def check(world: World, saga: Saga, result: SagaResult) -> None:
    """The promises."""
    assert world.wrongs == []
    steps = await saga.steps("r")
    done = {each.step for each in steps if not each.undo and each.status is StepStatus.COMPLETED}
    undone = {each.step for each in steps if each.undo and each.status is StepStatus.COMPLETED}
    left, order = world.effects(), [name for kind, name in world.log if kind == "undo"]
    assert len(set(world.log)) == len(world.log)
    assert done <= {name for kind, name in world.log if kind == "do"} | undone
    pivots = {name for name in done if world.plans[name].pivot}
    if result.state is SagaState.COMPLETED:
        assert left == done
        assert not order
    elif result.state is SagaState.COMPENSATED:
        assert not pivots
        assert all(world.plans[name].undo is None for name in left)
        assert set(order) >= {name for name in done if world.plans[name].undo is not None}
    elif (await saga.status("r")).was_compensating:
        assert not pivots
        assert not undone & left
        failed = {each.step for each in steps if each.undo and each.status is StepStatus.FAILED}
        assert failed
        assert all(world.plans[name].undo is None or name in failed for name in left)
    else:
        assert not order
        in_doubt = {each.step for each in steps if each.status is StepStatus.UNKNOWN}
        assert pivots or any(world.plans[name].pivot for name in in_doubt)
    history = await saga.history("r")
    # An undoing that failed for good holds up none of the others, and is tried again after a crash.
    given_up = {event.data["step"] for event in history if event.kind == "undo.failed"}
    if not world.is_healed:  # what a retried dead letter undoes comes late
        places = {name: place for place, name in enumerate(order)}
        for earlier, later in world.before:
            if earlier in places and later in places and later not in given_up:
                assert places[later] < places[earlier]
    kinds = [event.kind for event in history]
    assert kinds[0] == "run.started"
    assert kinds[-1] == f"run.{result.state.value}"
    assert kinds.count("run.compensating") <= 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREES, deaths=DEATHS, yields=st.integers(0, 4))
def test_the_promises_hold(tree: Tree, deaths: list[tuple[int, bool]], yields: int) -> None:
    world = World()
    flow = world.flow(("sequential", [tree]))
    result = asyncio.run(asyncio.wait_for(lived(world, flow, deaths, yields), PATIENCE))
    assert result.state.is_over
