"""A single value and its end as one notification: the same for whoever listens as the two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators import (
    CircuitBreaker,
    CircuitPolicy,
    circuit_breaker,
    from_async,
    last_of,
    retry_backoff,
    timeout,
)
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage
from rxorch_operators.testing import virtual_time
from tests.operators.support import Boom, Recorder, turns

Operator = Callable[[Observable[Any]], Observable[Any]]

OPERATORS: dict[str, Callable[[], Operator]] = {
    "timeout": lambda: timeout(30.0),
    "timeout of gaps": lambda: timeout(each=30.0),
    "retry": lambda: retry_backoff(max_attempts=2),
    "retry of results": lambda: retry_backoff(retry_result=lambda _: False),
    "breaker": lambda: circuit_breaker(CircuitBreaker()),
    "all": lambda: (
        lambda source: source.pipe(
            timeout(30.0), circuit_breaker(CircuitBreaker()), retry_backoff(max_attempts=2)
        )
    ),
}

each_operator = pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS)


class Noting(Link):
    """Notes what it hears, and how."""

    def __init__(self) -> None:
        super().__init__(Recorder())
        self.heard: list[Any] = []

    def on_next(self, value: Any) -> None:
        self.heard.append(("next", value))

    def on_completed(self) -> None:
        self.heard.append("completed")

    def on_error(self, error: Exception) -> None:
        self.heard.append(error)

    def on_only(self, value: Any) -> None:
        self.heard.append(("only", value))


class Once(Noting):
    """Has enough after one element, and leaves the rest to `Link`."""

    on_only = Link.on_only

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        self.dispose()


async def answer() -> str:
    await asyncio.sleep(0)
    return "a"


def call(operator: Operator) -> Observable[Any]:
    return from_async(answer).pipe(operator)


@pytest.mark.parametrize("name", ["timeout", "retry", "breaker", "all"])
async def test_a_neighbour_that_can_hears_it_at_once(name: str) -> None:
    sink = Noting()
    as_stage(call(OPERATORS[name]())).attach(sink, DemandScheduler.of(None))
    await turns()
    assert sink.heard == [("only", "a")]


@each_operator
async def test_any_other_observer_hears_an_element_and_the_end(make: Callable[[], Operator]) -> None:
    recorder = Recorder()
    as_stage(call(make())).attach(recorder, DemandScheduler.of(None))
    await turns()
    assert recorder.values == ["a"] and recorder.completed and not recorder.offences


@each_operator
async def test_who_has_enough_after_the_element_hears_no_end(make: Callable[[], Operator]) -> None:
    sink = Once()
    sink.connect(as_stage(call(make())), DemandScheduler.of(None))
    await turns()
    assert sink.heard == [("next", "a")]


@each_operator
async def test_an_observer_that_disposes_at_the_element_hears_no_end(make: Callable[[], Operator]) -> None:
    def enough(_: object) -> None:
        subscription.dispose()

    recorder = Recorder(on_event=enough)
    subscription = as_stage(call(make())).attach(recorder, DemandScheduler.of(None))
    await turns()
    assert recorder.values == ["a"] and not recorder.completed


@each_operator
async def test_stock_operators_stand_on_either_side(make: Callable[[], Operator]) -> None:
    source = from_async(answer).pipe(ops.map(str.upper), make(), ops.map(str.lower), make())
    assert await last_of(source) == "a"


async def test_the_breaker_knows_of_the_success_before_the_consumer() -> None:
    breaker = CircuitBreaker(policy=CircuitPolicy(kind="count"))
    seen: list[int] = []

    class Asking(Noting):
        def on_only(self, value: Any) -> None:
            seen.append(breaker.statistics().calls)

    as_stage(call(circuit_breaker(breaker))).attach(Asking(), DemandScheduler.of(None))
    await turns()
    assert seen == [1]


async def test_a_classify_that_fails_comes_after_the_element() -> None:
    def broken(_: object) -> NoReturn:
        raise Boom("classify")

    sink = Noting()
    breaker = CircuitBreaker(classify=broken)
    as_stage(call(circuit_breaker(breaker))).attach(sink, DemandScheduler.of(None))
    await turns()
    assert sink.heard[0] == ("next", "a") and isinstance(sink.heard[1], Boom) and len(sink.heard) == 2


async def test_a_single_result_that_is_refused_is_asked_for_again() -> None:
    answers = iter(["pending", "done"])

    async def ask() -> str:
        return next(answers)

    again = retry_backoff(base=0.0, retry_result=lambda value: value == "pending")
    sink = Noting()
    as_stage(from_async(ask).pipe(again)).attach(sink, DemandScheduler.of(None))
    await turns()
    assert sink.heard == [("next", "done"), "completed"]


@virtual_time
async def test_a_time_limit_is_over_with_its_call() -> None:
    sink = Noting()
    as_stage(call(timeout(1.0))).attach(sink, DemandScheduler.of(None))
    await asyncio.sleep(2.0)
    assert sink.heard == [("only", "a")]


async def test_the_subject_of_a_subscription_reaches_its_source() -> None:
    subjects: list[Any] = []

    class Source(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            subjects.append(scheduler.subject)
            return as_stage(from_async(answer)).attach(sink, scheduler)

    scheduler = DemandScheduler.of(None).about("this one")
    assert scheduler.with_demand(scheduler.demand).subject == "this one"
    assert await last_of(Source().pipe(OPERATORS["all"]()), scheduler=scheduler) == "a"
    assert subjects == ["this one"]
