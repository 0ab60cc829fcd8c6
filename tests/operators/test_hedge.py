"""hedge in virtual time: one more when it is late, the first to answer wins, and nobody else stays."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable

from rxorch_operators import Bulkhead, RetryBudget, RetryBudgetExhaustedError, bulkhead, retry_backoff
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage
from rxorch_operators.guard import guard
from rxorch_operators.hedge import HedgeEvent, HedgePolicy, Hedger, hedge
from tests.operators.support import (
    END,
    AtOnce,
    Boom,
    Manual,
    Marbles,
    MarbleStage,
    Recorder,
    Time,
    Window,
    events,
)

AFTER_2 = HedgePolicy(delay=2.0, percentile=None)


def always(_: Exception) -> bool:
    return True


def attached(time: Time, source: Observable[Any]) -> tuple[Recorder, DisposableBase]:
    """Joins a recorder to a stage without any border, which would hide an event too many."""
    recorder = Recorder(lambda: time.now)
    return recorder, as_stage(source).attach(recorder, DemandScheduler.of(time.scheduler))


class Sources(Observable[Any]):
    """Another source of the test's for each subscription, in turn."""

    def __init__(self, *sources: Observable[Any]) -> None:
        super().__init__()
        self.sources = list(sources)
        self.subscribed = 0

    def _subscribe_core(self, observer: Any, scheduler: Any = None) -> DisposableBase:
        self.subscribed += 1
        return self.sources[self.subscribed - 1].subscribe(observer, scheduler=scheduler)


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_one_more_is_subscribed_when_the_first_is_late(kind: str) -> None:
    time = Time()
    marbles = time.marbles("------------a|", "--b|")
    source: Observable[Any] = marbles if kind == "stock" else MarbleStage(marbles)
    recorder = time.run(source.pipe(hedge(delay=4.0)))
    assert recorder.events == [(6.0, "b"), (7.0, END)]
    assert marbles.subscribed == [0.0, 4.0]
    assert marbles.released == [6.0, 7.0]
    assert time.idle


@pytest.mark.parametrize("marbles", ["-a|", "-|", "-a-------b|", "-a----#"])
def test_who_answers_in_time_is_not_hedged(marbles: str) -> None:
    time, boom = Time(), Boom()
    source = time.marbles(marbles, error=boom)
    recorder = time.run(source.pipe(hedge(AFTER_2)))
    assert recorder.events == events(marbles, **{"#": boom})
    assert source.subscribed == [0.0]
    assert time.idle


def test_no_timer_is_left_once_the_first_element_is_there() -> None:
    time = Time()
    time.run(time.marbles("-a").pipe(hedge(AFTER_2)), seconds=1)
    assert time.idle


def test_the_first_may_still_win_and_then_the_hedge_is_let_go_of() -> None:
    time, hedger = Time(), Hedger(AFTER_2)
    source = time.marbles("---a--c|", "-----b|")
    recorder = time.run(source.pipe(hedge(hedger=hedger)))
    assert recorder.events == events("---a--c|")
    assert source.released == [3.0, 7.0]
    assert (hedger.statistics().hedged, hedger.statistics().won_by_hedge) == (1, 0)


def test_the_losers_are_let_go_of_before_the_element_goes_out() -> None:
    time = Time()
    source, seen = time.marbles("---------a|", "-b-c|"), []
    source.pipe(hedge(AFTER_2)).subscribe(lambda _: seen.append(source.active), scheduler=time.scheduler)
    time.advance(100)
    assert seen == [1, 1]


def test_the_end_of_an_empty_source_wins_too() -> None:
    time = Time()
    source = time.marbles("---------a|", "-|")
    assert time.run(source.pipe(hedge(AFTER_2))).events == [(3.0, END)]
    assert source.active == 0


def test_the_winner_may_fail_later_and_that_is_the_error() -> None:
    time, boom = Time(), Boom()
    source = time.marbles("---------a|", "-b-#", error=boom)
    recorder = time.run(source.pipe(hedge(AFTER_2, hedge_if=always, max_hedges=5)))
    assert recorder.events == [(3.0, "b"), (5.0, boom)]
    assert len(source.subscribed) == 2
    assert time.idle


