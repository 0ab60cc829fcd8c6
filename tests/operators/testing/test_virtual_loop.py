"""The virtual loop: asyncio and Rx in one time, which passes when nothing else is left to do."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops

from rxorch_operators import from_async, last_of, timeout
from rxorch_operators.testing import Recorder, VirtualLoop, run_virtual, virtual_time
from rxorch_operators.testing.virtual_loop import stepped_loop


@virtual_time
async def test_time_passes_at_once_and_in_order() -> None:
    loop, seen = asyncio.get_running_loop(), []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((seconds, loop.time()))

    await asyncio.gather(sleeper(3600.0), sleeper(1.5), sleeper(0.0))
    assert seen == [(0.0, 0.0), (1.5, 1.5), (3600.0, 3600.0)]


@virtual_time
async def test_rx_and_asyncio_share_the_time() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    seen: list[tuple[float, int]] = []
    done = loop.create_future()
    reactivex.interval(2.0).pipe(ops.take(3)).subscribe(
        lambda number: seen.append((loop.time(), number)),
        on_completed=lambda: done.set_result(None),
        scheduler=loop.scheduler,
    )
    await asyncio.sleep(3.0)
    assert seen == [(2.0, 0)]
    await done
    assert seen == [(2.0, 0), (4.0, 1), (6.0, 2)]


@virtual_time
async def test_our_operators_find_it_by_themselves() -> None:
    with pytest.raises(TimeoutError):
        await last_of(from_async(asyncio.sleep, 9.0).pipe(timeout(2.5)))
    assert asyncio.get_running_loop().time() == 2.5


def test_who_waits_in_vain_fails_at_once() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="waits in vain"):
        run_virtual(wait())


def test_what_is_left_behind_fails() -> None:
    async def leave_a_task() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(5.0), name="forgotten")

    async def leave_a_timer() -> None:
        asyncio.get_running_loop().call_later(5.0, print)

    async def leave_an_error() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1.0)

    for leave, what in ((leave_a_task, "forgotten"), (leave_a_timer, "timer"), (leave_an_error, "division")):
        with pytest.raises(AssertionError, match=f"left behind:\n.*{what}"):
            run_virtual(leave())


def test_a_start_may_be_given_and_results_and_errors_come_out() -> None:
    async def now() -> float:
        return asyncio.get_running_loop().time()

    async def fail() -> None:
        raise KeyError("it")

    assert run_virtual(now(), start=1000.0) == 1000.0
    with pytest.raises(KeyError, match="it"):
        run_virtual(fail())


def test_it_can_be_stepped_through() -> None:
    seen: list[str] = []
    with stepped_loop() as loop:
        loop.call_soon(seen.append, "now")
        loop.call_later(2.0, seen.append, "at two")
        loop.call_later(2.0, lambda: loop.call_soon(seen.append, "and then"))
        cancelled = loop.call_later(1.0, seen.append, "never")
        cancelled.cancel()
        assert len(loop.timers()) == 2
        loop.run_instant()
        assert (seen, loop.time()) == (["now"], 0.0)
        assert loop.advance()
        assert sorted(seen[1:]) == ["and then", "at two"]
        assert loop.time() == 2.0
        assert not loop.advance()


def test_tasks_that_are_left_are_cancelled_with_a_stepped_loop(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with stepped_loop() as loop:
        task = loop.create_task(asyncio.sleep(5.0))
        loop.run_instant()
    assert task.cancelled()
    assert caplog.records == []


@virtual_time
async def test_call_soon_threadsafe_works_from_the_loop_itself() -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon_threadsafe(done.set_result, 7)
    assert await done == 7


async def test_it_runs_inside_of_another_loop_as_in_a_notebook() -> None:
    outer, started = asyncio.get_running_loop(), asyncio.get_running_loop().time()

    async def an_hour() -> float:
        await asyncio.sleep(3600.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(an_hour()) == 3600.0
    with stepped_loop() as loop:
        loop.call_later(5.0, loop.stop)
        assert loop.advance()
    assert asyncio.get_running_loop() is outer
    assert outer.time() - started < 3600.0


@pytest.mark.parametrize(
    "operator", [ops.delay(2.5), ops.throttle_first(0.5), ops.timestamp(), ops.debounce(0.5)]
)
def test_stock_operators_that_read_the_clock_read_that_of_the_loop(operator: Any) -> None:
    with stepped_loop() as loop:
        recorder = Recorder(loop.time)
        reactivex.interval(1.0).pipe(ops.take(4), operator).subscribe(recorder, scheduler=loop.scheduler)
        for _ in range(100):
            if not loop.advance():
                break
        assert recorder.completed
        assert len(recorder.values) == 4
        assert loop.scheduler.now.timestamp() == loop.time()


@pytest.mark.parametrize("start", [2.0**24, 1.7e9, 1e12])
def test_it_runs_far_from_zero(start: float) -> None:
    async def later() -> float:
        await asyncio.sleep(1.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(later(), start=start) == start + 1.0
