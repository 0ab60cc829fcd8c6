"""coalesce: equal calls at the same time become one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from ._keyed import Keyed, remove
from .core.async_call import NOBODY
from .core.clock import LoopClock
from .core.demand import UNBOUNDED, DemandScheduler
from .core.per_call import Function, Operator
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage

__all__ = ["Coalescer", "CoalescerStatistics", "coalesce"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CoalescerStatistics:
    """What a coalescer has seen.

    Args:
        in_flight: Calls under way, those included that nobody may join any more.
        waiting: Subscriptions that wait for them.
        started: Calls made in all.
        joined: Subscriptions that shared the call of another, in all.
    """

    in_flight: int
    waiting: int
    started: int
    joined: int


class Coalescer:
    """Knows which calls are in flight, by key; keeps nothing of a call that has ended.

    >>> Coalescer().statistics()
    CoalescerStatistics(in_flight=0, waiting=0, started=0, joined=0)
    """

    def __init__(self) -> None:
        self._calls: dict[Hashable, _Call] = {}
        self._forgotten: set[_Call] = set()
        self._started = 0
        self._joined = 0

    def statistics(self) -> CoalescerStatistics:
        """A snapshot."""
        calls = [*self._calls.values(), *self._forgotten]
        return CoalescerStatistics(
            in_flight=len(calls),
            waiting=sum(len(call.waiters) for call in calls),
            started=self._started,
            joined=self._joined,
        )

    def join(
        self, key: Hashable, source: Stage[Any], sink: ObserverBase[Any], scheduler: DemandScheduler
    ) -> DisposableBase:
        """Adds a subscription to the call in flight under the key, or starts it.

        What a key raises that cannot be hashed or compared is the error.
        """
        try:
            call, is_new = self._find(key, scheduler)
        except Exception as error:
            sink.on_error(error)
            return NOTHING
        waiter = _Waiter(call, sink, scheduler)
        if not is_new:
            self._joined += 1
            call.join(waiter)
            return waiter
        self._started += 1
        call.start(source, waiter)
        return waiter

    def _find(self, key: Hashable, scheduler: DemandScheduler) -> tuple[_Call, bool]:
        """The call to join, and whether it is a new one that has to be started."""
        known = self._calls.get(key)
        if known is not None and known.may_be_joined(scheduler):
            return known, False
        call = self._calls[key] = _Call(self, key, scheduler)
        call.is_known = True
        if known is not None:
            known.is_known = False
        return call, True

    def forget(self, key: Hashable) -> bool:
        """Lets nobody join the call under a key any more; tells whether there was one.

        It goes on for those who wait, and whoever comes next starts a new one: for answers that are out of
        date from now on.

        Args:
            key: What the call was started under.
        """
        call = self._calls.pop(key, None)
        if call is None:
            return False
        self._set_aside(call)
        return True

    def forget_all(self) -> int:
        """The same for all calls under way; returns how many."""
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            self._set_aside(call)
        return len(calls)

    def _set_aside(self, call: _Call) -> None:
        call.is_known = False
        if not call.is_dead():
            self._forgotten.add(call)

    def ended(self, key: Hashable, call: _Call) -> None:
        """A call has ended; another one may have taken its place already."""
        if call.is_known:
            call.is_known = False
            for other in remove(self._calls, key, call):
                self._set_aside(other)
        else:
            self._forgotten.discard(call)


def coalesce(
    group: Coalescer | None = None, key: Hashable | Callable[..., Hashable] = None
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribes to the source once for all who subscribe under the same key while it runs.

    Whoever comes later gets the elements emitted so far, then the others as they come. The call is cancelled
    only when the last one has left: the first one's cancellation is nobody else's. Nothing is kept after the
    end; `cache` outside of it does that. Made for calls: elements are kept until the end, and do not wait for
    slow consumers.

    Args:
        group: Where the calls in flight are known. Keys mean the same in all operators that share it. None:
            a group of its own.
        key: What makes calls equal, or a function that tells: when subscribed, or from the arguments of the
            call where it guards a function. It must hold everything that the answer depends on, the caller
            above all. None: one key for all pipelines of this operator object; with `guard`, the function
            and its arguments.

    Emits: the elements of the shared call. Errors: its error, for everybody who waits then; what `key`
    raises. Disposal: leaves; the last one to leave disposes the source.

    ::

        source        --a--b|      (one subscription)
        first         --a--b|
        second           a-b|
        third         --.          (disposed)

    >>> import asyncio
    >>> from rxorch_operators import Coalescer, coalesce, from_async, to_async_iterable
    >>> async def call():
    ...     print("called once")
    ...     await asyncio.sleep(0)
    ...     return 7
    >>> async def main():
    ...     shared = from_async(call).pipe(coalesce(Coalescer(), "answer"))
    ...
    ...     async def one():
    ...         return [value async for value in to_async_iterable(shared)]
    ...
    ...     return await asyncio.gather(one(), one())
    >>> asyncio.run(main())
    called once
    [[7], [7]]
    """
    if group is None:
        group = Coalescer()
    elif not isinstance(group, Coalescer):
        raise TypeError(f"expected a Coalescer, got {type(group).__name__}: write coalesce(Coalescer(), key)")
    operator = _Coalescing(key)
    operator.group = group
    return operator