def test_each_further_hedge_waits_as_long_again() -> None:
    time = Time()
    told: list[HedgeEvent] = []
    source = time.marbles("", "", "", "-a|")
    recorder = time.run(source.pipe(hedge(AFTER_2, max_hedges=3, on_hedge=told.append)))
    assert recorder.events == [(7.0, "a"), (8.0, END)]
    assert source.subscribed == [0.0, 2.0, 4.0, 6.0]
    assert source.active == 0
    assert told == [HedgeEvent(n, 2.0 * n, denied=False, error=None) for n in (1, 2, 3)]


@pytest.mark.parametrize(("hedges", "subscribed"), [(0, 1), (1, 2), (2, 3)])
def test_there_are_no_more_than_allowed(hedges: int, subscribed: int) -> None:
    time = Time()
    source = time.marbles("")
    time.run(source.pipe(hedge(AFTER_2, max_hedges=hedges)))
    assert len(source.subscribed) == subscribed


def test_a_delay_of_nothing_starts_all_at_once() -> None:
    time = Time()
    told: list[HedgeEvent] = []
    source = time.marbles("---a|", "-----b|", "--c|")
    recorder = time.run(source.pipe(hedge(delay=0.0, max_hedges=2, on_hedge=told.append)))
    assert recorder.events == [(2.0, "c"), (3.0, END)]
    assert source.subscribed == [0.0, 0.0, 0.0]
    assert [event.hedge for event in told] == [1, 2]
    assert time.idle


def test_in_a_race_nobody_starts_after_one_that_answers_at_once() -> None:
    source, recorder = Sources(AtOnce("a"), AtOnce("b")), Recorder()
    source.pipe(hedge(delay=0.0)).subscribe(recorder)
    assert recorder.values == ["a"]
    assert source.subscribed == 1


def test_in_a_race_one_that_fails_at_once_does_not_keep_the_others_from_starting() -> None:
    source, recorder = Sources(AtOnce(error=Boom()), AtOnce(error=Boom()), AtOnce("c")), Recorder()
    source.pipe(hedge(delay=0.0, max_hedges=2)).subscribe(recorder)
    assert recorder.values == ["c"]


def test_in_a_race_that_all_lose_there_is_one_error() -> None:
    boom, recorder = Boom("first"), Recorder()
    source = Sources(AtOnce(error=boom), AtOnce(error=Boom("second")))
    source.pipe(hedge(delay=0.0, hedge_if=always)).subscribe(recorder)
    assert recorder.error is boom
    assert source.subscribed == 2


def test_a_failure_before_the_delay_starts_nothing() -> None:
    time, boom = Time(), Boom()
    source = time.marbles("-#", "-a|", error=boom)
    assert time.run(source.pipe(hedge(AFTER_2))).events == [(1.0, boom)]
    assert len(source.subscribed) == 1
    assert time.idle


@pytest.mark.parametrize(("first", "second"), [("---#", "----a|"), ("------a|", "-#")])
def test_a_failure_waits_for_those_that_run(first: str, second: str) -> None:
    time = Time()
    source = time.marbles(first, second)
    assert time.run(source.pipe(hedge(AFTER_2))).events == [(6.0, "a"), (7.0, END)]
    assert source.active == 0


def test_one_that_has_failed_is_let_go_of_while_the_others_run() -> None:
    time, source = Time(), Manual()
    recorder, _ = attached(time, source.pipe(hedge(AFTER_2)))
    first = source.sink
    time.advance(3)
    assert first is not None
    assert first is not source.sink
    first.on_error(Boom())
    assert source.disposed == 1
    first.on_next("a")
    first.on_error(Boom())
    assert recorder.events == []


def test_a_winner_that_has_ended_is_not_heard_again() -> None:
    time, source = Time(), Manual()
    recorder, _ = attached(time, source.pipe(hedge(AFTER_2)))
    source.send("a")
    source.complete()
    source.send("b")
    source.complete()
    source.fail(Boom())
    assert [event for _, event in recorder.events] == ["a", END]
    assert source.disposed == 1


