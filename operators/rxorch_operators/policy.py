"""policy: the operators around a call, as one stack in the recommended order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from ._adaptive_bulkhead import AdaptiveBulkhead
from .adaptive_concurrency import adaptive_concurrency
from .bulkhead import Bulkhead, bulkhead
from .cache import cache
from .chaos import chaos
from .circuit_breaker import CircuitBreaker, circuit_breaker
from .coalesce import Coalescer, coalesce
from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.per_call import Function, Operator, for_call
from .core.stage import Stage, as_stage
from .engines.backoff import RetryPolicy
from .engines.budget import RetryBudget
from .engines.faults import ChaosPolicy, FaultInjector
from .engines.hedging import HedgePolicy, Hedger
from .engines.ttl_cache import TtlCache
from .errors import invalid, is_count, is_refusal
from .fallback import fallback
from .hedge import hedge
from .rate_limit import rate_limit
from .rate_limiter import RateLimiter
from .retry import retry_backoff
from .timeout import timeout

__all__ = ["policy"]

T = TypeVar("T")


def policy(
    *,
    fallback: Callable[[Exception], Any | Observable[Any] | Awaitable[Any]] | None = None,
    total_timeout: float | None = None,
    cache: TtlCache[Any, Any] | None = None,
    ttl: float = 60.0,
    coalesce: Coalescer | bool = False,
    key: Hashable | Callable[..., Hashable] = None,
    retry: RetryPolicy | int | None = None,
    retry_if: Callable[[Exception], bool] | None = None,
    budget: RetryBudget | None = None,
    hedge: HedgePolicy | Hedger | None = None,
    circuit_breaker: CircuitBreaker | None = None,
    rate_limit: RateLimiter | Sequence[RateLimiter] | None = None,
    bulkhead: Bulkhead | AdaptiveBulkhead | None = None,
    timeout: float | None = None,
    chaos: ChaosPolicy | FaultInjector | None = None,
    random: Random | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Puts the policies that it is given around a call, outermost first in the order of the parameters.

    ::

        fallback -> total timeout -> cache -> coalesce -> retry -> hedge -> circuit breaker
                 -> rate limit -> bulkhead -> timeout -> chaos -> the source

    What is not given is not there. The order has reasons: a cached value costs nothing; every attempt and
    every hedge is seen by the breaker and pays the limit; a wait for the limit is not part of the attempt's
    time; and the total timeout is one deadline for all attempts and waits, none of which begins when it could
    not end in time. Who needs another order, or more of an operator's parameters, pipes the operators.

    Args:
        fallback: Gives a substitute for an error: a value, an Observable or an awaitable.
        total_timeout: Seconds for everything.
        cache: Where values are kept.
        ttl: Seconds that a value in `cache` stays fresh.
        coalesce: Makes equal calls at the same time one; True for a group of this policy's own.
        key: What makes calls equal, for `cache` and `coalesce`: a constant or a function, of the arguments
            where `guard` calls a function. By default all calls of one pipeline are equal, and guarded calls
            with equal arguments.
        retry: A policy, or how many attempts in all.
        retry_if: Whether an error is worth another attempt. By default every `Exception` but a refusal (an
            open circuit, a limit or bulkhead without room), which would only be repeated.
        budget: Retries and hedges are taken from it.
        hedge: One more call when one is late, for safe calls only: a policy, or a `Hedger` that remembers how
            late is late.
        circuit_breaker: The circuit of the service.
        rate_limit: The limit of the service, or several, outermost first.
        bulkhead: Permits: a fixed or an adaptive bulkhead.
        timeout: Seconds for one attempt.
        chaos: Faults on purpose: a policy (switched on then), or an injector with a switch of its own.
        random: The dice of the retry's jitter, and of `chaos` given as a policy.
        scheduler: Time for all of them; that of the subscription by default.

    Emits, errors, disposal: as the operators of these names.

    Raises:
        TypeError: None of them was given, or one is of the wrong kind.

    >>> import asyncio
    >>> from rxorch_operators import CircuitBreaker, RateLimiter, guard
    >>> from rxorch_operators.policy import policy
    >>> careful = policy(
    ...     retry=3,
    ...     timeout=2.0,
    ...     circuit_breaker=CircuitBreaker(),
    ...     rate_limit=RateLimiter(100),
    ...     total_timeout=5.0,
    ... )
    >>> careful
    policy(total_timeout, retry, circuit_breaker, rate_limit, timeout)
    >>> @guard(careful)
    ... async def price(item):
    ...     return len(item)
    >>> asyncio.run(price("tea"))
    3
    """
    parts = _Parts(
        fallback=fallback,
        total_timeout=total_timeout,
        cache=cache,
        ttl=ttl,
        coalesce=Coalescer() if coalesce is True else coalesce or None,
        key=key,
        retry=RetryPolicy(max_attempts=retry) if is_count(retry) else retry,  # type: ignore[arg-type]
        retry_if=retry_if,
        budget=budget,
        hedge=Hedger(hedge) if isinstance(hedge, HedgePolicy) else hedge,
        circuit_breaker=circuit_breaker,
        rate_limit=_limiters(rate_limit),
        bulkhead=bulkhead,
        timeout=timeout,
        chaos=FaultInjector(chaos, enabled=True, random=random) if isinstance(chaos, ChaosPolicy) else chaos,
        random=random,
        scheduler=scheduler,
    )
    _check(parts)
    return _Policy(parts)


