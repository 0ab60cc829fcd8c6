"""Undoing: what compensations see, in which order, how often, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import APIEndpoint, parallel, sequential
from rxorch.errors import ApiHttpError
from rxorch.saga import (
    Heard,
    Journal,
    JournalError,
    LeaseLostError,
    MemoryJournal,
    Saga,
    SagaError,
    SagaState,
    Step,
    StepStatus,
    wait_for,
)
from rxorch_operators import RetryPolicy
from tests.saga.services import QUICK, Services


def fails(data: Any) -> None:
    raise ValueError("this never works")


async def test_a_compensation_sees_input_result_key_and_results(journal: Journal) -> None:
    seen: list[Any] = []

    async def release(data: dict[str, Any], results: Any) -> None:
        seen.append((data, dict(results)))

    steps: list[Any] = [
        Step(lambda _: {"id": "p-1"}, name="pay"),
        Step(lambda _: {"id": "r-1"}, name="reserve", compensation=release),
        Step(lambda _: 3, name="count"),
        Step(fails),
    ]
    async with Saga("order", steps, journal=journal) as saga:
        await saga.execute({"item": 7}, run_id="r")
    pay, reserve = {"id": "p-1"}, {"id": "r-1"}
    about = {"run_id": "r", "step": "reserve", "key": "r:reserve"}
    data = {"item": 7, "pay": pay, "reserve": reserve, "saga": about}
    assert seen == [(data, {"pay": pay, "reserve": reserve, "count": 3})]


async def test_an_endpoint_compensates_with_templates(journal: Journal, services: Services) -> None:
    url = services.server.url
    back = APIEndpoint(
        name="refund", method="POST", url=f"{url}/undo/{{charge.id}}",
        params={"of": "{saga.key}", "n": "{n}"},
        body=lambda data: {"why": data["saga"]["step"]}, retry_count=0,
    )  # fmt: skip
    charge = services.step("charge", compensate_with=back, transform_output=lambda _: {"id": "c7"})
    async with Saga("order", [charge, Step(fails)], journal=journal) as saga:
        assert (await saga.execute({"n": 5}, run_id="r")).state is SagaState.COMPENSATED
    assert services.server.seen[-1].path == "/undo/c7?of=r%3Acharge&n=5"
    assert services.bodies["undo c7"] == {"why": "charge"}
    assert services.headers("Idempotency-Key") == ["r:charge", "r:charge:undo"]


async def test_what_is_no_mapping_is_under_input(journal: Journal) -> None:
    seen: list[Any] = []
    async with Saga(
        "order", [Step(lambda n: n + 1, name="more", compensation=seen.append), Step(fails)], journal=journal
    ) as saga:
        await saga.execute(7, run_id="r")
    assert seen == [{"input": 7, "more": 8, "saga": {"run_id": "r", "step": "more", "key": "r:more"}}]


async def test_a_step_takes_the_compensation_of_its_endpoint_or_another(services: Services) -> None:
    undone: list[str] = []
    other = Step(services.step("b"), compensation=lambda _: undone.append("b"))
    async with Saga("order", [services.step("a"), other, Step(fails)]) as saga:
        await saga.execute()
    assert services.asked == ["a", "b", "undo a"]
    assert undone == ["b"]


async def test_a_result_that_nobody_knows_is_none(services: Services) -> None:
    seen: list[Any] = []
    services.answers["a"] = ["lost"]
    step = Step(services.step("a"), compensation=seen.append)
    async with Saga("order", [step]) as saga:
        await saga.execute({}, run_id="r")
    assert seen == [{"a": None, "saga": {"run_id": "r", "step": "a", "key": "r:a"}}]


async def test_compensations_are_repeated_with_one_key(journal: Journal, services: Services) -> None:
    services.answers["undo a"] = [503, "lost"]
    async with Saga("order", [services.step("a"), Step(fails)], journal=journal, undo=QUICK) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.COMPENSATED
        assert [step.attempt for step in await saga.steps("r") if step.undo] == [3]
    assert services.log == ["a", "undo a"]
    assert services.headers("Idempotency-Key") == ["r:a", *["r:a:undo"] * 3]


async def test_one_that_fails_for_good_is_a_dead_letter_and_holds_up_no_other(
    journal: Journal, services: Services
) -> None:
    services.answers["undo b"] = [500] * 3
    steps: list[Any] = [services.step("a"), services.step("b"), services.step("c"), Step(fails)]
    async with Saga("order", steps, journal=journal, undo=QUICK) as saga:
        result = await saga.execute({}, run_id="r")
        assert result.state is SagaState.FAILED
        assert result.error is not None
        assert result.error["undo"].startswith("'b' could not be undone: ApiHttpError: HTTP 500")
        cause = {"step": "fails", "type": "ValueError", "message": "this never works"}
        assert result.error.items() > cause.items()
        assert services.asked == ["a", "b", "c", "undo c", "undo b", "undo b", "undo b", "undo a"]
        (dead,) = await saga.dead_letters()
        assert (dead.run_id, dead.was_compensating) == ("r", True)

        run = await saga.retry_dead_letter("r")
        again = await run
        assert (again.state, again.error) == (SagaState.COMPENSATED, cause)
        assert services.asked[8:] == ["undo b"]
        assert services.done == []
        assert set(services.headers("Idempotency-Key")[-4:]) == {"r:a:undo", "r:b:undo"}
        with pytest.raises(SagaError, match="'r' is no dead letter: it is compensated"):
            await saga.retry_dead_letter("r")


async def test_a_dead_letter_may_die_again(journal: Journal, services: Services) -> None:
    services.answers["undo a"] = [500] * 6
    async with Saga("order", [services.step("a"), Step(fails)], journal=journal, undo=QUICK) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.FAILED
        assert (await (await saga.retry_dead_letter("r"))).state is SagaState.FAILED
        assert (await (await saga.retry_dead_letter("r"))).state is SagaState.COMPENSATED
        assert [step.attempt for step in await saga.steps("r") if step.undo] == [7]


async def test_a_parallel_group_is_undone_in_parallel(services: Services) -> None:
    for name in "abc":
        services.gates[f"undo {name}"] = asyncio.Event()
    flow = sequential(services.step("z"), parallel(*map(services.step, "abc")), Step(fails))
    async with Saga("order", flow) as saga:
        run = await saga.start()
        await services.server.until_in_flight(3)  # or they would wait for each other for ever
        assert "undo z" not in services.asked
        for gate in services.gates.values():
            gate.set()
        assert (await run).state is SagaState.COMPENSATED
    assert services.log[-1] == "undo z"


async def test_the_abort_is_written_before_any_compensation(journal: Journal, services: Services) -> None:
    async with Saga("order", [services.step("a"), Step(fails)], journal=journal) as saga:
        await saga.execute({}, run_id="r")
        kinds = [event.kind for event in await saga.history("r")]
    assert kinds == [
        "run.started", "step.started", "step.completed", "step.started", "step.failed", "run.compensating",
        "undo.started", "undo.completed", "run.compensated",
    ]  # fmt: skip


# -- cancelling ----------------------------------------------------------------------------------------


async def test_a_cancel_lets_what_is_under_way_end(journal: Journal, services: Services) -> None:
    services.gates["b"] = asyncio.Event()
    async with Saga("order", list(map(services.step, "abc")), journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/do/b"] == 1)
        assert (await run.cancel("changed my mind")).state is SagaState.CANCEL_REQUESTED
        services.gates["b"].set()
        result = await run
        assert (result.state, result.error) == (
            SagaState.COMPENSATED,
            {"type": "cancelled", "message": "its cancellation was requested"},
        )
        events = [event for event in await saga.history("r") if event.kind == "run.cancel_requested"]
        assert [event.data for event in events] == [{"reason": "changed my mind"}]
    assert services.asked == ["a", "b", "undo b", "undo a"]


async def test_a_cancel_that_comes_with_the_last_step_counts(journal: Journal, services: Services) -> None:
    services.gates["a"] = asyncio.Event()
    async with Saga("order", [services.step("a")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/do/a"] == 1)
        await journal.request_cancel("r")  # by another process: nobody tells this one
        services.gates["a"].set()
        assert (await run).state is SagaState.COMPENSATED
    assert services.done == []


async def test_a_cancel_while_it_waits(journal: Journal, services: Services) -> None:
    async with Saga(
        "order", [services.step("a"), wait_for("go"), services.step("b")], journal=journal
    ) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/do/a"] == 1)
        while (await saga.history("r"))[-1].kind != "step.waiting":
            await asyncio.sleep(0)
        await run.cancel()
        assert (await run).state is SagaState.COMPENSATED
    assert services.asked == ["a", "undo a"]


async def test_a_cancel_behind_the_pivot_changes_nothing(journal: Journal, services: Services) -> None:
    steps: list[Any] = [services.step("a"), Step(services.step("b", undo=False), pivot=True), wait_for("go")]
    async with Saga("order", steps, journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        while (await saga.history("r"))[-1].kind != "step.waiting":
            await asyncio.sleep(0)
        await run.cancel()
        await run.signal("go")
        assert (await run).ok
    assert services.asked == ["a", "b"]


@pytest.mark.parametrize("answer", [None, 409])
async def test_a_cancel_while_the_pivot_is_under_way_leaves_it_to_the_pivot(
    answer: int | None, journal: Journal, services: Services
) -> None:
    services.gates["b"] = asyncio.Event()
    services.answers["b"] = [] if answer is None else [answer]
    steps: list[Any] = [
        services.step("a"),
        Step(services.step("b", undo=False), pivot=True),
        services.step("c"),
    ]
    async with Saga("order", steps, journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/do/b"] == 1)
        await run.cancel()
        services.gates["b"].set()
        assert (await run).state is (SagaState.COMPLETED if answer is None else SagaState.COMPENSATED)
    assert services.asked == (["a", "b", "c"] if answer is None else ["a", "b", "undo a"])


async def test_a_cancel_of_what_is_over_changes_nothing(journal: Journal, services: Services) -> None:
    async with Saga("order", [services.step("a")], journal=journal) as saga:
        await saga.execute({}, run_id="r")
        assert (await saga.cancel("r")).state is SagaState.COMPLETED
        assert (await saga.run("r")).ok
    assert services.asked == ["a"]


async def test_who_is_cancelled_while_he_awaits_leaves_the_run_alone(services: Services) -> None:
    services.gates["a"] = asyncio.Event()
    async with Saga("order", [services.step("a"), services.step("b")]) as saga:
        waiting = asyncio.create_task(saga.execute({}, run_id="r"))
        await services.server.until_in_flight(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        services.gates["a"].set()
        assert (await saga.run("r")).ok
    assert services.asked == ["a", "b"]


async def test_who_loses_a_run_between_two_tries_undoes_nothing_more() -> None:
    clock, undone, tried = [1000.0], [], asyncio.Event()
    journal = MemoryJournal(now=lambda: clock[0])

    def broken(_: Any) -> None:
        tried.set()
        raise ValueError("not now")

    steps: list[Any] = [
        Step(lambda _: 1, name="a", compensation=lambda _: undone.append("a")),
        Step(lambda _: 1, name="b", compensation=broken),
        Step(fails),
    ]
    patient = RetryPolicy(base=3600.0, cap=3600.0, jitter="none", max_elapsed=None)
    async with Saga("order", steps, journal=journal, undo=patient) as saga:
        await saga.start({}, run_id="r")
        await tried.wait()
        drive, task = saga._watch.drives["r"]
        clock[0] += 60.0
        assert await journal.claim("r", "somebody else", 3600.0) is not None
        with pytest.raises(LeaseLostError):
            await drive.renew()
        await asyncio.wait([task])
    assert undone == []


async def test_a_try_that_fails_while_the_saga_is_closed_is_not_repeated() -> None:
    tried, may_end = asyncio.Event(), asyncio.Event()

    async def broken(_: Any) -> None:
        tried.set()
        await may_end.wait()
        raise ValueError("not now")

    patient = RetryPolicy(base=3600.0, cap=3600.0, jitter="none", max_elapsed=None)
    steps = [Step(lambda _: 1, name="a", compensation=broken), Step(fails)]
    saga = Saga("order", steps, undo=patient)
    async with saga:
        run = await saga.start({}, run_id="r")
        await tried.wait()
        drive, _ = saga._watch.drives["r"]
        closing = asyncio.create_task(saga.aclose())
        while not drive.is_leaving:
            await asyncio.sleep(0)
        may_end.set()
        await closing  # and not for an hour
    with pytest.raises(SagaError, match="was closed"):
        await run


async def test_a_journal_that_fails_with_the_last_step_is_no_reason_to_turn_back() -> None:
    class Broken(MemoryJournal):
        async def write(self, *args: Any, **named: Any) -> Heard:
            if named.get("unless") is None:
                return await super().write(*args, **named)
            await self.request_cancel("r")
            drive, _ = saga._watch.drives["r"]
            drive._lose(JournalError("a lease could not be renewed meanwhile"))
            return await super().write(*args, **named)

    saga = Saga("order", [Step(lambda _: 1, name="a", compensation=lambda _: None)], journal=Broken())
    async with saga:
        run = await saga.start({}, run_id="r")
        with pytest.raises(JournalError, match="meanwhile"):
            await run
        (again,) = await saga.resume()
        result = await again
        events = [event.kind for event in await saga.history("r")]
    assert result.error == {"type": "cancelled", "message": "its cancellation was requested"}
    assert events.index("run.resumed") < events.index("run.compensating")


async def test_a_service_that_asks_for_some_minutes_makes_no_dead_letter() -> None:
    tried = asyncio.Event()

    async def busy(_: Any) -> None:
        tried.set()
        raise ApiHttpError(503, retry_after=300.0)

    async with Saga("order", [Step(lambda _: 1, name="a", compensation=busy), Step(fails)]) as saga:
        await saga.start({}, run_id="r")
        await tried.wait()
        await saga.aclose()  # it does not wait for the next try, and there is to be one
        await saga.journal.open()
        assert [each.status for each in await saga.steps("r") if each.undo] == [StepStatus.STARTED]