def test_the_next_hedge_still_comes_when_one_of_two_has_failed() -> None:
    time = Time()
    source = time.marbles("", "-#", "-a|")
    assert time.run(source.pipe(hedge(AFTER_2, max_hedges=2))).values == ["a"]
    assert source.subscribed == [0.0, 2.0, 4.0]


def test_with_hedge_if_a_failure_starts_the_next_at_once_and_the_wait_begins_anew() -> None:
    time, boom = Time(), Boom()
    time.advance(10)
    told: list[HedgeEvent] = []
    source = time.marbles("-#", "", "-a|", error=boom)
    stream = source.pipe(hedge(AFTER_2, max_hedges=2, hedge_if=always, on_hedge=told.append))
    assert time.run(stream).events == [(14.0, "a"), (15.0, END)]
    assert source.subscribed == [10.0, 11.0, 13.0]
    assert told == [HedgeEvent(1, 1.0, False, boom), HedgeEvent(2, 3.0, False, None)]


def test_an_endless_delay_hedges_failures_only() -> None:
    time = Time()
    source = time.marbles("---------#", "-#", "---a|")
    stream = source.pipe(hedge(delay=math.inf, percentile=None, max_hedges=2, hedge_if=always))
    assert time.run(stream).values == ["a"]
    assert source.subscribed == [0.0, 9.0, 10.0]


def test_sources_that_fail_while_they_start_use_up_the_hedges() -> None:
    source, recorder = Sources(*[AtOnce(error=Boom(n)) for n in range(11)]), Recorder()
    source.pipe(hedge(AFTER_2, max_hedges=10, hedge_if=always)).subscribe(recorder)
    assert str(recorder.error) == "0"
    assert source.subscribed == 11


def test_a_failure_that_hedge_if_refuses_ends_the_call() -> None:
    time, fatal = Time(), KeyError("no such user")
    source = Sources(first := time.marbles("------a|"), time.marbles("-#", error=fatal))
    told: list[HedgeEvent] = []
    stream = source.pipe(
        hedge(AFTER_2, max_hedges=5, hedge_if=lambda error: isinstance(error, Boom), on_hedge=told.append)
    )
    assert time.run(stream).events == [(3.0, fatal)]
    assert first.released == [3.0]
    assert len(told) == 1
    assert source.subscribed == 2
    assert time.idle


def test_what_hedge_if_raises_is_the_error() -> None:
    time, boom, broken = Time(), Boom(), KeyError("broken")

    def raises(_: Exception) -> bool:
        raise broken

    source = time.marbles("---#", "", error=boom)
    recorder = time.run(source.pipe(hedge(AFTER_2, hedge_if=raises)))
    assert recorder.events == [(3.0, broken)]
    assert broken.__cause__ is boom
    assert source.active == 0


@pytest.mark.parametrize("verdict", [True, False, Boom("broken")])
def test_hedge_if_may_dispose_the_subscription(verdict: Any) -> None:
    time = Time()

    def leave(_: Exception) -> bool:
        subscription.dispose()
        if isinstance(verdict, Exception):
            raise verdict
        return bool(verdict)

    source, hedger = time.marbles("-#"), Hedger(AFTER_2)
    recorder, subscription = attached(time, source.pipe(hedge(hedger=hedger, hedge_if=leave)))
    time.advance(100)
    assert recorder.events == []
    assert len(source.subscribed) == 1
    assert hedger.statistics().hedged == 0
    assert time.idle


def test_when_all_have_failed_it_is_the_error_of_the_first_with_notes_of_the_others() -> None:
    time, first = Time(), Boom("first")
    failing = [time.marbles("-----#", error=first)]
    failing += [time.marbles(run, error=Boom(name)) for run, name in (("-#", "second"), ("---#", "third"))]
    recorder = time.run(Sources(*failing).pipe(hedge(AFTER_2, max_hedges=2)))
    assert recorder.events == [(7.0, first)]
    assert first.__notes__ == ["hedge 1 failed too: Boom('second')", "hedge 2 failed too: Boom('third')"]


