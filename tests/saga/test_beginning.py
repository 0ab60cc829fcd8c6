"""The beginning of a run: its first step is written with it, where every run begins with that step."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import conditional, fanout, graph, parallel, pipeline, sequential
from rxorch.flow.nodes import Flow
from rxorch.saga import (
    Claim,
    Journal,
    JournalError,
    MemoryJournal,
    NewRun,
    Saga,
    SagaState,
    Step,
    StepStatus,
    wait,
    wait_for,
)
from rxorch.saga.steps import definition_of
from tests.saga.dying import Dying
from tests.saga.journals import Clock, Journals
from tests.saga.services import Services


def nothing(data: Any) -> None:
    """Does nothing."""


def step(name: str, **settings: Any) -> Step:
    return Step(nothing, name=name, **settings)


@pytest.mark.parametrize(
    ("flow", "first"),
    [
        (step("a"), "a"),
        (sequential(step("a"), step("b")), "a"),
        (sequential(step("b", depends_on=["a"]), step("a")), "a"),  # the order is that of the needs
        (pipeline(step("a"), step("b")), "a"),
        (sequential(pipeline(sequential(step("a")), step("b")), step("c")), "a"),
        (sequential(step("a", condition=bool), step("b")), None),
        (sequential(wait(1, name="a"), step("b")), None),
        (sequential(wait_for("a"), step("b")), None),
        (sequential(conditional(bool, then=step("a")), step("b")), None),
        (sequential(parallel(step("a"), step("b")), step("c")), None),
        (fanout(step("a"), step("b")), None),
        (graph(step("a"), step("b", depends_on=["a"])), None),
    ],
)
def test_which_step_a_run_surely_begins_with(flow: Flow, first: str | None) -> None:
    assert definition_of("order", flow).first == first


async def test_it_is_one_write(journal: Journal) -> None:
    counted = Dying(journal, 100)
    async with Saga("order", [step("a"), step("b")], journal=counted) as saga:
        assert (await saga.execute({"n": 1}, run_id="r")).ok
        events = [(event.kind, event.data.get("attempt")) for event in await saga.history("r")]
        steps = await saga.steps("r")
    assert counted.left == 100 - 3  # the run with a, a with b, b with the end
    assert events[:3] == [("run.started", None), ("step.started", 1), ("step.completed", 1)]
    assert [(each.step, each.input, each.key, each.began) for each in steps] == [
        ("a", {"n": 1}, "r:a", 1), ("b", {"n": 1, "a": None}, "r:b", 3),
    ]  # fmt: skip


async def test_after_a_restart_it_is_in_doubt_and_repeated(journals: Journals, services: Services) -> None:
    dying = Dying(journals.one, 1, is_written=True)
    async with Saga("order", [services.step("a")], journal=dying) as saga:
        with pytest.raises(JournalError):
            await saga.start({"n": 1}, run_id="r")
    assert services.asked == []
    journals.clock.now += 100
    async with Saga("order", [services.step("a")], journal=await journals.another()) as saga:
        (run,) = await saga.resume()
        assert (await run).ok
        (record,) = await saga.steps("r")
    assert (record.attempt, record.key, services.asked) == (2, "r:a", ["a"])
    assert services.bodies["a"] == {"n": 1}


async def test_if_it_cannot_be_called_it_has_failed_and_nothing_is_undone(
    journal: Journal, services: Services
) -> None:
    needs = services.step("a", url=services.server.url + "/do/{what}")
    async with Saga("order", [needs], journal=journal) as saga:
        result = await saga.execute({"n": 1}, run_id="r")
        steps = await saga.steps("r")
    assert result.state is SagaState.COMPENSATED
    assert result.error is not None and result.error["step"] == "a"
    assert [(each.step, each.undo, each.status) for each in steps] == [("a", False, StepStatus.FAILED)]
    assert services.asked == []


async def test_a_run_that_is_cancelled_before_it_moves_is_undone(services: Services) -> None:
    journal = MemoryJournal()
    async with Saga("order", [services.step("a"), services.step("b")], journal=journal) as saga:
        run = await saga.start(run_id="r")
        await asyncio.gather(run.cancel(), asyncio.sleep(0))
        result = await run
    assert result.state is SagaState.COMPENSATED
    assert services.done == []


async def test_what_was_not_made_before_a_cancel_is_not_undone() -> None:
    made: list[str] = []
    first = Step(lambda _: {"id": 1}, name="a", compensation=lambda data: made.append(data["a"]["id"]))
    async with Saga("order", [first, step("b")], journal=MemoryJournal()) as saga:
        run = await saga.start(run_id="r")
        await run.cancel()  # this journal has nobody wait: the run has not moved
        result = await run
        steps = await saga.steps("r")
    assert result.state is SagaState.COMPENSATED
    assert [(each.step, each.undo, each.status) for each in steps] == [("a", False, StepStatus.FAILED)]
    assert made == []


async def test_a_pivot_that_was_not_made_does_not_keep_from_cancelling() -> None:
    made: list[Any] = []
    async with Saga("order", [Step(made.append, name="a", pivot=True)], journal=MemoryJournal()) as saga:
        run = await saga.start(run_id="r")
        await run.cancel()
        assert (await run).state is SagaState.COMPENSATED
    assert made == []


async def test_a_lease_that_ran_out_before_it_came_is_renewed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, late, made = asyncio.get_running_loop(), [0.0], []
    begin = loop.time

    class Slow(MemoryJournal):
        async def create(self, new: NewRun, owner: str, *args: Any) -> tuple[Claim, bool]:
            created = await super().create(new, owner, *args)
            late[0] += 60.0
            clock.now += 60.0
            assert await self.claim(new.run_id, "somebody else", 3600.0) is not None
            return created

    monkeypatch.setattr(loop, "time", lambda: begin() + late[0])
    clock = Clock()
    async with Saga("order", [Step(made.append, name="a")], journal=Slow(now=clock)) as saga:
        await saga.start(run_id="r")
        _, task = saga._watch.drives["r"]
        await asyncio.wait([task])
    assert made == []
