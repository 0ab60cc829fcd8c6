"""coalesce without a key, around functions, and calls that nobody may join any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch_operators import Coalescer, coalesce, timeout
from rxorch_operators.coalesce import CoalescerStatistics
from rxorch_operators.guard import guard
from tests.operators.support import Boom, Manual, Recorder, turns


class Call:
    """An `async def` call that the test lets end, and that counts itself."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.cancelled = 0
        self.release = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, *args: Any, **kwargs: Any) -> int:
        self.calls.append((args, kwargs))
        number = len(self.calls)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            await turns()  # what it does to end in order
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return number


def test_without_a_key_the_pipelines_of_one_operator_object_share_one() -> None:
    group, sources = Coalescer(), [Manual(), Manual(), Manual()]
    operator, other = coalesce(group), coalesce(group)
    for source, which in zip(sources, (operator, operator, other), strict=True):
        source.pipe(which).subscribe(Recorder())
    assert [source.attached for source in sources] == [1, 0, 1]
    assert group.statistics() == CoalescerStatistics(in_flight=2, waiting=3, started=2, joined=1)


def test_without_a_group_it_has_its_own() -> None:
    sources = [Manual(), Manual()]
    for source in sources:
        source.pipe(coalesce(key="k")).subscribe(Recorder())
    assert [source.attached for source in sources] == [1, 1]
    source, shared = Manual(), coalesce()
    for _ in range(2):
        source.pipe(shared).subscribe(Recorder())
    assert source.attached == 1


async def test_equal_guarded_calls_at_the_same_time_are_one() -> None:
    group, call = Coalescer(), Call()
    guarded = guard(coalesce(group))(call)
    tasks = [asyncio.create_task(guarded(*args)) for args in ((1,), (1,), (2,), (True,), (1,))]
    await turns()
    assert group.statistics() == CoalescerStatistics(in_flight=3, waiting=5, started=3, joined=2)
    call.release.set()
    assert await asyncio.gather(*tasks) == [1, 1, 2, 3, 1]
    assert group.statistics().in_flight == group.statistics().waiting == 0
    assert await guarded(1) == 4, "nothing is kept"


async def test_two_functions_of_one_operator_are_told_apart() -> None:
    operator, calls = coalesce(), [Call(), Call()]
    tasks = [asyncio.create_task(guard(operator)(call)(1)) for call in calls]
    await turns()
    for call in calls:
        assert len(call.calls) == 1
        call.release.set()
    await asyncio.gather(*tasks)


async def test_a_callable_key_is_asked_with_the_arguments_of_the_call() -> None:
    call = Call()
    guarded = guard(coalesce(None, lambda user, trace=None: user))(call)
    tasks = [asyncio.create_task(guarded("ada", trace=number)) for number in range(3)]
    await turns()
    call.release.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert call.calls == [(("ada",), {"trace": 0})]


async def test_arguments_that_cannot_be_told_apart_fail_before_the_call() -> None:
    call = Call()
    with pytest.raises(TypeError, match="give key="):
        await guard(coalesce()).call(call, [1])
    with pytest.raises(TypeError, match="unhashable"):
        await guard(coalesce(None, lambda value: value)).call(call, [1])
    assert call.calls == []


async def test_trap_singleflight_the_first_waiters_cancellation_cancels_all() -> None:
    """Golang #55343: the context of whoever came first was that of the call."""
    call = Call()
    guarded = guard(coalesce())(call)
    first, second = (asyncio.create_task(guarded(1)) for _ in range(2))
    await turns()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert call.cancelled == 0
    call.release.set()
    assert await second == 1 and len(call.calls) == 1


async def test_the_first_waiters_time_limit_is_nobody_elses() -> None:
    call, shared = Call(), coalesce()
    impatient = asyncio.create_task(guard(shared, timeout(lambda: 1e-9)).call(call, 1))
    patient = asyncio.create_task(guard(shared).call(call, 1))
    with pytest.raises(TimeoutError):
        await impatient
    call.release.set()
    assert await patient == 1 and call.cancelled == 0


async def test_the_last_one_to_be_cancelled_waits_until_the_call_has_ended() -> None:
    call = Call()
    guarded = guard(coalesce())(call)
    tasks = [asyncio.create_task(guarded()) for _ in range(3)]
    await turns()
    for task in tasks:
        assert call.cancelled == 0
        task.cancel()
        await asyncio.wait([task])
    assert call.cancelled == 1


async def test_an_error_is_shared_by_those_who_wait() -> None:
    call = Call()
    call.error = Boom()
    guarded = guard(coalesce())(call)
    tasks = [asyncio.create_task(guarded()) for _ in range(3)]
    await turns()
    call.release.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [call.error] * 3
    call.error = None
    assert await guarded() == 2


def test_nobody_joins_a_call_that_was_forgotten() -> None:
    group, source = Coalescer(), Manual()
    first, second = Recorder(), Recorder()
    source.pipe(coalesce(group, "k")).subscribe(first)
    old = source.sink
    assert group.forget("k") and not group.forget("k") and not group.forget("other")
    source.pipe(coalesce(group, "k")).subscribe(second)
    assert source.attached == 2
    assert group.statistics() == CoalescerStatistics(in_flight=2, waiting=2, started=2, joined=0)
    assert old is not None
    old.on_next("old")
    old.on_completed()
    assert first.values == ["old"] and second.events == []
    assert group.statistics().in_flight == 1
    source.send("new")
    source.complete()
    assert second.values == ["new"]
    assert group.statistics() == CoalescerStatistics(in_flight=0, waiting=0, started=2, joined=0)


def test_the_last_one_to_leave_ends_a_forgotten_call_too() -> None:
    group, source = Coalescer(), Manual()
    subscriptions = [source.pipe(coalesce(group, "k")).subscribe(Recorder()) for _ in range(2)]
    assert group.forget_all() == 1
    for subscription in subscriptions:
        assert source.disposed == 0
        subscription.dispose()
    assert source.disposed == 1 and group.statistics().in_flight == 0


def test_all_calls_may_be_forgotten() -> None:
    group, source = Coalescer(), Manual()
    for key in "aab":
        source.pipe(coalesce(group, key)).subscribe(Recorder())
    assert (group.forget_all(), group.forget_all()) == (2, 0)
    source.pipe(coalesce(group, "a")).subscribe(Recorder())
    assert source.attached == 3 and group.statistics().in_flight == 3


def test_a_call_left_in_a_closed_loop_is_forgotten_for_good() -> None:
    group, source = Coalescer(), Manual()

    async def leave_behind() -> None:
        source.pipe(coalesce(group, "k")).subscribe(Recorder())

    asyncio.run(leave_behind())
    assert group.forget("k")
    assert group.statistics().in_flight == group.statistics().waiting == 0
