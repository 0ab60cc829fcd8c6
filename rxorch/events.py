"""What happened, as frozen records, and the bus that hands them to whoever wants to know.

Metrics, logs, progress and pictures subscribe to one ``EventBus``. Every record carries ``at`` (seconds of
the monotonic clock), ``run`` (id of the run, None for a call outside of one), ``endpoint`` (name, ``""``
for records of a whole run) and ``call`` (a number that ties the records of one call together, 0 outside
of a call). Durations and waits are seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable

from rxorch.quick import quick
from rxorch.showing import MaskedRepr

__all__ = [
    "AttemptFailed",
    "AttemptStarted",
    "BreakerChanged",
    "CacheHit",
    "CallFinished",
    "CallStarted",
    "Event",
    "EventBus",
    "PermitWaiting",
    "RateLimitWaiting",
    "RetryBudgetExhausted",
    "RetryWaiting",
    "RunFinished",
    "RunStarted",
    "StepFinished",
    "StepSkipped",
    "StepStarted",
]

logger = logging.getLogger("rxorch")


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Event(MaskedRepr):
    """Base of all records: when, in which run, for which endpoint, in which call."""

    at: float
    run: str | None
    endpoint: str
    call: int = field(default=0, kw_only=True)


@quick
@dataclass(frozen=True, slots=True)
class CallStarted(Event):
    """A call of an endpoint began (before cache, limiter and breaker were asked).

    ``hedge``: it is the so-manieth hedge of a call that was late by ``late`` seconds; 0: it is none.
    """

    hedge: int = 0
    late: float = 0.0


@quick
@dataclass(frozen=True, slots=True)
class AttemptStarted(Event):
    """An attempt goes to the transport. ``attempt`` counts from 1."""

    attempt: int


@quick
@dataclass(frozen=True, slots=True, repr=False)
class AttemptFailed(Event):
    """An attempt ended in ``error`` after ``duration`` seconds."""

    attempt: int
    error: BaseException
    duration: float


@quick
@dataclass(frozen=True, slots=True, repr=False)
class RetryWaiting(Event):
    """Attempt number ``attempt`` failed with ``error``; the next one starts in ``wait`` seconds.

    ``asked``: the server has said how long (``Retry-After``).
    """

    attempt: int
    wait: float
    error: BaseException
    asked: bool = False


@quick
@dataclass(frozen=True, slots=True, repr=False)
class RetryBudgetExhausted(Event):
    """Attempt number ``attempt`` failed with ``error``, and the retry budget of its host allows no other."""

    attempt: int
    error: BaseException | None


@quick
@dataclass(frozen=True, slots=True)
class RateLimitWaiting(Event):
    """The limiter grants a permit in ``wait`` seconds."""

    wait: float


@quick
@dataclass(frozen=True, slots=True)
class PermitWaiting(Event):
    """An attempt waits until one of those in flight has ended (``max_in_flight``)."""


@quick
@dataclass(frozen=True, slots=True)
class CacheHit(Event):
    """The value came from the cache; ``stale``: past its time, as request or server allowed."""

    stale: bool = False


@quick
@dataclass(frozen=True, slots=True)
class BreakerChanged(Event):
    """The endpoint's circuit went from state ``old`` to ``new`` (names in lower case)."""

    old: str
    new: str


@quick
@dataclass(frozen=True, slots=True, repr=False)
class CallFinished(Event):
    """A call ended.

    ``status`` is ``"ok"``, ``"failed"``, ``"cancelled"`` or ``"unknown"`` (sent, and no answer known).
    ``degraded``: the value is a substitute of an error handler. ``cached``: it came from the cache.
    """

    status: str
    duration: float
    attempts: int = 0
    status_code: int | None = None
    error: BaseException | None = None
    degraded: bool = False
    cached: bool = False
    sends: int = 0


@quick
@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step of a flow began.

    ``after``: names of the steps whose end it had to wait for. ``waited``: seconds since it could have begun,
    in which others took all places (``max_concurrent``).
    """

    after: tuple[str, ...] = ()
    waited: float = 0.0


@quick
@dataclass(frozen=True, slots=True)
class StepSkipped(Event):
    """A step will not run; ``reason`` says why in one line."""

    reason: str


@quick
@dataclass(frozen=True, slots=True, repr=False)
class StepFinished(Event):
    """A step ended with ``status`` (as ``CallFinished``) and ``value``."""

    status: str
    duration: float
    attempts: int = 0
    error: BaseException | None = None
    degraded: bool = False
    # Kept out of repr: a log line that prints the record must not print somebody's data.
    value: Any = field(default=None, repr=False)


@quick
@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run of a flow began. ``mode`` is the flow's kind."""

    mode: str = ""


@quick
@dataclass(frozen=True, slots=True, repr=False)
class RunFinished(Event):
    """A run ended with ``status`` (as ``CallFinished``)."""

    status: str
    duration: float
    error: BaseException | None = None


