"""The outbox: every event, in order, until it is acknowledged."""

from __future__ import annotations

import asyncio

import pytest

from rxorch.saga import AuditEvent, Delivery, Journal, Saga, SagaError, Step, outbox, wait_for
from tests.saga.journals import Journals


def nothing(data: object) -> None:
    """Has no effect."""


async def drained(journal: Journal, *, acknowledge: bool = True) -> list[AuditEvent]:
    """What the outbox gives until there is no more."""
    found = []
    async for delivery in outbox(journal, poll=None, batch=3):
        found.append(delivery.event)
        if acknowledge:
            await delivery.acknowledge()
    return found


async def test_all_events_come_in_their_order_and_once(journal: Journal) -> None:
    async with Saga("order", [Step(nothing)], journal=journal) as saga:
        await asyncio.gather(*(saga.execute({}, run_id=f"r{number}") for number in range(5)))
        found = await drained(journal)
        assert [event.number for event in found] == sorted(event.number for event in found)
        for number in range(5):
            history = await saga.history(f"r{number}")
            assert [event for event in found if event.run_id == f"r{number}"] == history
        assert await drained(journal) == []
        assert await saga.history("r0") != []  # what was acknowledged stays there


async def test_what_was_not_acknowledged_comes_again(journal: Journal) -> None:
    async with Saga("order", [Step(nothing)], journal=journal) as saga:
        await saga.execute({}, run_id="r")
        first = await drained(journal, acknowledge=False)
        assert len(first) == 4
        async for delivery in outbox(journal, poll=None):  # a publisher that crashes after the second
            await delivery.acknowledge()
            if delivery.event == first[1]:
                break
        assert await drained(journal) == first[2:]


async def test_a_publisher_in_another_process_after_a_restart(journals: Journals) -> None:
    async with Saga("order", [Step(nothing)], journal=journals.one) as saga:
        await saga.execute({}, run_id="r")
    other = await journals.another()
    await other.open()
    assert [event.kind for event in await drained(other)] == [
        "run.started", "step.started", "step.completed", "run.completed",
    ]  # fmt: skip


async def test_acknowledging_may_be_late_and_out_of_order(journal: Journal) -> None:
    async with Saga("order", [Step(nothing)], journal=journal) as saga:
        await saga.execute({}, run_id="r")
        taken: list[Delivery] = [delivery async for delivery in outbox(journal, poll=None, batch=2)]
        assert [delivery.event.kind for delivery in taken][-1] == "run.completed"
        await taken[2].acknowledge()
        await taken[2].acknowledge()
        left = await drained(journal)
        assert left == [taken[0].event, taken[1].event, taken[3].event]


async def test_it_waits_for_what_comes(journal: Journal) -> None:
    async with Saga("order", [wait_for("go")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        kinds = []
        async for delivery in outbox(journal, poll=0.001):
            kinds.append(delivery.event.kind)
            await delivery.acknowledge()
            if kinds[-1] == "step.waiting":
                await run.signal("go")
            if kinds[-1] == "run.completed":
                break
    assert kinds == ["run.started", "step.waiting", "signal.received", "step.completed", "run.completed"]


async def test_who_takes_and_never_acknowledges_is_stopped(journal: Journal) -> None:
    async with Saga("order", [Step(nothing)], journal=journal) as saga:
        await asyncio.gather(*(saga.execute() for _ in range(251)))
        with pytest.raises(SagaError, match=r"1,0\d\d events of the outbox were taken and not acknowledged"):
            await drained(journal, acknowledge=False)
