"""retry_backoff in virtual time: which failure is followed by another attempt, when, and what it costs."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops

from rxorch_operators import RetryBudget, RetryEvent, RetryPolicy, fallback, retry_backoff
from rxorch_operators.errors import RetryBudgetExhaustedError
from rxorch_operators.from_async import from_async
from tests.operators.support import AtOnce, Boom, MarbleStage, Recorder, Time, turns

STEADY = RetryPolicy(max_attempts=4, base=1.0, factor=2.0, cap=60.0, jitter="none", max_elapsed=None)
"""Waits of 1, 2 and 4 seconds."""


class Answers:
    """Notes what `retry_backoff` tells."""

    def __init__(self) -> None:
        self.retries: list[RetryEvent] = []
        self.given_up: list[tuple[str, Exception | None]] = []

    def gave_up(self, reason: str, error: Exception | None) -> None:
        self.given_up.append((reason, error))

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.given_up]


def test_the_first_attempt_that_succeeds_is_the_last() -> None:
    time = Time()
    source = time.marbles("--a|")
    assert time.run(source.pipe(retry_backoff(STEADY))).events == [(2.0, "a"), (3.0, "|")]
    assert source.subscribed == [0.0]


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_waits_grow_and_the_last_error_passes(kind: str) -> None:
    time, boom, answers = Time(), Boom(), Answers()
    marbles = time.marbles("-#", error=boom)
    source: Observable[Any] = marbles if kind == "stock" else MarbleStage(marbles)
    operator = retry_backoff(STEADY, on_retry=answers.retries.append, on_give_up=answers.gave_up)
    recorder = time.run(source.pipe(operator))
    assert marbles.subscribed == [0.0, 2.0, 5.0, 10.0]
    assert recorder.events == [(11.0, boom)]
    assert answers.retries == [RetryEvent(1, 1.0, boom), RetryEvent(2, 2.0, boom), RetryEvent(3, 4.0, boom)]
    assert answers.given_up == [("attempts", boom)]


def test_a_later_attempt_may_succeed() -> None:
    time = Time()
    source = time.marbles("-#", "#", "-a|")
    assert time.run(source.pipe(retry_backoff(STEADY))).events == [(5.0, "a"), (6.0, "|")]


def test_max_attempts_counts_the_first_call() -> None:
    time = Time()
    source = time.marbles("#")
    assert isinstance(time.run(source.pipe(retry_backoff(STEADY, max_attempts=1))).error, Boom)
    assert len(source.subscribed) == 1


def test_shortcuts_build_a_policy_or_change_one() -> None:
    time = Time()
    source = time.marbles("#")
    time.run(source.pipe(retry_backoff(max_attempts=3, base=4.0, jitter="none", factor=1.5)))
    assert source.subscribed == [0.0, 4.0, 10.0]


def test_a_policy_that_cannot_work_is_refused_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="max_attempts"):
        retry_backoff(max_attempts=0)
    with pytest.raises(TypeError, match="retries"):
        retry_backoff(retries=3)  # type: ignore[call-arg]


def test_the_attempt_is_disposed_before_the_wait() -> None:
    time = Time()
    source = time.marbles("-#")
    recorder, _ = time.record(source.pipe(retry_backoff(STEADY)))
    time.advance(1.5)
    assert source.released == [1.0]
    assert recorder.events == []


def test_two_subscribers_never_share_a_count() -> None:
    # resilience4j's RetryTransformer and RxPY before #765 did.
    time = Time()
    source = time.marbles("#")
    stream = source.pipe(retry_backoff(STEADY, max_attempts=3))
    first, _ = time.record(stream)
    second, _ = time.record(stream)
    time.advance(100)
    assert len(source.subscribed) == 6
    assert first.events[0][0] == second.events[0][0] == 3.0


def test_max_elapsed_is_over_all_attempts_and_no_wait_ends_after_it() -> None:
    time, answers = Time(), Answers()
    source = time.marbles("---#")
    recorder = time.run(source.pipe(retry_backoff(STEADY, max_elapsed=9.0, on_give_up=answers.gave_up)))
    assert source.subscribed == [0.0, 4.0]  # the second failure at 7; a wait of 2 would end at 9
    assert recorder.events[0][0] == 7.0  # at once, not after sleeping
    assert answers.reasons == ["max_elapsed"]


@pytest.mark.parametrize("callable_", [False, True])
def test_no_wait_ends_after_the_deadline(callable_: bool) -> None:
    time, answers = Time(), Answers()
    source = time.marbles("#")
    operator = retry_backoff(STEADY, deadline=(lambda: 3.0) if callable_ else 3.0, on_give_up=answers.gave_up)
    recorder = time.run(source.pipe(operator))
    assert source.subscribed == [0.0, 1.0]
    assert recorder.events[0][0] == 1.0
    assert answers.reasons == ["deadline"]


def test_a_deadline_of_none_is_no_deadline() -> None:
    time = Time()
    source = time.marbles("#")
    time.run(source.pipe(retry_backoff(STEADY, deadline=lambda: None)))
    assert len(source.subscribed) == 4


@pytest.mark.parametrize(("deadline", "reason"), [(2.0, "deadline"), (50.0, "max_elapsed")])
def test_the_tighter_of_two_limits_is_the_reason(deadline: float, reason: str) -> None:
    time, answers = Time(), Answers()
    time.run(
        time.marbles("#").pipe(
            retry_backoff(STEADY, max_elapsed=3.0, deadline=deadline, on_give_up=answers.gave_up)
        )
    )
    assert answers.reasons == [reason]


def test_a_hint_is_never_undercut_and_a_little_spread() -> None:
    # The same Retry-After given to many waiting calls must not release them at once (aiohttp_retry #59).
    time, waits = Time(), []
    operator = retry_backoff(
        STEADY, max_attempts=2, hint=lambda error: 7.0, on_retry=lambda event: waits.append(event.wait)
    )
    for _ in range(50):
        time.record(AtOnce(error=Boom()).pipe(operator, fallback(lambda error: None)))
    assert all(7.0 <= wait <= 8.0 for wait in waits)
    assert len(set(waits)) == 50


def test_a_hint_beyond_max_hint_fails_at_once() -> None:
    time, answers = Time(), Answers()
    source = time.marbles("-#")
    recorder = time.run(
        source.pipe(retry_backoff(STEADY, hint=lambda error: 61.0, on_give_up=answers.gave_up))
    )
    assert recorder.events[0][0] == 1.0
    assert answers.reasons == ["hint"]


def test_a_hint_of_none_leaves_the_backoff() -> None:
    time = Time()
    source = time.marbles("#")
    time.run(source.pipe(retry_backoff(STEADY, hint=lambda error: None)))
    assert source.subscribed == [0.0, 1.0, 3.0, 7.0]


def test_another_base_for_one_wait() -> None:
    time = Time()
    bases = iter([None, 10.0, None])
    source = time.marbles("#")
    time.run(source.pipe(retry_backoff(STEADY, base=lambda error: next(bases))))
    assert source.subscribed == [0.0, 1.0, 21.0, 25.0]


def test_jitter_comes_from_the_given_random() -> None:
    def waits(random: Random) -> list[float]:
        time = Time()
        source = time.marbles("#")
        time.run(source.pipe(retry_backoff(max_attempts=5, base=1.0, random=random)))
        return source.subscribed

    assert waits(Random(7)) == waits(Random(7)) != waits(Random(8))


def test_retry_if_decides() -> None:
    time, answers = Time(), Answers()
    error = KeyError("x")
    source = time.marbles("#", error=error)
    recorder = time.run(
        source.pipe(
            retry_backoff(STEADY, retry_if=lambda e: not isinstance(e, KeyError), on_give_up=answers.gave_up)
        )
    )
    assert recorder.events == [(0.0, error)]
    assert answers.given_up == [("not_retryable", error)]


def test_a_cancellation_is_never_retried_and_nobody_is_asked() -> None:
    # tenacity #529
    time, answers = Time(), Answers()
    source = time.marbles("#", error=asyncio.CancelledError())

    def never(error: Any) -> Any:
        raise AssertionError(error)

    recorder = time.run(
        source.pipe(retry_backoff(STEADY, retry_if=never, hint=never, on_give_up=answers.gave_up))
    )
    assert isinstance(recorder.error, asyncio.CancelledError)
    assert len(source.subscribed) == 1
    assert answers.given_up == []


async def test_a_call_cancelled_from_outside_is_not_repeated() -> None:
    calls = []

    async def call() -> None:
        task = asyncio.current_task()
        assert task is not None
        calls.append(task)
        await asyncio.Event().wait()

    recorder = Recorder()
    from_async(call).pipe(retry_backoff(base=0.0)).subscribe(recorder)
    await turns()
    calls[0].cancel()
    await turns()
    assert len(calls) == 1
    assert isinstance(recorder.error, asyncio.CancelledError)


def test_after_the_first_element_the_error_passes() -> None:
    time, answers = Time(), Answers()
    source = time.marbles("-a-#")
    recorder = time.run(source.pipe(retry_backoff(STEADY, on_give_up=answers.gave_up)))
    assert recorder.values == ["a"]
    assert recorder.events[-1][0] == 3.0
    assert answers.reasons == ["emitted"]
    assert len(source.subscribed) == 1


def test_resume_says_how_to_go_on() -> None:
    time, asked = Time(), []
    rest = time.marbles("-c#", "-d|")

    def resume(emitted: int, last: str) -> Observable[str]:
        asked.append((emitted, last))
        return rest

    source = time.marbles("-a-b#")
    recorder = time.run(source.pipe(retry_backoff(STEADY, resume=resume)))
    assert recorder.events == [(1.0, "a"), (3.0, "b"), (6.0, "c"), (10.0, "d"), (11.0, "|")]
    assert asked == [(2, "b"), (3, "c")]
    assert len(source.subscribed) == 1


def test_resume_is_not_asked_before_anything_was_emitted() -> None:
    time = Time()
    source = time.marbles("#", "a|")
    assert time.run(source.pipe(retry_backoff(STEADY, resume=lambda *_: pytest.fail("asked")))).values == [
        "a"
    ]


def test_a_refused_result_is_retried_and_held_back() -> None:
    time, answers = Time(), Answers()
    source = time.marbles("p-|", "p-|", "r-|")
    operator = retry_backoff(STEADY, retry_result=lambda value: value == "p", on_retry=answers.retries.append)
    recorder = time.run(source.pipe(operator))
    assert recorder.events == [(9.0, "r"), (9.0, "|")]
    assert answers.retries == [RetryEvent(1, 1.0, None), RetryEvent(2, 2.0, None)]


def test_a_refused_result_is_emitted_as_it_is_once_the_attempts_are_used_up() -> None:
    time, answers = Time(), Answers()
    source = time.marbles("p|")
    operator = retry_backoff(
        STEADY, max_attempts=2, retry_result=lambda value: True, on_give_up=answers.gave_up
    )
    assert time.run(source.pipe(operator)).events == [(3.0, "p"), (3.0, "|")]
    assert answers.given_up == [("attempts", None)]


def test_only_the_last_element_is_a_result() -> None:
    time = Time()
    source = time.marbles("ab|")
    recorder = time.run(source.pipe(retry_backoff(STEADY, retry_result=lambda value: value == "a")))
    assert recorder.events == [(1.0, "a"), (2.0, "b"), (2.0, "|")]


def test_a_held_element_is_dropped_by_a_repeat_and_kept_by_the_last_error() -> None:
    time, boom = Time(), Boom()
    source = time.marbles("a#", "b#", error=boom)
    recorder = time.run(source.pipe(retry_backoff(STEADY, max_attempts=2, retry_result=lambda value: False)))
    assert recorder.events == [(3.0, "b"), (3.0, boom)]


def test_a_refused_result_after_others_were_emitted_is_not_repeated() -> None:
    time, answers = Time(), Answers()
    source = time.marbles("ap|")
    recorder = time.run(
        source.pipe(
            retry_backoff(STEADY, retry_result=lambda value: value == "p", on_give_up=answers.gave_up)
        )
    )
    assert recorder.values == ["a", "p"]
    assert answers.reasons == ["emitted"]


def test_an_empty_attempt_is_no_result() -> None:
    time = Time()
    source = time.marbles("--|")
    assert time.run(source.pipe(retry_backoff(STEADY, retry_result=lambda _: True))).events == [(2.0, "|")]


def test_a_sink_that_has_enough_of_the_held_element_gets_no_more() -> None:
    time = Time()
    source = time.marbles("a|")
    recorder = time.run(source.pipe(retry_backoff(STEADY, retry_result=lambda _: False), ops.take(1)))
    assert recorder.events == [(1.0, "a"), (1.0, "|")]


def test_a_spent_budget_passes_the_error_and_names_itself_as_the_cause() -> None:
    time, boom, answers = Time(), Boom(), Answers()
    budget = RetryBudget(ratio=0.0, floor=1)
    source = time.marbles("#", error=boom)
    recorder = time.run(source.pipe(retry_backoff(STEADY, budget=budget, on_give_up=answers.gave_up)))
    assert recorder.events == [(1.0, boom)]
    assert isinstance(boom.__cause__, RetryBudgetExhaustedError)
    assert answers.given_up == [("budget", boom)]
    statistics = budget.statistics(time.now)
    assert (statistics.granted, statistics.denied) == (1, 1)


def test_a_spent_budget_keeps_the_cause_that_an_error_has() -> None:
    time, boom, cause = Time(), Boom(), KeyError()
    boom.__cause__ = cause
    operator = retry_backoff(STEADY, budget=RetryBudget(ratio=0.0, floor=0))
    time.run(time.marbles("#", error=boom).pipe(operator))
    assert boom.__cause__ is cause
    assert any("budget" in note for note in boom.__notes__)


def test_each_subscription_is_one_call_of_the_budget_and_giving_up_spends_nothing() -> None:
    time, budget = Time(), RetryBudget()
    time.run(time.marbles("#").pipe(retry_backoff(STEADY, max_attempts=2, budget=budget)), seconds=2)
    time.run(time.marbles("a|").pipe(retry_backoff(STEADY, budget=budget)), seconds=2)
    statistics = budget.statistics(time.now)
    assert (statistics.calls, statistics.spent) == (2, 1)
