"""The border of the lean stage keeps the RxPY contract; between stages there is nothing but direct calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase
from reactivex.disposable import Disposable
from reactivex.subject import Subject

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, Link, Stage, as_stage
from rxorch_operators.fallback import fallback
from rxorch_operators.from_iterable import from_iterable
from tests.operators.support import AtOnce, Boom, Counting, Manual, Recorder, turns


class Pass(Stage[Any]):
    """An operator that does nothing."""

    def __init__(self, source: Stage[Any]) -> None:
        self.source = source

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return Link(sink).connect(self.source, scheduler)


class Rude(Stage[Any]):
    """Breaks the grammar in every way."""

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        sink.on_next(1)
        sink.on_completed()
        sink.on_next(2)
        sink.on_error(Boom())
        sink.on_completed()
        return Disposable()


class Broken(Stage[Any]):
    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        raise Boom("attach")


def test_one_terminal_event_whatever_the_source_does() -> None:
    recorder = Recorder()
    Rude().subscribe(recorder)
    assert recorder.values == [1] and recorder.completed


def test_an_observer_and_three_callbacks_are_the_same() -> None:
    seen: list[Any] = []
    Rude().subscribe(seen.append, seen.append, lambda: seen.append("end"))
    assert seen == [1, "end"]


def test_nothing_after_dispose() -> None:
    source, recorder = Manual(), Recorder()
    subscription = Pass(source).subscribe(recorder)
    source.send(1)
    subscription.dispose()
    source.send(2)
    source.complete()
    assert recorder.events == [(0.0, 1)]
    assert source.disposed == 1


def test_dispose_twice_disposes_the_source_once() -> None:
    source = Manual()
    subscription = Pass(source).subscribe()
    subscription.dispose()
    subscription.dispose()
    assert source.disposed == 1


def test_dispose_from_inside_on_next() -> None:
    source, seen = Manual(), []
    subscription: DisposableBase

    def on_next(value: int) -> None:
        seen.append(value)
        subscription.dispose()

    subscription = Pass(source).subscribe(on_next)
    source.send(1, 2)
    assert seen == [1]
    assert source.disposed == 1


def test_on_next_that_raises_disposes_the_source_and_reaches_its_own_on_error() -> None:
    # RxPY: an `on_next` that raises vanishes without a word.
    source, errors = Manual(), []
    boom = Boom()

    def on_next(value: int) -> None:
        raise boom

    Pass(source).subscribe(on_next, errors.append)
    source.send(1, 2)
    assert errors == [boom]
    assert source.disposed == 1


def test_on_next_that_disposes_and_raises_is_not_swallowed() -> None:
    source = Manual()
    subscription: DisposableBase

    def on_next(value: int) -> None:
        subscription.dispose()
        raise Boom

    subscription = Pass(source).subscribe(on_next, lambda error: pytest.fail("it was disposed"))
    with pytest.raises(Boom):
        source.send(1)


def test_an_error_without_handler_is_raised_and_not_swallowed() -> None:
    source = Manual()
    Pass(source).subscribe()
    with pytest.raises(Boom):
        source.fail(Boom())


def test_an_exception_in_attach_becomes_on_error() -> None:
    recorder = Recorder()
    Pass(Broken()).subscribe(recorder)
    assert isinstance(recorder.error, Boom)


def test_an_exception_after_the_end_is_not_swallowed() -> None:
    class EndsAndRaises(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            sink.on_completed()
            raise Boom

    with pytest.raises(Boom):
        EndsAndRaises().subscribe()


def test_a_link_disposed_while_its_source_is_starting_passes_nothing_more_on() -> None:
    recorder = Recorder()

    class Stops(Link):
        """A sink that has enough after one element, and no way to tell but `dispose`."""

        def on_next(self, value: Any) -> None:
            self.sink.on_next(value)
            inner.dispose()

    inner = Link(Stops(recorder))
    inner.connect(AtOnce(1, 2, 3), DemandScheduler.of(None))
    assert recorder.values == [1]
    assert not recorder.completed
    assert inner.is_disposed


def test_a_source_connected_after_dispose_is_disposed_at_once() -> None:
    source = Manual()
    link = Link(Recorder())
    link.dispose()
    link.connect(source, DemandScheduler.of(None))
    assert source.disposed == 1
    assert link.upstream is DISPOSED


@pytest.mark.parametrize("make", [from_iterable, reactivex.from_iterable], ids=["ours", "stock"])
def test_an_endless_generator_stops_at_take(make: Any) -> None:
    numbers, recorder = Counting(), Recorder()
    Pass(as_stage(make(numbers))).pipe(ops.take(2)).subscribe(recorder)
    assert recorder.values == [0, 1]
    assert recorder.completed
    assert numbers.read <= 3


async def test_an_endless_generator_stops_at_take_on_the_loop() -> None:
    numbers, recorder = Counting(), Recorder()
    Pass(as_stage(from_iterable(numbers))).pipe(ops.take(1)).subscribe(recorder)
    assert recorder.values == []  # never inside subscribe: the caller has the disposable first
    await turns()
    assert recorder.values == [0]
    assert recorder.completed
    assert numbers.closed


async def test_events_of_a_foreign_thread_arrive_on_the_loop_thread_in_order() -> None:
    subject: Subject[int] = Subject()
    threads: set[int] = set()
    seen: list[int] = []
    done = asyncio.Event()

    def on_next(value: int) -> None:
        threads.add(threading.get_ident())
        seen.append(value)

    Pass(as_stage(subject)).subscribe(on_next, on_completed=done.set)

    def push() -> None:
        for number in range(1000):
            subject.on_next(number)
        subject.on_completed()

    await asyncio.to_thread(push)
    await done.wait()
    assert seen == list(range(1000))
    assert threads == {threading.get_ident()}


async def test_an_error_of_a_foreign_thread_arrives_on_the_loop_thread() -> None:
    subject: Subject[int] = Subject()
    arrived: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    Pass(as_stage(subject)).subscribe(
        on_error=lambda error: arrived.set_result(threading.get_ident()),
    )
    await asyncio.to_thread(subject.on_error, Boom())
    assert await arrived == threading.get_ident()


async def test_what_a_foreign_thread_sent_before_dispose_does_not_arrive_after_it() -> None:
    subject: Subject[int] = Subject()
    recorder = Recorder()
    subscription = Pass(as_stage(subject)).subscribe(recorder)
    thread = threading.Thread(target=subject.on_next, args=(1,))
    thread.start()
    thread.join()  # it is under way to the loop now
    subscription.dispose()
    await turns()
    assert recorder.events == []


def test_stock_operators_on_both_sides() -> None:
    recorder = Recorder()
    source = reactivex.of(1, 2, 3).pipe(ops.map(lambda number: number * 2))
    Pass(as_stage(source)).pipe(ops.filter(lambda number: number != 4)).subscribe(recorder)
    assert recorder.values == [2, 6]
    assert recorder.completed


def test_a_stock_source_that_breaks_the_grammar_is_held_to_it() -> None:
    def rude(observer: Any, scheduler: Any = None) -> DisposableBase:
        observer.on_next(1)
        observer.on_completed()
        observer.on_next(2)
        return Disposable()

    class Bare(Observable[int]):
        def subscribe(self, observer: Any = None, *args: Any, **kwargs: Any) -> DisposableBase:
            return rude(observer)

    recorder = Recorder()
    Link(recorder).connect(as_stage(Bare()), DemandScheduler.of(None))
    assert recorder.values == [1]
    assert recorder.completed


def test_a_stage_can_be_subscribed_many_times() -> None:
    stage = Pass(as_stage(from_iterable([1, 2])))
    first, second = Recorder(), Recorder()
    stage.subscribe(first)
    stage.subscribe(second)
    assert first.values == second.values == [1, 2]


def test_a_stage_has_a_lock_for_stock_operators_and_one_only() -> None:
    stage = Pass(AtOnce())
    assert stage.lock is stage.lock
    with stage.lock:
        pass


@pytest.mark.parametrize("source", [[1, 2], 1, iter([])], ids=["list", "int", "iterator"])
def test_what_is_no_observable_is_refused_with_advice(source: Any) -> None:
    with pytest.raises(TypeError, match=r"expected an Observable, got .*from_iterable"):
        as_stage(source)


def test_a_stage_runs_in_a_blocking_script() -> None:
    def numbers() -> Iterator[int]:
        yield from range(3)

    assert Pass(as_stage(from_iterable(numbers()))).run() == 2


async def test_events_of_a_thread_are_not_overtaken_by_those_of_the_loop() -> None:
    subject: Subject[Any] = Subject()
    recorder = Recorder()
    subject.pipe(fallback(lambda _: None)).subscribe(recorder)
    thread = threading.Thread(target=lambda: [subject.on_next(number) for number in range(5)])
    thread.start()
    thread.join()
    subject.on_next("main")
    subject.on_completed()
    await turns()
    assert recorder.values == [0, 1, 2, 3, 4, "main"]
    assert recorder.completed


def test_a_thread_that_outlives_the_loop_meets_no_error() -> None:
    subject: Subject[Any] = Subject()

    async def listen() -> None:
        subject.pipe(fallback(lambda _: None)).subscribe()

    asyncio.run(listen())
    failed: list[BaseException] = []

    def push() -> None:
        try:
            subject.on_next(1)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=push)
    thread.start()
    thread.join()
    assert failed == []
