"""Waits and signals: what comes when, from where, and over restarts; the events of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rxorch import pipeline
from rxorch.errors import ApiValidationError
from rxorch.saga import (
    AuditEvent,
    Journal,
    Saga,
    SagaError,
    SagaRun,
    SagaState,
    SqliteJournal,
    Step,
    wait,
    wait_for,
)
from rxorch_operators import RetryPolicy, to_async_iterable
from tests.saga.journals import Journals
from tests.saga.services import Services


async def until(run: SagaRun, saga: Saga, kind: str) -> AuditEvent:
    """Waits for an event of a run."""
    async for event in to_async_iterable(run.events):
        if event.kind == kind:
            return event
    raise AssertionError(f"no {kind}")


# -- waiting -------------------------------------------------------------------------------------------


async def test_a_wait_is_over_after_its_time(journal: Journal) -> None:
    async with Saga("order", [wait(0.01), wait(0, name="none")], journal=journal) as saga:
        result = await saga.execute({}, run_id="r")
        first, second = await saga.steps("r")
    assert (result.ok, result.value) == (True, None)
    assert (first.step, second.step) == ("wait_0_01s", "none")
    assert first.due is not None
    assert first.due - first.began_at == pytest.approx(0.01)


async def test_a_restart_does_not_make_a_wait_longer(journals: Journals) -> None:
    clock = journals.clock
    steps: list[Any] = [wait(3_600, name="cooling"), Step(lambda _: "done", name="end")]
    async with Saga("order", steps, journal=journals.one, now=clock) as saga:
        run = await saga.start({}, run_id="r")
        await until(run, saga, "step.waiting")
        (before,) = await saga.steps("r")
    clock.now += 1_800
    async with Saga("order", steps, journal=journals.one, now=clock) as saga:
        (run,) = await saga.resume()
        await asyncio.sleep(0)
        (step,) = await saga.steps("r")
        assert (step.due, step.status, step.attempt) == (before.due, "waiting", 1)
    clock.now += 1_800
    async with Saga("order", steps, journal=journals.one, now=clock) as saga:
        (run,) = await saga.resume()
        assert (await run).value == "done"
        assert [event.kind for event in await saga.history("r")].count("step.waiting") == 1


# -- signals -------------------------------------------------------------------------------------------


async def test_a_signal_ends_a_wait_and_is_its_result(journal: Journal) -> None:
    async with Saga("order", [wait_for("approved")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        await until(run, saga, "step.waiting")
        assert await run.signal("else", 1)  # wakes it, and it waits on
        assert await run.signal("approved", {"by": "Ada"})
        assert not await run.signal("approved", {"by": "Grace"})
        assert (await run).value == {"by": "Ada"}


async def test_a_signal_may_come_before_it_is_waited_for(journal: Journal, services: Services) -> None:
    services.gates["a"] = asyncio.Event()
    async with Saga("order", [services.step("a"), wait_for("go", name="w")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until_in_flight(1)
        await run.signal("go", 7)
        services.gates["a"].set()
        assert (await run).value == 7


async def test_a_signal_may_come_while_nobody_drives(journals: Journals) -> None:
    async with Saga("order", [wait_for("go")], journal=journals.one) as saga:
        await until(await saga.start({}, run_id="r"), saga, "step.waiting")
    other = await journals.another()
    await other.open()
    await other.signal("r", "go", b"7")
    async with Saga("order", [wait_for("go")], journal=journals.one) as saga:
        (run,) = await saga.resume()
        assert (await run).value == 7


async def test_a_signal_of_another_process_is_heard(tmp_path: Path) -> None:
    def saga() -> Saga:
        journal = SqliteJournal(tmp_path / "sagas.sqlite", durable=False)
        return Saga("order", [wait_for("go")], journal=journal, lease=0.3)

    async with saga() as one, saga() as two:
        run = await one.start({}, run_id="r")
        assert await two.signal("r", "go", 7)
        assert (await run).value == 7
        assert (await two.run("r")).value == 7


async def test_a_cancel_of_another_process_is_heard(tmp_path: Path) -> None:
    def saga() -> Saga:
        journal = SqliteJournal(tmp_path / "sagas.sqlite", durable=False)
        return Saga("order", [wait_for("go")], journal=journal, lease=0.3)

    async with saga() as one, saga() as two:
        run = await one.start({}, run_id="r")
        await two.cancel("r")
        assert (await run).state is SagaState.COMPENSATED


async def test_a_signal_that_does_not_come_in_time(journal: Journal, services: Services) -> None:
    async with Saga("order", [services.step("a"), wait_for("go", timeout=0.01)], journal=journal) as saga:
        result = await saga.execute({}, run_id="r")
    assert result.state is SagaState.COMPENSATED
    assert result.error is not None
    assert (result.error["step"], result.error["type"]) == ("go", "ApiTimeoutError")
    assert result.error["message"].startswith("signal 'go' did not come in time")
    assert services.log == ["a", "undo a"]


async def test_a_late_signal_behind_the_pivot_is_heard_by_the_retried_dead_letter(journal: Journal) -> None:
    steps: list[Any] = [Step(lambda _: 1, name="pivot", pivot=True), wait_for("go", timeout=0)]
    async with Saga("order", steps, journal=journal) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.FAILED
        await saga.signal("r", "go", 7)
        assert (await (await saga.retry_dead_letter("r"))).value == 7


async def test_a_signal_in_a_pipeline_is_handed_on(journal: Journal) -> None:
    flow = pipeline(wait_for("n"), Step(lambda n: n + 1, name="more"))
    async with Saga("sum", flow, journal=journal) as saga:
        run = await saga.start()
        await run.signal("n", 41)
        assert (await run).value == 42


async def test_a_signal_that_json_cannot_hold_is_refused(journal: Journal) -> None:
    async with Saga("order", [wait_for("go")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        with pytest.raises(ApiValidationError, match="the signal cannot be kept in the journal"):
            await run.signal("go", object())
        assert await run.signal("go", 1)
        await run


async def test_a_pause_before_a_repetition_is_not_cut_short_by_a_signal(journal: Journal) -> None:
    made: list[int] = []

    def busy(data: Any) -> None:
        made.append(1)
        raise ValueError("busy")

    hourly = RetryPolicy(max_attempts=3, base=3600.0, cap=3600.0, jitter="none", max_elapsed=None)
    async with Saga("order", [Step(busy, retriable=True)], journal=journal, recovery=hourly) as saga:
        run = await saga.start({}, run_id="r")
        while not made:
            await asyncio.sleep(0)
        for number in range(5):
            await run.signal(f"s{number}")
            await asyncio.sleep(0)
        await run.cancel()  # which is: it is not repeated
        assert (await run).state is SagaState.COMPENSATED
    assert made == [1]


# -- events --------------------------------------------------------------------------------------------


async def test_the_events_of_a_run_begin_with_the_first_and_complete(journal: Journal) -> None:
    async with Saga("order", [wait_for("go"), Step(lambda _: 1, name="end")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        watching = [asyncio.create_task(_all(run)) for _ in range(2)]
        await until(run, saga, "step.waiting")
        await run.signal("go")
        await run
        live = [await task for task in watching]
        late = await _all(run)
        assert live[0] == live[1] == late == await saga.history("r")
    assert [event.kind for event in late] == [
        "run.started", "step.waiting", "signal.received", "step.completed", "step.started",
        "step.completed", "run.completed",
    ]  # fmt: skip
    assert [event.number for event in late] == sorted(event.number for event in late)


async def _all(run: SagaRun) -> list[AuditEvent]:
    return [event async for event in to_async_iterable(run.events)]


async def test_events_fail_when_the_saga_is_closed_before_the_end(journal: Journal) -> None:
    async with Saga("order", [wait_for("go")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        watching = asyncio.create_task(_all(run))
        await until(run, saga, "step.waiting")
    with pytest.raises(SagaError, match="was closed before run 'r' was over"):
        await watching


async def test_who_stops_watching_leaves_nothing(journal: Journal) -> None:
    async with Saga("order", [wait_for("go")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        seen: list[AuditEvent] = []
        subscription = run.events.subscribe(seen.append)
        await until(run, saga, "step.waiting")
        subscription.dispose()
        await run.signal("go")
        assert (await run).ok
    assert "run.completed" not in [event.kind for event in seen]
