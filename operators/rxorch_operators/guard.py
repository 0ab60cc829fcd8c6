"""guard: operators around calls of an `async def`, awaited or as a decorator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.async_call import AsyncCall
from .core.demand import DemandScheduler
from .core.inbox import last_of
from .core.per_call import Function, Operator, for_call
from .core.stage import Stage

__all__ = ["Guard", "guard"]

T = TypeVar("T")
P = ParamSpec("P")


def guard(*operators: Callable[[Observable[Any]], Observable[Any]]) -> Guard:
    """Puts operators around calls of an `async def` function: the other two shells of every policy.

    Each call is one subscription of `from_async(fn, ...).pipe(*operators)`, so what an operator promises in a
    pipeline holds here: retries call the function anew, a cancelled caller cancels the call and gives every
    permit back. Ours and stock operators mix. State that calls should share is in the objects that the
    operators were given (`RateLimiter`, `CircuitBreaker`, ...).

    Args:
        operators: The innermost first, as in `pipe`; at least one.

    Returns: a `Guard`. As a decorator it wraps an `async def` function or method; `await guard(...).call(fn,
    ...)` is for one call. Either gives the last element and raises the error, or `LookupError` if an operator
    let nothing through.

    >>> import asyncio
    >>> from rxorch_operators import guard, retry_backoff, timeout
    >>> answers = iter([OSError("reset"), "welcome"])
    >>> @guard(timeout(1.0), retry_backoff(base=0.0))
    ... async def greet(name):
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return f"{answer}, {name}"
    >>> asyncio.run(greet("Ada"))
    'welcome, Ada'
    """
    if not operators:
        raise TypeError("guard() needs at least one operator: guard(retry_backoff(), timeout(1.0))")
    for operator in operators:
        if not callable(operator):
            raise TypeError(f"guard() takes operators, got {type(operator).__name__}")
        if inspect.iscoroutinefunction(operator):
            raise TypeError("guard() takes operators; the function comes after: guard(timeout(1.0))(fn)")
    return Guard(operators)


class Guard:
    """Operators to be put around calls; see `guard`.

    >>> import asyncio
    >>> from rxorch_operators import fallback, guard
    >>> async def price(item):
    ...     raise KeyError(item)
    >>> asyncio.run(guard(fallback(lambda error: 0)).call(price, "tea"))
    0
    """

    __slots__ = ("_operators",)

    def __init__(self, operators: tuple[Operator, ...]) -> None:
        self._operators = operators

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a function once, through the operators.

        Args:
            fn: Called with the remaining arguments, once per attempt; its awaitable is awaited in a task.
            *args: For the function.
            **kwargs: For the function.

        Raises:
            Exception: What comes out of the operators.
            LookupError: Nothing came out of them.
        """
        source: Observable[Any] = _Invocation(fn, args, kwargs)
        for operator in self._operators:
            source = for_call(operator, fn, args, kwargs)(source)
        return cast("T", await last_of(source))

    def __call__(self, fn: Callable[P, Awaitable[T]], /) -> Callable[P, Coroutine[Any, Any, T]]:
        """Wraps an `async def`, so that every call of it goes through the operators.

        Args:
            fn: A function or method that returns an awaitable.
        """
        if isinstance(fn, Observable):
            raise TypeError("guard() wraps functions; an Observable is piped: source.pipe(operator)")
        if not callable(fn) or inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
            raise TypeError(f"guard() wraps an async def function that returns one value, got {fn!r}")

        @functools.wraps(fn)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(fn, *args, **kwargs)

        return guarded

    def __repr__(self) -> str:
        names = (getattr(operator, "__qualname__", repr(operator)) for operator in self._operators)
        return f"guard({', '.join(name.partition('.')[0] for name in names)})"


class _Invocation(Stage[Any]):
    """One call of a function, made anew for each subscription."""

    def __init__(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        context = scheduler.context.copy()
        awaitable = context.run(self.fn, *self.args, **self.kwargs)
        if not isinstance(awaitable, Awaitable):
            name = getattr(self.fn, "__qualname__", repr(self.fn))
            raise TypeError(f"{name} must be an async def: it returned {type(awaitable).__name__}")
        return AsyncCall(awaitable, sink, scheduler.tasks, context)
