"""What a projecting operator may be given for one element, and how it is subscribed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any, TypeAlias, cast

from reactivex import Observable

from .async_call import AsyncCall
from .demand import DemandScheduler
from .stage import DISPOSED, Adapter, Link, Stage

Project: TypeAlias = Callable[[Any], Observable[Any] | Awaitable[Any]]
"""From an element to what is merged for it."""


def attach_inner(link: Link, inner: Observable[Any] | Awaitable[Any], scheduler: DemandScheduler) -> None:
    """Joins a link to an inner observable, or to a task that runs an awaitable.

    Observables are awaitable too in RxPY, so they are looked at first.
    """
    # A coroutine is known by its type: to ask the abstract base classes costs as much as all the rest.
    is_coroutine = type(inner) is CoroutineType
    if not is_coroutine and getattr(inner, "is_stage", False):
        link.connect(cast("Stage[Any]", inner), scheduler)
    elif not is_coroutine and isinstance(inner, Observable):
        link.connect(Adapter(inner), scheduler)
    elif is_coroutine or isinstance(inner, Awaitable):
        call = AsyncCall(cast("Awaitable[Any]", inner), link, scheduler.tasks, scheduler.context.copy())
        if link.upstream is DISPOSED:
            call.dispose()
        else:
            link.upstream = call
    else:
        raise TypeError(
            f"the function must return an Observable or an awaitable, got {type(inner).__name__}: "
            "use ops.map for plain values"
        )