def test_the_same_error_is_no_note_to_itself_and_no_note_is_written_twice() -> None:
    boom, other, recorders = Boom(), Boom("other"), [Recorder() for _ in range(3)]
    for recorder in recorders:
        source = Sources(AtOnce(error=boom), AtOnce(error=boom), AtOnce(error=other))
        source.pipe(hedge(delay=0.0, max_hedges=2)).subscribe(recorder)
    assert [recorder.error for recorder in recorders] == [boom] * 3
    assert boom.__notes__ == ["hedge 2 failed too: Boom('other')"]


def test_a_refusal_carries_the_failures_before_it() -> None:
    fatal, recorder = KeyError("fatal"), Recorder()
    source = Sources(AtOnce(error=Boom("first")), AtOnce(error=fatal))
    source.pipe(hedge(AFTER_2, hedge_if=lambda error: isinstance(error, Boom))).subscribe(recorder)
    assert recorder.error is fatal
    assert fatal.__notes__ == ["the first subscription failed too: Boom('first')"]


@pytest.mark.parametrize("who", ["first", "hedge"])
def test_a_cancellation_passes_at_once_and_nobody_is_asked(who: str) -> None:
    time, cancelled = Time(), asyncio.CancelledError()
    runs = [time.marbles("---#", error=cancelled), time.marbles("--------a|")]
    source = Sources(*(runs if who == "first" else (runs[1], time.marbles("-#", error=cancelled))))
    asked: list[Any] = []
    recorder = time.run(source.pipe(hedge(AFTER_2, max_hedges=3, hedge_if=asked.append)))  # type: ignore[arg-type]
    assert recorder.events == [(3.0, cancelled)]
    assert asked == []
    assert source.subscribed == 2
    assert runs[1].active == 0
    assert time.idle


def test_a_spent_budget_denies_and_says_so() -> None:
    time, hedger = Time(), Hedger(HedgePolicy(delay=2.0, max_hedges=3))
    told: list[HedgeEvent] = []
    source = time.marbles("----------a|")
    stream = source.pipe(hedge(hedger=hedger, budget=RetryBudget(floor=1), on_hedge=told.append))
    assert time.run(stream).values == ["a"]
    assert source.subscribed == [0.0, 2.0]
    assert told == [HedgeEvent(1, 2.0, False, None), HedgeEvent(2, 4.0, True, None)]
    statistics = hedger.statistics()
    assert (statistics.calls, statistics.hedged, statistics.denied) == (1, 1, 1)


def test_a_failure_for_which_the_budget_had_nothing_left_says_so() -> None:
    boom, caused, cause = Boom(), Boom("caused"), KeyError()
    caused.__cause__ = cause
    for error in (boom, boom, caused, caused):
        recorder = Recorder()
        source = Sources(AtOnce(error=error))
        source.pipe(hedge(AFTER_2, hedge_if=always, budget=RetryBudget(floor=0))).subscribe(recorder)
        assert recorder.error is error
    assert isinstance(boom.__cause__, RetryBudgetExhaustedError)
    assert not hasattr(boom, "__notes__")
    assert caused.__cause__ is cause
    assert caused.__notes__ == ["not hedged: retry budget is spent"]


@pytest.mark.parametrize(("record_calls", "calls"), [(True, 3), (False, 0)])
def test_each_subscription_is_recorded_as_a_call_unless_told_otherwise(
    record_calls: bool, calls: int
) -> None:
    time, budget = Time(), RetryBudget()
    stream = time.marbles("").pipe(hedge(AFTER_2, budget=budget, record_calls=record_calls))
    for _ in range(3):
        time.record(stream)
    time.advance(5)
    statistics = budget.statistics(time.now)
    assert (statistics.calls, statistics.spent) == (calls, 3)


