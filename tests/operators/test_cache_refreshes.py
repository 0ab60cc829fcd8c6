"""The life of refreshes on a real event loop: their store owns them, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from rxorch_operators import Coalescer, TtlCache, cache, coalesce, from_async, to_async_iterable
from rxorch_operators.core.inbox import last_of
from rxorch_operators.guard import guard
from tests.operators.eager import eager_task_factory
from tests.operators.support import Boom, Manual, turns


class Service:
    """An `async def` call that the test lets end, and that takes its time when it is cancelled."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.release = asyncio.Event()

    async def __call__(self) -> str:
        self.started += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            await turns()
            self.cancelled += 1
            raise
        return "new"


def holding(key: Any = "k") -> TtlCache[Any, Any]:
    """A store whose value is stale for an hour."""
    store: TtlCache[Any, Any] = TtlCache()
    now = asyncio.get_running_loop().time()
    store.put(key, ("old",), now - 1.0, 0.5, keep=3600.0)
    return store


def remembered(store: TtlCache[Any, Any], **options: Any) -> Any:
    return cache(store, "k", ttl=3600.0, stale_while_revalidate=3600.0, **options)


async def test_a_stale_value_does_not_wait_for_its_refresh() -> None:
    store, service = holding(), Service()
    guarded = guard(remembered(store))(service)
    assert await asyncio.wait_for(guarded(), 5.0) == "old"
    await turns()
    assert service.started == 1 and store.statistics().refreshing == 1
    service.release.set()
    await turns()
    assert await guarded() == "new"
    assert service.started == 1 and store.statistics().refreshing == 0


async def test_closing_the_store_waits_until_the_refresh_has_ended() -> None:
    store, service = holding(), Service()
    async with store:
        await guard(remembered(store)).call(service)
        await turns()
    assert service.cancelled == 1
    assert store.statistics().refreshing == store.statistics().refresh_errors == 0


async def test_closing_the_store_after_it_was_told_to_close_still_waits() -> None:
    store, service = holding(), Service()
    await guard(remembered(store)).call(service)
    await turns()
    store.close()
    assert service.cancelled == 0
    await store.aclose()
    assert service.cancelled == 1


async def test_a_refresh_that_has_not_taken_its_first_step_is_ended_too() -> None:
    store, service = holding(), Service()
    async with store:
        await guard(remembered(store)).call(service)
    assert service.started == service.cancelled == 0


async def test_the_cancellation_of_who_found_the_stale_value_is_not_that_of_the_refresh() -> None:
    store, service = holding(), Service()
    stale = from_async(service).pipe(remembered(store))

    async def reads_and_works_on() -> None:
        await last_of(stale)
        await asyncio.Event().wait()

    task = asyncio.create_task(reads_and_works_on())
    await turns()
    task.cancel()
    await asyncio.wait([task])
    stream = to_async_iterable(stale)
    assert await anext(stream) == "old"
    await asyncio.wait_for(stream.aclose(), 5.0)
    service.release.set()
    await turns()
    assert service.cancelled == 0 and await last_of(stale) == "new"


async def test_a_refresh_that_ends_by_itself_leaves_nothing_behind() -> None:
    """The store is not closed here: what is left would fail this test."""
    store, service = holding(), Service()
    service.release.set()
    assert await guard(remembered(store)).call(service) == "old"
    await turns()
    assert store.statistics().refreshing == 0 and store.background is not None
    assert store.background.tasks == set()  # type: ignore[attr-defined]


async def test_an_error_in_the_background_is_told_and_the_stale_value_stays() -> None:
    async def fails() -> str:
        raise Boom

    told: list[Any] = []
    store = holding()
    guarded = guard(remembered(store, on_refresh_error=lambda *event: told.append(event)))(fails)
    for _ in range(2):
        assert await guarded() == "old"
        await turns()
    assert [key for key, _ in told] == ["k", "k"] and isinstance(told[0][1], Boom)


async def test_a_hundred_readers_make_one_refresh() -> None:
    store, service = holding(), Service()
    guarded = guard(remembered(store))(service)
    assert await asyncio.gather(*(guarded() for _ in range(100))) == ["old"] * 100
    await turns()
    assert service.started == 1
    await store.aclose()


async def test_an_eager_task_that_ends_at_once_is_a_refresh_that_has_ended() -> None:
    asyncio.get_running_loop().set_task_factory(eager_task_factory)
    store, service = holding(), Service()
    service.release.set()
    guarded = guard(remembered(store))(service)
    assert [await guarded(), await guarded()] == ["old", "new"]
    assert store.statistics().refreshing == 0


async def test_a_refresh_may_join_a_call_of_others_and_leave_it() -> None:
    store, service, group = holding(), Service(), Coalescer()
    shared = from_async(service).pipe(coalesce(group, "k"))
    other = asyncio.create_task(last_of(shared))
    await turns()
    assert await last_of(shared.pipe(remembered(store))) == "old"
    assert group.statistics().waiting == 2
    await asyncio.wait_for(store.aclose(), 5.0)
    assert group.statistics().waiting == 1 and service.cancelled == 0
    service.release.set()
    assert await other == "new"


