"""from_async: one fresh task per subscription, cancelled by disposal, never an un-awaited coroutine."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.from_async import from_async
from tests.operators.eager import eager_task_factory
from tests.operators.support import Boom, Recorder, turns


async def double(number: int, *, plus: int = 0) -> int:
    await asyncio.sleep(0)
    return number * 2 + plus


async def test_emits_the_result_and_completes() -> None:
    recorder = Recorder()
    from_async(double, 21).subscribe(recorder)
    assert recorder.events == []
    await turns()
    assert recorder.values == [42]
    assert recorder.completed


async def test_passes_keywords() -> None:
    recorder = Recorder()
    from_async(double, 1, plus=3).subscribe(recorder)
    await turns()
    assert recorder.values == [5]


async def test_calls_the_function_anew_for_each_subscription() -> None:
    # Disposing one subscriber of RxPY's `from_future` cancels the future of the others.
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return calls

    source, first, second = from_async(call), Recorder(), Recorder()
    subscription = source.subscribe(first)
    source.subscribe(second)
    await asyncio.sleep(0)
    subscription.dispose()
    await turns()
    assert first.events == []
    assert second.values == [2]


async def test_what_the_function_raises_is_the_error() -> None:
    async def call() -> int:
        await asyncio.sleep(0)
        raise Boom

    recorder = Recorder()
    from_async(call).subscribe(recorder)
    await turns()
    assert isinstance(recorder.error, Boom)


async def test_a_function_that_raises_before_it_gives_an_awaitable() -> None:
    def call() -> Any:
        raise Boom

    recorder = Recorder()
    from_async(call).subscribe(recorder)
    assert isinstance(recorder.error, Boom)


async def test_a_function_that_gives_no_awaitable_is_an_error() -> None:
    recorder = Recorder()
    from_async(lambda: 1).subscribe(recorder)  # type: ignore[arg-type]
    await turns()
    assert isinstance(recorder.error, TypeError)


async def test_disposal_cancels_the_task() -> None:
    cancelled = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    recorder = Recorder()
    subscription = from_async(call).subscribe(recorder)
    await turns()
    subscription.dispose()
    subscription.dispose()
    await turns()
    assert cancelled == [True]
    assert recorder.events == []


async def test_disposal_before_the_first_step_leaves_no_unawaited_coroutine() -> None:
    # RxPY's `flat_map(async def)` leaks one. Warnings are errors here, and the collector raises them.
    called = []

    async def call() -> None:
        called.append(True)

    from_async(call).subscribe(Recorder()).dispose()
    await turns()
    gc.collect()
    assert called == []


async def test_disposal_inside_on_next_keeps_the_end_from_following() -> None:
    seen: list[Any] = []
    subscription: DisposableBase

    def on_next(value: int) -> None:
        seen.append(value)
        subscription.dispose()

    subscription = from_async(double, 1).subscribe(on_next, on_completed=lambda: seen.append("end"))
    await turns()
    assert seen == [2]


async def test_disposal_inside_on_next_does_not_cancel_the_task_it_runs_in() -> None:
    recorder = Recorder()
    after = []

    async def call() -> int:
        return 1

    subscription: DisposableBase

    def on_next(value: int) -> None:
        subscription.dispose()
        task = asyncio.current_task()
        assert task is not None
        after.append(task.cancelling())

    subscription = from_async(call).subscribe(on_next)
    await turns()
    assert after == [0]
    assert recorder.events == []


async def test_a_task_cancelled_from_outside_is_an_error_and_not_silence() -> None:
    recorder = Recorder()
    tasks: list[asyncio.Task[Any]] = []

    async def call() -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await asyncio.Event().wait()

    from_async(call).subscribe(recorder)
    await turns()
    tasks[0].cancel()
    await turns()
    assert isinstance(recorder.error, asyncio.CancelledError)


async def test_its_task_is_known_to_the_subscription_until_it_is_done() -> None:
    gate = asyncio.Event()
    scheduler, recorder = DemandScheduler.of(None), Recorder()
    as_stage(from_async(gate.wait)).attach(recorder, scheduler)
    await turns()
    assert len(scheduler.tasks) == 1
    gate.set()
    await turns()
    assert scheduler.tasks == set()
    assert recorder.values == [True]


async def test_a_cancelled_task_that_takes_long_to_clean_up_is_still_known() -> None:
    cleaned = asyncio.Event()

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await cleaned.wait()

    scheduler = DemandScheduler.of(None)
    subscription = as_stage(from_async(call)).attach(Recorder(), scheduler)
    await turns()
    subscription.dispose()
    await turns()
    assert len(scheduler.tasks) == 1
    cleaned.set()
    await turns()
    assert scheduler.tasks == set()


def test_without_a_running_loop_it_says_so_and_leaks_no_coroutine() -> None:
    recorder = Recorder()
    from_async(double, 1).subscribe(recorder)
    gc.collect()
    assert isinstance(recorder.error, RuntimeError)
    assert "running event loop" in str(recorder.error)


async def test_an_on_next_that_raises_reaches_its_own_on_error() -> None:
    errors: list[Exception] = []

    def on_next(value: int) -> None:
        raise Boom

    from_async(double, 1).subscribe(on_next, errors.append)
    await turns()
    assert [type(error) for error in errors] == [Boom]


async def test_works_between_stock_operators() -> None:
    recorder = Recorder()
    from_async(double, 1).pipe(ops.map(lambda number: number + 1), ops.start_with(0)).subscribe(recorder)
    await turns()
    assert recorder.values == [0, 3]


@pytest.fixture
async def eager() -> Any:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(eager_task_factory)  # type: ignore[arg-type]
    yield
    loop.set_task_factory(None)


async def test_eager_a_call_that_never_waits_is_done_at_once(eager: None) -> None:
    async def call() -> int:
        return 1

    scheduler, recorder = DemandScheduler.of(None), Recorder()
    as_stage(from_async(call)).attach(recorder, scheduler)
    assert recorder.values == [1]
    assert recorder.completed
    assert scheduler.tasks == set()


async def test_eager_a_call_that_waits_can_be_cancelled_and_is_known(eager: None) -> None:
    cancelled = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    scheduler, recorder = DemandScheduler.of(None), Recorder()
    subscription = as_stage(from_async(call)).attach(recorder, scheduler)
    assert len(scheduler.tasks) == 1
    await turns()
    subscription.dispose()
    await turns()
    assert cancelled == [True]
    assert recorder.events == []
    assert scheduler.tasks == set()


async def test_eager_a_call_that_waits_delivers(eager: None) -> None:
    scheduler, recorder = DemandScheduler.of(None), Recorder()
    as_stage(from_async(double, 4)).attach(recorder, scheduler)
    await turns()
    assert recorder.values == [8]
    assert recorder.completed
    assert scheduler.tasks == set()
