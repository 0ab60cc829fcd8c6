"""What others fell into where they map a stream to calls; flat_map_bounded must not."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

from rxorch_operators.core.stage import as_stage
from rxorch_operators.engines.overflow import OverflowCounter
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_iterable import from_iterable
from rxorch_operators.with_overflow import with_overflow
from tests.operators.support import END, Counting, Manual, Recorder, Time, turns

FORMS: dict[str, dict[str, Any]] = {
    "unordered": {},
    "ordered": {"ordered": True, "buffer": 0},
    "keyed": {"key": str, "buffer": 1},
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@EVERY_FORM
def test_trap_an_unbounded_queue_behind_a_cap(form: dict[str, Any]) -> None:
    """RxPY `_merge.py`, RxJS `mergeInternals`: a cap on the calls, and none on the queue before them."""
    time, numbers = Time(), Counting()
    stream = from_iterable(numbers).pipe(
        flat_map_bounded(lambda _: reactivex.never(), max_concurrent=2, **form)
    )
    _, subscription = time.record(stream)
    time.advance(100)
    assert numbers.read == 2
    subscription.dispose()

    stock = Manual()
    read: list[int] = []
    stock.pipe(
        ops.do_action(read.append), ops.map(lambda _: reactivex.never()), ops.merge(max_concurrent=2)
    ).subscribe(Recorder())
    stock.send(*range(1000))
    assert (len(read), stock.credit > 1000) == (1000, True)  # it takes all that comes and never says stop


@EVERY_FORM
def test_trap_an_unbounded_queue_behind_a_cap_and_a_source_that_pushes(form: dict[str, Any]) -> None:
    """With a source that cannot wait `with_overflow` bounds the queue, and what is dropped is counted."""
    subject: Subject[int] = Subject()
    drops, gates, started = OverflowCounter(), [], []

    def project(number: int) -> Observable[int]:
        started.append(number)
        gates.append(Manual())
        return gates[-1]

    subscription = subject.pipe(
        with_overflow("drop_oldest", buffer=3, counter=drops),
        flat_map_bounded(project, max_concurrent=2, **form),
    ).subscribe(Recorder())
    for number in range(1000):
        subject.on_next(number)
    assert started == [0, 1]
    assert drops.statistics().waiting == 3
    for gate in gates:  # a list that grows: each call that ends lets the next one begin
        gate.complete()
    assert started == [0, 1, 997, 998, 999]
    statistics = drops.statistics()
    assert (statistics.arrived, statistics.dropped, statistics.peak) == (1000, 995, 3)
    subscription.dispose()


def test_trap_an_ordered_mode_that_stalls_the_whole_pool_behind_one_slow_item() -> None:
    """aiostream #89: one slow call at the head, and the other workers stand idle though there is work."""
    time, started = Time(), []

    def project(number: int) -> Observable[str]:
        started.append(number)
        return time.marbles("-" * (50 if number == 0 else 1) + "x|")

    stream = from_iterable(range(40)).pipe(
        flat_map_bounded(project, max_concurrent=4, ordered=True, buffer=10), ops.map(lambda _: time.now)
    )
    recorder, _ = time.record(stream)
    time.advance(49)
    assert recorder.events == []
    assert len(started) == 4 + 10  # the slow one, and as many as may wait behind it
    time.advance(1)
    assert started[-1] == 13
    assert len(recorder.values) == 1
    time.advance(1)
    assert len(recorder.values) == 14
    time.advance(100)
    assert len(recorder.values) == 40
    assert recorder.completed


@pytest.mark.parametrize("mode", ["fail_fast", "delay", "as_result"])
@pytest.mark.parametrize(
    "end", ["runs", "disposed before its first step", "disposed as it is made", "no loop"]
)
@EVERY_FORM
async def test_trap_flat_map_of_an_async_function_leaks_an_unawaited_coroutine(
    form: dict[str, Any], end: str, mode: Any
) -> None:
    """RxPY: `ops.flat_map(async_function)` drops the coroutine. The warning of that would fail this."""
    subject: Subject[int] = Subject()
    recorder, finished = Recorder(), []

    async def call(number: int) -> int:
        await asyncio.sleep(0)
        finished.append(number)
        return number

    def project(number: int) -> Any:
        coroutine = call(number)
        if end == "disposed as it is made":
            subscription.dispose()
        return coroutine

    subscription = subject.pipe(flat_map_bounded(project, max_concurrent=2, on_error=mode, **form)).subscribe(
        recorder
    )
    if end == "no loop":
        await asyncio.to_thread(_outside_of_any_loop, project, form, mode)
    else:
        subject.on_next(1)
    if end == "disposed before its first step":
        subscription.dispose()
    await turns()
    gc.collect()
    assert finished == ([1] if end == "runs" else [])
    subscription.dispose()


def _outside_of_any_loop(project: Callable[[int], Any], form: dict[str, Any], mode: Any) -> None:
    recorder = Recorder()
    as_stage(reactivex.just(1)).pipe(
        flat_map_bounded(project, max_concurrent=1, on_error=mode, **form)
    ).subscribe(recorder)
    error = recorder.error or recorder.values[0].error
    assert "needs a running event loop" in str(error)


@EVERY_FORM
def test_trap_a_function_that_has_an_attribute_of_a_name_like_any_other(form: dict[str, Any]) -> None:
    """A wrapper around a function calls it `inner` as often as not."""

    class Doubled:
        def __init__(self, inner: Callable[[int], Observable[int]]) -> None:
            self.inner = inner

        def __call__(self, number: int) -> Observable[int]:
            return self.inner(2 * number)

    stream = from_iterable([1, 2]).pipe(flat_map_bounded(Doubled(reactivex.just), max_concurrent=2, **form))
    assert [value for _, value in Time().run(stream).events] == [2, 4, END]
