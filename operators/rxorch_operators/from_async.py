"""from_async: one call of an `async def` function as an observable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.async_call import AsyncCall
from .core.demand import DemandScheduler
from .core.stage import Stage

T = TypeVar("T")
P = ParamSpec("P")


def from_async(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> Observable[T]:
    """Calls an `async def` function once per subscription and emits what it returns.

    Each subscription is a fresh task of the running loop, so two subscribers never share a result and
    disposing one never cancels the other (`reactivex.from_future` does both).

    Args:
        function: Called with the remaining arguments when subscribed.

    Emits: the one result, then completes. Errors: what the function raises; when its task is cancelled
    from outside, that `asyncio.CancelledError`. Disposal: cancels the task.

    >>> import asyncio
    >>> from rxorch_operators import from_async, to_async_iterable
    >>> async def double(x):
    ...     return x * 2
    >>> async def main():
    ...     return [value async for value in to_async_iterable(from_async(double, 21))]
    >>> asyncio.run(main())
    [42]
    """
    if kwargs:
        return _FromAsync(lambda: function(*args, **kwargs))
    if args:
        return _FromAsync(lambda: function(*args))  # type: ignore[call-arg]
    return _FromAsync(function)


class _FromAsync(Stage[T]):
    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self.function = function

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        context = scheduler.context.copy()
        return AsyncCall(context.run(self.function), sink, scheduler.tasks, context)