def test_retries_and_hedges_share_one_budget() -> None:
    time, budget = Time(), RetryBudget(ratio=0.0, floor=2)
    source = time.marbles("", "-#", "", "-#", "")
    call: Observable[Any] = source.pipe(
        ops.timeout(4.0, scheduler=time.scheduler),
        hedge(AFTER_2, budget=budget, record_calls=False),
        retry_backoff(max_attempts=9, base=0.0, budget=budget),
    )
    recorder = time.run(call)
    assert len(source.subscribed) == 3  # the first, its hedge, one retry; the hedge of that was denied
    assert recorder.error is not None
    statistics = budget.statistics(time.now)
    assert (statistics.granted, statistics.denied) == (2, 2)


def test_what_on_hedge_raises_is_logged_and_the_call_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: HedgeEvent) -> None:
        raise Boom

    time = Time()
    with caplog.at_level(logging.ERROR, "rxorch_operators"):
        assert time.run(time.marbles("", "a|").pipe(hedge(AFTER_2, on_hedge=broken))).values == ["a"]
    assert "on_hedge failed" in caplog.text


@pytest.mark.parametrize("delay", [0.0, 2.0])
def test_on_hedge_may_dispose_the_subscription(delay: float) -> None:
    time, source = Time(), Manual()
    held: list[DisposableBase] = []
    stream = source.pipe(hedge(delay=delay, on_hedge=lambda _: held[0].dispose()))
    if delay:
        held.append(time.record(stream)[1])
        time.advance(100)
    else:  # it is told while nobody has the subscription yet
        held.append(Disposable())
        attached(time, stream)[1].dispose()
    assert source.disposed == source.attached
    assert time.idle


def steps(time: Time) -> Marbles:
    """The first is late, its hedge fails, and another hedge wins at 6."""
    return time.marbles("-------a-a|", "----#", "--b-b-b|")


@pytest.mark.parametrize("at", [0.0, 1.0, 2.0, 2.5, 4.0, 5.0, 6.0, 6.5, 8.0])
def test_disposal_at_every_step_ends_everything(at: float) -> None:
    time, hedger = Time(), Hedger(HedgePolicy(delay=2.0, max_hedges=2, percentile=None))
    source = steps(time)
    recorder, subscription = attached(time, source.pipe(hedge(hedger=hedger)))
    time.advance(at) if at else None
    subscription.dispose()
    subscription.dispose()
    seen, started = list(recorder.events), len(source.subscribed)
    assert time.idle
    assert source.active == 0
    time.advance(100)
    assert recorder.events == seen
    assert len(source.subscribed) == started


@pytest.mark.parametrize("take", [1, 2])
def test_disposal_from_inside_on_next_ends_everything(take: int) -> None:
    time = Time()
    source = steps(time)
    recorder = time.run(source.pipe(hedge(AFTER_2, max_hedges=2), ops.take(take)))
    assert recorder.events[-2:] == [(4.0 + 2.0 * take, "b"), (4.0 + 2.0 * take, END)]
    assert recorder.values == ["b"] * take
    assert source.active == 0
    assert time.idle


def test_a_source_that_emits_while_it_starts_can_be_stopped() -> None:
    recorder = Recorder()
    AtOnce(1, 2, 3).pipe(hedge(AFTER_2), ops.take(1)).subscribe(recorder)
    assert recorder.values == [1]


def test_a_source_that_ends_while_it_starts_needs_no_clock() -> None:
    hedger, recorder = Hedger(), Recorder()
    AtOnce(1).pipe(hedge(hedger=hedger)).subscribe(recorder)
    assert recorder.values == [1]
    assert recorder.completed
    assert hedger.statistics().samples == 1


def test_without_a_loop_it_says_what_to_do() -> None:
    source, recorder = Manual(), Recorder()
    source.pipe(hedge(AFTER_2)).subscribe(recorder)
    assert "pass scheduler=" in str(recorder.error)
    assert source.disposed == 1


def test_its_own_scheduler_is_the_time() -> None:
    time, source = Time(), Manual()
    source.pipe(hedge(AFTER_2, scheduler=time.scheduler)).subscribe(Recorder())
    time.advance(3)
    assert source.attached == 2


