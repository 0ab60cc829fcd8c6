"""Waiting for runs that others drove, and asking for the end of those whose steps are others now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rxorch.saga import (
    Heard,
    JournalError,
    Lease,
    MemoryJournal,
    Saga,
    SagaDefinitionChangedError,
    SagaState,
    Step,
    StepRecord,
    wait_for,
)
from tests.saga.journals import Clock, Journals, begin, new
from tests.saga.services import Services


async def left(journals: Journals, saga: Saga) -> None:
    """A run of which somebody holds the lease who will not come back."""
    run = new("r", saga.name, fingerprint=saga.definition.fingerprint, input_json=b"{}")
    await journals.one.create(run, "the dead", 30.0)


async def test_who_waits_for_a_run_goes_on_with_it_when_its_process_is_dead(
    journals: Journals, services: Services
) -> None:
    now = journals.clock
    async with Saga("order", [services.step("a")], journal=await journals.another(), now=now) as saga:
        await left(journals, saga)
        waiting = asyncio.ensure_future(saga.run("r"))
        await asyncio.sleep(0)
        assert services.asked == []
        now.now += 31.0
        assert (await waiting).ok
        kinds = [event.kind for event in await saga.history("r")]
    assert kinds[:2] == ["run.started", "run.resumed"]
    assert services.asked == ["a"]


async def test_a_run_that_somebody_drives_is_left_to_him(journals: Journals, services: Services) -> None:
    now = journals.clock
    async with Saga("order", [services.step("a")], journal=await journals.another(), now=now) as saga:
        await left(journals, saga)
        run = await saga.status("r")
        await saga._driving.adopt(run)
        assert not saga._watch.drives
        now.now += 31.0
        await saga._driving.adopt(run)
        assert list(saga._watch.drives) == ["r"]
        assert (await saga.run("r")).ok


async def test_a_run_of_other_steps_is_not_waited_for_when_nobody_drives_it(journals: Journals) -> None:
    now = journals.clock
    async with Saga("order", [Step(lambda _: 1, name="a")], journal=journals.one, now=now) as saga:
        await begin(journals.one, "r")
        await saga._driving.adopt(await saga.status("r"))  # whoever drives it knows its steps
        now.now += 31.0
        with pytest.raises(SagaDefinitionChangedError, match="began with other steps"):
            await saga.run("r")


async def test_a_run_of_other_steps_is_cancelled_by_those_who_know_them(services: Services) -> None:
    journal = MemoryJournal()
    old: list[Any] = [services.step("a"), wait_for("go")]
    async with Saga("order", old, journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        while (await saga.history("r"))[-1].kind != "step.waiting":
            await asyncio.sleep(0)
    async with Saga("order", [services.step("b")], journal=journal) as changed:
        assert (await changed.cancel("r", "too late")).state is SagaState.CANCEL_REQUESTED
    assert services.asked == ["a"]
    async with Saga("order", old, journal=journal) as saga:
        (run,) = await saga.resume()
        assert (await run).state is SagaState.COMPENSATED
    assert services.asked == ["a", "undo a"]


class Full(MemoryJournal):
    """One that takes no steps."""

    async def write(self, lease: Lease, steps: Sequence[StepRecord] = (), *args: Any, **named: Any) -> Heard:
        """Never."""
        raise JournalError("the disk is full")


async def test_each_who_waits_has_an_error_of_his_own(services: Services) -> None:
    async with Saga("order", [services.step("a")], journal=Full()) as saga:
        await saga.start({}, run_id="r")
        met = await asyncio.gather(*(saga.run("r") for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in met] == [JournalError] * 3
    assert [str(error) for error in met] == ["the disk is full"] * 3
    assert len({id(error) for error in met}) == 3


async def test_a_failure_is_forgotten_when_others_have_ended_the_run(services: Services) -> None:
    clock = Clock()
    journal, full = MemoryJournal(now=clock), Full(now=clock)
    full._kept = journal._kept  # two that see the same runs
    async with journal, Saga("order", [services.step("a")], journal=full) as saga:
        run = await saga.start({}, run_id="r")
        with pytest.raises(JournalError):
            await run
        async with Saga("order", [services.step("a")], journal=journal) as other:
            assert (await other.execute(run_id="r")).ok
        assert await saga.resume() == []
        assert saga._watch.failures == {}
