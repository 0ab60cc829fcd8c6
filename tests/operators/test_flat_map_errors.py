"""flat_map_bounded(on_error=): what goes on after an error, in every form, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops

from rxorch_operators.core.stage import Stage, as_stage
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_iterable import from_iterable
from rxorch_operators.guard import guard
from rxorch_operators.results import Failure, Result, Success
from tests.operators.support import AtOnce, Boom, Counting, Manual, Recorder, Time, turns

FORMS: dict[str, dict[str, Any]] = {
    "unordered": {},
    "ordered": {"ordered": True},
    "keyed": {"key": str},
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
TOLERANT = pytest.mark.parametrize("mode", ["delay", "as_result"])
EVERY_MODE = pytest.mark.parametrize("mode", ["fail_fast", "delay", "as_result"])


def errors_of(error: BaseException | None) -> list[Any]:
    """The errors that a stream ended with, be it one or a group."""
    if isinstance(error, ExceptionGroup):
        return list(error.exceptions)
    return [] if error is None else [error]


@EVERY_FORM
def test_as_result_makes_a_value_of_every_outcome(form: dict[str, Any]) -> None:
    time, boom = Time(), Boom()
    inners = {"good": time.marbles("-x|"), "bad": time.marbles("--#", error=boom), "last": time.marbles("y|")}
    recorder = time.run(
        from_iterable(inners).pipe(
            flat_map_bounded(inners.__getitem__, max_concurrent=1, on_error="as_result", **form)
        )
    )
    assert recorder.values == [Success("x", "good"), Failure(boom, "bad"), Success("y", "last")]
    assert recorder.completed
    assert time.idle


@EVERY_FORM
def test_as_result_with_many_elements_each_is_a_success_and_an_error_ends_them(form: dict[str, Any]) -> None:
    boom = Boom()
    inners = {1: AtOnce("a", "b"), 2: AtOnce("c", error=boom), 3: AtOnce()}
    recorder = Recorder()
    AtOnce(1, 2, 3).pipe(
        flat_map_bounded(inners.__getitem__, max_concurrent=3, on_error="as_result", **form)
    ).subscribe(recorder)
    assert recorder.values == [Success("a", 1), Success("b", 1), Success("c", 2), Failure(boom, 2)]
    assert recorder.completed


@EVERY_FORM
def test_delay_lets_the_rest_go_on_and_raises_the_only_error_itself(form: dict[str, Any]) -> None:
    time, boom = Time(), Boom()
    inners = {
        "bad": time.marbles("-#", error=boom),
        "good": time.marbles("---x|"),
        "more": time.marbles("y|"),
    }
    recorder = time.run(
        from_iterable(inners).pipe(
            flat_map_bounded(inners.__getitem__, max_concurrent=2, on_error="delay", **form)
        )
    )
    assert sorted(recorder.values) == ["x", "y"]
    assert recorder.error is boom
    assert recorder.events[-1][0] == 4.0
    assert time.idle


@EVERY_FORM
def test_delay_raises_several_errors_as_a_group_in_order(form: dict[str, Any]) -> None:
    time = Time()
    booms = {"slow": Boom("slow"), "quick": Boom("quick")}
    inners = {
        "slow": time.marbles("----#", error=booms["slow"]),
        "quick": time.marbles("-#", error=booms["quick"]),
    }
    recorder = time.run(
        from_iterable(inners).pipe(
            flat_map_bounded(inners.__getitem__, max_concurrent=2, on_error="delay", **form)
        )
    )
    assert isinstance(recorder.error, ExceptionGroup)
    assert str(recorder.error) == "flat_map_bounded: 2 errors (2 sub-exceptions)"
    expected = ["slow", "quick"] if "ordered" in form else ["quick", "slow"]
    assert errors_of(recorder.error) == [booms[name] for name in expected]


@EVERY_FORM
@TOLERANT
def test_an_error_of_the_source_waits_for_the_inners_and_comes_last(mode: Any, form: dict[str, Any]) -> None:
    time, first, last = Time(), Boom("inner"), Boom("source")
    inners = {"a": time.marbles("-----x|"), "b": time.marbles("------#", error=first)}
    recorder = time.run(
        time.marbles("ab#", error=last).pipe(
            flat_map_bounded(inners.__getitem__, max_concurrent=2, on_error=mode, **form)
        )
    )
    at, error = recorder.events[-1]
    assert at == 7.0
    assert errors_of(error) == ([first, last] if mode == "delay" else [last])
    assert len(recorder.values) == (1 if mode == "delay" else 2)


@EVERY_FORM
@TOLERANT
def test_a_project_that_raises_is_a_failure_of_that_element(mode: Any, form: dict[str, Any]) -> None:
    boom = Boom()

    def project(number: int) -> Stage[int]:
        if number == 2:
            raise boom
        return AtOnce(number)

    recorder = Recorder()
    AtOnce(1, 2, 3).pipe(flat_map_bounded(project, max_concurrent=2, on_error=mode, **form)).subscribe(
        recorder
    )
    if mode == "delay":
        assert (recorder.values, recorder.error) == ([1, 3], boom)
    else:
        assert recorder.values == [Success(1, 1), Failure(boom, 2), Success(3, 3)]
        assert recorder.completed


@EVERY_FORM
def test_a_plain_value_is_a_failure_with_advice(form: dict[str, Any]) -> None:
    recorder = Recorder()
    from_iterable([7]).pipe(
        flat_map_bounded(lambda number: cast("Any", number), max_concurrent=1, on_error="as_result", **form)
    ).subscribe(recorder)
    (failure,) = recorder.values
    assert failure.input == 7
    assert "use ops.map for plain values" in str(failure.error)


@TOLERANT
@pytest.mark.parametrize("bad", ["raises", "unhashable"])
def test_a_key_that_cannot_be_had_is_a_failure_of_that_element(bad: str, mode: Any) -> None:
    def key(number: int) -> Any:
        if number == 2 and bad == "raises":
            raise Boom
        return [] if number == 2 else number

    recorder, called = Recorder(), []

    def project(number: int) -> Stage[int]:
        called.append(number)
        return AtOnce(number)

    AtOnce(1, 2, 3).pipe(flat_map_bounded(project, max_concurrent=2, key=key, on_error=mode)).subscribe(
        recorder
    )
    assert called == [1, 3]
    if mode == "delay":
        error = recorder.error
        assert recorder.values == [1, 3]
    else:
        assert recorder.values[::2] == [Success(1, 1), Success(3, 3)]
        assert recorder.values[1].input == 2
        error = recorder.values[1].error
    assert isinstance(error, Boom if bad == "raises" else TypeError)


def test_a_key_that_cannot_be_had_is_no_key_and_waits_for_nobody() -> None:
    source, recorder, gate = Manual(), Recorder(), Manual()

    def key(number: int) -> None:
        if number:
            raise Boom(number)

    source.pipe(flat_map_bounded(lambda _: gate, max_concurrent=3, key=key, on_error="as_result")).subscribe(
        recorder
    )
    source.send(0, 1, 2)
    assert [result.input for result in recorder.values] == [1, 2]


@EVERY_FORM
@EVERY_MODE
@pytest.mark.parametrize("where", ["inner", "source"])
def test_a_cancellation_ends_everything_at_once_in_every_mode(
    where: str, mode: Any, form: dict[str, Any]
) -> None:
    source, inners, recorder = Manual(), {1: Manual(), 2: Manual(), 3: Manual()}, Recorder()
    source.pipe(flat_map_bounded(inners.__getitem__, max_concurrent=3, on_error=mode, **form)).subscribe(
        recorder
    )
    source.send(1, 2, 3)
    if mode != "fail_fast":
        inners[3].fail(Boom())
    cancelled = asyncio.CancelledError()
    (inners[1] if where == "inner" else source).fail(cancelled)
    assert recorder.error is cancelled
    assert not any(
        isinstance(getattr(value, "error", None), asyncio.CancelledError) for value in recorder.values
    )
    assert inners[2].disposed
    if where == "inner":
        assert source.disposed


@EVERY_FORM
@EVERY_MODE
async def test_a_task_of_an_inner_that_is_cancelled_from_outside(mode: Any, form: dict[str, Any]) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def call(_: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await asyncio.Event().wait()

    recorder = Recorder()
    from_iterable(range(5)).pipe(flat_map_bounded(call, max_concurrent=2, on_error=mode, **form)).subscribe(
        recorder
    )
    await turns()
    tasks[0].cancel()
    await turns()
    assert isinstance(recorder.error, asyncio.CancelledError)
    assert recorder.values == []
    assert [task.cancelled() for task in tasks] == [True, True]


outcomes = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans(), st.booleans()), max_size=20
)


@settings(deadline=None)
@given(
    outcomes,
    st.integers(1, 4),
    st.sampled_from([*FORMS.values(), {"key": lambda n: n % 3}]),
    st.sampled_from(["delay", "as_result"]),
    st.booleans(),
)
def test_every_element_has_its_outcome(
    plan: list[tuple[int, int, bool, bool]], cap: int, form: dict[str, Any], mode: Any, pushed: bool
) -> None:
    """Whatever fails when: no element is lost, none counts twice, order is kept where it is promised."""
    time, booms = Time(), [Boom(number) for number in range(len(plan))]

    def project(number: int) -> Observable[int]:
        seconds, elements, fails, at_once = plan[number]
        names = [number * 10 + element for element in range(elements)]
        if at_once:
            return AtOnce(*names, error=booms[number] if fails else None)
        marbles = "-" * seconds + "x" * elements + ("#" if fails else "|")
        count = iter(names)
        return time.marbles(marbles, error=booms[number]).pipe(ops.map(lambda _: next(count)))

    source = AtOnce(*range(len(plan))) if pushed else from_iterable(range(len(plan)))
    recorder = time.run(source.pipe(flat_map_bounded(project, max_concurrent=cap, on_error=mode, **form)))
    values = [n * 10 + e for n, (_, elements, _, _) in enumerate(plan) for e in range(elements)]
    failed = [booms[n] for n, (_, _, fails, _) in enumerate(plan) if fails]
    if mode == "delay":
        seen, errors = recorder.values, errors_of(recorder.error)
    else:
        seen = [result.value for result in recorder.values if result.ok]
        errors = [result.error for result in recorder.values if not result.ok]
        assert all(
            result.input == (result.value // 10 if result.ok else result.error.args[0])
            for result in recorder.values
        )
        assert recorder.completed
    assert sorted(seen) == values
    assert sorted(errors, key=booms.index) == failed
    if "ordered" in form:
        assert seen == values
        assert errors == failed
    assert time.idle


@TOLERANT
@EVERY_FORM
@pytest.mark.parametrize("after", range(12))
async def test_disposal_at_every_step_ends_everything(after: int, form: dict[str, Any], mode: Any) -> None:
    running = 0

    async def call(number: int) -> int:
        nonlocal running
        running += 1
        try:
            await turns(number % 4)
            return 60 // (number % 3)
        finally:
            running -= 1

    recorder, numbers = Recorder(), Counting()
    subscription = (
        from_iterable(numbers)
        .pipe(flat_map_bounded(call, max_concurrent=3, on_error=mode, **form))
        .subscribe(recorder)
    )
    await turns(after)
    subscription.dispose()
    seen = list(recorder.events)
    await turns(8)
    assert recorder.events == seen
    assert running == 0
    assert numbers.closed


@EVERY_FORM
@pytest.mark.parametrize("stop", range(1, 6))
def test_disposal_from_inside_a_result(stop: int, form: dict[str, Any]) -> None:
    recorder = Recorder()

    def project(number: int) -> Stage[int]:
        return AtOnce(number, error=Boom())

    AtOnce(1, 2, 3).pipe(
        flat_map_bounded(project, max_concurrent=2, on_error="as_result", **form), ops.take(stop)
    ).subscribe(recorder)
    assert [result.ok for result in recorder.values] == [True, False, True, False, True][:stop]
    assert recorder.completed


@EVERY_FORM
def test_a_failed_inner_is_let_go_of_before_its_failure_goes_out(form: dict[str, Any]) -> None:
    inner, source = Manual(), Manual()
    seen: list[Any] = []
    source.pipe(flat_map_bounded(lambda _: inner, max_concurrent=1, on_error="as_result", **form)).subscribe(
        lambda result: seen.append((result.ok, inner.disposed))
    )
    source.send(1)
    inner.fail(Boom())
    assert seen == [(False, 1)]


@EVERY_FORM
@TOLERANT
def test_a_failure_frees_its_slot_and_the_source_is_asked_again(mode: Any, form: dict[str, Any]) -> None:
    numbers, recorder, time = Counting(), Recorder(), Time()

    def project(number: int) -> Stage[int]:
        return AtOnce(error=Boom(number)) if number < 1000 else Manual()

    subscription = (
        from_iterable(numbers)
        .pipe(flat_map_bounded(project, max_concurrent=2, on_error=mode, **form))
        .subscribe(recorder, scheduler=time.scheduler)
    )
    time.advance(1)
    assert numbers.read == 1002
    assert len(recorder.values) == (1000 if mode == "as_result" else 0)
    subscription.dispose()


@EVERY_FORM
def test_ten_thousand_queued_failures_do_not_nest(form: dict[str, Any]) -> None:
    gate, recorder, source = Manual(), Recorder(), Manual()
    if "key" in form:
        form = {"key": lambda number: number % 2}

    def project(number: int) -> Stage[int]:
        return gate if number == 0 else AtOnce(error=Boom(number))

    source.pipe(flat_map_bounded(project, max_concurrent=1, on_error="as_result", **form)).subscribe(recorder)
    source.send(*range(10_001))
    source.complete()
    gate.complete()
    assert sorted(result.input for result in recorder.values) == list(range(1, 10_001))
    assert recorder.completed


@EVERY_FORM
@TOLERANT
def test_two_subscriptions_share_no_errors(mode: Any, form: dict[str, Any]) -> None:
    boom = Boom()
    stream = AtOnce(1).pipe(
        flat_map_bounded(lambda _: AtOnce(error=boom), max_concurrent=1, on_error=mode, **form)
    )
    for _ in range(2):
        recorder = Recorder()
        stream.subscribe(recorder)
        if mode == "delay":
            assert recorder.error is boom
        else:
            assert recorder.values == [Failure(boom, 1)]


@EVERY_FORM
@TOLERANT
def test_a_source_that_sends_after_its_error_is_not_heard(mode: Any, form: dict[str, Any]) -> None:
    source, recorder, boom, inner = Manual(), Recorder(), Boom(), Manual()
    source.pipe(flat_map_bounded(lambda _: inner, max_concurrent=2, on_error=mode, **form)).subscribe(
        recorder
    )
    source.send(1)
    source.fail(boom)
    source.fail(Boom())
    source.send(2)
    source.complete()
    assert inner.attached == 1
    inner.complete()
    assert recorder.events == [(0.0, boom)]


@TOLERANT
def test_an_exception_that_nobody_handles_is_raised_though_the_inner_was_starting(mode: Any) -> None:
    def listener(_: Any) -> None:
        raise Boom

    source = Manual()
    source.pipe(flat_map_bounded(AtOnce, max_concurrent=1, on_error=mode)).subscribe(listener)
    with pytest.raises(Boom):
        source.send(1)


@EVERY_FORM
async def test_async_functions_and_awaitables(form: dict[str, Any]) -> None:
    async def call(number: int) -> int:
        return 60 // number

    kinds: list[Any] = [call, lambda number: asyncio.ensure_future(call(number)), reactivex.just]
    for kind in kinds:
        recorder = Recorder()

        def project(number: int, kind: Any = kind) -> Observable[int] | Awaitable[int]:
            return cast("Observable[int]", kind(number))

        stage = as_stage(from_iterable([2, 0]))
        stage.pipe(flat_map_bounded(project, max_concurrent=2, on_error="as_result", **form)).subscribe(
            recorder
        )
        await turns()
        assert [result.input for result in recorder.values] == [2, 0]
        assert recorder.values[0].ok
        assert recorder.completed


async def test_around_a_call_it_maps_the_result() -> None:
    async def square(number: int) -> int:
        return number * number

    async def three() -> int:
        return 3

    assert await guard(flat_map_bounded(square, max_concurrent=1)).call(three) == 9

    @guard(flat_map_bounded(square, max_concurrent=1, on_error="as_result"))
    async def decorated(number: int) -> Any:
        return number

    result: Result[int, int] = await decorated(4)
    assert result == Success(16, 4)


@pytest.mark.parametrize("mode", ["delayed", None, "", True])
def test_a_mode_that_does_not_exist_is_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match="on_error="):
        flat_map_bounded(reactivex.just, max_concurrent=1, on_error=mode)
