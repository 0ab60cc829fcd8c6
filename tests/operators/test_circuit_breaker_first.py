"""`circuit_breaker(judged_at="first")`: the first element of a stream says that the service is well."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import reactivex as rx
from reactivex import operators as ops
from reactivex.subject import Subject

from rxorch_operators import CircuitBreaker, CircuitOpenError, CircuitState, Outcome3, circuit_breaker
from rxorch_operators.testing import virtual_time

BROKEN: rx.Observable[Any] = rx.throw(OSError("broken"))


@virtual_time
async def test_what_breaks_after_the_first_element_is_no_failure() -> None:
    breaker = CircuitBreaker(threshold=2)
    for source, opens in ((rx.concat(rx.just(1), BROKEN), False), (BROKEN, True)):
        for _ in range(3):
            source.pipe(circuit_breaker(breaker, judged_at="first")).subscribe(on_error=lambda _: None)
        await asyncio.sleep(1)
        assert (breaker.state is CircuitState.OPEN) is opens


@virtual_time
async def test_a_trial_is_given_back_with_its_first_element() -> None:
    breaker = CircuitBreaker(threshold=1, timeout=1.0)
    breaker.record(breaker.acquire(), Outcome3.FAILURE)
    await asyncio.sleep(1)
    subjects: list[Subject[int]] = [Subject() for _ in range(3)]
    seen: list[int] = []
    for subject in subjects:
        subject.pipe(circuit_breaker(breaker, judged_at="first")).subscribe(seen.append, lambda _: None)
    for subject in subjects:
        subject.on_next(1)
    assert (breaker.state, breaker.statistics().trials, seen) == (CircuitState.CLOSED, 0, [1, 1, 1])
    subjects[0].on_error(OSError())
    subjects[1].on_completed()
    assert breaker.statistics().failed == 0


@virtual_time
async def test_classify_may_refuse_the_first_element_and_may_fail() -> None:
    breaker = CircuitBreaker(threshold=1)
    refuse = circuit_breaker(breaker, judged_at="first", classify=lambda _: Outcome3.FAILURE)
    assert await rx.of(1, 2).pipe(refuse, ops.to_list()) == [1, 2]
    with pytest.raises(CircuitOpenError):
        await rx.just(1).pipe(refuse)
    errors: list[Exception] = []
    fails = circuit_breaker(CircuitBreaker(), judged_at="first", classify=lambda _: 1 // 0)  # type: ignore[arg-type, return-value]
    rx.of(1, 2).pipe(fails).subscribe(on_error=errors.append)
    await asyncio.sleep(1)
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="judged_at"):
        circuit_breaker(CircuitBreaker(), judged_at="last")  # type: ignore[arg-type]
