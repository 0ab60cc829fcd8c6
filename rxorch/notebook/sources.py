"""What a handle can run: a stream of runs, the events of one or of many, any observable, an awaitable."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Sequence
from typing import Any, TypeAlias

from reactivex import Observable

from rxorch.events import Event, EventBus
from rxorch.flow import result_so_far
from rxorch.stream import Runs, RunStream
from rxorch_operators import to_async_iterable

__all__ = ["Source", "Watchable", "source_of"]

Watchable: TypeAlias = RunStream | Observable[Any] | EventBus | AsyncIterable[Any] | Awaitable[Any]


class Source:
    """What gives the items of a handle.

    Attributes:
        label: What it is called where it has no name.
        items: Gives them.
        stream: Whose runs they are; None: they are something else.
        total: How many there will be, where that is known.
        is_one: Whether its one item is what it is about, and not one of many.
    """

    def __init__(
        self,
        label: str,
        items: AsyncIterator[Any],
        *,
        stream: RunStream | None = None,
        total: int | None = None,
        one: Any = None,
    ) -> None:
        self.label = label
        self.items = items
        self.stream = stream
        self.total = total
        self.is_one = one is not None
        self._one = one

    def kept(self, items: Sequence[Any]) -> list[Any]:
        """The items so far."""
        return Runs(items) if self.stream is not None else list(items)

    def value(self, items: Sequence[Any]) -> Any:
        """What all of it comes to: the result of a run, told by its events, or the items."""
        if self.is_one:
            return items[-1] if items else None
        runs = {item.run for item in items if isinstance(item, Event)}
        if len(runs) == 1 and None not in runs and all(isinstance(item, Event) for item in items):
            return result_so_far(items)
        return self.kept(items)

    async def aclose(self) -> None:
        """Ends it, and waits until it has ended."""
        close = getattr(self.items, "aclose", None)
        if close is not None:
            await close()
        if inspect.iscoroutine(self._one):
            self._one.close()  # one that never began would complain


def source_of(what: Watchable) -> Source:
    """The source that something is.

    Raises:
        TypeError: it is none.
    """
    if isinstance(what, RunStream):
        return Source("stream", what, stream=what, total=what.total)
    if isinstance(what, EventBus):
        return Source("events", to_async_iterable(what.observable))
    if isinstance(what, Observable):
        return Source("run", to_async_iterable(what))
    if isinstance(what, AsyncIterable):
        return Source("items", aiter(what))
    if inspect.isawaitable(what):
        return Source("call", _once(what), total=1, one=what)
    raise TypeError(
        "give what orchestrator.stream(...), observe(...) or execute(...) returns, an Observable, an "
        f"EventBus, an async iterable or an awaitable, not {type(what).__name__}"
    )


async def _once(awaited: Awaitable[Any]) -> AsyncIterator[Any]:
    yield await awaited