def test_an_exception_while_a_source_starts_is_its_failure() -> None:
    class Broken(Manual):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            raise Boom

    time, recorder = Time(), Recorder()
    Broken().pipe(hedge(AFTER_2)).subscribe(recorder)
    assert isinstance(recorder.error, Boom)
    late = time.run(Sources(time.marbles("-----a|"), Broken()).pipe(hedge(AFTER_2)))
    assert late.events == [(5.0, "a"), (6.0, END)]


def test_an_exception_after_the_end_of_a_source_that_is_starting_is_not_swallowed() -> None:
    class Broken(AtOnce):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            super().attach(sink, scheduler)
            raise Boom

    recorder = Recorder()
    with pytest.raises(Boom):
        Broken(1).pipe(hedge(AFTER_2)).subscribe(recorder)
    assert (recorder.values, recorder.completed) == ([1], True)


def test_nothing_follows_from_what_was_let_go_of() -> None:
    time, deaf, winner = Time(), Manual(), Manual()  # a Manual goes on after it was disposed
    recorder, _ = attached(time, Sources(deaf, winner).pipe(hedge(AFTER_2)))
    time.advance(3)
    winner.send("b")
    deaf.send("a")
    deaf.complete()
    deaf.fail(Boom())
    winner.complete()
    winner.fail(Boom())
    assert [event for _, event in recorder.events] == ["b", END]
    assert deaf.disposed == 1


@pytest.mark.parametrize("end", ["dispose", "win", "fail"])
def test_a_hedge_that_waits_for_what_the_first_one_holds_is_not_set_going_by_the_end(end: str) -> None:
    time, shared, first = Time(), Bulkhead(limit=1), Manual()
    started = Sources(first, Manual())
    recorder, subscription = time.record(started.pipe(bulkhead(shared), hedge(AFTER_2)))
    time.advance(3)
    assert shared.statistics().waiting == 1
    if end == "dispose":
        subscription.dispose()
    elif end == "win":
        first.send("a")
        assert shared.statistics().waiting == 0
        first.complete()
    else:
        first.fail(Boom())  # the permit goes to the hedge: it is its turn
        assert shared.statistics().in_flight == 1
        subscription.dispose()
    assert started.subscribed == (2 if end == "fail" else 1)
    assert shared.statistics().in_flight == 0
    assert recorder.values == (["a"] if end == "win" else [])


@pytest.mark.parametrize("end", ["dispose", "win"])
@pytest.mark.parametrize("woken", ["on_next", "on_completed", "on_error"])
def test_one_that_the_end_of_another_sets_going_is_not_heard(end: str, woken: str) -> None:
    attempts: list[Any] = []
    arguments = {"on_next": ("woken",), "on_error": (Boom(),)}.get(woken, ())

    class Linked(Stage[Any]):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            attempts.append(sink)
            return Disposable(lambda: wake(sink))

    def wake(disposed: Any) -> None:
        for attempt in attempts:
            if attempt not in (disposed, attempts[1]):
                getattr(attempt, woken)(*arguments)

    time = Time()
    recorder, subscription = time.record(Linked().pipe(hedge(AFTER_2, max_hedges=2)))
    time.advance(5)
    if end == "dispose":
        subscription.dispose()
    else:
        attempts[1].on_next("mine")
    assert [event for _, event in recorder.events] == ([] if end == "dispose" else ["mine"])
    assert time.idle


def test_two_subscribers_share_no_count() -> None:
    time = Time()
    source = time.marbles("")
    stream = source.pipe(hedge(AFTER_2))
    time.record(stream)
    time.advance(1)
    time.record(stream)
    time.advance(100)
    assert source.subscribed == [0.0, 1.0, 2.0, 3.0]


def learn(time: Time, operator: Callable[[Observable[Any]], Observable[Any]], *seconds: int) -> None:
    for duration in seconds:
        time.run(time.marbles("-" * duration + "a|").pipe(operator), seconds=duration + 1)


@pytest.mark.parametrize("shared", [True, False])
def test_it_learns_when_a_call_is_late(shared: bool) -> None:
    time, hedger = Time(), Hedger(HedgePolicy(delay=50.0, min_samples=20))
    first = hedge(hedger=hedger) if shared else hedge(hedger.policy)
    learn(time, first, *range(1, 21))
    source = time.marbles("")
    time.run(source.pipe(hedge(hedger=hedger) if shared else first), seconds=100)
    assert source.subscribed[1] - source.subscribed[0] == 19.0


