"""Traps that others fell into, each with the project that shows it; see also `tests/test_traps.py`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.testing import TestScheduler

from rxorch_operators import (
    Bulkhead,
    TimeoutExceededError,
    bulkhead,
    fallback,
    flat_map_bounded,
    from_async,
    from_iterable,
    guard,
    last_of,
    retry_backoff,
    timeout,
    to_async_iterable,
)
from rxorch_operators.hedge import hedge
from rxorch_operators.testing import VirtualLoop, virtual_time
from tests.operators.support import Boom, Recorder, Time


def test_trap_a_count_shared_by_all_subscriptions() -> None:
    """resilience4j `RetryTransformer`, RxPY before #765: the count is born with the operator."""
    time = Time()
    source = time.marbles("#")
    retried = source.pipe(retry_backoff(max_attempts=3, base=0.0))
    for subscribers in (1, 2, 3):
        time.run(retried)
        assert len(source.subscribed) == 3 * subscribers


@pytest.mark.parametrize(
    "operator", [retry_backoff(max_attempts=5, base=0.0), fallback(lambda _: 7), hedge(delay=0.0)]
)
@virtual_time
async def test_trap_a_cancellation_that_is_caught_and_retried(operator: Any) -> None:
    """tenacity #529: `CancelledError` is caught and retried; RxPY's `retry` and `catch` do so too."""
    attempts = 0

    async def call() -> None:
        nonlocal attempts
        attempts += 1
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await guard(operator).call(call)
    assert attempts <= 2  # the hedge was there already


@virtual_time
async def test_trap_disposing_one_subscriber_cancels_the_future_of_the_others() -> None:
    """RxPY `from_future`: all subscribers wait for one task, and the first to leave cancels it."""
    loop = asyncio.get_running_loop()

    async def answer() -> str:
        await asyncio.sleep(1.0)
        return "answer"

    task = loop.create_task(answer())
    stock = reactivex.from_future(task)
    stock.subscribe().dispose()
    await asyncio.sleep(0)
    assert task.cancelled()

    ours, recorder = from_async(answer), Recorder()
    ours.subscribe(recorder)
    ours.subscribe().dispose()
    await asyncio.sleep(2.0)
    assert recorder.values == ["answer"]


async def test_trap_a_timeout_on_another_thread_with_a_bare_exception() -> None:
    """RxPY `ops.timeout`: on a thread of its own, with a bare `Exception("Timeout")`."""
    here, told = threading.get_ident(), asyncio.Event()
    threads: list[int] = []

    def failed(error: Exception) -> None:
        assert isinstance(error, TimeoutExceededError)
        threads.append(threading.get_ident())
        told.set()

    reactivex.never().pipe(timeout(1e-3)).subscribe(on_error=failed)
    await told.wait()
    assert threads == [here]


async def test_trap_a_blocking_run_where_a_loop_runs_already() -> None:
    """`Observable.run()` blocks the loop that its source needs; `asyncio.run` fails in a notebook."""
    stream = from_iterable(range(4)).pipe(
        flat_map_bounded(lambda n: from_async(_double, n), max_concurrent=2)
    )
    assert await last_of(stream) in (4, 6)
    assert sorted([number async for number in to_async_iterable(stream)]) == [0, 2, 4, 6]


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_trap_what_on_next_raises_vanishes() -> None:
    """RxPY: an `on_next` that raises vanishes without a word."""

    def fail(_: object) -> None:
        raise Boom("in the consumer")

    errors: list[Exception] = []
    time = Time()
    time.marbles("a|").pipe(bulkhead(Bulkhead())).subscribe(fail, errors.append, scheduler=time.scheduler)
    time.advance(5.0)
    assert [str(error) for error in errors] == ["in the consumer"]


@virtual_time
async def test_trap_what_on_next_raises_further_down_vanishes() -> None:
    """The same one floor up: what a stock operator downstream raises is not lost either."""
    stream = from_iterable([1, 0]).pipe(
        flat_map_bounded(_double, max_concurrent=1), ops.map(lambda number: 1 // number)
    )
    with pytest.raises(ZeroDivisionError):
        await last_of(stream)


def test_trap_a_test_clock_that_moves_by_itself() -> None:
    """RxPY `TestScheduler`: after 100 actions at one instant it moves the clock by itself."""
    stock = TestScheduler()
    for _ in range(300):
        stock.schedule(lambda *_: None)
    stock.advance_to(1.0)
    assert stock.clock >= 1.0

    loop = VirtualLoop()
    seen: list[float] = []
    for _ in range(1_000):
        loop.call_soon(lambda: seen.append(loop.time()))
    loop.run_instant()
    loop.close()
    assert seen == [0.0] * 1_000