def _is_worth_it(error: Exception) -> bool:
    return not is_refusal(error)


def _limiters(given: RateLimiter | Sequence[RateLimiter] | None) -> tuple[RateLimiter, ...]:
    if given is None:
        return ()
    if isinstance(given, RateLimiter):
        return (given,)
    if not isinstance(given, Sequence):
        raise TypeError(f"rate_limit={given!r}: expected a RateLimiter, or several")
    return tuple(given)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a policy is made of."""

    fallback: Callable[[Exception], Any] | None
    total_timeout: float | None
    cache: TtlCache[Any, Any] | None
    ttl: float
    coalesce: Coalescer | None
    key: Hashable | Callable[..., Hashable]
    retry: RetryPolicy | None
    retry_if: Callable[[Exception], bool] | None
    budget: RetryBudget | None
    hedge: Hedger | None
    circuit_breaker: CircuitBreaker | None
    rate_limit: tuple[RateLimiter, ...]
    bulkhead: Bulkhead | AdaptiveBulkhead | None
    timeout: float | None
    chaos: FaultInjector | None
    random: Random | None
    scheduler: SchedulerBase | None

    @property
    def names(self) -> list[str]:
        """The policies that are there, outermost first."""
        return [name for name in _ORDER if getattr(self, name) not in (None, ())]


_ORDER = (
    "fallback", "total_timeout", "cache", "coalesce", "retry", "hedge", "circuit_breaker", "rate_limit",
    "bulkhead", "timeout", "chaos",
)  # fmt: skip

_KINDS: Mapping[str, tuple[type, ...]] = {
    "cache": (TtlCache,),
    "coalesce": (Coalescer,),
    "retry": (RetryPolicy,),
    "budget": (RetryBudget,),
    "hedge": (Hedger,),
    "circuit_breaker": (CircuitBreaker,),
    "bulkhead": (Bulkhead, AdaptiveBulkhead),
    "chaos": (FaultInjector,),
    "random": (Random,),
    "scheduler": (SchedulerBase,),
}

_BELONGS_TO: Mapping[str, tuple[str, ...]] = {
    "key": ("cache", "coalesce"),
    "retry_if": ("retry",),
    "budget": ("retry", "hedge"),
    "random": ("retry", "chaos"),
}


def _check(parts: _Parts) -> None:
    """Refuses now what would fail at the first subscription, or would have no effect."""
    if not parts.names:
        raise TypeError(f"policy() needs at least one of {', '.join(_ORDER)}")
    for name, kinds in _KINDS.items():
        value = getattr(parts, name)
        if value is not None and not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name}={value!r}: expected a {wanted}")
    for name in ("fallback", "retry_if"):
        value = getattr(parts, name)
        if value is not None and not callable(value):
            raise TypeError(f"{name}={value!r}: expected a function of the error")
    _check_times(parts)
    for name, owners in _BELONGS_TO.items():
        if getattr(parts, name) is not None and not any(owner in parts.names for owner in owners):
            raise TypeError(f"{name}= has no effect without {' or '.join(f'{owner}=' for owner in owners)}")
    _operators(parts)  # each has checks of its own


def _check_times(parts: _Parts) -> None:
    for name in ("total_timeout", "timeout", "ttl"):
        seconds = getattr(parts, name)
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
            raise TypeError(f"{name}={seconds!r}: expected seconds")
        if seconds is not None and not seconds >= 0.0:
            raise invalid(name, seconds, "give seconds, 0 or more, or None for no limit")


def _operators(parts: _Parts) -> tuple[Operator, ...]:
    """The operators, innermost first."""
    return (*_attempt(parts), *_attempts(parts, None), *_around_attempts(parts))


def _attempt(parts: _Parts) -> Iterator[Operator]:
    time: dict[str, Any] = {"scheduler": parts.scheduler}
    if parts.chaos is not None:
        yield chaos(injector=parts.chaos, **time)
    if parts.timeout is not None:
        yield timeout(parts.timeout, kind="attempt", **time)
    if isinstance(parts.bulkhead, AdaptiveBulkhead):
        yield adaptive_concurrency(parts.bulkhead, **time)
    elif parts.bulkhead is not None:
        yield bulkhead(parts.bulkhead)


def _attempts(parts: _Parts, deadline: _Deadline | None) -> Iterator[Operator]:
    """Those that wait, and must know until when that makes sense."""
    time: dict[str, Any] = {"scheduler": parts.scheduler}
    if parts.rate_limit:
        yield rate_limit(*parts.rate_limit, max_wait=None if deadline is None else deadline.left, **time)
    if parts.circuit_breaker is not None:
        yield circuit_breaker(parts.circuit_breaker, **time)
    if parts.hedge is not None:
        retried = parts.retry is not None  # which records the call in the budget itself
        yield hedge(hedger=parts.hedge, budget=parts.budget, record_calls=not retried, **time)
    if parts.retry is not None:
        yield retry_backoff(
            parts.retry,
            retry_if=parts.retry_if or _is_worth_it,
            budget=parts.budget,
            deadline=None if deadline is None else deadline.at,
            random=parts.random,
            **time,
        )


def _around_attempts(parts: _Parts) -> Iterator[Operator]:
    if parts.coalesce is not None:
        yield coalesce(parts.coalesce, parts.key)
    if parts.cache is not None:
        yield cache(parts.cache, parts.key, ttl=parts.ttl, scheduler=parts.scheduler)
    if parts.total_timeout is not None:
        yield timeout(parts.total_timeout, scheduler=parts.scheduler)
    if parts.fallback is not None:
        yield fallback(parts.fallback)


class _Policy:
    """The operator: a stack, the same for all subscriptions but for what has to know their deadline."""

    __slots__ = ("_inner", "_middle", "_outer", "_parts")

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._inner = tuple(_attempt(parts))
        self._outer = tuple(_around_attempts(parts))
        waits = parts.retry is not None or parts.rate_limit
        has_deadline = parts.total_timeout is not None and waits
        self._middle = None if has_deadline else tuple(_attempts(parts, None))

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        return self._around(source, None)

    def for_call(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operator:
        """The operator for one call: its arguments may tell it from others."""
        return lambda source: self._around(source, (fn, args, kwargs))

    def _around(self, source: Observable[Any], call: _Call | None) -> Observable[Any]:
        attempt = _compose(source, self._inner, call)
        if self._middle is None:
            attempts: Observable[Any] = _Timed(attempt, self._parts, call)
        else:
            attempts = _compose(attempt, self._middle, call)
        return _compose(attempts, self._outer, call)

    def __repr__(self) -> str:
        return f"policy({', '.join(self._parts.names)})"


_Call: TypeAlias = tuple[Function, tuple[Any, ...], Mapping[str, Any]]


def _compose(source: Observable[Any], operators: Iterable[Operator], call: _Call | None) -> Observable[Any]:
    for operator in operators:
        source = (operator if call is None else for_call(operator, *call))(source)
    return source


class _Deadline:
    """When everything of one subscription must be over."""

    __slots__ = ("_now", "at")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._now = clock.now
        self.at = clock.now() + seconds

    def left(self) -> float:
        """Seconds until then."""
        return max(0.0, self.at - self._now())


class _Timed(Stage[Any]):
    """The part of the stack that is made for each subscription, because its deadline begins there."""

    def __init__(self, source: Observable[Any], parts: _Parts, call: _Call | None) -> None:
        self.source = source
        self.parts = parts
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        parts = self.parts
        clock = scheduler.clock if parts.scheduler is None else DemandScheduler.of(parts.scheduler).clock
        assert parts.total_timeout is not None
        deadline = _Deadline(clock, parts.total_timeout)
        stack = _compose(self.source, _attempts(parts, deadline), self.call)
        return as_stage(stack).attach(sink, scheduler)
