"""Choices after a restart: a way that was taken stays taken."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import conditional, sequential
from rxorch.saga import Saga, Step
from tests.saga.dying import Dying
from tests.saga.journals import Journals
from tests.saga.test_resume import dies


@pytest.mark.parametrize("answer", [True, False])
async def test_a_way_whose_steps_were_all_skipped_stays_taken(answer: bool, journals: Journals) -> None:
    made: list[str] = []

    def step(name: str, *, is_wanted: bool = True) -> Step:
        condition = None if is_wanted else (lambda _: False)
        return Step(lambda _: made.append(name), name=name, condition=condition)

    flow = sequential(
        step("before"),
        conditional(
            lambda _: answer,
            then=sequential(step("a1", is_wanted=not answer), step("a2", is_wanted=not answer)),
            otherwise=sequential(step("b1", is_wanted=answer), step("b2", is_wanted=answer)),
        ),
        step("behind"),
        step("last"),
    )
    dying = Dying(journals.one, 3)  # at the end of the step behind it
    await dies(Saga("order", flow, journal=dying), dying)
    journals.clock.now += 100
    async with Saga("order", flow, journal=await journals.another()) as saga:
        (run,) = await saga.resume()
        assert (await run).ok
        steps: dict[str, Any] = {each.step: each.status.value for each in await saga.steps("r")}
    assert {steps[name] for name in ("a1", "a2", "b1", "b2")} == {"skipped"}
    assert set(made) == {"before", "behind", "last"}
