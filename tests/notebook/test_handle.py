"""Handles without a notebook: awaited, iterated, ended, in the background; errors are kept and never lost."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import reactivex as rx
from reactivex.subject import Subject

from rxorch import (
    ApiConfigurationError,
    ApiHttpError,
    APIOrchestrator,
    OrchestrationResult,
    interrupts,
    sequential,
)
from rxorch.events import BreakerChanged, EventBus
from rxorch.interrupts import RunInterrupted, in_kernel, interruptible
from rxorch.notebook import RunHandle, background, backgrounds, live
from rxorch.notebook.background import Backgrounds
from rxorch.notebook.figures import Figures
from rxorch.notebook.status import HandleState
from rxorch.stream import Runs
from rxorch_operators.testing import run_virtual
from tests.draw.checked import Checked
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn
from tests.support.streams import streaming, stuck, until

N = [{"n": n} for n in range(4)]


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def breaking() -> AsyncIterator[int]:
    yield 1
    raise ValueError("token=s3cretCANARY")


def quiet(what: Any, **settings: Any) -> RunHandle:
    return live(what, show=False, **settings)


async def test_awaiting_a_stream_gives_its_runs() -> None:
    handle = quiet(streaming(FakeTransport({"item": in_turn(404, {})})).stream(N[:3]), name="three")
    assert (handle.state, handle.results, repr(handle)) == (
        "waiting",
        [],
        "<RunHandle 'three': waiting, 0 done>",
    )
    runs = await handle
    assert isinstance(runs, Runs) and [run.ok for run in runs] == [False, True, True]
    assert (handle.state, handle.results, await handle) == ("done", runs, runs)
    assert (runs.ok, runs.failed, len(runs.results)) == (False, [runs[0]], 3)


async def test_a_loop_over_a_stream_keeps_its_runs() -> None:
    handle = quiet(streaming(FakeTransport()).stream([{"n": n} for n in range(4)]))
    assert [run.index async for run in handle] == [0, 1, 2, 3]
    assert (handle.state, len(handle.results), [run async for run in handle]) == ("done", 4, [])
    assert len(await handle) == 4


async def test_a_loop_takes_as_much_as_it_asks_for() -> None:
    stream = streaming(FakeTransport()).stream(({"n": n} for n in range(1000)), max_concurrent=2)
    async with quiet(stream) as handle:
        await anext(handle)
        assert stream.statistics().read <= 4
    assert handle.state == "closed"


async def test_the_events_of_a_run_give_its_result() -> None:
    flow = sequential(api("user"), api("posts"))
    shop = APIOrchestrator(flow, transport=FakeTransport({"user": {"id": 7}, "posts": 404}))
    result = await quiet(shop.observe({}))
    assert isinstance(result, OrchestrationResult)
    assert (result["user"], result.outcomes["posts"].status, list(result)) == (
        {"id": 7},
        "failed",
        ["user", "posts"],
    )
    assert result.outcomes["user"].attempts == 1 and result.duration > 0


async def test_an_awaitable_gives_what_it_returns() -> None:
    shop = APIOrchestrator(api("user"), transport=FakeTransport({"user": {"id": 7}}))
    assert (await quiet(shop.execute({})))["user"] == {"id": 7}


async def test_any_observable_or_iterable_gives_its_items() -> None:
    assert await quiet(rx.of(1, 2, 3)) == [1, 2, 3]
    assert await quiet(numbers(3)) == [0, 1, 2]


def test_what_cannot_run_is_refused() -> None:
    with pytest.raises(TypeError, match="not int"):
        live(7)  # type: ignore[arg-type]
    with pytest.raises(ApiConfigurationError, match="keep"):
        live(rx.of(1), keep=0)
    with pytest.raises(ApiConfigurationError, match="name"):
        background("", rx.of(1))


async def test_an_error_is_kept_and_raised() -> None:
    handle = quiet(breaking())
    with pytest.raises(ValueError, match="token") as raised:
        await handle
    assert (handle.state, handle.results, handle.error) == ("failed", [1], raised.value)
    with pytest.raises(ValueError, match="token"):
        await handle
    shown = handle._repr_mimebundle_()
    assert "s3cretCANARY" not in str(shown) and "ValueError" in shown["text/html"]
    assert "ValueError: token=***" in shown["text/plain"]
    with pytest.raises(ValueError, match="token"):
        _ = [number async for number in quiet(breaking())]


async def test_the_newest_are_kept() -> None:
    handle = quiet(numbers(10), keep=3)
    assert await handle == [7, 8, 9]
    assert (handle.dropped, [number async for number in handle]) == (7, [7, 8, 9])


async def test_who_is_cancelled_while_awaiting_ends_the_run() -> None:
    transport, _ = stuck()
    handle = quiet(streaming(transport).stream(N[1:3], max_concurrent=2))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await handle
    assert (handle.state, transport.in_flight, handle.error) == ("closed", 0, None)
    assert [run.cut_off for run in handle.results] == [True, True]


async def test_closing_before_and_after_the_end() -> None:
    before = quiet(numbers(3))
    await before.aclose()
    assert (before.state, [number async for number in before]) == ("closed", [])
    after = quiet(numbers(3))
    await after
    await after.aclose()
    assert after.state == "done"


async def test_cancel_ends_a_background_run() -> None:
    transport, hold = stuck()
    handle = background("stuck", streaming(transport).stream(N[1:2]), show=False)
    await until(lambda: transport.in_flight == 1)
    handle.cancel()
    with pytest.raises(StopAsyncIteration):
        await anext(handle)
    assert (handle.state, hold.cancelled) == ("closed", 1)


async def test_a_background_run_of_the_same_name_ends_the_one_before_first() -> None:
    transport, hold = stuck()
    shop = streaming(transport)
    old = background("prices", shop.stream(N[1:2]), show=False)
    await until(lambda: transport.in_flight == 1)
    new = background("prices", shop.stream(N[1:2]), show=False)
    await until(lambda: transport.sends == 2)
    assert (old.state, new.state, hold.cancelled, transport.peak) == ("closed", "running", 1, 1)
    assert backgrounds()["prices"] is new
    hold.answer({})
    assert len(await new) == 1


async def test_one_that_is_replaced_before_it_began_says_so_at_once() -> None:
    begun: list[int] = []

    async def first() -> AsyncIterator[int]:
        begun.append(1)
        yield 1

    old = background("twice", first(), show=False)
    new = background("twice", numbers(2), show=False)
    assert (old.state, new.state) == ("closed", "waiting")
    assert await new == [0, 1]
    assert (await old, begun) == ([], [])
    for forms in (old._repr_mimebundle_(), Backgrounds(twice=old)._repr_mimebundle_()):
        assert all("not begun" in form and "0 ms" not in form for form in forms.values())


async def test_one_that_ends_before_it_began() -> None:
    old = background("quick", numbers(3), show=False)
    old.cancel()
    new = background("quick", numbers(2), show=False)
    assert await new == [0, 1]
    assert (old.state, old.results) == ("closed", [])
    never = quiet(APIOrchestrator(api("user"), transport=FakeTransport()).execute({}))
    await never.aclose()
    assert (never.state, never.value) == ("closed", None)


def test_background_runs_belong_to_their_event_loop() -> None:
    async def main() -> list[str]:
        await background("mine", numbers(1), show=False)
        return list(backgrounds())

    assert asyncio.run(main()) == ["mine"]
    assert asyncio.run(main()) == ["mine"]
    with pytest.raises(RuntimeError, match="event loop"):
        backgrounds()


async def test_who_awaits_a_background_run_may_leave() -> None:
    transport, hold = stuck()
    handle = background("kept", streaming(transport).stream(N[1:2]), show=False)
    await until(lambda: transport.in_flight == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await handle
    assert handle.state == "running"
    hold.answer({})
    assert len(await handle) == 1


async def test_a_background_run_can_be_followed() -> None:
    subject: Subject[int] = Subject()
    handle = background("subject", subject, show=False)
    await until(lambda: handle.state == "running")
    for number in range(3):
        follower = asyncio.ensure_future(anext(handle))
        await asyncio.sleep(0)
        subject.on_next(number)
        assert await follower == number
    subject.on_completed()
    assert [number async for number in handle] == []


async def test_an_error_in_the_background_is_logged_where_nobody_sees_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "rxorch")
    handle = background("bad", breaking(), show=False)
    with pytest.raises(ValueError, match="token"):
        _ = [number async for number in handle]
    assert [record.message for record in caplog.records] == ["background run 'bad' failed"]
    assert handle.state == "failed"


async def test_all_background_runs_in_one_table() -> None:
    await background("one", numbers(3), show=False)
    with pytest.raises(ApiHttpError):
        failing = streaming(FakeTransport({"item": 404})).stream(N[:1], on_error="fail_fast")
        await background("two<b>", failing, show=False)
    found = backgrounds()
    checked = Checked(found._repr_mimebundle_()["text/html"])
    assert checked.wrong == [] and "HTTP 404" in checked.text and "<b>" in checked.text
    assert "one done, " in repr(found) and "two<b> failed, " in repr(found)


async def test_a_loop_that_is_left_ends_the_panel_with_the_stream(capsys: pytest.CaptureFixture[str]) -> None:
    handle: RunHandle | None = live(streaming(FakeTransport()).stream(N[:2]))
    assert handle is not None
    status = handle.status
    async for _ in handle:
        break
    assert status.state == "running"
    del handle
    assert status.state == "closed"
    assert "1/2" in capsys.readouterr().err


async def test_without_a_notebook_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    await live(streaming(FakeTransport()).stream(N[:2]), total=2)
    out, err = capsys.readouterr()
    assert out == "" and "2/2" in err and "ok 2" in err


async def test_a_panel_that_cannot_be_shown_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    assert len(await live(streaming(FakeTransport()).stream(N[:2]), name="unseen")) == 2
    assert [record.message for record in caplog.records] == ["the panel of 'unseen' failed and was removed"]


async def test_figures_of_events() -> None:
    bus = EventBus()
    shop = APIOrchestrator(
        api("item", retry_delay=0), transport=FakeTransport({"item": in_turn(503, {})}), total_timeout=9
    )
    figures = Figures()
    shop.events.subscribe(figures.take)
    await shop.execute({})
    assert (figures.ok, figures.failed, figures.in_flight, dict(figures.facts())["ok"]) == (1, 0, 0, "1")
    figures.take(BreakerChanged(1.0, None, "item", "closed", "open"))
    assert list(figures.open_breakers) == ["item"]
    assert bus.active is False


def test_figures_roll_with_the_clock() -> None:
    now = [10.0]
    figures = Figures(clock=lambda: now[0])
    assert figures.elapsed == 0
    figures.begin()
    figures.take(1)
    now[0] += 0.6
    figures.take(2)
    figures.take(3)
    assert figures.bars == [1, 0, 2]
    now[0] += 1000
    figures.end()
    now[0] += 1
    assert (len(figures.bars), figures.elapsed, figures.done, figures.in_flight) == (40, 1000.6, 3, None)


@pytest.mark.parametrize("state", list(HandleState))
def test_every_state_has_a_card(state: HandleState) -> None:
    handle = quiet(rx.of(1), name="<b>", total=4)
    handle.status.state = state
    forms = handle._repr_mimebundle_()
    assert Checked(forms["text/html"]).wrong == []
    assert f"<b> {state}" in forms["text/plain"] and str(state) in forms["text/html"]
    assert list(handle._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]


async def test_outside_of_a_kernel_nothing_is_different() -> None:
    assert not in_kernel()

    def told() -> RunInterrupted:
        raise AssertionError("nobody was interrupted")

    assert await interruptible(asyncio.sleep(0, 7), told) == 7
    task = asyncio.create_task(interruptible(Hold().wait(), told))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert not isinstance(raised.value, RunInterrupted)


def test_what_is_awaited_in_a_kernel_leaves_no_timer_in_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "in_kernel", lambda: True)

    async def awaited() -> str:
        return await interruptible(asyncio.sleep(0.5, "done"), RunInterrupted)

    assert [run_virtual(awaited()), run_virtual(awaited())] == ["done", "done"]
    assert interrupts._WATCH._beating is None
