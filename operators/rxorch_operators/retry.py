"""retry_backoff: subscribes again after a failure, each time after a longer wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Final, TypedDict, TypeVar, Unpack

from reactivex import Observable
from reactivex.abc import SchedulerBase

from ._retrying import GiveUpReason, RetryEvent, RetryOptions, RetryStage
from .core.demand import DemandScheduler
from .core.stage import as_stage
from .engines.backoff import Jitter, RetryPolicy
from .engines.budget import RetryBudget

__all__ = ["GiveUpReason", "RetryEvent", "RetrySettings", "retry_backoff"]

T = TypeVar("T")

_RANDOM: Final = Random()
_DEFAULT: Final = RetryPolicy()


class RetrySettings(TypedDict, total=False):
    """The fields of `RetryPolicy` that `retry_backoff` takes as keywords; `base` stands beside them."""

    max_attempts: int
    factor: float
    cap: float
    jitter: Jitter
    max_elapsed: float | None
    max_hint: float


def retry_backoff(
    policy: RetryPolicy | None = None,
    *,
    base: float | Callable[[Exception], float | None] | None = None,
    retry_if: Callable[[Exception], bool] | None = None,
    retry_result: Callable[[Any], bool] | None = None,
    hint: Callable[[Exception], float | None] | None = None,
    on_retry: Callable[[RetryEvent], None] | None = None,
    on_give_up: Callable[[GiveUpReason, Exception | None], None] | None = None,
    budget: RetryBudget | None = None,
    deadline: float | Callable[[], float | None] | None = None,
    resume: Callable[[int, Any], Observable[Any]] | None = None,
    reset_on_success: bool = False,
    random: Random | None = None,
    scheduler: SchedulerBase | None = None,
    **settings: Unpack[RetrySettings],
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribes to the source again when it fails, after a growing, jittered wait.

    Counters are born with each subscription: two subscribers never share a count. A failed attempt is
    disposed before the wait. After the first emitted element an error passes, because a new subscription
    would emit that element twice, unless `resume` says how to go on.

    Args:
        policy: Attempts, waits and limits; `RetryPolicy()` by default. Each of its fields may be given as a
            keyword too and replaces that of the policy: `retry_backoff(max_attempts=5, jitter="none")`.
        base: Seconds for the policy, or a function of the error that gives the base for this one wait; its
            None means the policy's.
        retry_if: Whether an error is worth another attempt. Every `Exception` by default; a cancellation
            (`asyncio.CancelledError`) never is, and is not asked about.
        retry_result: Whether the last element of an attempt asks for another attempt ("pending"). That
            element is held back until the source completes. If refused, it is dropped before the next
            attempt, and emitted as it is when there is none.
        hint: Seconds that the other side asked to wait (`Retry-After`), or None. Never waits less.
        on_retry: Told before each wait.
        on_give_up: Told the reason, and the error (None for a refused result), when a failure passes.
        budget: Extra attempts are taken from it; each subscription is recorded as a call. When it is spent,
            the error passes, with `RetryBudgetExhaustedError` as its `__cause__` (a note if it has a cause).
        deadline: The clock's seconds (those of `loop.time()`) at which everything must be over, or a function
            giving them at each failure; None for no deadline. No wait ends after it.
        resume: Called with the number of elements emitted so far and the last of them; gives the observable
            that continues from there. Without it: see above.
        reset_on_success: With `resume`: whether attempts, waits and `max_elapsed` begin anew once an
            element was emitted, so that a stream may break any number of times if it goes on in between.
        random: Source of the jitter.
        scheduler: Time to wait on; that of the subscription by default.

    Emits: the elements of the successful attempt. Errors: the last error, once the attempts, the time, the
    hint limit or the budget is used up; what one of the functions raises, with the error it was asked about
    as `__cause__`. Disposal: disposes the running attempt, or cancels the wait.

    ::

        attempt 1     --x
        attempt 2           ----x
        attempt 3                        --a|
        result        ---------------------a|       waits: up to 0.2 s, then up to 0.4 s

    >>> import reactivex
    >>> from reactivex import operators as ops
    >>> from rxorch_operators import retry_backoff
    >>> answers = iter([reactivex.throw(OSError("reset")), reactivex.just("welcome")])
    >>> call = reactivex.defer(lambda _: next(answers))
    >>> call.pipe(retry_backoff(max_attempts=2, base=0.0, on_retry=print)).subscribe(print) and None
    RetryEvent(attempt=1, wait=0.0, error=OSError('reset'))
    welcome
    """
    if policy is not None and not isinstance(policy, RetryPolicy):
        raise TypeError(
            f"expected a RetryPolicy, got {type(policy).__name__}: write retry_backoff(max_attempts=3)"
        )
    fields: dict[str, Any] = dict(settings)
    if base is not None and not callable(base):
        fields["base"] = base
    rules = policy or _DEFAULT
    if fields:
        rules = replace(rules, **fields)
    options = RetryOptions(
        policy=rules,
        retry_if=retry_if,
        retry_result=retry_result,
        hint=hint,
        base=base if callable(base) else None,
        on_retry=on_retry,
        on_give_up=on_give_up,
        budget=budget,
        deadline=deadline,
        resume=resume,
        reset_on_success=reset_on_success,
        random=random or _RANDOM,
        clock=None if scheduler is None else DemandScheduler.of(scheduler).clock,
    )

    def operator(source: Observable[T]) -> Observable[T]:
        return RetryStage(as_stage(source), options)

    return operator
