"""Operators, made of others, that are wrong on purpose, each in one way; and one that only looks so."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators import Bulkhead, Coalescer, bulkhead, coalesce, flat_map_bounded
from rxorch_operators.core.stage import DISPOSED, Link
from rxorch_operators.testing import Lab
from tests.operators.testing.wrong_links import (
    Operator,
    linked,
)


def subscribes_at_once(source: Observable[Any]) -> Observable[Any]:
    """A hot operator in the clothes of a cold one."""
    source.subscribe(lambda _: None, lambda _: None)
    return source


def counts_for_all(source: Observable[Any]) -> Observable[Any]:
    """The count is born with the operator and not with the subscription."""
    numbers = iter(range(10**6))

    def counted(value: Any) -> Any:
        return value + next(numbers)

    return source.pipe(ops.map(counted))


def one_for_all(source: Observable[Any]) -> Observable[Any]:
    """All who come while it runs share the subscription of the first."""
    return source.pipe(coalesce(Coalescer(), "all"))


def keeps_its_permit(lab: Lab) -> Operator:
    """A bulkhead of which a disposed call gives nothing back."""
    shared = Bulkhead(limit=10)
    lab.holds("permits", lambda: shared.statistics().in_flight)

    class Kept(Link):
        permit: Any = None

        def on_completed(self) -> None:
            self.permit.release()
            super().on_completed()

        def on_error(self, error: Exception) -> None:
            self.permit.release()
            super().on_error(error)

    def link(sink: ObserverBase[Any]) -> Link:
        kept = Kept(sink)
        kept.permit = shared.request(lambda _: None)
        return kept

    return linked(link)


def repeats_everything(source: Observable[Any]) -> Observable[Any]:
    """Catches what is not an Exception, as a bare `except` does, and goes on."""
    return source.pipe(ops.catch(lambda error, _: reactivex.of("instead")))


def spins(lab: Lab) -> Operator:
    """Looks every millisecond whether there is something to do, for ever."""

    class Spinning(Link):
        def on_completed(self) -> None:
            lab.loop.call_later(1e-3, self.on_completed)

    return linked(Spinning)


def told_by_the_loop(lab: Lab) -> Operator:
    """An error in a callback of the loop, which nobody hears of."""

    class Lost(Link):
        def on_next(self, value: Any) -> None:
            lab.loop.call_soon(lambda: 1 / 0)
            super().on_next(value)

    return linked(Lost)


def listener_that_matters(lab: Lab) -> Operator:
    """A listener whose exception ends the stream."""
    return ops.do_action(lab.listener(lambda _: None))


def releases_its_permit_late(lab: Lab) -> Operator:
    """A bulkhead that tells the end while it still has its permit."""
    shared = Bulkhead(limit=10)
    lab.holds("permits", lambda: shared.statistics().in_flight)

    class Late(Link):
        permit: Any = None

        def release(self) -> None:
            super().release()
            self.permit.release()

        def dispose(self) -> None:
            super().dispose()
            self.permit.release()

        def on_completed(self) -> None:
            if self.upstream is not DISPOSED:
                self.sink.on_completed()
                self.release()

    def link(sink: ObserverBase[Any]) -> Link:
        late = Late(sink)
        late.permit = shared.request(lambda _: None)
        return late

    return linked(link)


def on_another_thread(source: Observable[Any]) -> Observable[Any]:
    """Tells each element on a thread of its own."""

    def subscribe(observer: ObserverBase[Any], scheduler: Any = None) -> DisposableBase:
        def told(value: Any) -> None:
            thread = threading.Thread(target=observer.on_next, args=(value,))
            thread.start()
            thread.join()

        return source.subscribe(told, observer.on_error, observer.on_completed, scheduler=scheduler)

    return reactivex.create(subscribe)


def swallows_inner_errors(lab: Lab) -> Operator:
    """What fails counts as empty."""

    def inner(value: Any) -> Observable[Any]:
        return lab.inner(value).pipe(ops.catch(lambda e, _: _thrown_unless(e, Exception)))

    return flat_map_bounded(inner, max_concurrent=2)


def swallows_inner_cancellations(lab: Lab) -> Operator:
    """What was cancelled counts as empty."""

    def inner(value: Any) -> Observable[Any]:
        return lab.inner(value).pipe(ops.catch(lambda e, _: _thrown_unless(e, asyncio.CancelledError)))

    return flat_map_bounded(inner, max_concurrent=2)


def _thrown_unless(error: BaseException, kind: type[BaseException]) -> Observable[Any]:
    return reactivex.empty() if isinstance(error, kind) else reactivex.throw(error)  # type: ignore[arg-type]


def loses_the_third_call(lab: Lab) -> Operator:
    begun = 0

    def call(value: Any) -> Any:
        nonlocal begun
        begun += 1
        return reactivex.empty() if begun == 3 else lab.call(value)

    return flat_map_bounded(call, max_concurrent=2)


def shares_slots(lab: Lab) -> Operator:
    """What may run at once is counted by the operator and not by the subscription."""
    slots = Bulkhead(1)
    return flat_map_bounded(
        lambda value: reactivex.defer(lambda _: lab.inner(value)).pipe(bulkhead(slots)), max_concurrent=2
    )


def forgets_the_scheduler(source: Observable[Any]) -> Observable[Any]:
    """Nothing is wrong with that; but the source cannot tell who has subscribed."""

    def subscribe(observer: ObserverBase[Any], _: Any = None) -> DisposableBase:
        return source.subscribe(observer)

    return reactivex.create(subscribe)
