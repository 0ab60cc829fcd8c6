"""flat_map_bounded: flat_map with a cap, and with back-pressure on its source."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args, overload

from reactivex import Observable

from ._flat_map_errors import Key, TolerantFlatMap
from ._flat_map_keyed import KeyedFlatMap
from ._flat_map_merging import MergingFlatMap
from ._flat_map_ordered import OrderedFlatMap
from .core.inner import Project
from .core.stage import Stage, as_stage
from .errors import invalid, is_count
from .results import Failure, Success

__all__ = ["ErrorMode", "flat_map_bounded"]

A = TypeVar("A")
B = TypeVar("B")

ErrorMode: TypeAlias = Literal["fail_fast", "delay", "as_result"]
"""What an error does: ends everything, waits for the end, or becomes an element."""

_ERROR_MODES: Final = get_args(ErrorMode)


@overload
def flat_map_bounded(
    project: Callable[[A], Observable[B] | Awaitable[B]],
    *,
    max_concurrent: int,
    ordered: bool = False,
    key: Callable[[A], Hashable] | None = None,
    buffer: int | None = None,
    on_error: Literal["fail_fast", "delay"] = "fail_fast",
) -> Callable[[Observable[A]], Observable[B]]: ...
@overload
def flat_map_bounded(
    project: Callable[[A], Observable[B] | Awaitable[B]],
    *,
    max_concurrent: int,
    ordered: bool = False,
    key: Callable[[A], Hashable] | None = None,
    buffer: int | None = None,
    on_error: Literal["as_result"],
) -> Callable[[Observable[A]], Observable[Success[A, B] | Failure[A]]]: ...
def flat_map_bounded(
    project: Callable[[Any], Observable[Any] | Awaitable[Any]],
    *,
    max_concurrent: int,
    ordered: bool = False,
    key: Callable[[Any], Hashable] | None = None,
    buffer: int | None = None,
    on_error: ErrorMode = "fail_fast",
) -> Callable[[Observable[Any]], Observable[Any]]:
    """Maps each element to an observable, or to an `async def` call, and merges at most so many at once.

    The source is asked for an element only when there is a free slot; what comes out beyond the room
    downstream keeps as many slots empty. Sources that
    can wait (`from_iterable`, `from_async_iterable`, this operator) do wait, also through stock operators
    in between that do not buffer; so no queue grows. What a source pushes without being asked is queued
    here without a bound: put `with_overflow` behind a source that cannot wait.

    Args:
        project: Gives the inner observable or awaitable for one element. What it raises is an error.
        max_concurrent: Inner subscriptions alive at once, 1 or more.
        ordered: Emit in the order of the source. A slow element holds up the emission of later ones, not
            their calls, until `buffer` of them wait.
        key: What keeps its order among its equals: a function of the element, whose result is hashable.
            Inners of equal keys run one after another in the order of the source, others meanwhile. An
            element whose key is busy waits, and when `buffer` of them wait the source is asked for no more,
            though there may be free slots: many elements of one slow key hold up the others.
        buffer: With `ordered` how many finished elements may wait for an earlier one, 0 or more; with `key`
            how many elements may wait for their key, 1 or more. `max_concurrent` by default.
        on_error: "fail_fast" ends at the first error, and disposes everything first. "delay" goes on with
            the rest and raises at the end. "as_result" goes on, and emits for every element of an inner a
            `Success(value, input)` and for an error a `Failure(error, input)`.

    Emits: what the inner observables emit. Completes when source and all inners have.
    Errors: those of the source, of `project`, of `key` and of an inner. With "delay" they are kept until the
    end, and go out as the one that it was or as an `ExceptionGroup` of all, as they came or with `ordered`
    in the order of the source. With "as_result" only an error of the source is raised, after the inners under
    way have ended. A cancellation (`asyncio.CancelledError`) of an inner or the source ends everything at
    once in any mode.
    Disposal: disposes the source and every inner.

    ::

        source        ab-c|                cap 2
        inners        a: ----1|    b: -2|    c: ---3|
        unordered     --2-1-3|
        ordered       ----123|

        source        aAb|                 cap 2, equal letters are one key
        inners        a: --1|    A: --2|    b: -3|
        key           --13-2|

    The error modes are those of `flatMap(mapper, delayErrors)` in RxJava and `flatMapDelayError` in Reactor,
    which hold the source's error back until the inners have ended too.

    Example:

    >>> import asyncio
    >>> from rxorch_operators import flat_map_bounded, from_iterable, to_async_iterable
    >>> async def call(x):
    ...     await asyncio.sleep(0)
    ...     return 60 // x
    >>> async def main(numbers, **options):
    ...     stream = from_iterable(numbers).pipe(flat_map_bounded(call, max_concurrent=2, **options))
    ...     return [value async for value in to_async_iterable(stream)]
    >>> asyncio.run(main([1, 2, 3, 4], ordered=True))
    [60, 30, 20, 15]
    >>> good, bad = asyncio.run(main([5, 0], on_error="as_result"))
    >>> good.ok, good.value, bad.ok, bad.input, bad.error
    (True, 12, False, 0, ZeroDivisionError('integer division or modulo by zero'))
    """
    look_ahead = _checked(max_concurrent, ordered, key, buffer)
    if on_error not in _ERROR_MODES:
        raise invalid("on_error", on_error, "give 'fail_fast', 'delay' or 'as_result'")

    def form(source: Stage[Any], project: Project, key: Key | None) -> Stage[Any]:
        if key is not None:
            return KeyedFlatMap(source, project, key, max_concurrent, look_ahead)
        if ordered:
            return OrderedFlatMap(source, project, max_concurrent, look_ahead)
        return MergingFlatMap(source, project, max_concurrent)

    def operator(source: Observable[Any]) -> Observable[Any]:
        stage = as_stage(source)
        if on_error == "fail_fast":
            return form(stage, project, key)
        return TolerantFlatMap(stage, form, project, key, as_result=on_error == "as_result", ordered=ordered)

    return operator


def _checked(max_concurrent: int, ordered: bool, key: Key | None, buffer: int | None) -> int:
    """The look-ahead, of settings that can work."""
    if not is_count(max_concurrent):
        raise invalid("max_concurrent", max_concurrent, "give a whole number, 1 or more")
    if key is not None and not callable(key):
        raise invalid("key", key, "give a function of the element")
    if ordered and key is not None:
        raise invalid("key", key, "leave out ordered=True, which keeps the order of all, or the key")
    if buffer is None:
        return max_concurrent
    if key is not None and not is_count(buffer):
        raise invalid("buffer", buffer, "give a whole number, 1 or more, for the elements whose key is busy")
    if key is None and not ordered:
        raise invalid("buffer", buffer, "give it with ordered=True or key=: without them nothing has to wait")
    if not is_count(buffer, least=0):
        raise invalid("buffer", buffer, "give a whole number, 0 or more")
    return buffer