async def test_closing_the_store_waits_for_a_shared_call_that_only_the_refresh_was_in() -> None:
    store, service = holding(), Service()
    shared = from_async(service).pipe(coalesce(), remembered(store))
    await last_of(shared)
    await turns()
    await store.aclose()
    assert service.cancelled == 1


async def test_a_store_may_be_opened_again() -> None:
    store, service = holding(), Service()
    await store.aclose()
    async with store:
        assert await guard(remembered(store)).call(service) == "old"


async def test_a_refresh_that_is_cancelled_from_outside_does_not_block_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, service = holding(), Service()
    guarded = guard(remembered(store))(service)
    with caplog.at_level(logging.DEBUG, "rxorch_operators"):
        await guarded()
        await turns()
        assert store.background is not None
        for task in store.background.tasks:  # type: ignore[attr-defined]
            task.cancel()
        await turns(20)
    assert store.statistics().refreshing == 0 and caplog.records == []
    await guarded()
    await turns()
    assert service.started == 2
    await store.aclose()


def test_the_end_of_the_loop_is_the_end_of_the_refresh(caplog: pytest.LogCaptureFixture) -> None:
    services: list[Service] = []
    stores: list[TtlCache[Any, Any]] = []

    async def reads_and_goes() -> str:
        stores.append(holding())
        services.append(Service())
        value = await guard(remembered(stores[0])).call(services[0])
        await turns()
        return value

    with caplog.at_level(logging.DEBUG, "rxorch_operators"):
        assert asyncio.run(reads_and_goes()) == "old"
    assert services[0].cancelled == 1 and caplog.records == []
    assert stores[0].statistics().refreshing == 0


def test_a_refresh_left_in_a_closed_loop_does_not_block_the_next_nor_the_end() -> None:
    loops = [asyncio.new_event_loop(), asyncio.new_event_loop()]
    services: list[Service] = []
    stores: list[TtlCache[Any, Any]] = []

    async def read() -> str:
        stores.append(stores[0] if stores else holding())
        services.append(Service())
        value = await guard(remembered(stores[0])).call(services[-1])
        await turns()
        return value

    async def close() -> None:
        await stores[0].aclose()

    assert loops[0].run_until_complete(read()) == "old"
    left = asyncio.all_tasks(loops[0])
    loops[0].close()
    assert loops[1].run_until_complete(read()) == "old"
    assert [service.started for service in services] == [1, 1]
    assert stores[0].statistics().refreshing == 1
    assert stores[0].background is not None
    assert len(stores[0].background.tasks) == 1  # type: ignore[attr-defined]
    loops[1].run_until_complete(close())
    loops[1].close()
    assert services[1].cancelled == 1
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # nobody can end it any more


def test_a_refresh_left_in_a_closed_loop_that_ends_late_is_in_nobodys_way() -> None:
    sources = [Manual(), Manual()]
    stores: list[TtlCache[Any, Any]] = []

    async def read(source: Manual) -> None:
        stores.append(stores[0] if stores else holding())
        source.pipe(remembered(stores[0])).subscribe()

    for source in sources:
        asyncio.run(read(source))
    sources[0].fail(asyncio.CancelledError())
    assert stores[0].statistics().refreshing == 1


def test_refreshes_left_in_a_closed_loop_take_nobodys_room() -> None:
    store, source = TtlCache[Any, Any](max_entries=1), Manual()

    async def read(key: str) -> None:
        store.put(key, ("old",), asyncio.get_running_loop().time() - 1.0, 0.5, keep=3600.0)
        source.pipe(cache(store, key, ttl=1.0, stale_while_revalidate=3600.0)).subscribe()

    for key in "ab":
        asyncio.run(read(key))
    assert source.attached == 2 and store.statistics().refreshing == 1


async def test_a_call_that_hangs_is_cancelled_with_its_window() -> None:
    store, service, told = holding(), Service(), asyncio.Event()
    window = asyncio.get_running_loop().time() - store._entries["k"].expires + 0.05
    stale = cache(
        store, "k", ttl=1.0, stale_while_revalidate=window, on_refresh_error=lambda key, error: told.set()
    )
    assert await guard(stale).call(service) == "old"
    await asyncio.wait_for(told.wait(), 5.0)
    await store.aclose()
    assert service.cancelled == 1 and store.statistics().refreshing == 0


@pytest.mark.parametrize("told_before", [True, False])
def test_a_store_may_be_closed_though_the_loop_of_its_refresh_is(told_before: bool) -> None:
    loop = asyncio.new_event_loop()
    stores: list[TtlCache[Any, Any]] = []

    async def read() -> None:
        stores.append(holding())
        await guard(remembered(stores[0])).call(Service())
        await turns()
        if told_before:
            stores[0].close()

    loop.run_until_complete(read())
    left = asyncio.all_tasks(loop)
    loop.close()
    stores[0].close()
    asyncio.run(stores[0].aclose())
    assert stores[0].statistics().refreshing == 0
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
