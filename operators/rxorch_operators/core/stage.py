"""The lean stage: an Observable whose neighbours of the same kind talk to it directly.

A subscription through stock RxPY builds an auto-detach observer, a trampoline entry and two or three
disposables per operator. Stages skip that among themselves: `attach(sink, scheduler)` joins two links,
each one object that is observer and disposable at once. The contract between stages:

- who sends keeps the grammar: on_next*, then at most one terminal event, nothing after `dispose`;
- notifications of one subscription come one after another, on one thread;
- a source of a single value may say `on_only` for `on_next` and `on_completed`, to a sink that has it;
- who sends a terminal event has let go of its own resources already (`Link.release`); disposing it is
  harmless;
- the sink may call `dispose` at any time, also from inside a notification, also before `attach` returned.

At the border, where a stock operator or a user subscribes, `Border` enforces the whole RxPY contract;
where one of ours subscribes to a stock observable, `Adapter` brings it onto our thread.
"""

from __future__ import annotations

import contextlib
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from reactivex import Observable, abc
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.internal.basic import default_error, noop
from reactivex.scheduler import CurrentThreadScheduler

from .clock import LoopClock
from .demand import DemandScheduler

T = TypeVar("T")
T_out = TypeVar("T_out", covariant=True)


class _Nothing(DisposableBase):
    __slots__ = ()

    def dispose(self) -> None:
        """Nothing to let go of."""


NOTHING: Final[DisposableBase] = _Nothing()
"""Upstream of a link that is not connected yet."""

DISPOSED: Final[DisposableBase] = _Nothing()
"""Upstream of a link that was disposed: whatever connects afterwards is disposed at once."""


class Stage(Observable[T_out]):
    """An Observable with a direct path to its neighbours. Subclasses implement `attach`."""

    _subscribe = None
    is_stage: Final = True

    def __init__(self) -> None:
        # Observable.__init__ makes a lock per instance; only stock operators ever ask for it.
        pass

    @property
    def lock(self) -> Any:  # type: ignore[override]
        """The lock that stock operators serialise with; made when first asked for."""
        lock = self.__dict__.get("_lock")
        if lock is None:
            lock = self.__dict__["_lock"] = threading.RLock()
        return lock

    @abstractmethod
    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        """Joins a sink to a new subscription of this stage, without any border in between."""

    def subscribe(
        self,
        on_next: ObserverBase[T_out] | abc.OnNext[T_out] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: SchedulerBase | None = None,
    ) -> DisposableBase:
        """Subscribes an observer, or up to three callbacks, with the full RxPY contract.

        An exception that the observer raises ends the subscription and reaches its own `on_error`.
        """
        border = Border[Any](on_next, on_error, on_completed)

        def start(_: SchedulerBase | None = None, __: object = None) -> None:
            border.connect_stage(self, scheduler)

        # As in RxPY: a source that emits at once runs after the caller holds the disposable.
        trampoline = CurrentThreadScheduler.singleton()
        if trampoline.schedule_required():
            trampoline.schedule(start)
        else:
            start()
        return border

    def _subscribe_core(
        self, observer: ObserverBase[T_out], scheduler: SchedulerBase | None = None
    ) -> DisposableBase:
        return self.subscribe(observer, scheduler=scheduler)


