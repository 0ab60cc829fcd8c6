"""Limiters and breakers of the user's own as operators, so that they take the place of ours in the stack."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.client.breaker import CircuitBreaker
from rxorch.client.protocols import BaseCircuitBreaker, BaseRateLimiter
from rxorch.endpoint.exchange import aside
from rxorch.endpoint.retry_rules import classify
from rxorch_operators import CircuitOpenError, Outcome3, flat_map_bounded, from_async, last_of
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage

__all__ = ["guarded_by", "has_own_breaker_methods", "has_own_method", "limited_by", "settled"]

Operator = Callable[[Observable[Any]], Observable[Any]]

_OURS: Final = {
    "is_open": CircuitBreaker.is_open,
    "record_failure": CircuitBreaker.record_failure,
    "record_success": CircuitBreaker.record_success,
    "reset": CircuitBreaker.reset,
}


def has_own_method(thing: object, name: str, ours: Callable[..., Any]) -> bool:
    """Tell whether the method of an object is another than ours, which its subclass or itself overrides."""
    return getattr(getattr(thing, name), "__func__", None) is not ours


def has_own_breaker_methods(breaker: object) -> bool:
    """Tell whether a breaker has methods of ``BaseCircuitBreaker`` that are not ours."""
    return any(hasattr(breaker, name) and has_own_method(breaker, name, ours) for name, ours in _OURS.items())


async def settled(result: Any) -> Any:
    """What a method returned, awaited if it is ``async``: both kinds of methods are fine."""
    return await result if inspect.isawaitable(result) else result


def limited_by(limiter: BaseRateLimiter) -> Operator:
    """Let each call leave when the limiter says so. Cancelling the call cancels the wait."""

    async def acquire() -> None:
        await aside(settled(limiter.acquire()))

    def operator(source: Observable[Any]) -> Observable[Any]:
        return from_async(acquire).pipe(flat_map_bounded(lambda _: source, max_concurrent=1))

    return operator


def guarded_by(breaker: BaseCircuitBreaker) -> Operator:
    """Make no call while the breaker is open, and tell it what became of those that were made.

    Failures are those of ``rxorch``'s own breakers: 5xx and 408, network errors, time limits. What is the
    caller's fault, and a cancellation, it is not told.
    """
    return lambda source: _Guarded(source, breaker)


class _Guarded(Stage[Any]):
    def __init__(self, source: Observable[Any], breaker: BaseCircuitBreaker) -> None:
        self.source = source
        self.breaker = breaker
        # One of ours knows what a success means by its policy: while it tries, the first does not close it.
        self.succeeded: Callable[[], Any] = breaker.reset
        if isinstance(breaker, CircuitBreaker) and not has_own_method(breaker, "reset", _OURS["reset"]):
            self.succeeded = breaker.record_success

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return as_stage(from_async(self._call, scheduler)).attach(sink, scheduler)

    async def _call(self, scheduler: DemandScheduler) -> Any:
        breaker = self.breaker
        if await aside(settled(breaker.is_open())):
            raise CircuitOpenError(name=type(breaker).__name__)
        try:
            value = await last_of(self.source, scheduler=scheduler)
        except Exception as error:
            if classify(error) is Outcome3.FAILURE:
                await aside(settled(breaker.record_failure()))
            raise
        await aside(settled(self.succeeded()))
        return value