class _Coalescing(Keyed):
    """The operator."""

    __slots__ = ("group",)

    group: Coalescer

    def __call__(self, source: Observable[T]) -> Observable[T]:
        return _Coalesce(as_stage(source), self.group, self.key, self.asks)

    def for_call(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operator:
        """The operator for one call, whose key is known."""
        key = self.key_of(fn, args, kwargs)
        return lambda source: _Coalesce(as_stage(source), self.group, key, False)

    def __repr__(self) -> str:
        return "coalesce"  # as `guard` shows it


class _Coalesce(Stage[T]):
    def __init__(self, source: Stage[T], group: Coalescer, key: Any, asks: bool) -> None:
        self.source = source
        self.group = group
        self.key = key
        self.asks = asks

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        try:
            key = self.key() if self.asks else self.key
        except Exception as error:
            sink.on_error(error)
            return NOTHING
        return self.group.join(key, self.source, sink, scheduler)


class _Call(Link):
    """One shared subscription of a source."""

    __slots__ = ("_group", "_key", "_scheduler", "ended", "error", "is_known", "values", "waiters")

    def __init__(self, group: Coalescer, key: Hashable, scheduler: DemandScheduler) -> None:
        self.sink = NOBODY
        self.upstream = NOTHING
        self._group = group
        self._key = key
        # Tasks of its own: the subscription that came first must not wait for them when it is closed.
        self._scheduler = DemandScheduler(
            scheduler.base, UNBOUNDED, scheduler.clock, set(), scheduler.context, scheduler.subject
        )
        self.values: list[Any] = []
        self.ended = False
        self.is_known = False  # whether the group has it under its key
        self.error: Exception | None = None
        self.waiters: dict[_Waiter, None] = {}

    def is_dead(self) -> bool:
        """Whether its event loop was closed under it: it will never end."""
        clock = self._scheduler.clock
        return isinstance(clock, LoopClock) and clock.loop.is_closed()

    def may_be_joined(self, scheduler: DemandScheduler) -> bool:
        """Whether it will tell the end: not one of a loop that was closed, or runs elsewhere if at all."""
        clock = self._scheduler.clock
        return not isinstance(clock, LoopClock) or clock.same_loop(scheduler.clock)

    def start(self, source: Stage[Any], waiter: _Waiter) -> None:
        """Subscribes to the source, for a first waiter."""
        self.waiters[waiter] = None
        try:
            self.connect(source, self._scheduler)
        except Exception as error:
            if self.ended or self.upstream is DISPOSED:
                raise
            self.on_error(error)

    def join(self, waiter: _Waiter) -> None:
        """Adds a waiter and gives it what has been emitted so far."""
        self.waiters[waiter] = None
        waiter.catch_up()

    def leave(self, waiter: _Waiter, scheduler: DemandScheduler) -> None:
        """Lets a waiter go; after the last one, ends the subscription of the source."""
        self.waiters.pop(waiter, None)
        if self.waiters or self.ended or self.upstream is DISPOSED:
            return
        self._group.ended(self._key, self)
        for task in self._scheduler.tasks:  # whoever closes the last subscription waits for them
            scheduler.tasks.add(task)
            task.add_done_callback(scheduler.tasks.discard)
        self.dispose()

    def on_next(self, value: Any) -> None:
        self.values.append(value)
        self._tell_all()

    def on_error(self, error: Exception) -> None:
        self.error = error
        self.on_completed()

    def on_completed(self) -> None:
        if self.ended or self.upstream is DISPOSED:
            return
        self.ended = True
        self.release()
        self._group.ended(self._key, self)  # first: who tries again from inside on_error gets a new call
        try:
            self._tell_all()
        finally:
            self.waiters = {}  # they refer to us: so all are freed at once

    def _tell_all(self) -> None:
        if len(self.waiters) == 1:
            next(iter(self.waiters)).catch_up()
            return
        broken: BaseException | None = None
        for waiter in tuple(self.waiters):
            try:
                waiter.catch_up()
            except BaseException as error:  # the others must hear it nevertheless
                broken = broken or error
        if broken is not None:
            raise broken


class _Waiter(DisposableBase):
    """One subscription of the shared call."""

    __slots__ = ("_busy", "_call", "_left", "_scheduler", "_seen", "_sink")

    def __init__(self, call: _Call, sink: ObserverBase[Any], scheduler: DemandScheduler) -> None:
        self._call = call
        self._sink = sink
        self._scheduler = scheduler
        self._seen = 0
        self._busy = False
        self._left = False

    def catch_up(self) -> None:
        """Sends what was not sent yet, and the end."""
        if self._busy:
            return  # the sink got us here from inside its on_next: the loop below goes on after it
        self._busy = True
        call, sink = self._call, self._sink
        try:
            while self._seen < len(call.values) and not self._left:
                value = call.values[self._seen]
                self._seen += 1
                sink.on_next(value)
        finally:
            self._busy = False
        if call.ended and not self._left:
            self._left = True
            if call.error is None:
                sink.on_completed()
            else:
                sink.on_error(call.error)

    def dispose(self) -> None:
        if not self._left:
            self._left = True
            self._call.leave(self, self._scheduler)
