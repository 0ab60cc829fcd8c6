"""AdaptiveBulkhead in coroutines: `call` and guarded functions, beside the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rxorch_operators import BulkheadFullError, Outcome3, TimeoutExceededError, from_async, timeout
from rxorch_operators.adaptive_concurrency import AdaptiveBulkhead, adaptive_concurrency
from rxorch_operators.engines.concurrency_limit import AimdPolicy, LimitChange
from rxorch_operators.guard import guard
from tests.operators.manual_clock import ManualClock
from tests.operators.support import Boom, Recorder, turns

Caller = Callable[..., Awaitable[Any]]


def starting_at(limit: int, **options: Any) -> AdaptiveBulkhead:
    return AdaptiveBulkhead(AimdPolicy(initial_limit=limit), **options)


def native(shared: AdaptiveBulkhead) -> Caller:
    return shared.call


def awaited(shared: AdaptiveBulkhead) -> Caller:
    return guard(adaptive_concurrency(shared)).call


def decorated(shared: AdaptiveBulkhead) -> Caller:
    def call(fn: Any, *args: Any) -> Awaitable[Any]:
        return guard(adaptive_concurrency(shared))(fn)(*args)

    return call


shells = pytest.mark.parametrize("shell", [native, awaited, decorated])
Shell = Callable[[AdaptiveBulkhead], Caller]


@shells
async def test_a_call_runs_with_a_permit_and_teaches(shell: Shell) -> None:
    shared = starting_at(1)

    async def work(number: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        return number, shared.statistics().in_flight

    assert await shell(shared)(work, 7) == (7, 1)
    assert (shared.statistics().in_flight, shared.limit) == (0, 2)


@shells
@pytest.mark.parametrize(("error", "limit"), [(TimeoutError(), 9), (KeyError(), 10)])
async def test_an_error_passes_and_is_judged(shell: Shell, error: Exception, limit: int) -> None:
    shared = starting_at(10)

    async def work() -> None:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)) as caught:
        await shell(shared)(work)
    assert caught.value is error
    assert (shared.limit, shared.statistics().in_flight) == (limit, 0)


@shells
async def test_a_cancelled_call_returns_its_permit_and_teaches_nothing(shell: Shell) -> None:
    shared = starting_at(1)
    call = asyncio.ensure_future(shell(shared)(asyncio.sleep, 3600))
    await turns()
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    statistics = shared.statistics()
    assert (statistics.in_flight, statistics.limit, statistics.ignored, statistics.dropped) == (0, 1, 1, 0)


@shells
async def test_a_cancelled_waiter_leaves_the_queue(shell: Shell) -> None:
    shared = starting_at(1)
    called: list[int] = []

    async def work() -> None:
        called.append(1)

    first = asyncio.ensure_future(shell(shared)(asyncio.sleep, 3600))
    await turns()
    waiter = asyncio.ensure_future(shell(shared)(work))
    await turns()
    assert shared.statistics().waiting == 1
    waiter.cancel()
    first.cancel()
    await asyncio.wait([waiter, first])
    statistics = shared.statistics()
    assert (called, statistics.waiting, statistics.in_flight) == ([], 0, 0)
    assert (statistics.abandoned, statistics.ignored) == (1, 1)


@shells
async def test_never_more_than_the_limit_are_running(shell: Shell) -> None:
    running = peak = 0
    changes: list[LimitChange] = []
    shared = AdaptiveBulkhead(AimdPolicy(initial_limit=2, max_limit=5), on_change=changes.append)

    async def work(number: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        assert running <= shared.limit
        await turns(number % 5)
        running -= 1
        return number

    calls = [shell(shared)(work, number) for number in range(50)]
    assert await asyncio.gather(*calls) == list(range(50))
    assert peak == 5
    assert [change.new for change in changes] == [3, 4, 5]


@shells
async def test_a_full_queue_refuses_and_nothing_is_called(shell: Shell) -> None:
    shared = starting_at(1, queue=0)

    async def work() -> None:
        raise AssertionError

    first = asyncio.ensure_future(shell(shared)(asyncio.sleep, 3600))
    await turns()
    with pytest.raises(BulkheadFullError):
        await shell(shared)(work)
    first.cancel()
    await asyncio.wait([first])
    assert shared.statistics().refused == 1


@shells
async def test_a_waiter_gives_up_after_max_wait(shell: Shell) -> None:
    shared = starting_at(1, max_wait=0.001)
    first = asyncio.ensure_future(shell(shared)(asyncio.sleep, 3600))
    await turns()
    with pytest.raises(TimeoutExceededError) as caught:
        await shell(shared)(asyncio.sleep, 0)
    assert caught.value.kind == "queue"
    assert (shared.limit, shared.statistics().dropped) == (1, 0)
    first.cancel()
    await asyncio.wait([first])
    assert shared.statistics().in_flight == 0


@shells
async def test_classify_judges_values_and_its_exception_is_that_of_the_call(shell: Shell) -> None:
    def classify(result: Any) -> Outcome3:
        if result == "what?":
            raise Boom
        return Outcome3.FAILURE if result == "busy" else Outcome3.SUCCESS

    shared = starting_at(10, classify=classify)

    async def answer(text: str) -> str:
        return text

    assert await shell(shared)(answer, "busy") == "busy"
    assert shared.limit == 9
    with pytest.raises(Boom):
        await shell(shared)(answer, "what?")
    assert (shared.limit, shared.statistics().ignored, shared.statistics().in_flight) == (9, 1, 0)


async def test_call_takes_plain_functions_and_parameters_of_any_name() -> None:
    shared = AdaptiveBulkhead()
    assert await shared.call(dict, fn=1, self=2) == {"fn": 1, "self": 2}
    with pytest.raises(ZeroDivisionError):
        await shared.call(divmod, 1, 0)
    assert (shared.statistics().successes, shared.statistics().ignored) == (1, 1)


async def test_call_measures_with_the_clock_of_the_bulkhead() -> None:
    clock = ManualClock()
    shared = AdaptiveBulkhead(clock=clock)
    await shared.call(clock.advance, 2.5)
    assert shared.statistics().rtt == 2.5


async def test_call_measures_with_the_clock_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, shared = asyncio.get_running_loop(), AdaptiveBulkhead()
    real = loop.time
    shift = 0.0

    def hours_later() -> None:
        nonlocal shift
        shift = 7200.0

    monkeypatch.setattr(loop, "time", lambda: real() + shift)
    await shared.call(hours_later)
    statistics = shared.statistics()
    assert statistics.rtt is not None
    assert statistics.rtt >= 7200.0


async def test_a_timeout_inside_is_a_drop_and_one_outside_is_a_call_that_was_given_up() -> None:
    shared = starting_at(10)
    inside = guard(timeout(0.001), adaptive_concurrency(shared))
    outside = guard(adaptive_concurrency(shared), timeout(0.001))
    with pytest.raises(TimeoutError):
        await inside.call(asyncio.sleep, 3600)
    assert shared.limit == 9
    with pytest.raises(TimeoutError):
        await outside.call(asyncio.sleep, 3600)
    assert (shared.limit, shared.statistics().ignored, shared.statistics().in_flight) == (9, 1, 0)


async def test_operator_calls_and_guarded_functions_share_one_queue() -> None:
    shared = AdaptiveBulkhead(AimdPolicy(initial_limit=1, max_limit=1))
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)
        await asyncio.sleep(0)

    from_async(note, "a").pipe(adaptive_concurrency(shared)).subscribe(Recorder())
    call = asyncio.ensure_future(shared.call(note, "b"))
    await asyncio.sleep(0)
    guarded = asyncio.ensure_future(guard(adaptive_concurrency(shared)).call(note, "c"))
    await asyncio.sleep(0)
    from_async(note, "d").pipe(adaptive_concurrency(shared)).subscribe(Recorder())
    await asyncio.gather(call, guarded)
    await turns()
    assert order == ["a", "b", "c", "d"]
    assert shared.statistics().in_flight == 0


async def test_a_higher_limit_wakes_waiting_coroutines_in_order() -> None:
    shared = starting_at(1)
    started: list[int] = []
    gate = asyncio.Event()

    async def work(number: int) -> None:
        started.append(number)
        await gate.wait()

    async def quick() -> None:
        await turns(3)

    first = asyncio.ensure_future(shared.call(quick))
    await asyncio.sleep(0)
    others = [asyncio.ensure_future(shared.call(work, number)) for number in range(3)]
    await first
    await turns()
    assert started == [0, 1]
    gate.set()
    await asyncio.gather(*others)
    assert started == [0, 1, 2]


def test_reset_works_without_a_loop() -> None:
    changes: list[LimitChange] = []
    shared = starting_at(1, on_change=changes.append)
    asyncio.run(shared.call(len, "one"))
    shared.reset()
    assert [(change.old, change.new) for change in changes] == [(1, 2), (2, 1)]
    assert changes[1].at >= changes[0].at