def test_operators_without_a_hedger_learn_on_their_own() -> None:
    time = Time()
    policy = HedgePolicy(delay=50.0, min_samples=1)
    learn(time, hedge(policy), 3)
    source = time.marbles("")
    time.run(source.pipe(hedge(policy)), seconds=60)
    assert source.subscribed[1] - source.subscribed[0] == 50.0


def test_time_until_the_first_element_is_what_counts() -> None:
    time, hedger = Time(), Hedger(HedgePolicy(min_samples=1, delay=5.0))
    time.run(time.marbles("---a----b----|").pipe(hedge(hedger=hedger)))
    assert hedger.statistics().delay == 3.0


@pytest.mark.parametrize(
    ("runs", "dispose", "delay"),
    [
        (("---------a|", "-----b|"), None, 7.0),  # the first one lost: it takes 7 s at least
        (("---------a|", "---------b|"), 4.0, 4.0),  # the consumer had enough
        (("-----#", "----b|"), None, 5.0),  # failed when it was late already
        (("-#", ""), None, 2.0),  # failed fast: unknown
        (("---------a|", ""), 1.0, 2.0),  # disposed before it was late: unknown
    ],
)
def test_a_late_call_without_an_answer_counts_with_what_it_had_taken(
    runs: tuple[str, ...], dispose: float | None, delay: float
) -> None:
    time, hedger = Time(), Hedger(HedgePolicy(delay=2.0, min_samples=1))
    time.advance(10)
    time.run(time.marbles(*runs).pipe(hedge(hedger=hedger)), dispose=dispose)
    statistics = hedger.statistics()
    assert (statistics.delay, statistics.samples) == (delay, delay != 2.0)


def test_the_statistics_tell_what_was_done() -> None:
    time, hedger = Time(), Hedger(AFTER_2, name="search")
    for runs in (("-a|",), ("", "-a|"), ("---a|", "")):
        time.run(time.marbles(*runs).pipe(hedge(hedger=hedger)), seconds=10)
    statistics = hedger.statistics()
    assert (statistics.calls, statistics.hedged, statistics.won_by_hedge) == (3, 2, 1)
    assert repr(hedger) == "<Hedger 'search': 2 hedges for 3 calls, after 2 s>"


