"""Small sagas at random on journals that fail now and then; cancels, signals and take-overs meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from rxorch.flow.nodes import Flow
from rxorch.saga import (
    JournalError,
    MemoryJournal,
    RunRecord,
    Saga,
    SagaRun,
    SagaState,
    StepStatus,
    UnknownRunError,
    wait,
    wait_for,
)
from tests.saga.journals import Clock
from tests.saga.test_random_sagas import GROUPS, PATIENCE, QUICK, Plan, World

SEEDS = 150
ENDS = ("ok", "ok", "ok", "ok", "ok", "refused", "lost", "missed")
FAILING = {
    "claim", "create", "history", "post", "release", "renew", "request_cancel", "run", "signal",
    "signals", "steps", "write",
}  # fmt: skip


class Flaky:
    """A journal that fails now and then: before it has done what it was asked for, or behind it.

    Nobody is told of a `post` that fails, as a journal in a file does it.
    """

    def __init__(self, journal: MemoryJournal, chance: Random) -> None:
        self._journal = journal
        self._chance = chance
        self.rate = 0.0

    async def open(self) -> None:
        """It is open."""

    async def aclose(self) -> None:
        """Leaves it open, for others."""

    def post(self, *args: Any) -> None:
        """Perhaps."""
        if self._chance.random() >= self.rate:
            self._journal.post(*args)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def asked(*args: Any, **named: Any) -> Any:
            fails = name in FAILING and self._chance.random() < self.rate
            is_early = self._chance.random() < 0.5
            for _ in range(self._chance.randint(0, 2)):
                await asyncio.sleep(0)
            if fails and is_early:
                raise JournalError(f"{name}: the disk is full")
            answer = await getattr(self._journal, name)(*args, **named)
            if fails:
                raise JournalError(f"{name}: nobody knows whether it was written")
            return answer

        return asked


def flow_of(world: World, chance: Random, depth: int = 0) -> Flow:
    """A flow at random, with waits in it."""
    if depth == 3 or (depth > 0 and chance.random() < 0.6):
        if chance.random() < 0.15:
            name = f"w{len(world.waits)}"
            world.waits.add(name)
            return wait(0.0, name=name) if chance.random() < 0.5 else wait_for(name)
        return world.step(
            Plan(
                ends=tuple(chance.choice(ENDS) for _ in range(chance.randint(1, 3))),
                undo=chance.choice([None, (True,), (True,), (False, True), (False,)]),
                pivot=chance.random() < 0.12,
                retriable=chance.random() < 0.2,
                yields=chance.randint(0, 4),
                holds=chance.random() < 0.85,
            )
        )
    members = [flow_of(world, chance, depth + 1) for _ in range(chance.randint(1, 4))]
    return world.group(chance.choice(["sequential", "sequential", *GROUPS]), members)


class Trouble:
    """A run, processes that may drive it, and what comes between."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.clock = Clock()
        self.journal = MemoryJournal(now=self.clock)
        self.flaky = Flaky(self.journal, self.chance)
        self.world = World()
        flow = flow_of(self.world, self.chance)
        self.flow = self.world.group("sequential", [flow, self.world.step(Plan())])

    def process(self) -> Saga:
        """Another process that may drive the run."""
        return Saga("order", self.flow, journal=self.flaky, recovery=QUICK, undo=QUICK, now=self.clock)

    async def lived(self) -> None:
        """Has the run begin, troubles it, lets it come to its end, and sees whether all is as promised."""
        chance = self.chance
        async with self.journal, self.process() as one, self.process() as two:
            await self.begun(one, two)
            self.flaky.rate = chance.choice([0.0, 0.03, 0.1])
            for _ in range(chance.randint(0, 25)):
                with suppress(JournalError):
                    await self.trouble(chance.choice([one, two]))
                for _ in range(chance.randint(0, 12)):
                    await asyncio.sleep(0)
            self.flaky.rate = 0.0
            await self.ended(one)
        run = await self.look()
        await self.check(run)
        if run.state is SagaState.FAILED:
            self.world.is_healed = True
            async with self.process() as last:
                await last.retry_dead_letter("r")
                await self.ended(last)
            again = await self.look()
            was_undone = run.was_compensating
            assert again.state is (SagaState.COMPENSATED if was_undone else SagaState.COMPLETED)
            await self.check(again)

    async def begun(self, one: Saga, two: Saga) -> None:
        """Has the run begin, perhaps several times at once, and troubles it before it moves."""
        chance = self.chance
        self.flaky.rate = chance.choice([0.0, 0.1, 0.3])
        starts = [each.start({}, run_id="r") for each in chance.choice([[one], [one, two, one]])]
        for made in await asyncio.gather(*starts, return_exceptions=True):
            assert isinstance(made, SagaRun | JournalError), made
        if chance.random() < 0.2:
            with suppress(JournalError, UnknownRunError):
                await one.cancel("r")
        if chance.random() < 0.2:
            await one.aclose()
            await one.__aenter__()
        self.flaky.rate = 0.0
        if await self.journal.run("r") is None:
            await one.start({}, run_id="r")

    async def trouble(self, saga: Saga) -> None:
        """One thing that may happen to a run."""
        match self.chance.choice(["resume", "resume", "signal", "signal", "late", "beat", "cancel"]):
            case "resume":
                await saga.resume()
            case "signal" if self.world.waits:
                await saga.signal("r", self.chance.choice(sorted(self.world.waits)))
            case "late":
                self.clock.now += 40.0
            case "beat":
                for drive, _ in list(saga._watch.drives.values()):
                    await drive.renew()
            case "cancel" if self.chance.random() < 0.2:
                await saga.cancel("r")

    async def ended(self, saga: Saga) -> None:
        """Waits for the end, and does for it what must be done."""
        for name in sorted(self.world.waits):
            await saga.signal("r", name)
        while not (await self.look()).state.is_over:
            if not saga._watch.drives:
                self.clock.now += 40.0
            with suppress(JournalError):
                await saga.resume()
            await asyncio.sleep(0)

    async def look(self) -> RunRecord:
        """The run as it stands."""
        await self.journal.open()
        run = await self.journal.run("r")
        assert run is not None
        return run

    async def check(self, run: RunRecord) -> None:
        """The promises."""
        world = self.world
        assert world.wrongs == []
        assert "JournalError" not in str(run.error)  # that is no failure of a step
        steps = [each for each in await self.journal.steps("r") if each.step not in world.waits]
        done = {each.step for each in steps if not each.undo and each.status is StepStatus.COMPLETED}
        undone = {each.step for each in steps if each.undo and each.status is StepStatus.COMPLETED}
        pivots = {name for name, plan in world.plans.items() if plan.pivot}
        left, can_be = world.effects(), {name for name, plan in world.plans.items() if plan.undo is not None}
        assert len(set(world.log)) == len(world.log)  # one effect for each key
        assert done <= {name for kind, name in world.log if kind == "do"} | undone
        if run.state is SagaState.COMPLETED:
            assert left == done
            assert not undone
        elif run.state is SagaState.COMPENSATED:
            assert not pivots & (done | left)
            assert not left & can_be
            assert done & can_be <= undone
        elif run.was_compensating:
            failed = {each.step for each in steps if each.undo and each.status is StepStatus.FAILED}
            assert failed
            assert not pivots & done
            assert left & can_be <= failed
        else:
            in_doubt = {each.step for each in steps if each.status is StepStatus.UNKNOWN}
            assert not undone
            assert pivots & (done | in_doubt)
        if not world.is_healed:  # what a retried dead letter undoes comes late
            acted = {name for kind, name in world.log if kind == "do"}
            order = [name for kind, name in world.log if kind == "undo" and name in acted]
            places = {name: place for place, name in enumerate(order)}
            both = [(one, two) for one, two in world.before if one in places and two in places]
            assert [(one, two) for one, two in both if places[one] < places[two]] == []
        await self.check_history(run)

    async def check_history(self, run: RunRecord) -> None:
        """What was told of the run is what happened to it, in a possible order; all of it is published."""
        events = await self.journal.history("r")
        kinds = [event.kind for event in events]
        assert kinds[0] == "run.started"
        assert [kind for kind in kinds if not kind.startswith("signal")][-1] == f"run.{run.state.value}"
        assert kinds.count("run.compensating") <= 1
        if "run.compensating" in kinds:
            turn = kinds.index("run.compensating")
            assert not any(kind.startswith("step.") for kind in kinds[turn:])
            assert not any(kind.startswith("undo.") for kind in kinds[:turn])
        told: dict[tuple[str, bool], str] = {}
        for event in events:
            if "step" in event.data:
                what, status = event.kind.split(".")
                told[event.data["step"], what == "undo"] = status
        steps = await self.journal.steps("r")
        assert {(each.step, each.undo): each.status.value for each in steps}.items() <= told.items()
        assert await self.journal.outbox(100_000) == events


def test_the_promises_hold_through_troubles() -> None:
    for seed in range(SEEDS):
        try:
            asyncio.run(asyncio.wait_for(Trouble(seed).lived(), PATIENCE))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
