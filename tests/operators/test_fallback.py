"""fallback: what stands in for an error, and what becomes of the error."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch_operators import fallback, from_iterable
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.from_async import from_async
from tests.operators.support import AtOnce, Boom, Manual, MarbleStage, Recorder, Time, turns


def test_without_an_error_it_has_no_say() -> None:
    time = Time()
    recorder = time.run(time.marbles("-a-b|").pipe(fallback(lambda _: pytest.fail("called"))))
    assert recorder.events == [(1.0, "a"), (3.0, "b"), (4.0, "|")]


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_a_value_takes_the_place_of_the_error(kind: str) -> None:
    time, boom, asked = Time(), Boom(), []
    marbles = time.marbles("-a-#", error=boom)
    source: Any = marbles if kind == "stock" else MarbleStage(marbles)
    recorder = time.run(source.pipe(fallback(lambda error: asked.append(error) or "b")))
    assert recorder.events == [(1.0, "a"), (3.0, "b"), (3.0, "|")]
    assert asked == [boom]


def test_none_is_a_value() -> None:
    recorder = Recorder()
    AtOnce(error=Boom()).pipe(fallback(lambda _: None)).subscribe(recorder)
    assert recorder.events == [(0.0, None), (0.0, "|")]


def test_an_observable_goes_on() -> None:
    time = Time()
    substitute = time.marbles("-x-y|")
    recorder = time.run(time.marbles("-a#").pipe(fallback(lambda _: substitute)))
    assert recorder.events == [(1.0, "a"), (3.0, "x"), (5.0, "y"), (6.0, "|")]


async def test_an_async_function_is_awaited() -> None:
    async def remember(error: Exception) -> str:
        await asyncio.sleep(0)
        return f"instead of {error}"

    recorder = Recorder()
    AtOnce(error=Boom("it")).pipe(fallback(remember)).subscribe(recorder)
    await turns()
    assert recorder.values == ["instead of it"]
    assert recorder.completed


async def test_a_future_is_awaited() -> None:
    future = asyncio.get_running_loop().create_future()
    recorder = Recorder()
    AtOnce(error=Boom()).pipe(fallback(lambda _: future)).subscribe(recorder)
    await turns()
    future.set_result(7)
    await turns()
    assert recorder.values == [7]


@pytest.mark.parametrize(
    "when",
    [KeyError, (KeyError, IndexError), lambda error: isinstance(error, KeyError)],
    ids=["class", "tuple", "function"],
)
def test_when_tells_which_errors_it_is_for(when: Any) -> None:
    other = Boom()
    handled, passed = Recorder(), Recorder()
    AtOnce(error=KeyError()).pipe(fallback(lambda _: "instead", when=when)).subscribe(handled)
    AtOnce(error=other).pipe(fallback(lambda _: "instead", when=when)).subscribe(passed)
    assert handled.values == ["instead"]
    assert passed.error is other


@pytest.mark.parametrize("when", [Exception, BaseException, lambda _: True])
def test_a_cancellation_always_passes(when: Any) -> None:
    # CancelledError caught and swallowed: RxPY's `catch`.
    cancelled, recorder = asyncio.CancelledError(), Recorder()
    AtOnce(error=cancelled).pipe(fallback(lambda _: "instead", when=when)).subscribe(recorder)
    assert recorder.error is cancelled


def _raise(error: BaseException) -> Any:
    raise error


def test_what_the_handler_raises_replaces_the_error_which_becomes_its_cause() -> None:
    first, second, recorder = Boom("first"), KeyError("second"), Recorder()
    AtOnce(error=first).pipe(fallback(lambda _: _raise(second))).subscribe(recorder)
    assert recorder.error is second
    assert second.__cause__ is first


def test_what_an_observable_ends_with_replaces_the_error_too() -> None:
    first, second, recorder = Boom("first"), KeyError("second"), Recorder()
    AtOnce(error=first).pipe(fallback(lambda _: reactivex.throw(second))).subscribe(recorder)
    assert recorder.error is second
    assert second.__cause__ is first


async def test_what_an_async_handler_raises_replaces_the_error_too() -> None:
    first, second, recorder = Boom("first"), KeyError("second"), Recorder()

    async def handler(_: Exception) -> None:
        await asyncio.sleep(0)
        raise second

    AtOnce(error=first).pipe(fallback(handler)).subscribe(recorder)
    await turns()
    assert recorder.error is second
    assert second.__cause__ is first


def test_an_observable_that_cannot_be_subscribed_is_an_error_too() -> None:
    first, recorder = Boom("first"), Recorder()

    class Broken(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            raise KeyError("second")

    AtOnce(error=first).pipe(fallback(lambda _: Broken())).subscribe(recorder)
    assert isinstance(recorder.error, KeyError)
    assert recorder.error.__cause__ is first


def test_a_condition_that_raises_is_an_error_too() -> None:
    first, second, recorder = Boom("first"), KeyError("second"), Recorder()
    AtOnce(error=first).pipe(fallback(lambda _: None, when=lambda _: _raise(second))).subscribe(recorder)
    assert recorder.error is second
    assert second.__cause__ is first


def test_a_handler_that_raises_the_same_error_or_its_cause_makes_no_ring() -> None:
    cause, first = KeyError(), Boom()
    first.__cause__ = cause
    same, inner = Recorder(), Recorder()
    AtOnce(error=first).pipe(fallback(_raise)).subscribe(same)
    AtOnce(error=first).pipe(fallback(lambda error: _raise(error.__cause__ or error))).subscribe(inner)
    assert same.error is first
    assert inner.error is cause
    assert cause.__cause__ is None


def test_a_cause_that_already_leads_to_the_error_stays() -> None:
    first, recorder = Boom("first"), Recorder()

    def handler(error: Exception) -> None:
        try:
            raise KeyError from error
        except KeyError as middle:
            raise IndexError from middle

    AtOnce(error=first).pipe(fallback(handler)).subscribe(recorder)
    assert isinstance(recorder.error, IndexError)
    assert isinstance(recorder.error.__cause__, KeyError)
    assert recorder.error.__cause__.__cause__ is first


def test_a_substitute_has_no_substitute() -> None:
    calls, recorder = [], Recorder()

    def handler(error: Exception) -> Any:
        calls.append(error)
        return reactivex.throw(Boom("again"))

    AtOnce(error=Boom()).pipe(fallback(handler)).subscribe(recorder)
    assert len(calls) == 1
    assert str(recorder.error) == "again"


def test_degraded_is_told_before_the_substitute_delivers() -> None:
    time, boom, told = Time(), Boom(), []
    substitute = time.marbles("--x|")
    operator = fallback(lambda _: substitute, degraded=lambda error: told.append((time.now, error)))
    recorder = time.run(time.marbles("-#", error=boom).pipe(operator))
    assert told == [(3.0, boom)]
    assert recorder.values == ["x"]


@pytest.mark.parametrize("given", ["a value", reactivex.empty()], ids=["value", "empty"])
def test_degraded_is_told_once_whatever_was_given(given: Any) -> None:
    told, recorder = [], Recorder()
    AtOnce(error=Boom()).pipe(fallback(lambda _: given, degraded=told.append)).subscribe(recorder)
    assert len(told) == 1
    assert recorder.completed


def test_degraded_is_not_told_when_the_substitute_fails_as_well() -> None:
    told, recorder = [], Recorder()
    failing = reactivex.throw(KeyError())
    AtOnce(error=Boom()).pipe(fallback(lambda _: failing, degraded=told.append)).subscribe(recorder)
    assert told == []
    assert isinstance(recorder.error, KeyError)


def test_degraded_that_raises_is_the_error_and_ends_the_substitute() -> None:
    first, second, recorder, substitute = Boom(), KeyError(), Recorder(), Manual()
    AtOnce(error=first).pipe(fallback(lambda _: substitute, degraded=lambda _: _raise(second))).subscribe(
        recorder
    )
    substitute.send(1)
    assert recorder.events == [(0.0, second)]
    assert second.__cause__ is first
    assert substitute.disposed == 1


def test_disposal_disposes_the_source() -> None:
    source = Manual()
    source.pipe(fallback(lambda _: None)).subscribe(Recorder()).dispose()
    assert source.disposed == 1


def test_disposal_disposes_the_substitute() -> None:
    time = Time()
    substitute = time.marbles("-----x|")
    recorder = time.run(time.marbles("-#").pipe(fallback(lambda _: substitute)), dispose=3)
    assert recorder.events == []
    assert substitute.active == 0
    assert time.idle


async def test_disposal_cancels_an_async_handler() -> None:
    cancelled = []

    async def handler(_: Exception) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    subscription = AtOnce(error=Boom()).pipe(fallback(handler)).subscribe(Recorder())
    await turns()
    subscription.dispose()
    await turns()
    assert cancelled == [True]


async def test_disposal_before_the_first_step_of_a_handler_leaves_no_unawaited_coroutine() -> None:
    async def handler(_: Exception) -> None:
        raise AssertionError

    AtOnce(error=Boom()).pipe(fallback(handler)).subscribe(Recorder()).dispose()
    await turns()
    gc.collect()


async def test_disposal_from_inside_the_handler() -> None:
    async def answer() -> str:
        raise AssertionError

    for given in ("value", reactivex.just("x"), answer()):
        source, recorder = Manual(), Recorder()
        subscriptions: list[DisposableBase] = []

        def handler(_: Exception, given: Any = given, subscriptions: Any = subscriptions) -> Any:
            subscriptions[0].dispose()
            return given

        stage = as_stage(source.pipe(fallback(handler, degraded=lambda _: pytest.fail("told"))))
        subscriptions.append(stage.attach(recorder, DemandScheduler.of(None)))  # no border that would hide it
        source.fail(Boom())
        await turns()
        gc.collect()
        assert recorder.events == []


def test_disposal_from_inside_on_next_keeps_the_end_from_following() -> None:
    recorder = Recorder()
    AtOnce(error=Boom()).pipe(fallback(lambda _: "x"), ops.take(1)).subscribe(recorder)
    assert recorder.events == [(0.0, "x"), (0.0, "|")]


def test_an_exception_in_attach_is_an_error_like_any_other() -> None:
    class Broken(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            raise Boom

    recorder = Recorder()
    Broken().pipe(fallback(lambda error: type(error).__name__)).subscribe(recorder)
    assert recorder.values == ["Boom"]


def test_an_error_that_nobody_handles_is_raised_and_not_handled_twice() -> None:
    handled = []
    with pytest.raises(KeyError):
        AtOnce(error=Boom()).pipe(
            fallback(lambda error: (handled.append(error), _raise(KeyError()))[0])
        ).subscribe()
    assert len(handled) == 1


def test_a_constant_is_refused_with_advice() -> None:
    with pytest.raises(TypeError, match="lambda error: value"):
        fallback("a value")  # type: ignore[arg-type]


async def test_the_demand_reaches_source_and_substitute() -> None:
    source, substitute = Manual(), Manual()
    source.pipe(fallback(lambda _: substitute)).subscribe(Recorder())
    source.fail(Boom())
    assert substitute.scheduler is source.scheduler


async def test_two_subscriptions_share_nothing() -> None:
    stream = from_async(_fail).pipe(fallback(lambda _: from_iterable("ab")))
    first, second = Recorder(), Recorder()
    stream.subscribe(first)
    stream.subscribe(second).dispose()
    await turns()
    assert first.values == ["a", "b"]
    assert second.events == []


async def _fail() -> None:
    raise Boom
