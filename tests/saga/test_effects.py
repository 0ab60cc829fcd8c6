"""Whether a step that failed may have acted: what is undone, what fails at once, what is no failure of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from rxorch import APIEndpoint
from rxorch.client import RedirectPolicy
from rxorch.errors import ApiConfigurationError
from rxorch.saga import JournalError, MemoryJournal, Saga, SagaState, Signal, Step, StepStatus, wait_for
from tests.conftest import ServeLoopback
from tests.saga.services import QUICK, Services


class Odd(BaseException):
    """No Exception."""


def fails(data: Any) -> None:
    raise ValueError("this never works")


async def cut_off(data: Any) -> None:
    """Waits for a task that somebody cancels."""
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await task


def odd(data: Any) -> None:
    raise Odd


@pytest.mark.parametrize(
    ("answers", "undone"),
    [
        ([503, 409], True),
        (["lost", 409], True),
        ([200, 409], True),  # `retry_if` refuses what it answered
        ([429, 409], False),
        ([409], False),
    ],
)
async def test_an_attempt_before_the_last_may_have_acted(
    answers: list[Any], undone: bool, services: Services
) -> None:
    services.answers["a"] = list(answers)
    step = services.step(
        "a", retry_count=1, retry_delay=0.001, idempotent=True, retry_if=lambda made: made.status == 200
    )
    async with Saga("order", [step]) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.COMPENSATED
        steps = await saga.steps("r")
    assert steps[0].status is (StepStatus.UNKNOWN if undone else StepStatus.FAILED)
    assert services.asked == ["a"] * len(answers) + ["undo a"] * undone


@pytest.mark.parametrize("function", [cut_off, odd])
async def test_a_function_that_ends_with_no_exception_is_a_step_of_which_nobody_knows(function: Any) -> None:
    undone: list[Any] = []
    steps = [
        Step(lambda _: 1, name="a", compensation=lambda _: undone.append("a")),
        Step(function, name="b", compensation=lambda _: undone.append("b")),
    ]
    async with Saga("order", steps) as saga:
        result = await asyncio.wait_for(saga.execute({}, run_id="r"), 20)
    assert result.state is SagaState.COMPENSATED
    assert result.error is not None and result.error["type"] == "CutOffError"
    assert undone == ["b", "a"]


@pytest.mark.parametrize("function", [cut_off, odd])
async def test_an_undoing_that_ends_with_no_exception_holds_up_none_of_the_others(function: Any) -> None:
    undone: list[Any] = []
    steps: list[Any] = [
        Step(lambda _: 1, name="a", compensation=lambda _: undone.append("a")),
        Step(lambda _: 1, name="b", compensation=function),
        Step(fails),
    ]
    async with Saga("order", steps, undo=QUICK) as saga:
        result = await asyncio.wait_for(saga.execute({}, run_id="r"), 20)
        assert [each.attempt for each in await saga.steps("r") if each.step == "b" and each.undo] == [3]
    assert result.state is SagaState.FAILED
    assert result.error is not None and "'b' could not be undone: CutOffError" in result.error["undo"]
    assert undone == ["a"]


async def test_an_undoing_of_which_no_request_can_be_made_is_a_dead_letter_at_once(
    services: Services,
) -> None:
    back = APIEndpoint(name="release", method="POST", url=services.server.url + "/undo/{a.number}")
    async with Saga("order", [services.step("a", compensate_with=back), Step(fails)]) as saga:
        result = await saga.execute({}, run_id="r")
        assert [each.attempt for each in await saga.steps("r") if each.undo] == [1]
    assert result.state is SagaState.FAILED
    assert services.asked == ["a"]


async def test_a_step_behind_the_pivot_of_which_no_request_can_be_made_is_one_too(services: Services) -> None:
    pivot = Step(services.step("p", undo=False), pivot=True)
    last = APIEndpoint(name="z", method="POST", url=services.server.url + "/do/{p.number}")
    async with Saga("order", [pivot, last]) as saga:
        assert (await saga.execute({}, run_id="r")).state is SagaState.FAILED
        assert [each.attempt for each in await saga.steps("r") if each.step == "z"] == [1]


class Unread(MemoryJournal):
    """One whose signals cannot be read for a while."""

    is_unread = True

    async def signals(self, run_id: str) -> list[Signal]:
        """Perhaps."""
        if self.is_unread:
            raise JournalError("the signals cannot be read")
        return await super().signals(run_id)


async def test_a_journal_that_cannot_be_read_fails_no_step(services: Services) -> None:
    journal = Unread()
    async with Saga("order", [services.step("a"), wait_for("go")], journal=journal) as saga:
        run = await saga.start({}, run_id="r")
        with pytest.raises(JournalError, match="cannot be read"):
            await run
        assert (await run.status()).state is SagaState.RUNNING
        assert await run.signal("go", 7)  # nobody drives it
        journal.is_unread = False
        (again,) = await saga.resume()
        assert (await again).value == 7
    assert services.asked == ["a"]


async def test_a_signal_is_recorded_though_who_drives_the_run_cannot_read_it(services: Services) -> None:
    journal = Unread()
    journal.is_unread = False
    async with Saga("order", [services.step("a"), wait_for("go")], journal=journal) as saga:
        services.gates["a"] = asyncio.Event()
        run = await saga.start({}, run_id="r")
        await services.server.until_in_flight(1)
        journal.is_unread = True
        assert await run.signal("go", 7)
        services.gates["a"].set()
        with pytest.raises(JournalError, match="cannot be read"):
            await run
        journal.is_unread = False
        (again,) = await saga.resume()
        assert (await again).value == 7
    assert set(services.asked) == {"a"}


@pytest.mark.parametrize(
    ("url", "name", "message"),
    [("/undo/a", "una", "its url is a path"), ("http://127.0.0.1:9/undo", "unb", "are called 'unb'")],
)
async def test_an_endpoint_that_cannot_be_called_is_refused_before_there_is_a_run(
    url: str, name: str, message: str, services: Services
) -> None:
    back = APIEndpoint(name=name, method="POST", url=url)
    for saga in (
        Saga("order", [services.step("a", compensate_with=back), services.step("b")]),
        Saga("order", [back, services.step("b")]),
    ):
        with pytest.raises(ApiConfigurationError, match=message):
            await saga.__aenter__()
        with pytest.raises(JournalError, match="is not open"):
            await saga.journal.outbox()


async def test_what_was_carried_out_and_led_elsewhere_has_acted(loopback: ServeLoopback) -> None:
    undone: list[Any] = []
    elsewhere = web.Response(status=303, headers={"Location": "/gone"})
    server = await loopback({"POST /pay": elsewhere, "GET /gone": 404})
    pay = APIEndpoint(
        name="pay", method="POST", url=server.url + "/pay", follow_redirects=RedirectPolicy(), retry_count=0
    )
    async with Saga("order", [Step(pay, compensation=undone.append)]) as saga:
        result = await saga.execute({}, run_id="r")
    assert result.error is not None and result.error["message"].startswith("HTTP 404")
    assert [data["saga"]["key"] for data in undone] == ["r:pay"]