def test_a_source_that_may_not_emit_is_not_slow() -> None:
    time, source = Time(), Manual()
    window = Window(Recorder(lambda: time.now), room=0)
    stage = as_stage(source.pipe(hedge(AFTER_2)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    assert source.credit == 0
    time.advance(100)
    assert source.attached == 1
    window.open(0)
    assert time.idle
    window.open()
    assert window.demand._listeners == []
    time.advance(1.5)
    assert source.attached == 1
    time.advance(0.5)
    assert source.attached == 2
    source.send("a")
    assert window.demand._listeners == []
    assert time.idle


@pytest.mark.parametrize("how", ["dispose", "emit", "fail"])
def test_who_is_held_up_by_the_consumer_listens_no_longer_than_needed(how: str) -> None:
    time, source = Time(), Manual()
    window = Window(Recorder(lambda: time.now), room=0)
    stage = as_stage(source.pipe(hedge(AFTER_2)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(5)
    assert len(window.demand._listeners) == 1
    if how == "dispose":
        window.dispose()
    elif how == "emit":
        source.send("a")
    else:
        source.fail(Boom())
    assert window.demand._listeners == []
    window.open()
    assert time.idle


outcomes = st.tuples(st.integers(0, 12), st.sampled_from(["answer", "error", "never"]))


@settings(deadline=None, max_examples=300)
@given(
    attempts=st.lists(outcomes, min_size=4, max_size=4),
    hedges=st.integers(0, 3),
    delay=st.integers(0, 4),
    on_error=st.booleans(),
    leaves=st.none() | st.integers(0, 20),
)
def test_the_first_answer_goes_out_and_all_is_cleaned_up(
    attempts: list[tuple[int, str]], hedges: int, delay: int, on_error: bool, leaves: int | None
) -> None:
    time = Time()
    signs = {"answer": "x", "error": "#", "never": ""}
    source = Sources(*[time.marbles("-" * seconds + signs[end]) for seconds, end in attempts])
    options: dict[str, Any] = {"hedge_if": always} if on_error else {}
    hedger = Hedger(HedgePolicy(delay=delay, max_hedges=hedges, percentile=None))
    recorder, subscription = time.record(source.pipe(hedge(hedger=hedger, **options)))
    if leaves is not None:
        time.after(leaves + 0.5, subscription.dispose)
    time.advance(0.1)
    time.advance(100)
    assert len(recorder.events) <= 1
    starts = [one.subscribed[0] for one in source.sources if one.subscribed]  # type: ignore[attr-defined]
    assert len(starts) == source.subscribed == 1 + hedger.statistics().hedged <= 1 + hedges
    answers = [at + seconds for at, (seconds, end) in zip(starts, attempts, strict=False) if end == "answer"]
    if recorder.values:
        assert recorder.events[0][0] == min(answers)
    elif recorder.error is not None:
        assert not answers
        assert not on_error or source.subscribed == 1 + hedges
    else:
        assert leaves is not None or not answers
    subscription.dispose()
    assert all(one.active == 0 for one in source.sources)  # type: ignore[attr-defined]
    assert time.idle


async def test_awaited_the_hedge_answers_and_the_first_call_is_cancelled() -> None:
    calls, cancelled = 0, []

    async def answer(name: str) -> str:
        nonlocal calls
        calls += 1
        if calls > 1:
            return f"hello {name}"
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(calls)
        return "late"

    assert await guard(hedge(delay=0.001)).call(answer, "Ada") == "hello Ada"
    assert (calls, cancelled) == (2, [2])


async def test_as_a_decorator_calls_learn_from_each_other() -> None:
    hedger = Hedger(HedgePolicy(min_samples=2))

    @guard(hedge(hedger=hedger))
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    assert [await double(number) for number in range(3)] == [0, 2, 4]
    statistics = hedger.statistics()
    assert (statistics.calls, statistics.samples, statistics.hedged) == (3, 3, 0)
    assert statistics.delay < 2.0


async def test_who_stops_waiting_cancels_all_calls() -> None:
    started, cancelled = asyncio.Event(), 0

    async def call() -> None:
        nonlocal cancelled
        running.append(None)
        if len(running) == 2:
            started.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled += 1

    running: list[None] = []
    waiting = asyncio.create_task(guard(hedge(delay=0.0)).call(call))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cancelled == 2


async def test_all_calls_failed_raises_the_first_error() -> None:
    numbers = iter(range(9))

    async def call() -> None:
        raise Boom(next(numbers))

    with pytest.raises(Boom, match="0") as caught:
        await guard(hedge(delay=0.0, max_hedges=2)).call(call)
    assert caught.value.__notes__ == ["hedge 1 failed too: Boom(1)", "hedge 2 failed too: Boom(2)"]


def test_settings_replace_those_of_the_policy() -> None:
    time = Time()
    source = time.marbles("")
    time.run(source.pipe(hedge(HedgePolicy(delay=50.0, max_hedges=2), delay=3.0)), seconds=20)
    assert source.subscribed == [0.0, 3.0, 6.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": 0.5}, r"HedgePolicy\(delay="),
        ({"hedger": HedgePolicy()}, "expected a Hedger"),
        ({"hedger": Hedger(), "policy": HedgePolicy()}, r"hedge\(hedger=Hedger\(policy\)\)"),
        ({"hedger": Hedger(), "delay": 1.0}, r"hedge\(hedger=Hedger\(policy\)\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        hedge(**arguments)


def test_a_setting_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="max_hedges=99"):
        hedge(max_hedges=99)
    with pytest.raises(TypeError, match="expected an Observable"):
        hedge()([1])  # type: ignore[arg-type]
    assert reactivex.just(1).pipe(hedge()).run() == 1
