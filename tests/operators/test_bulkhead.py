"""bulkhead: never more than the limit, first come first served, and every permit comes back once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch_operators import Bulkhead, BulkheadFullError, TimeoutExceededError, bulkhead
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, as_stage
from tests.operators.support import AtOnce, Boom, Manual, Recorder, Time, Window


def test_a_permit_is_taken_before_the_subscription() -> None:
    shared, source = Bulkhead(limit=1), Manual()
    source.pipe(bulkhead(shared)).subscribe(Recorder())
    assert source.attached == 1
    assert shared.statistics().in_flight == 1


def test_waiters_are_served_first_come_first_served() -> None:
    shared, time = Bulkhead(limit=2), Time()
    sources = [time.marbles("---x|") for _ in range(6)]
    for source in sources:
        time.record(source.pipe(bulkhead(shared)))
    time.advance(100)
    assert [source.subscribed for source in sources] == [[0.0], [0.0], [4.0], [4.0], [8.0], [8.0]]
    statistics = shared.statistics()
    assert (statistics.peak, statistics.in_flight, statistics.waiting, statistics.granted) == (2, 0, 0, 6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=25), st.integers(1, 4))
def test_the_limit_is_never_exceeded_whoever_leaves_when(calls: list[tuple[int, int]], limit: int) -> None:
    time, shared = Time(), Bulkhead(limit=limit)
    sources, recorders = [], []
    for seconds, leaves in calls:
        source = time.marbles("-" * seconds + "|")
        recorder, subscription = time.record(source.pipe(bulkhead(shared)))
        time.after(leaves * 3 + 0.5, subscription.dispose)
        sources.append(source)
        recorders.append(recorder)
    for _ in range(100):
        assert sum(source.active for source in sources) == shared.statistics().in_flight <= limit
        time.advance(0.5)
    statistics = shared.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    assert statistics.granted + statistics.abandoned == len(calls)
    assert time.idle


@pytest.mark.parametrize("end", ["complete", "fail", "dispose"])
def test_the_permit_comes_back_exactly_once(end: str) -> None:
    shared, source, recorder = Bulkhead(limit=2), Manual(), Recorder()
    other = Manual()
    other.pipe(bulkhead(shared)).subscribe(Recorder())
    subscription = source.pipe(bulkhead(shared)).subscribe(recorder)
    source.send(1)
    if end == "complete":
        source.complete()
    elif end == "fail":
        source.fail(Boom())
    subscription.dispose()
    subscription.dispose()
    assert shared.statistics().in_flight == 1
    assert recorder.values == [1]


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_the_permit_is_free_when_the_end_arrives(end: str) -> None:
    shared, source, seen = Bulkhead(limit=1), Manual(), []

    def note(*_: Any) -> None:
        seen.append(shared.statistics().in_flight)

    source.pipe(bulkhead(shared)).subscribe(on_error=note, on_completed=note)
    source.complete() if end == "complete" else source.fail(Boom())
    assert seen == [0]


def test_a_disposed_waiter_leaves_the_queue() -> None:
    # Waiting for a permit that cannot be cancelled: resilience4j's SemaphoreBulkhead.
    shared, first, second, third = Bulkhead(limit=1), Manual(), Manual(), Manual()
    first.pipe(bulkhead(shared)).subscribe(Recorder())
    waiter = second.pipe(bulkhead(shared)).subscribe(Recorder())
    third.pipe(bulkhead(shared)).subscribe(Recorder())
    waiter.dispose()
    assert shared.statistics().waiting == 1
    first.complete()
    assert (second.attached, third.attached) == (0, 1)
    assert shared.statistics().abandoned == 1


def test_the_source_is_disposed_before_the_next_is_let_in() -> None:
    shared, first = Bulkhead(limit=1), Manual()
    order = []

    class Watch(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            order.append(first.disposed)
            return super().attach(sink, scheduler)

    subscription = first.pipe(bulkhead(shared)).subscribe(Recorder())
    Watch().pipe(bulkhead(shared)).subscribe(Recorder())
    subscription.dispose()
    assert order == [1]


def test_a_full_queue_refuses_at_once() -> None:
    shared, source, recorder = Bulkhead(limit=1, queue=1), Manual(), Recorder()
    reactivex.never().pipe(bulkhead(shared)).subscribe(Recorder())
    reactivex.never().pipe(bulkhead(shared)).subscribe(Recorder())
    source.pipe(bulkhead(shared)).subscribe(recorder)
    assert isinstance(recorder.error, BulkheadFullError)
    assert (recorder.error.limit, recorder.error.queue) == (1, 1)
    assert source.attached == 0
    assert shared.statistics().refused == 1


def test_by_default_the_queue_is_bounded() -> None:
    # Trap: an unbounded queue behind a cap (RxPY `_merge.py`).
    shared, last = Bulkhead(), Recorder()
    for _ in range(20 + 100):
        reactivex.never().pipe(bulkhead(shared)).subscribe(Recorder())
    AtOnce(1).pipe(bulkhead(shared)).subscribe(last)
    statistics = shared.statistics()
    assert (statistics.limit, statistics.queue) == (20, 100)
    assert (statistics.in_flight, statistics.waiting, statistics.refused) == (20, 100, 1)
    assert isinstance(last.error, BulkheadFullError)


def test_the_name_is_in_the_refusal() -> None:
    shared, recorder = Bulkhead(limit=1, queue=0, name="stock"), Recorder()
    reactivex.never().pipe(bulkhead(shared)).subscribe(Recorder())
    AtOnce(1).pipe(bulkhead(shared)).subscribe(recorder)
    assert isinstance(recorder.error, BulkheadFullError)
    assert "'stock'" in str(recorder.error)
    assert (recorder.error.limit, recorder.error.queue) == (1, 0)
    assert repr(shared) == "<Bulkhead 'stock': 1 of 1 in flight, 0 waiting>"


def test_max_wait_is_how_long_one_may_wait() -> None:
    time, shared, source = Time(), Bulkhead(limit=1, max_wait=3.0), Manual()
    time.record(reactivex.never().pipe(bulkhead(shared)))
    recorder, _ = time.record(source.pipe(bulkhead(shared)))
    time.advance(10)
    assert recorder.events[0][0] == 3.0
    assert isinstance(recorder.error, TimeoutExceededError)
    assert (recorder.error.kind, recorder.error.limit) == ("queue", 3.0)
    assert source.attached == 0
    assert shared.statistics().waiting == 0


def test_max_wait_has_no_say_once_the_permit_is_there() -> None:
    time, shared = Time(), Bulkhead(limit=1, max_wait=3.0)
    time.record(time.marbles("--|").pipe(bulkhead(shared)))
    recorder, _ = time.record(time.marbles("----------x|").pipe(bulkhead(shared)))
    time.advance(100)
    assert recorder.values == ["x"]
    assert time.idle


def test_a_disposed_waiter_leaves_no_timer() -> None:
    time, shared = Time(), Bulkhead(limit=1, max_wait=3.0)
    _, first = time.record(reactivex.never().pipe(bulkhead(shared)))
    _, second = time.record(reactivex.never().pipe(bulkhead(shared)))
    second.dispose()
    first.dispose()
    assert time.idle


def test_a_higher_limit_lets_waiters_in_at_once() -> None:
    shared = Bulkhead(limit=1)
    sources = [Manual() for _ in range(4)]
    for source in sources:
        source.pipe(bulkhead(shared)).subscribe(Recorder())
    shared.limit = 3
    assert [source.attached for source in sources] == [1, 1, 1, 0]
    assert shared.limit == 3


def test_a_lower_limit_holds_as_soon_as_enough_came_back() -> None:
    shared = Bulkhead(limit=3)
    sources = [Manual() for _ in range(5)]
    for source in sources:
        source.pipe(bulkhead(shared)).subscribe(Recorder())
    shared.limit = 1
    sources[0].complete()
    sources[1].complete()
    assert sources[3].attached == 0
    sources[2].complete()
    assert (sources[3].attached, sources[4].attached) == (1, 0)


def test_an_exception_in_attach_returns_the_permit() -> None:
    class Broken(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            raise Boom

    shared, at_once, later, first = Bulkhead(limit=1), Recorder(), Recorder(), Manual()
    Broken().pipe(bulkhead(shared)).subscribe(at_once)
    assert isinstance(at_once.error, Boom)
    first.pipe(bulkhead(shared)).subscribe(Recorder())
    Broken().pipe(bulkhead(shared)).subscribe(later)
    first.complete()
    assert isinstance(later.error, Boom)
    assert shared.statistics().in_flight == 0


@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_is_no_exception_returns_the_permit_and_goes_its_way(when: str) -> None:
    class Interrupted(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            raise KeyboardInterrupt

    shared, first = Bulkhead(limit=1), Manual()
    if when == "later":
        first.pipe(bulkhead(shared)).subscribe(Recorder())
        Interrupted().pipe(bulkhead(shared)).subscribe(Recorder())
        with pytest.raises(KeyboardInterrupt):
            first.complete()
    else:
        with pytest.raises(KeyboardInterrupt):
            Interrupted().pipe(bulkhead(shared)).subscribe(Recorder())
    assert (shared.statistics().in_flight, shared.statistics().waiting) == (0, 0)


def test_one_who_cannot_wait_for_want_of_a_clock_does_not_stay_in_the_queue() -> None:
    shared, recorder, source = Bulkhead(limit=1, max_wait=3.0), Recorder(), Manual()
    first = reactivex.never().pipe(bulkhead(shared)).subscribe(Recorder())
    source.pipe(bulkhead(shared)).subscribe(recorder)
    assert isinstance(recorder.error, RuntimeError)
    assert "event loop" in str(recorder.error)
    assert shared.statistics().waiting == 0
    first.dispose()
    assert source.attached == 0


@pytest.mark.parametrize("end", ["complete", "fail", "dispose"])
def test_a_source_that_cannot_be_disposed_does_not_keep_the_permit(end: str) -> None:
    class Stuck(Manual):
        def _release(self) -> None:
            raise Boom

    shared, source, recorder = Bulkhead(limit=1), Stuck(), Recorder()
    subscription = source.pipe(bulkhead(shared)).subscribe(recorder)
    with pytest.raises(Boom):
        if end == "complete":
            source.complete()
        elif end == "fail":
            source.fail(OSError())
        else:
            subscription.dispose()
    assert shared.statistics().in_flight == 0
    assert recorder.ended is (end != "dispose")


def test_a_cancellation_returns_the_permit_and_passes() -> None:
    shared, source, recorder = Bulkhead(limit=1), Manual(), Recorder()
    source.pipe(bulkhead(shared)).subscribe(recorder)
    source.fail(asyncio.CancelledError())
    assert isinstance(recorder.error, asyncio.CancelledError)
    assert shared.statistics().in_flight == 0


def test_disposal_from_inside_on_next_returns_the_permit_once() -> None:
    shared, source, other = Bulkhead(limit=2), Manual(), Manual()
    other.pipe(bulkhead(shared)).subscribe(Recorder())
    recorder = Recorder()

    class Once(Link):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            self.dispose()

    once = Once(recorder)
    once.connect(as_stage(source.pipe(bulkhead(shared))), DemandScheduler.of(None))
    source.send(1, 2)
    source.complete()
    assert recorder.events == [(0.0, 1)]
    assert (shared.statistics().in_flight, source.disposed) == (1, 1)


def test_nothing_comes_after_disposal_whatever_the_source_does() -> None:
    source, recorder = Manual(), Recorder()
    link = as_stage(source.pipe(bulkhead(Bulkhead()))).attach(recorder, DemandScheduler.of(None))
    source.send(1)
    link.dispose()
    source.send(2)
    source.fail(Boom())
    source.complete()
    assert recorder.events == [(0.0, 1)]


def test_the_demand_of_the_consumer_reaches_the_source() -> None:
    shared, source = Bulkhead(limit=1), Manual()
    window = Window(Recorder(), room=2)
    scheduler = DemandScheduler.of(None).with_demand(window.demand)
    as_stage(source.pipe(bulkhead(shared))).attach(window, scheduler)
    assert source.credit == 2
    source.send(1)
    assert source.credit == 1


def test_what_the_next_one_raises_does_not_cost_us_our_end() -> None:
    shared, first, recorder = Bulkhead(limit=1), Manual(), Recorder()
    first.pipe(bulkhead(shared)).subscribe(recorder)
    AtOnce(error=Boom()).pipe(bulkhead(shared)).subscribe()  # nobody handles its error
    with pytest.raises(Boom):
        first.complete()
    assert recorder.completed
    assert shared.statistics().in_flight == 0


def test_ten_thousand_waiters_that_end_at_once_do_not_nest() -> None:
    shared, first = Bulkhead(limit=1, queue=None), Manual()
    done: list[int] = []
    first.pipe(bulkhead(shared)).subscribe(Recorder())
    for number in range(10_000):
        AtOnce(number).pipe(bulkhead(shared)).subscribe(done.append)
    first.complete()
    assert done == list(range(10_000))


def test_disposal_while_the_source_is_starting() -> None:
    shared, recorder = Bulkhead(limit=1), Recorder()
    AtOnce(1, 2, 3).pipe(bulkhead(shared), ops.take(1)).subscribe(recorder)
    assert recorder.values == [1]
    assert shared.statistics().in_flight == 0


def test_one_who_asks_again_from_inside_the_end_joins_the_tail() -> None:
    shared, order = Bulkhead(limit=1), []
    first, second = Manual(), Manual()

    def again() -> None:
        order.append("first ended")
        AtOnce(1).pipe(bulkhead(shared)).subscribe(lambda _: order.append("again"))

    first.pipe(bulkhead(shared)).subscribe(on_completed=again)
    second.pipe(bulkhead(shared)).subscribe(on_completed=lambda: order.append("second ended"))
    first.complete()
    assert order == ["first ended"]
    second.complete()  # its permit goes on before its own end goes out
    assert order == ["first ended", "again", "second ended"]
    assert shared.statistics().in_flight == 0


def test_all_operators_of_one_bulkhead_share_its_permits() -> None:
    shared = Bulkhead(limit=1)
    one, other = bulkhead(shared), bulkhead(shared)
    first, second = Manual(), Manual()
    first.pipe(one).subscribe(Recorder())
    second.pipe(other).subscribe(Recorder())
    assert second.attached == 0


def test_what_is_no_bulkhead_is_refused_with_advice() -> None:
    with pytest.raises(TypeError, match="Bulkhead"):
        bulkhead(20)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"limit": 0}, "limit"), ({"limit": 1, "queue": -1}, "queue"), ({"max_wait": -1.0}, "max_wait")],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Bulkhead(**arguments)