_BY_ITSELF: Final = frozenset[type[Event]]({CallFinished})
"""Kinds that are built without the others."""


class _Subscription(DisposableBase):
    """One listener. ``deliver`` is None once it has left, so that an event under way passes it by."""

    __slots__ = ("bus", "complete", "deliver", "kinds")

    def __init__(
        self,
        bus: EventBus,
        deliver: Callable[[Event], object],
        complete: Callable[[], object] | None,
        kinds: frozenset[type[Event]] | None,
    ) -> None:
        self.bus = bus
        self.deliver: Callable[[Event], object] | None = deliver
        self.complete = complete
        self.kinds = kinds

    def dispose(self) -> None:
        if self.deliver is not None:
            self.deliver = None
            self.bus._remove(self)


class EventBus:
    """Hands each event to all subscribers, in the order in which they came. For one event loop.

    Attributes:
        active: True while somebody listens to more than ends of calls. Read it before building a record.
        kinds: what somebody listens to who asked for certain kinds. Who asked for `CallFinished` alone does
            not make others be built.
        observable: the events as a hot Observable; completes when the bus is closed.

    A subscriber that raises is logged once (logger ``rxorch``) and dropped; the others still get the event
    and the emitter notices nothing.

    Example:
        >>> bus = EventBus()
        >>> seen = []
        >>> listener = bus.subscribe(seen.append)
        >>> bus.emit(CallStarted(0.5, None, "user"))
        >>> listener.dispose()
        >>> seen[0].endpoint, bus.active
        ('user', False)
    """

    __slots__ = ("_busy", "_closed", "_queue", "_subscriptions", "active", "kinds", "observable")

    def __init__(self) -> None:
        self.active = False
        self.kinds: frozenset[type[Event]] = frozenset()
        self.observable: Observable[Event] = Observable(self._subscribe_observer)
        self._subscriptions: tuple[_Subscription, ...] = ()
        self._queue: deque[Event] = deque()
        self._busy = False
        self._closed = False

    def subscribe(
        self, listener: Callable[[Event], object], *, kinds: Iterable[type[Event]] | None = None
    ) -> DisposableBase:
        """Call ``listener(event)`` for each event from now on, until the returned disposable is disposed.

        Args:
            listener: called with one event at a time.
            kinds: only events of exactly these classes; None for all. A listener to `CallFinished` alone
                costs a tenth of one to everything, because the other records are never built.
        """
        return self._add(listener, None, None if kinds is None else frozenset(kinds))

    def emit(self, event: Event) -> None:
        """Hand ``event`` to everyone who listens now."""
        if not self.active and type(event) not in self.kinds:
            return
        if self._busy:
            self._queue.append(event)  # a subscriber emits: it is handed out after the event under way
            return
        self._busy = True
        try:
            self._hand_out(event)
            while self._queue:
                self._hand_out(self._queue.popleft())
        finally:
            self._busy = False
            self._queue.clear()

    def _hand_out(self, event: Event) -> None:
        # A tuple, replaced on every change: who comes or goes meanwhile does not disturb this loop.
        kind = type(event)
        for subscription in self._subscriptions:
            deliver, kinds = subscription.deliver, subscription.kinds
            if deliver is None or (kinds is not None and kind not in kinds):
                continue
            try:
                deliver(event)
            except (Exception, asyncio.CancelledError):
                # A CancelledError of a listener is not a cancellation of the call that emits.
                subscription.dispose()
                logger.exception("a subscriber of the event stream failed and was removed")

    def close(self) -> None:
        """End the stream: observers complete, later events go nowhere."""
        self._closed = True
        subscriptions, self._subscriptions = self._subscriptions, ()
        self._count_listeners()
        for subscription in subscriptions:
            deliver, subscription.deliver = subscription.deliver, None
            if deliver is None or subscription.complete is None:
                continue
            try:
                subscription.complete()
            except (Exception, asyncio.CancelledError):
                logger.exception("a subscriber of the event stream failed at its end")

    def _subscribe_observer(
        self, observer: ObserverBase[Event], scheduler: SchedulerBase | None = None
    ) -> DisposableBase:
        if self._closed:
            observer.on_completed()
            return Disposable()
        return self._add(observer.on_next, observer.on_completed, None)

    def _add(
        self,
        deliver: Callable[[Event], object],
        complete: Callable[[], object] | None,
        kinds: frozenset[type[Event]] | None,
    ) -> DisposableBase:
        subscription = _Subscription(self, deliver, complete, kinds)
        if not self._closed:
            self._subscriptions = (*self._subscriptions, subscription)
            self._count_listeners()
        return subscription

    def _remove(self, subscription: _Subscription) -> None:
        self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)
        self._count_listeners()

    def _count_listeners(self) -> None:
        wanted = [subscription.kinds for subscription in self._subscriptions]
        self.kinds = frozenset().union(*(kinds for kinds in wanted if kinds is not None))
        self.active = None in wanted or not self.kinds <= _BY_ITSELF
