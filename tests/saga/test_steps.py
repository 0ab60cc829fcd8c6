"""Steps: what an action sees, how often it is made, what of it is kept, and when it may have acted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import ApiNetworkError, conditional, parallel, sequential
from rxorch.saga import Journal, Saga, SagaState, SagaStep, Step, StepStatus, current_step
from tests.saga.services import QUICK, Services

SECRET = "4242-4242"


def fails(data: Any) -> None:
    raise ValueError("this never works")


async def statuses(saga: Saga, run_id: str) -> dict[str, str]:
    return {
        f"undo {step.step}" if step.undo else step.step: step.status.value
        for step in await saga.steps(run_id)
    }


# -- functions -----------------------------------------------------------------------------------------


async def test_functions_see_data_results_and_the_step_they_are(journal: Journal) -> None:
    seen: dict[str, Any] = {}

    def first(data: dict[str, Any]) -> dict[str, Any]:
        seen["first"] = (data, current_step())
        return {"n": 1}

    async def second(data: dict[str, Any], results: Any) -> int:
        await asyncio.sleep(0)
        seen["second"] = (data, dict(results), current_step())
        return 2

    class Third:
        async def __call__(self, data: dict[str, Any]) -> int:
            return data["second"] + 1

    steps = [Step(first), Step(second), Step(Third(), name="third")]
    async with Saga("sum", steps, journal=journal) as saga:
        result = await saga.execute({"i": 0}, run_id="r")
    assert result.value == 3
    assert (
        seen["first"] == ({"i": 0}, SagaStep("r", "first", "r:first", 1)) or seen["first"][1].step == "first"
    )
    assert seen["first"][1].key == "r:first"
    assert seen["second"][0] == {"i": 0, "first": {"n": 1}}
    assert seen["second"][1] == {"first": {"n": 1}}
    assert seen["second"][2].key == "r:second"
    assert current_step() is None


async def test_current_step_tells_the_run_and_the_undoing(journal: Journal) -> None:
    seen: list[SagaStep | None] = []

    async def act(data: Any) -> None:
        seen.append(current_step())

    def revert(data: Any) -> None:
        seen.append(current_step())

    async with Saga("order", [Step(act, compensation=revert), Step(fails)], journal=journal) as saga:
        await saga.execute({}, run_id="r")
    assert seen == [SagaStep("r", "act", "r:act", 1), SagaStep("r", "act", "r:act:undo", 1, undo=True)]


async def test_what_an_action_does_to_its_data_reaches_nobody(journal: Journal) -> None:
    def spoils(data: dict[str, Any]) -> None:
        data["items"].append("more")

    seen: list[Any] = []
    steps = [Step(spoils), Step(lambda data: seen.append(data["items"]), name="looks")]
    async with Saga("order", steps, journal=journal) as saga:
        given = {"items": ["pen"]}
        assert (await saga.execute(given)).ok
    assert seen == [["pen"]]
    assert given == {"items": ["pen"]}


async def test_an_action_may_return_a_future(journal: Journal) -> None:
    def promised(data: Any) -> asyncio.Future[int]:
        future = asyncio.get_running_loop().create_future()
        future.set_result(7)
        return future

    async with Saga("order", [Step(promised)], journal=journal) as saga:
        assert (await saga.execute()).value == 7


class Order(BaseModel):
    items: tuple[str, ...]


async def test_results_are_json_in_the_first_run_too(journal: Journal) -> None:
    seen: list[Any] = []
    steps = [
        Step(lambda _: Order(items=("pen",)), name="order"),
        Step(lambda data: seen.append(data["order"]) or (1, 2), name="looks"),  # type: ignore[func-returns-value]
    ]
    async with Saga("order", steps, journal=journal) as saga:
        result = await saga.execute()
    assert seen == [{"items": ["pen"]}]
    assert result.value == [1, 2]


# -- what JSON cannot hold -----------------------------------------------------------------------------


async def test_an_input_that_json_cannot_hold_is_refused_before_the_call(
    journal: Journal, services: Services
) -> None:
    # Within a pipeline a condition gets what is not JSON only if somebody makes it so: a set of results.
    async with Saga(
        "order", [services.step("a"), Step(lambda _: {1, 2}, name="set")], journal=journal
    ) as saga:
        assert (await saga.execute()).ok  # a set can be written, as a list
    bad = services.step("b", transform_input=lambda data: {**data, "odd": object()})
    async with Saga("other", [services.step("a"), bad], journal=journal) as saga:
        result = await saga.execute({}, run_id="r")
        assert result.state is SagaState.COMPENSATED
        assert result.error is not None
        assert result.error["step"] == "b"
        assert await statuses(saga, "r") == {"a": "completed", "b": "failed", "undo a": "completed"}
    assert "b" not in services.log


async def test_an_output_that_json_cannot_hold_is_undone(journal: Journal) -> None:
    had: list[str] = []

    def odd(data: Any) -> Any:
        had.append("odd")
        return {"card": {"holder": object()}}

    steps = [Step(odd, compensation=lambda _: had.remove("odd"))]
    async with Saga("order", steps, journal=journal) as saga:
        result = await saga.execute({}, run_id="r")
        assert result.state is SagaState.COMPENSATED
        assert result.error is not None
        assert (
            "the result of step 'odd' cannot be kept in the journal: $.card.holder is a object"
            in (result.error["message"])
        )
        assert await statuses(saga, "r") == {"odd": "unknown", "undo odd": "completed"}
    assert had == []


# -- when a step may have acted ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (409, "failed"),
        (429, "failed"),
        (500, "unknown"),
        (503, "unknown"),
        (302, "unknown"),
        ("reset", "unknown"),
        ("lost", "unknown"),
        ("odd", "unknown"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_step_that_may_have_acted_is_undone(
    answer: Any, status: str, method: str, services: Services
) -> None:
    services.answers["b"] = [answer]
    steps = [services.step("a"), services.step("b", method=method, body={})]
    async with Saga("order", steps, undo=QUICK) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.COMPENSATED
        found = await statuses(saga, "r")
    assert found["b"] == status
    assert ("undo b" in found) == (status == "unknown")
    assert services.done == []
    assert services.asked[-1] == "undo a"


async def test_a_request_that_never_left_is_not_undone(services: Services) -> None:
    gone = services.step("b", url="http://127.0.0.1:1/do/b")
    async with Saga("order", [services.step("a"), gone]) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.COMPENSATED
        assert await statuses(saga, "r") == {"a": "completed", "b": "failed", "undo a": "completed"}
    assert services.asked == ["a", "undo a"]


async def test_once_in_doubt_always_in_doubt(services: Services) -> None:
    services.answers["b"] = ["lost", 409, 409]
    steps = [Step(services.step("b"), retriable=True)]
    async with Saga("order", steps, recovery=QUICK) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.COMPENSATED
        assert (await statuses(saga, "r"))["b"] == "unknown"
    assert services.done == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no"), "failed"),
        (TimeoutError(), "unknown"),
        (ConnectionResetError(), "unknown"),
        (ApiNetworkError("gone", sent=True), "unknown"),
        (ApiNetworkError("gone", sent=False), "failed"),
    ],
)
async def test_of_a_function_its_error_tells(error: Exception, status: str, journal: Journal) -> None:
    undone: list[int] = []

    def act(data: Any) -> None:
        raise error

    step = Step(act, compensation=lambda _: undone.append(1))
    async with Saga("order", [step], journal=journal) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.COMPENSATED
        assert (await statuses(saga, "r"))["act"] == status
    assert len(undone) == (status == "unknown")


# -- retriable steps and pivots ------------------------------------------------------------------------


async def test_a_retriable_step_is_repeated_with_one_key(journal: Journal, services: Services) -> None:
    services.answers["a"] = [503, "lost"]
    async with Saga(
        "order", [Step(services.step("a"), retriable=True)], journal=journal, recovery=QUICK
    ) as saga:
        assert (await saga.execute({}, run_id="r")).ok
        (step,) = await saga.steps("r")
        assert (step.attempt, step.status) == (3, StepStatus.COMPLETED)
        kinds = [event.kind for event in await saga.history("r")]
        assert kinds.count("step.started") == 3
    assert services.log == ["a"]
    assert services.headers("Idempotency-Key") == ["r:a"] * 3


async def test_a_step_that_is_not_retriable_is_made_once(services: Services) -> None:
    services.answers["a"] = [503]
    async with Saga("order", [services.step("a")], recovery=QUICK) as saga:
        assert (await saga.execute()).state is SagaState.COMPENSATED
    assert services.asked == ["a", "undo a"]


async def test_behind_the_pivot_there_is_only_forward(journal: Journal, services: Services) -> None:
    services.answers["c"] = [503, 409]
    steps = [services.step("a"), Step(services.step("b", undo=False), pivot=True), services.step("c")]
    async with Saga("order", steps, journal=journal, recovery=QUICK) as saga:
        assert (await saga.execute()).ok
    assert services.asked == ["a", "b", "c", "c", "c"]


async def test_a_failure_for_good_behind_the_pivot_is_a_dead_letter_and_can_be_retried(
    journal: Journal, services: Services
) -> None:
    services.answers["c"] = [409] * 3
    steps = [services.step("a"), Step(services.step("b", undo=False), pivot=True), services.step("c")]
    async with Saga("order", steps, journal=journal, recovery=QUICK) as saga:
        result = await saga.execute({}, run_id="r")
        assert (result.state, services.done) == (SagaState.FAILED, ["a", "b"])
        assert result.error is not None
        assert result.error["step"] == "c"
        assert [run.run_id for run in await saga.dead_letters()] == ["r"]
        again = await (await saga.retry_dead_letter("r"))
        assert (again.ok, again.error) == (True, None)
        assert await saga.dead_letters() == []
        assert [step.attempt for step in await saga.steps("r") if step.step == "c"] == [4]
    assert services.log == ["a", "b", "c"]
    assert services.asked == ["a", "b", "c", "c", "c", "c"]


async def test_a_pivot_without_an_answer_is_asked_until_there_is_one(services: Services) -> None:
    services.answers["b"] = ["lost", 503]
    steps = [services.step("a"), Step(services.step("b", undo=False), pivot=True), services.step("c")]
    async with Saga("order", steps, recovery=QUICK) as saga:
        assert (await saga.execute()).ok
    assert services.log == ["a", "b", "c"]


async def test_a_pivot_that_nobody_knows_of_is_a_dead_letter_and_nothing_undone(
    services: Services,
) -> None:
    services.answers["b"] = ["lost", "reset", "reset"]
    steps = [services.step("a"), Step(services.step("b", undo=False), pivot=True), services.step("c")]
    async with Saga("order", steps, recovery=QUICK) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.FAILED
        assert services.done == ["a", "b"]
        assert (await (await saga.retry_dead_letter("r"))).ok
    assert services.log == ["a", "b", "c"]


async def test_a_pivot_that_is_refused_is_a_failure_like_others(services: Services) -> None:
    services.answers["b"] = [409]
    steps = [services.step("a"), Step(services.step("b", undo=False), pivot=True), services.step("c")]
    async with Saga("order", steps, recovery=QUICK) as saga:
        assert (await saga.execute()).state is SagaState.COMPENSATED
    assert services.asked == ["a", "b", "undo a"]


# -- conditions ----------------------------------------------------------------------------------------


async def test_a_step_whose_condition_does_not_hold_is_skipped(journal: Journal, services: Services) -> None:
    steps = [services.step("a", condition=lambda _: False), services.step("b"), Step(fails)]
    async with Saga("order", steps, journal=journal) as saga:
        await saga.execute({}, run_id="r")
        assert (await statuses(saga, "r"))["a"] == "skipped"
    assert services.asked == ["b", "undo b"]


@pytest.mark.parametrize("place", ["step", "choice"])
async def test_a_condition_that_raises_ends_the_run_there(
    place: str, journal: Journal, services: Services
) -> None:
    def asks(data: Any) -> bool:
        raise LookupError("no such key")

    broken = (
        services.step("b", condition=asks)
        if place == "step"
        else conditional(asks, then=services.step("b"), otherwise=services.step("d"))
    )
    flow = sequential(services.step("a"), broken, services.step("c"))
    async with Saga("order", flow, journal=journal) as saga:
        result = await saga.execute()
    assert result.state is SagaState.COMPENSATED
    assert result.error is not None
    assert (result.error["step"], result.error["type"]) == ("b", "LookupError")
    assert services.asked == ["a", "undo a"]


async def test_a_failure_stops_what_has_not_begun_beside_it(services: Services) -> None:
    services.gates["b"] = asyncio.Event()
    services.answers["a"] = [409]
    flow = parallel(services.step("a"), sequential(services.step("b"), services.step("c")))
    async with Saga("order", flow) as saga:
        run = await saga.start({}, run_id="r")
        await services.server.until(lambda: services.server.hits["/do/b"] == 1)
        while (await saga.history("r"))[-1].kind != "step.started":
            await asyncio.sleep(0)
        services.gates["b"].set()
        assert (await run).state is SagaState.COMPENSATED
    assert sorted(services.asked) == ["a", "b", "undo b"]


# -- secrets -------------------------------------------------------------------------------------------


async def test_no_input_is_shown_anywhere(
    journal: Journal, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    services.answers["c"] = [500]
    steps = [services.step("a"), services.step("b"), services.step("c")]
    async with Saga("order", steps, journal=journal) as saga:
        run = await saga.start({"card": SECRET}, run_id="r")
        result = await run
        shown = [
            saga, run, result, await saga.status("r"), await saga.steps("r"), await saga.history("r"),
            journal, await journal.signals("r"), caplog.text, await journal.outbox(),
        ]  # fmt: skip
        assert result.state is SagaState.COMPENSATED
        assert SECRET in str((await saga.status("r")).input)  # where it belongs
    assert SECRET not in repr(shown)
