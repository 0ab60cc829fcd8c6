"""Resuming: what is done is not done again, what was under way is; closing and taking over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiClient, conditional, graph, parallel, sequential
from rxorch.saga import (
    JournalError,
    MemoryJournal,
    Saga,
    SagaError,
    SagaState,
    SqliteJournal,
    Step,
    wait_for,
)
from tests.saga.dying import Dying
from tests.saga.journals import Journals
from tests.saga.services import QUICK, Services


def fails(data: Any) -> None:
    raise ValueError("this never works")


async def dies(saga: Saga, dying: Dying, run_id: str = "r", data: Any = None) -> None:
    """Runs a saga until its process dies."""
    async with saga:
        with pytest.raises(JournalError):
            run = await saga.start(data, run_id=run_id)
            await dying.died.wait()
            await run


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("writes", range(1, 12))
async def test_a_run_that_died_at_any_write_goes_on(
    writes: int, is_written: bool, journals: Journals, services: Services
) -> None:
    def flow() -> Any:
        return sequential(
            services.step("a"),
            parallel(services.step("b"), services.step("c")),
            services.step("d"),
            Step(fails),
        )

    dying = Dying(journals.one, writes, is_written=is_written)
    await dies(Saga("order", flow(), journal=dying), dying)
    journals.clock.now += 100
    async with Saga("order", flow(), journal=await journals.another()) as saga:
        runs = await saga.resume()
        if writes == 1 and not is_written:  # the run and its first step
            assert runs == [] and services.asked == []
            runs = [await saga.start(run_id="r")]
        assert [run.run_id for run in runs] == ["r"]
        assert (await runs[0]).state is SagaState.COMPENSATED
        assert await saga.resume() == []
    assert services.done == []
    assert len(set(services.log)) == len(services.log)  # one effect for each key


async def test_what_is_done_is_not_done_again(journals: Journals, services: Services) -> None:
    steps = list(map(services.step, "abc"))
    dying = Dying(journals.one, 3, is_written=True)  # a and b are written, c has begun
    await dies(Saga("order", steps, journal=dying), dying)
    assert services.asked == ["a", "b"]
    journals.clock.now += 100
    async with Saga("order", steps, journal=await journals.another()) as saga:
        run = await saga.start(run_id="r")  # as `resume` would
        assert (await run).value == {"id": "c 1"}
        events = [(event.kind, event.data.get("generation")) for event in await saga.history("r")]
    assert ("run.resumed", 2) in events
    assert services.asked == ["a", "b", "c"]
    assert services.bodies["c"] == {"a": {"id": "a 1"}, "b": {"id": "b 1"}}


async def test_results_of_a_replay_are_those_of_the_first_run(journals: Journals) -> None:
    seen: list[Any] = []

    def looks(data: Any) -> Any:
        seen.append(data)
        return data

    steps: list[Any] = [Step(lambda _: (1, {"two": (3,)}), name="makes"), Step(looks)]
    dying = Dying(journals.one, 3)  # at the end of the second step
    await dies(Saga("order", steps, journal=dying), dying, data={"when": (1,)})
    journals.clock.now += 100
    async with Saga("order", steps, journal=await journals.another()) as saga:
        (run,) = await saga.resume()
        result = await run
    assert seen == [{"when": [1], "makes": [1, {"two": [3]}]}] * 2
    assert result.value == seen[0]


async def test_a_repeated_step_gets_the_input_that_is_written(journals: Journals) -> None:
    seen: list[Any] = []
    steps = [Step(lambda _: 1, name="first"), Step(seen.append, name="looks")]
    dying = Dying(journals.one, 3)  # at the end of the second step
    await dies(Saga("order", steps, journal=dying), dying)
    journals.clock.now += 100
    claim = await journals.one.claim("r", "me", 30.0)
    assert claim is not None
    journals.one.post(claim.lease, replace(claim.steps[1], input_json=b'{"as": "written"}'))
    await journals.one.release(claim.lease)
    async with Saga("order", steps, journal=journals.one) as saga:
        (run,) = await saga.resume()
        assert (await run).ok
    assert seen == [{"first": 1}, {"as": "written"}]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("two_ways", [True, False])
async def test_conditions_and_choices_are_not_asked_again(
    answer: bool, two_ways: bool, journals: Journals, services: Services
) -> None:
    asked: list[str] = []

    def choice(data: Any) -> bool:
        asked.append("choice")
        return answer

    def condition(data: Any) -> bool:
        asked.append("condition")
        return answer

    flow = sequential(
        conditional(choice, then=services.step("a"), otherwise=services.step("b") if two_ways else None),
        services.step("c", condition=condition),
        services.step("d"),
        services.step("e"),
    )
    dying = Dying(journals.one, 2 + answer + (answer or two_ways))  # at the end of d
    await dies(Saga("order", flow, journal=dying), dying)
    journals.clock.now += 100
    before = list(asked)
    assert before == ["choice", "condition"]
    async with Saga("order", flow, journal=await journals.another()) as saga:
        (run,) = await saga.resume()
        assert (await run).ok
    assert asked == before
    assert services.log == [*("a" if answer else "b" * two_ways), *("c" * answer), "d", "e"]


async def test_a_run_that_turned_back_never_goes_forward(journals: Journals, services: Services) -> None:
    made: list[int] = []

    def sometimes(data: Any) -> None:
        made.append(1)
        if len(made) == 1:
            raise ValueError("not the first time")

    steps: list[Any] = [services.step("a"), services.step("b"), Step(sometimes), services.step("c")]
    dying = Dying(journals.one, 5)  # the abort is written, and the first undoing has begun
    await dies(Saga("order", steps, journal=dying), dying)
    journals.clock.now += 100
    async with Saga("order", steps, journal=await journals.another()) as saga:
        (run,) = await saga.resume()
        assert (await run).state is SagaState.COMPENSATED
    assert services.asked == ["a", "b", "undo b", "undo a"]
    assert made == [1]


async def test_what_was_under_way_is_undone_if_it_fails_later(journals: Journals, services: Services) -> None:
    dying = Dying(journals.one, 2)  # a had its effect, and nobody wrote that down
    steps: list[Any] = [services.step("a")]
    await dies(Saga("order", steps, journal=dying), dying)
    assert services.done == ["a"]
    services.answers["a"] = [409]
    journals.clock.now += 100
    async with Saga("order", steps, journal=await journals.another()) as saga:
        (run,) = await saga.resume()
        assert (await run).state is SagaState.COMPENSATED
    assert services.done == []


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_pivot_that_was_under_way_is_asked_again(
    cancelled: bool, journals: Journals, services: Services
) -> None:
    steps: list[Any] = [
        services.step("a"),
        Step(services.step("b", undo=False), pivot=True),
        services.step("c"),
    ]
    dying = Dying(journals.one, 3)  # at the end of b
    await dies(Saga("order", steps, journal=dying), dying)
    if cancelled:
        await journals.one.request_cancel("r")
    services.answers["b"] = [503]
    journals.clock.now += 100
    async with Saga("order", steps, journal=await journals.another(), recovery=QUICK) as saga:
        (run,) = await saga.resume()
        assert (await run).ok
    assert services.log == ["a", "b", "c"]


async def test_a_cancel_behind_the_pivot_is_no_dead_letter_after_a_restart(journals: Journals) -> None:
    steps: list[Any] = [Step(lambda _: 1, name="pivot", pivot=True), wait_for("go")]
    async with Saga("order", steps, journal=journals.one) as saga:
        run = await saga.start({}, run_id="r")
        while (await saga.history("r"))[-1].kind != "step.waiting":
            await asyncio.sleep(0)
        await run.cancel()
    async with Saga("order", steps, journal=journals.one) as saga:
        (run,) = await saga.resume()
        await run.signal("go")
        assert (await run).ok


async def test_a_cancel_that_came_while_nobody_drove_counts(journals: Journals, services: Services) -> None:
    steps: list[Any] = [services.step("a"), wait_for("go")]
    async with Saga("order", steps, journal=journals.one) as saga:
        await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/do/a"] == 1)
        while (await saga.history("r"))[-1].kind != "step.waiting":
            await asyncio.sleep(0)
    async with Saga("order", steps, journal=journals.one) as saga:
        await saga.cancel("r")  # takes it up, too
        assert (await saga.run("r")).state is SagaState.COMPENSATED
    assert services.log == ["a", "undo a"]


async def test_a_graph_whose_steps_ended_in_another_order(journals: Journals, services: Services) -> None:
    flow = graph(services.step("a"), services.step("b"), services.step("c", depends_on=["a", "b"]))
    services.gates["a"] = asyncio.Event()
    dying = Dying(journals.one, 3)  # b is begun after a, and done before it
    saga = Saga("order", flow, journal=dying)
    async with saga:
        await saga.start({}, run_id="r")
        await dying.died.wait()
        services.gates["a"].set()
    del services.gates["a"]
    journals.clock.now += 100
    async with Saga("order", flow, journal=await journals.another()) as again:
        (run,) = await again.resume()
        assert (await run).ok
    assert sorted(services.log) == ["a", "b", "c"]
    assert services.log[-1] == "c"


# -- closing -------------------------------------------------------------------------------------------


async def test_closing_leaves_a_run_resumable_at_once(journals: Journals, services: Services) -> None:
    services.gates["b"] = asyncio.Event()
    steps = list(map(services.step, "abc"))
    async with Saga("order", steps, journal=journals.one) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/do/b"] == 1)
        waiting = asyncio.ensure_future(_result(run))
        await asyncio.sleep(0)
    with pytest.raises(SagaError, match="'order' was closed before run 'r' was over: it can be resumed"):
        await waiting
    services.gates["b"].set()
    async with Saga("order", steps, journal=journals.one) as again:  # no lease has to run out
        (run,) = await again.resume()
        assert (await run).ok
    assert services.log == ["a", "b", "c"]
    assert set(services.headers("Idempotency-Key")) == {"r:a", "r:b", "r:c"}


async def _result(run: Any) -> Any:
    return await run


async def test_closing_brings_an_undoing_to_its_end(journals: Journals, services: Services) -> None:
    services.gates["undo b"] = asyncio.Event()
    steps: list[Any] = [services.step("a"), services.step("b"), Step(fails)]
    saga = Saga("order", steps, journal=journals.one)
    async with saga:
        await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/undo/b"] == 1)
        closing = asyncio.create_task(saga.aclose())
        await asyncio.sleep(0)
        services.gates["undo b"].set()
        await closing
    assert services.asked == ["a", "b", "undo b"]
    async with Saga("order", steps, journal=journals.one) as again:
        assert [step.status for step in await again.steps("r") if step.undo] == ["completed"]
        (run,) = await again.resume()
        assert (await run).state is SagaState.COMPENSATED
    assert services.asked == ["a", "b", "undo b", "undo a"]


async def test_closing_does_not_wait_for_the_next_try_of_an_undoing(
    journals: Journals, services: Services
) -> None:
    services.answers["undo a"] = [503]
    steps: list[Any] = [services.step("a"), Step(fails)]
    async with Saga("order", steps, journal=journals.one) as saga:  # which would pause for seconds
        await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/undo/a"] == 1)
        await services.server.until_idle()
    assert services.asked == ["a", "undo a"]
    async with Saga("order", steps, journal=journals.one) as again:
        (run,) = await again.resume()
        assert (await run).state is SagaState.COMPENSATED
        assert [step.attempt for step in await again.steps("r") if step.undo] == [2]


async def test_a_saga_can_be_closed_in_the_middle_of_anything(journals: Journals) -> None:
    steps: list[Any] = [wait_for("go"), Step(fails, retriable=True)]
    saga = Saga("order", steps, journal=journals.one)
    async with saga:
        for number in range(20):
            await saga.start({}, run_id=f"r{number}")
            if number % 2:
                await saga.signal(f"r{number}", "go")
        await saga.aclose()
        await saga.aclose()
    with pytest.raises(SagaError, match="was closed before run 'r1'"):
        await saga.run("r1")


async def test_a_given_client_is_left_open_and_its_end_loses_no_run(services: Services) -> None:
    journal = MemoryJournal()
    services.gates["a"] = asyncio.Event()
    client = ApiClient()
    async with client, Saga("order", [services.step("a")], journal=journal, client=client) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until_in_flight(1)
        await client.__aexit__(None, None, None)
        with pytest.raises(Exception, match="client was closed"):
            await run
        assert (await saga.status("r")).state is SagaState.RUNNING
    services.gates["a"].set()
    async with Saga("order", [services.step("a")], journal=journal) as saga:
        (run,) = await saga.resume()
        assert (await run).ok


# -- several processes ---------------------------------------------------------------------------------


async def test_two_that_resume_at_once_drive_each_run_once(tmp_path: Path, services: Services) -> None:
    steps: list[Any] = [services.step("a"), wait_for("go"), services.step("b")]
    path = tmp_path / "sagas.sqlite"
    async with Saga("order", steps, journal=SqliteJournal(path, durable=False)) as saga:
        for number in range(10):
            await saga.start({}, run_id=f"r{number}")
    async with SqliteJournal(path, durable=False) as journal:
        for number in range(10):
            await journal.signal(f"r{number}", "go", b"null")
    one = Saga("order", steps, journal=SqliteJournal(path, durable=False))
    two = Saga("order", steps, journal=SqliteJournal(path, durable=False))
    async with one, two:
        resumed = await asyncio.gather(one.resume(), two.resume())
        assert sum(map(len, resumed)) == 10
        ends = await asyncio.gather(*(two.run(f"r{number}") for number in range(10)))
        assert all(end.ok for end in ends)
        for number in range(10):
            kinds = [event.kind for event in await one.history(f"r{number}")]
            assert kinds.count("run.resumed") == 1
    assert sorted(services.log) == ["a"] * 10 + ["b"] * 10


async def test_several_calls_that_claim_a_run_do_not_fence_each_other_off(
    journals: Journals, services: Services
) -> None:
    steps: list[Any] = [services.step("a"), wait_for("go")]
    async with Saga("order", steps, journal=journals.one) as saga:
        await saga.start({}, run_id="r")
    async with Saga("order", steps, journal=await journals.another()) as saga:
        await asyncio.gather(saga.resume(), *(saga.start({}, run_id="r") for _ in range(4)), saga.resume())
        await saga.signal("r", "go")
        assert (await saga.run("r")).ok
        kinds = [event.kind for event in await saga.history("r")]
    assert kinds.count("run.resumed") == 1


async def test_who_was_overtaken_is_fenced(journals: Journals, services: Services) -> None:
    services.gates["a"] = asyncio.Event()
    steps: list[Any] = [services.step("a"), services.step("b")]
    one = Saga("order", steps, journal=journals.one)
    two = Saga("order", steps, journal=await journals.another())
    async with one:
        run = await one.start({}, run_id="r")
        await services.server.until_in_flight(1)
        journals.clock.now += 100  # as if it had been stopped for so long
        async with two:
            (taken,) = await two.resume()
            await services.server.until_in_flight(2)
            services.gates["a"].set()
            assert (await taken).ok
            assert (await run).ok  # known from the journal, whoever drove it
            await journals.one.open()
    assert services.log == ["a", "b"]
    assert services.asked.count("b") == 1
