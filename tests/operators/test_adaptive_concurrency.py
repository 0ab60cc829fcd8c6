"""adaptive_concurrency: the limit moves with what the calls meet, and every permit comes back once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex.abc import DisposableBase

from rxorch_operators import (
    BulkheadFullError,
    CircuitOpenError,
    Outcome3,
    RateLimitExceededError,
    TimeoutExceededError,
)
from rxorch_operators.adaptive_concurrency import AdaptiveBulkhead, AdaptiveStatistics, adaptive_concurrency
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage
from rxorch_operators.engines.concurrency_limit import AimdPolicy, GradientPolicy, LimitChange
from tests.operators.engines.congestion import History, Service
from tests.operators.manual_clock import ManualClock
from tests.operators.support import END, AtOnce, Boom, Manual, Recorder, Time, Window


def starting_at(limit: int, **options: Any) -> AdaptiveBulkhead:
    return AdaptiveBulkhead(AimdPolicy(initial_limit=limit), **options)


def ask(shared: AdaptiveBulkhead, source: Stage[Any] | None = None) -> tuple[Manual, Recorder]:
    """A call that the test ends."""
    source, recorder = Manual() if source is None else source, Recorder()
    source.pipe(adaptive_concurrency(shared)).subscribe(recorder)
    assert isinstance(source, Manual)
    return source, recorder


def take_from(source: Stage[Any], shared: AdaptiveBulkhead, recorder: Recorder, enough: int) -> None:
    """A consumer that disposes from inside of its last `on_next`."""

    class Taking(Link):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            if len(recorder.values) == enough:
                self.dispose()

    stage = as_stage(source.pipe(adaptive_concurrency(shared)))
    Taking(recorder).connect(stage, DemandScheduler.of(None))


# What a call teaches


def test_a_call_that_goes_well_raises_the_limit_and_lets_the_next_ones_in() -> None:
    shared = starting_at(1)
    sources = [ask(shared)[0] for _ in range(4)]
    assert [source.attached for source in sources] == [1, 0, 0, 0]
    sources[0].complete()
    assert shared.limit == 2
    assert [source.attached for source in sources] == [1, 1, 1, 0]


def test_a_call_that_is_dropped_cuts_the_limit_and_lets_nobody_in_beyond_it() -> None:
    shared = starting_at(4)
    sources = [ask(shared)[0] for _ in range(6)]
    sources[0].fail(TimeoutError())
    assert shared.limit == 3
    assert [source.attached for source in sources] == [1, 1, 1, 1, 0, 0]
    sources[1].fail(TimeoutError())  # the same round trip
    assert (shared.limit, sources[4].attached) == (3, 1)
    assert shared.statistics().in_flight == 3


@pytest.mark.parametrize(
    ("error", "dropped"),
    [
        (TimeoutError(), True),
        (TimeoutExceededError(limit=1.0), True),
        (BulkheadFullError(), True),
        (RateLimitExceededError(), True),
        (CircuitOpenError(), False),
        (KeyError("no such user"), False),
        (ConnectionResetError(), False),
        (asyncio.CancelledError(), False),
        (KeyboardInterrupt(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_an_error_means(error: BaseException, dropped: bool) -> None:
    shared = starting_at(10)
    source, recorder = ask(shared)
    source.fail(error)
    assert recorder.error is error
    statistics = shared.statistics()
    assert (statistics.dropped, statistics.ignored) == ((1, 0) if dropped else (0, 1))
    assert (statistics.limit, statistics.in_flight) == (9 if dropped else 10, 0)


def by_status(result: Any) -> Outcome3:
    if isinstance(result, Exception):
        return Outcome3.FAILURE if isinstance(result, OSError) else Outcome3.IGNORED
    return {429: Outcome3.FAILURE, 404: Outcome3.IGNORED}.get(result, Outcome3.SUCCESS)


@pytest.mark.parametrize(
    ("values", "error", "counts"),
    [
        ([200], None, (1, 0, 0)),
        ([429], None, (0, 1, 0)),
        ([404], None, (0, 0, 1)),
        ([200, 429], None, (1, 0, 0)),  # the first element tells
        ([], None, (1, 0, 0)),
        ([200], OSError(), (0, 1, 0)),
        ([], TimeoutError(), (0, 1, 0)),  # which is an OSError
        ([], KeyError(), (0, 0, 1)),
        ([], asyncio.CancelledError(), (0, 0, 1)),
    ],
)
@pytest.mark.parametrize("where", ["bulkhead", "operator"])
def test_classify_tells_from_the_error_or_the_first_element(
    values: list[int], error: BaseException | None, counts: tuple[int, int, int], where: str
) -> None:
    def successes_only(result: Any) -> Outcome3:
        return Outcome3.SUCCESS

    shared = AdaptiveBulkhead(classify=by_status if where == "bulkhead" else successes_only)
    classify = None if where == "bulkhead" else by_status
    recorder = Recorder()
    AtOnce(*values, error=error).pipe(adaptive_concurrency(shared, classify=classify)).subscribe(recorder)
    assert recorder.values == values
    assert recorder.error is error
    statistics = shared.statistics()
    assert (statistics.successes, statistics.dropped, statistics.ignored) == counts


def test_classify_is_not_asked_about_a_source_without_elements() -> None:
    asked: list[object] = []

    def classify(result: Any) -> Outcome3:
        asked.append(result)
        return Outcome3.FAILURE

    shared = AdaptiveBulkhead(classify=classify)
    AtOnce().pipe(adaptive_concurrency(shared)).subscribe(Recorder())
    assert (asked, shared.statistics().successes) == ([], 1)


def test_what_classify_raises_ends_the_call_and_teaches_nothing() -> None:
    def broken(result: Any) -> Outcome3:
        raise Boom

    shared, after_error, after_value = AdaptiveBulkhead(classify=broken), Recorder(), Recorder()
    first = OSError()
    AtOnce(error=first).pipe(adaptive_concurrency(shared)).subscribe(after_error)
    AtOnce(1).pipe(adaptive_concurrency(shared)).subscribe(after_value)
    assert isinstance(after_error.error, Boom)
    assert after_error.error.__cause__ is first
    assert after_value.values == [1]
    assert isinstance(after_value.error, Boom)
    assert (shared.statistics().in_flight, shared.statistics().ignored) == (0, 2)


def test_classify_may_raise_the_error_itself() -> None:
    def raising(result: Any) -> Outcome3:
        raise result

    recorder, error = Recorder(), Boom()
    AtOnce(error=error).pipe(adaptive_concurrency(AdaptiveBulkhead(), classify=raising)).subscribe(recorder)
    assert recorder.error is error
    assert error.__cause__ is None


def test_classify_must_return_an_outcome() -> None:
    recorder = Recorder()
    shared = AdaptiveBulkhead(classify=lambda result: True)  # type: ignore[arg-type,return-value]
    AtOnce(1).pipe(adaptive_concurrency(shared)).subscribe(recorder)
    assert isinstance(recorder.error, TypeError)
    assert "Outcome3, got True" in str(recorder.error)


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_classify_may_dispose_the_subscription(end: str) -> None:
    def disposing(result: Any) -> Outcome3:
        subscription.dispose()
        return Outcome3.FAILURE

    shared, source, recorder = starting_at(10, classify=disposing), Manual(), Recorder()
    subscription = source.pipe(adaptive_concurrency(shared)).subscribe(recorder)
    source.send(1)
    source.complete() if end == "complete" else source.fail(Boom())
    assert recorder.events == [(0.0, 1)]
    assert (shared.limit, shared.statistics().in_flight, shared.statistics().ignored) == (10, 0, 1)


def test_a_disposed_call_returns_its_permit_and_teaches_nothing() -> None:
    time, shared = Time(), starting_at(1)
    _, first = time.record(reactivex.never().pipe(adaptive_concurrency(shared)))
    second, _ = time.record(AtOnce(1).pipe(adaptive_concurrency(shared)))
    time.advance(1000)
    first.dispose()
    assert second.values == [1]
    statistics = shared.statistics()
    assert (statistics.ignored, statistics.successes, statistics.dropped) == (1, 1, 0)
    assert statistics.rtt == 0.0  # that of the second alone


@pytest.mark.parametrize(("enough", "counts"), [(1, (1, 0)), (2, (0, 1))])
def test_a_consumer_that_takes_the_first_element_has_had_an_answer(
    enough: int, counts: tuple[int, int]
) -> None:
    shared, source, recorder = AdaptiveBulkhead(), Manual(), Recorder()
    take_from(source, shared, recorder, enough)
    source.send("a", "b", "c")
    source.complete()
    assert recorder.values == ["a", "b", "c"][:enough]
    statistics = shared.statistics()
    assert (statistics.successes, statistics.ignored) == counts
    assert (statistics.in_flight, source.disposed) == (0, 1)


def test_a_failing_classify_for_a_consumer_that_has_gone_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(result: Any) -> Outcome3:
        raise Boom

    shared, source, recorder = AdaptiveBulkhead(classify=broken), Manual(), Recorder()
    take_from(source, shared, recorder, 1)
    with caplog.at_level(logging.ERROR):
        source.send(1)
    assert recorder.events == [(0.0, 1)]
    assert "classify failed" in caplog.text
    assert (shared.statistics().ignored, shared.statistics().in_flight) == (1, 0)


def test_the_time_of_a_call_is_from_its_permit_to_its_end() -> None:
    time, shared = Time(), starting_at(1)
    for _ in range(2):
        time.record(time.marbles("--x-|").pipe(adaptive_concurrency(shared)))
    time.advance(100)
    statistics = shared.statistics()
    assert (statistics.rtt, statistics.min_rtt, statistics.baseline_rtt) == (4.0, 4.0, None)


@pytest.mark.parametrize("which", ["bulkhead", "operator", "subscription"])
def test_whose_clock_it_is(which: str) -> None:
    time, other, source = Time(), ManualClock(), Manual()
    shared = AdaptiveBulkhead(clock=other if which == "bulkhead" else None)
    scheduler = None if which == "subscription" else time.scheduler
    call = source.pipe(adaptive_concurrency(shared, scheduler=scheduler))
    call.subscribe(Recorder(), scheduler=time.scheduler if which == "subscription" else None)
    other.advance(7.0)
    time.advance(3.0)
    source.complete()
    assert shared.statistics().rtt == (7.0 if which == "bulkhead" else 3.0)


# Changes


def test_changes_are_told_with_the_limit_as_it_is_now() -> None:
    seen: list[tuple[LimitChange, int]] = []

    def note(change: LimitChange) -> None:
        seen.append((change, shared.limit))

    shared = starting_at(1, on_change=note)
    ask(shared)[0].complete()
    ask(shared)[0].fail(TimeoutError())
    assert [(change.old, change.new, change.reason, limit) for change, limit in seen] == [
        (1, 2, "success", 2),
        (2, 1, "dropped", 1),
    ]


def test_changes_are_told_in_their_order_also_when_waiters_end_at_once() -> None:
    seen: list[int] = []
    shared = starting_at(1, on_change=lambda change: seen.append(change.new))
    first, _ = ask(shared)
    for _ in range(9):
        AtOnce(1).pipe(adaptive_concurrency(shared)).subscribe(Recorder())
    first.complete()
    assert seen == sorted(seen)
    assert seen[-1] == shared.limit > 2


def test_what_on_change_raises_is_logged_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(change: LimitChange) -> None:
        raise Boom

    shared = starting_at(1, on_change=broken, name="shop")
    first, recorder = ask(shared)
    second, _ = ask(shared)
    with caplog.at_level(logging.ERROR):
        first.complete()
    assert recorder.completed
    assert second.attached == 1
    assert "AdaptiveBulkhead 'shop'" in caplog.text


def test_what_is_no_exception_leaves_on_change_and_keeps_no_permit() -> None:
    def interrupted(change: LimitChange) -> None:
        raise KeyboardInterrupt

    shared = starting_at(1, on_change=interrupted)
    first, recorder = ask(shared)
    ask(shared)
    with pytest.raises(KeyboardInterrupt):
        first.complete()
    assert recorder.completed
    assert (shared.statistics().in_flight, shared.statistics().waiting) == (1, 0)


def test_on_change_may_start_and_end_calls() -> None:
    others: list[tuple[Manual, Recorder]] = []

    def react(change: LimitChange) -> None:
        if change.reason == "dropped" and not others:
            others.append(ask(shared))
            under_way[1].dispose()
            under_way[2].dispose()

    shared = starting_at(4, on_change=react)
    sources = [Manual() for _ in range(4)]
    under_way = [source.pipe(adaptive_concurrency(shared)).subscribe(Recorder()) for source in sources]
    sources[0].fail(TimeoutError())
    assert others[0][0].attached == 1
    assert shared.limit == 3
    assert shared.statistics().in_flight == 2
    others[0][0].fail(TimeoutError())
    assert shared.limit == 2


def test_a_cut_holds_already_for_what_on_change_starts() -> None:
    late: list[Manual] = []
    seen: list[int] = []

    def start_one(change: LimitChange) -> None:
        late.append(ask(shared)[0])
        seen.append(late[0].attached)

    shared = starting_at(10, on_change=start_one)
    calls = [ask(shared)[0] for _ in range(9)]
    calls[0].fail(TimeoutError())
    assert seen == [0]
    assert late[0].attached == 1  # in the place of the one that was dropped
    assert shared.statistics().in_flight == shared.limit == 9


def test_a_limit_that_moves_again_inside_on_change_is_the_one_that_counts() -> None:
    def reset(change: LimitChange) -> None:
        if change.reason != "reset":
            shared.reset()

    shared = starting_at(2, on_change=reset)
    for source in [ask(shared)[0] for _ in range(2)]:
        source.complete()
    ask(shared)[0].fail(TimeoutError())
    calls = [ask(shared)[0] for _ in range(3)]
    assert shared.limit == 2
    assert [call.attached for call in calls] == [1, 1, 0]


def test_reset_goes_back_to_the_start_and_lets_waiters_in() -> None:
    seen: list[LimitChange] = []
    shared = starting_at(3, on_change=seen.append)
    ask(shared)[0].fail(TimeoutError())
    ask(shared)[0].fail(TimeoutError())
    calls = [ask(shared)[0] for _ in range(4)]
    assert [call.attached for call in calls] == [1, 0, 0, 0]
    shared.reset()
    assert [call.attached for call in calls] == [1, 1, 1, 0]
    assert (seen[-1].old, seen[-1].new, seen[-1].reason) == (1, 3, "reset")
    calls[0].fail(TimeoutError())  # it began before
    assert shared.limit == 3


# Permits


def test_a_full_queue_refuses_at_once_and_that_teaches_nothing() -> None:
    shared = starting_at(1, queue=1, name="shop")
    ask(shared)
    ask(shared)
    source, recorder = ask(shared)
    assert isinstance(recorder.error, BulkheadFullError)
    assert "'shop'" in str(recorder.error)
    assert source.attached == 0
    statistics = shared.statistics()
    assert (statistics.refused, statistics.dropped, statistics.ignored, statistics.limit) == (1, 0, 0, 1)


def test_by_default_the_queue_is_bounded() -> None:
    assert AdaptiveBulkhead().statistics().queue == 100
    assert AdaptiveBulkhead(queue=None).statistics().queue is None


def test_max_wait_ends_the_wait_and_teaches_nothing() -> None:
    def never(result: Any) -> Outcome3:
        raise AssertionError("it was not called")

    time, shared, source = Time(), starting_at(1, max_wait=3.0, classify=never), Manual()
    _, first = time.record(reactivex.never().pipe(adaptive_concurrency(shared)))
    recorder, _ = time.record(source.pipe(adaptive_concurrency(shared)))
    time.advance(10)
    assert recorder.events[0][0] == 3.0
    assert isinstance(recorder.error, TimeoutExceededError)
    assert recorder.error.kind == "queue"
    assert (source.attached, shared.statistics().dropped, shared.limit) == (0, 0, 1)
    first.dispose()
    assert time.idle


def test_a_disposed_waiter_leaves_the_queue_and_no_timer() -> None:
    time, shared, source = Time(), starting_at(1, max_wait=3.0), Manual()
    _, first = time.record(reactivex.never().pipe(adaptive_concurrency(shared)))
    _, second = time.record(source.pipe(adaptive_concurrency(shared)))
    second.dispose()
    first.dispose()
    assert time.idle
    statistics = shared.statistics()
    assert (source.attached, statistics.abandoned, statistics.ignored) == (0, 1, 1)


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_all_is_settled_when_the_end_arrives(end: str) -> None:
    shared, source = starting_at(1), Manual()
    seen: list[tuple[int, int]] = []

    def note(*_: Any) -> None:
        seen.append((shared.statistics().in_flight, shared.limit))

    source.pipe(adaptive_concurrency(shared)).subscribe(on_error=note, on_completed=note)
    source.complete() if end == "complete" else source.fail(TimeoutError())
    assert seen == [(0, 2 if end == "complete" else 1)]


@pytest.mark.parametrize("later", [False, True])
def test_an_exception_in_attach_is_that_of_the_call(later: bool) -> None:
    class Broken(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            raise TimeoutError

    shared = starting_at(1)
    first = ask(shared)[0] if later else None
    _, recorder = ask(shared, Broken())
    if first is not None:
        first.fail(KeyError())
    assert isinstance(recorder.error, TimeoutError)
    assert (shared.statistics().dropped, shared.statistics().in_flight) == (1, 0)


def test_what_is_no_exception_returns_the_permit_and_teaches_nothing() -> None:
    class Interrupted(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            raise KeyboardInterrupt

    shared = starting_at(10)
    with pytest.raises(KeyboardInterrupt):
        ask(shared, Interrupted())
    assert (shared.limit, shared.statistics().in_flight, shared.statistics().ignored) == (10, 0, 1)


def test_ten_thousand_waiters_that_end_at_once_do_not_nest() -> None:
    shared = AdaptiveBulkhead(AimdPolicy(initial_limit=1, max_limit=1), queue=None)
    first, _ = ask(shared)
    done: list[int] = []
    for number in range(10_000):
        AtOnce(number).pipe(adaptive_concurrency(shared)).subscribe(done.append)
    first.complete()
    assert done == list(range(10_000))


def test_all_operators_of_one_bulkhead_share_it_and_others_do_not() -> None:
    shared, separate = starting_at(1), starting_at(1)
    one, other = adaptive_concurrency(shared), adaptive_concurrency(shared)
    sources = [Manual() for _ in range(3)]
    for source, operator in zip(sources, (one, other, adaptive_concurrency(separate)), strict=True):
        source.pipe(operator).subscribe(Recorder())
    assert [source.attached for source in sources] == [1, 0, 1]


def test_nothing_comes_after_disposal_whatever_the_source_does() -> None:
    source, recorder = Manual(), Recorder()
    stage = as_stage(source.pipe(adaptive_concurrency(AdaptiveBulkhead())))
    link = stage.attach(recorder, DemandScheduler.of(None))
    source.send(1, 2)
    link.dispose()
    source.send(3)
    source.fail(Boom())
    source.complete()
    assert recorder.events == [(0.0, 1), (0.0, 2)]


def test_the_demand_of_the_consumer_reaches_the_source() -> None:
    source, window = Manual(), Window(Recorder(), room=2)
    stage = as_stage(source.pipe(adaptive_concurrency(AdaptiveBulkhead())))
    stage.attach(window, DemandScheduler.of(None).with_demand(window.demand))
    source.send(1)
    assert source.credit == 1


def test_statistics_and_what_it_reads_like() -> None:
    shared = AdaptiveBulkhead(AimdPolicy(initial_limit=2), queue=5, name="shop", clock=ManualClock())
    first, second, *_ = [ask(shared)[0] for _ in range(3)]
    first.complete()
    second.fail(TimeoutError())
    assert shared.statistics() == AdaptiveStatistics(
        limit=1,
        queue=5,
        in_flight=1,
        waiting=0,
        granted=3,
        refused=0,
        abandoned=0,
        peak=2,
        increases=0,
        decreases=1,
        successes=1,
        dropped=1,
        ignored=0,
        rtt=0.0,
        min_rtt=0.0,
        baseline_rtt=None,
    )
    assert repr(shared) == "<AdaptiveBulkhead 'shop': 1 of 1 in flight, 0 waiting>"
    assert shared.policy == AimdPolicy(initial_limit=2)


def test_the_gradient_is_a_policy_too() -> None:
    time = Time()
    shared = AdaptiveBulkhead(GradientPolicy(initial_limit=4, min_samples=1))
    for start in range(4):
        for _ in range(4):
            source = time.marbles("--|").pipe(adaptive_concurrency(shared))
            time.after(start * 2.5, partial(time.record, source))
    time.advance(100)
    assert shared.statistics().baseline_rtt == 2.0
    assert shared.limit > 4


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: AdaptiveBulkhead(20),  # type: ignore[arg-type]
            TypeError,
            "expected an AimdPolicy or a GradientPolicy, got int",
        ),
        (lambda: AdaptiveBulkhead(queue=-1), ValueError, "queue=-1"),
        (lambda: AdaptiveBulkhead(max_wait=-1.0), ValueError, "max_wait=-1.0"),
        (
            lambda: adaptive_concurrency(20),  # type: ignore[arg-type]
            TypeError,
            "write AdaptiveBulkhead()",
        ),
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


# For all inputs


@settings(deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 5), st.sampled_from(["|", "#", "x|"]), st.integers(1, 9)),
        max_size=25,
    ),
    initial=st.integers(1, 4),
    queue=st.sampled_from([0, 3, None]),
)
def test_every_permit_comes_back_whoever_leaves_when(
    calls: list[tuple[int, int, str, int]], initial: int, queue: int | None
) -> None:
    time = Time()
    policy = AimdPolicy(initial_limit=initial, max_limit=5)
    shared = AdaptiveBulkhead(policy, queue=queue, max_wait=6.0)
    sources = []

    def begin(call: Observable[Any], leaves: int) -> None:
        _, subscription = time.record(call)
        time.after(leaves + 0.5, subscription.dispose)

    for start, seconds, end, leaves in calls:
        source = time.marbles("-" * seconds + end, error=TimeoutError())
        sources.append(source)
        time.after(start, partial(begin, source.pipe(adaptive_concurrency(shared)), leaves))
    before = 0
    for _ in range(60):
        time.advance(0.5)
        in_flight = shared.statistics().in_flight
        assert sum(source.active for source in sources) == in_flight <= max(shared.limit, before)
        assert 1 <= shared.limit <= 5
        before = in_flight
    statistics = shared.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    assert statistics.granted == statistics.successes + statistics.dropped + statistics.ignored
    assert statistics.granted + statistics.abandoned + statistics.refused == len(calls)
    assert time.idle


class Request(Stage[str]):
    """One call to a service of known capacity."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def attach(self, sink: Any, scheduler: DemandScheduler) -> DisposableBase:
        link = Link(sink)

        def done(served: bool) -> None:
            if served:
                link.on_next("served")
                link.on_completed()
            else:
                link.on_error(TimeoutError())

        self.service.call(done)
        return link