class Link(ObserverBase[Any], DisposableBase):
    """One operator's part in one subscription: it hears upstream, and `sink` hears it.

    Passes everything on unless a subclass says otherwise, and nothing once it is disposed: a stock source
    that emits while it is being subscribed cannot be stopped yet, because nobody has its disposable.
    """

    __slots__ = ("sink", "upstream")

    def __init__(self, sink: ObserverBase[Any]) -> None:
        self.sink = sink
        self.upstream = NOTHING

    def connect(self, source: Stage[Any], scheduler: DemandScheduler) -> DisposableBase:
        """Attaches this link to its source and returns the link, to be disposed by the sink."""
        return self.joined(source.attach(self, scheduler))

    def joined(self, upstream: DisposableBase) -> DisposableBase:
        """Takes over a subscription that was begun for this link; it may be over already."""
        if self.upstream is DISPOSED:
            upstream.dispose()  # we were disposed while the source was still starting
        else:
            self.upstream = upstream
        return self

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self.sink.on_next(value)

    def on_error(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.sink.on_error(error)

    def on_completed(self) -> None:
        if self.upstream is not DISPOSED:
            self.sink.on_completed()

    def on_only(self, value: Any) -> None:
        """The only element of a source, and its end: `on_next` and `on_completed` in one.

        For sources that have one value, such as a call. Who sends it has let go of its resources before, so
        there is nothing upstream to dispose. A link that overrides it, to do with half the work, passes it on
        only if its sink has this method too: another may dispose in between, and must then hear no end.
        """
        self.on_next(value)
        if self.upstream is not DISPOSED:
            self.on_completed()

    def dispose(self) -> None:
        upstream = self.upstream
        if upstream is not DISPOSED:
            self.upstream = DISPOSED
            upstream.dispose()

    def release(self) -> None:
        """Lets go of upstream at a terminal event.

        Two neighbours refer to each other; released, they are freed at once and not by the garbage collector.
        """
        upstream = self.upstream
        if upstream is not DISPOSED:
            self.upstream = DISPOSED
            upstream.dispose()

    @property
    def is_disposed(self) -> bool:
        """Whether `dispose` was called."""
        return self.upstream is DISPOSED


class Border(ObserverBase[T], DisposableBase):
    """The outer edge of a chain of stages: where stock operators and users listen."""

    __slots__ = ("_completed", "_error", "_next", "_upstream", "is_stopped")

    def __init__(
        self,
        on_next: ObserverBase[T] | abc.OnNext[T] | None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
    ) -> None:
        if callable(getattr(on_next, "on_next", None)):
            observer = cast("ObserverBase[T]", on_next)
            on_next, on_error, on_completed = observer.on_next, observer.on_error, observer.on_completed
        self._next = cast("abc.OnNext[T]", on_next or noop)
        self._error = on_error or default_error
        self._completed = on_completed or noop
        self._upstream = NOTHING
        self.is_stopped = False

    def connect_stage(self, stage: Stage[T], scheduler: SchedulerBase | None) -> None:
        """Attaches to a stage; an exception on the way becomes `on_error`."""
        try:
            upstream = stage.attach(self, DemandScheduler.of(scheduler))
        except Exception as error:
            if self.is_stopped:
                raise
            self._stop_with(error)
            return
        if self.is_stopped:
            upstream.dispose()
        else:
            self._upstream = upstream

    def on_next(self, value: T) -> None:
        if self.is_stopped:
            return
        try:
            self._next(value)
        except Exception as error:
            if self.is_stopped:
                raise
            self._stop_with(error)

    def on_error(self, error: Exception) -> None:
        if not self.is_stopped:
            self._stop_with(error)

    def on_completed(self) -> None:
        if not self.is_stopped:
            self.dispose()
            self._completed()

    def _stop_with(self, error: Exception) -> None:
        self.dispose()
        self._error(error)

    def dispose(self) -> None:
        self.is_stopped = True
        upstream, self._upstream = self._upstream, DISPOSED
        upstream.dispose()


class Adapter(Stage[T_out]):
    """A stock observable as a stage."""

    def __init__(self, source: Observable[T_out]) -> None:
        self.source = source

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        inward = _Inward(sink, scheduler)
        upstream = self.source.subscribe(inward, scheduler=scheduler)
        if inward.upstream is DISPOSED:
            upstream.dispose()
        else:
            inward.upstream = upstream
        return inward


class _Inward(Link):
    """Brings the events of a stock observable in: grammar checked, other threads led onto the loop."""

    __slots__ = ("_call_soon_threadsafe", "_hops", "_thread", "is_stopped")

    def __init__(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> None:
        super().__init__(sink)
        clock = scheduler.clock
        self._thread = threading.get_ident()
        self._call_soon_threadsafe = clock.loop.call_soon_threadsafe if isinstance(clock, LoopClock) else None
        self._hops: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.is_stopped = False

    def _send(self, function: Callable[..., None], *args: Any) -> None:
        # An on_next from a foreign thread would race with everything else on the loop, so it hops onto it.
        # What the loop's own thread sends while others are on their way must not overtake them.
        hop = self._call_soon_threadsafe
        if hop is None or (not self._hops and threading.get_ident() == self._thread):
            function(*args)
            return
        self._hops.append((function, args))
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody listens any more
            hop(self._arrive)

    def _arrive(self) -> None:
        function, args = self._hops.popleft()
        function(*args)

    def on_next(self, value: Any) -> None:
        self._send(self._next, value)

    def on_error(self, error: Exception) -> None:
        self._send(self._fail, error)

    def on_completed(self) -> None:
        self._send(self._complete)

    def _next(self, value: Any) -> None:
        if not self.is_stopped:
            self.sink.on_next(value)

    def _fail(self, error: Exception) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            self.sink.on_error(error)

    def _complete(self) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            self.sink.on_completed()

    def dispose(self) -> None:
        self.is_stopped = True
        super().dispose()


def as_stage(source: Observable[T]) -> Stage[T]:
    """The source itself if it is a stage, else an adapter around it."""
    if getattr(source, "is_stage", False):  # isinstance asks the abstract base class, ten times as slow
        return cast("Stage[T]", source)
    if isinstance(source, Observable):
        return Adapter(source)
    raise TypeError(
        f"expected an Observable, got {type(source).__name__}: "
        "use from_iterable, from_async_iterable or from_async to make one"
    )
