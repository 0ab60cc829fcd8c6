"""Bulkhead in coroutines: `call`, `acquire` and `async with`, beside the operator."""

from __future__ import annotations

import asyncio
import gc

import pytest
from reactivex import Observable

from rxorch_operators import Bulkhead, BulkheadFullError, TimeoutExceededError, bulkhead, fallback, from_async
from rxorch_operators.guard import guard
from tests.operators.support import AtOnce, Boom, Recorder, turns


async def test_call_runs_sync_and_async_functions_with_a_permit() -> None:
    shared = Bulkhead(limit=1)

    def plain(number: int, *, plus: int) -> tuple[int, int]:
        return number + plus, shared.statistics().in_flight

    async def slow(number: int, *, plus: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        return number + plus, shared.statistics().in_flight

    assert await shared.call(plain, 1, plus=2) == (3, 1)
    assert await shared.call(slow, 1, plus=2) == (3, 1)
    assert shared.statistics().in_flight == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_call_gives_the_permit_back_when_the_function_raises(kind: str) -> None:
    shared = Bulkhead(limit=1)

    def plain() -> None:
        raise Boom

    async def slow() -> None:
        raise Boom

    with pytest.raises(Boom):
        await shared.call(plain if kind == "sync" else slow)
    assert shared.statistics().in_flight == 0


async def test_call_never_has_more_than_the_limit_running() -> None:
    shared, running, peak = Bulkhead(limit=3), 0, 0

    async def work(number: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await turns(number % 5)
        running -= 1
        return number

    assert await asyncio.gather(*(shared.call(work, number) for number in range(50))) == list(range(50))
    assert peak == 3


async def test_call_refuses_when_the_queue_is_full_and_calls_nothing() -> None:
    shared = Bulkhead(limit=1, queue=0)
    called: list[int] = []
    async with shared:
        with pytest.raises(BulkheadFullError):
            await shared.call(called.append, 1)
    assert called == []


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    shared = Bulkhead(limit=1)
    called: list[int] = []
    async with shared:
        waiter = asyncio.ensure_future(shared.call(called.append, 1))
        await turns()
        waiter.cancel()
        await asyncio.wait([waiter])
        assert shared.statistics().waiting == 0
    assert called == []
    assert shared.statistics().in_flight == 0


async def test_a_waiter_cancelled_in_the_turn_of_its_grant_hands_the_permit_on() -> None:
    shared = Bulkhead(limit=1)
    served: list[str] = []
    holder = await shared.acquire()
    first = asyncio.ensure_future(shared.call(served.append, "first"))
    second = asyncio.ensure_future(shared.call(served.append, "second"))
    await turns()
    holder.release()  # the permit is the first one's now, and its task has not run since
    first.cancel()
    await asyncio.wait([first, second])
    assert served == ["second"]
    assert shared.statistics().in_flight == 0


async def test_a_waiter_gives_up_after_max_wait() -> None:
    shared = Bulkhead(limit=1, max_wait=0.001)
    async with shared:
        with pytest.raises(TimeoutExceededError) as caught:
            await shared.call(len, "four")
    assert caught.value.kind == "queue"
    assert shared.statistics().waiting == 0
    assert shared.statistics().in_flight == 0


async def test_a_context_can_be_entered_by_many_tasks_that_leave_in_any_order() -> None:
    shared, gates = Bulkhead(limit=2), [asyncio.Event() for _ in range(4)]

    async def hold(gate: asyncio.Event) -> None:
        async with shared as entered:
            assert entered is shared
            await gate.wait()

    tasks = [asyncio.ensure_future(hold(gate)) for gate in gates]
    await turns()
    assert (shared.statistics().in_flight, shared.statistics().waiting) == (2, 2)
    for gate in reversed(gates):
        gate.set()
        await turns()
    await asyncio.gather(*tasks)
    assert shared.statistics().in_flight == 0


async def test_a_context_gives_its_permit_back_when_the_body_raises() -> None:
    shared = Bulkhead(limit=1)
    with pytest.raises(Boom):
        async with shared:
            raise Boom
    assert shared.statistics().in_flight == 0


async def test_operator_and_calls_share_one_queue() -> None:
    shared, order = Bulkhead(limit=1), []

    async def note(name: str) -> None:
        order.append(name)
        await asyncio.sleep(0)

    def observed(name: str) -> Observable[None]:
        return from_async(note, name).pipe(bulkhead(shared))

    observed("a").subscribe(Recorder())
    call = asyncio.ensure_future(shared.call(note, "b"))
    await asyncio.sleep(0)
    observed("c").subscribe(Recorder())
    await call
    await turns()
    assert order == ["a", "b", "c"]
    assert shared.statistics().in_flight == 0


async def test_guarded_functions_share_the_permits_too() -> None:
    shared, running, peak = Bulkhead(limit=2), 0, 0

    async def work(number: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await turns(3)
        running -= 1
        return number

    guarded = guard(bulkhead(shared))(work)
    async with shared:
        calls = [guarded(number) for number in range(5)]
        results = await asyncio.gather(*calls, guard(bulkhead(shared)).call(work, 5))
    assert results == list(range(6))
    assert peak == 1
    assert shared.statistics().in_flight == 0


async def test_a_guarded_call_that_is_cancelled_while_it_waits_leaves_the_queue() -> None:
    shared, called = Bulkhead(limit=1), []

    @guard(bulkhead(shared))
    async def work() -> None:
        called.append(1)

    async with shared:
        call = asyncio.ensure_future(work())
        await turns()
        assert shared.statistics().waiting == 1
        call.cancel()
        await asyncio.wait([call])
        assert shared.statistics().waiting == 0
    assert (called, call.cancelled()) == ([], True)


async def test_a_function_may_have_a_parameter_of_any_name() -> None:
    assert await Bulkhead().call(dict, fn=1, self=2) == {"fn": 1, "self": 2}


async def test_disposal_of_a_running_call_frees_its_permit_and_cancels_it() -> None:
    shared, cancelled, recorder = Bulkhead(limit=1), [], Recorder()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    first = from_async(work).pipe(bulkhead(shared)).subscribe(Recorder())
    from_async(asyncio.sleep, 0, "next").pipe(bulkhead(shared)).subscribe(recorder)
    await turns()
    first.dispose()
    await turns()
    assert cancelled == [True]
    assert recorder.values == ["next"]
    assert shared.statistics().in_flight == 0


async def test_a_refusal_can_have_a_substitute() -> None:
    shared, recorder = Bulkhead(limit=1, queue=0), Recorder()
    async with shared:
        AtOnce(1).pipe(bulkhead(shared), fallback(lambda _: "busy", when=BulkheadFullError)).subscribe(
            recorder
        )
    assert recorder.values == ["busy"]


async def test_waiters_that_nobody_serves_are_freed_with_their_bulkhead() -> None:
    shared = Bulkhead(limit=1)
    await shared.acquire()
    subscription = from_async(asyncio.sleep, 0).pipe(bulkhead(shared)).subscribe(Recorder())
    subscription.dispose()
    del shared, subscription
    gc.collect()