@settings(deadline=None, max_examples=10)
@given(capacity=st.integers(2, 25), seed=st.integers(0, 3))
def test_it_finds_what_a_service_can_take_and_finds_it_again(capacity: int, seed: int) -> None:
    clock = ManualClock()
    service = Service(clock, capacity, seed=seed)
    history = History(clock, 20)
    shared = AdaptiveBulkhead(clock=clock, queue=None, on_change=lambda change: history.note(change.new))
    call = Request(service).pipe(adaptive_concurrency(shared))

    def ask_again(*_: Any) -> None:
        call.subscribe(on_error=ask_again, on_completed=ask_again)

    for _ in range(70):
        ask_again()
    for _ in range(2):
        history.during(60.0)
        low, mean, high = history.during(40.0)
        assert 0.9 * service.capacity - 2 <= low
        assert 0.9 * service.capacity - 1 <= mean <= service.capacity + 1
        assert high <= service.capacity + 2
        service.capacity = 2 * capacity
    assert service.peak <= 2 * capacity


def test_the_end_is_an_end() -> None:
    recorder = Recorder()
    AtOnce(1, 2).pipe(adaptive_concurrency(AdaptiveBulkhead())).subscribe(recorder)
    assert [event for _, event in recorder.events] == [1, 2, END]
