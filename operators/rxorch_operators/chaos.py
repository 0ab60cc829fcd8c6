"""chaos: faults on purpose, to see what the operators around it make of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Any, Final, Literal, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import Clock, Handle
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.faults import ChaosPolicy, FaultEvent, FaultInjector, FaultPlan

__all__ = ["ChaosPolicy", "FaultEvent", "FaultInjector", "chaos"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("rxorch_operators")
_NOTHING_HAPPENS: Final = FaultPlan()


def chaos(
    policy: ChaosPolicy | None = None,
    *,
    enabled: bool | Callable[[], bool] = False,
    random: Random | None = None,
    injector: FaultInjector | None = None,
    on_fault: Callable[[FaultEvent], None] | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Puts faults into a share of the subscriptions: late starts, errors, lost answers, other answers.

    Off unless switched on, and then it costs nothing but a look at the switch. It stands next to the source,
    with everything that is to be tested around it.

    Args:
        policy: Which faults and how often.
        enabled: The switch: a bool, or a function that is asked at each subscription. Off by default.
        random: The dice; `Random(0)` by default, so that every run meets the same faults.
        injector: Policy, switch, dice and counts as one object, to be shared and switched while it runs; in
            the place of the three above.
        on_fault: Told of each fault that is put in. What it raises is logged.
        scheduler: Time to be late on; that of the subscription by default.

    Emits: the elements of the source; or, as an outcome, what `policy.outcome` makes, and then the end.
    Errors: those of the source; what `policy.error` or `policy.reset` makes; what these, `policy.outcome` or
    `enabled` raise. Disposal: cancels the late start, or disposes the source.

    ::

        source        ---a-b|
        latency       ==---a-b|      starts late
        error         x              not subscribed
        reset         ---x           the answer is lost
        reset_after=1 ---a-x
        outcome       z|             not subscribed

    >>> import reactivex
    >>> from rxorch_operators.chaos import ChaosPolicy, chaos
    >>> answers = reactivex.just("fine").pipe(chaos(ChaosPolicy(error_rate=0.5), enabled=True))
    >>> for _ in range(3):
    ...     answers.subscribe(print, print) and None
    injected by chaos: the call was not made
    fine
    fine
    """
    if injector is None:
        if policy is None:
            raise TypeError("chaos() needs a policy or an injector: write chaos(ChaosPolicy(error_rate=0.1))")
        injector = FaultInjector(policy, enabled=enabled, random=random)
    elif not isinstance(injector, FaultInjector):
        raise TypeError(f"expected a FaultInjector, got {type(injector).__name__}")
    elif policy is not None or enabled is not False or random is not None:
        raise TypeError("an injector brings its own policy, switch and dice: give them to FaultInjector()")
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock

    def operator(source: Observable[T]) -> Observable[T]:
        return _Chaotic(as_stage(source), injector, on_fault, clock)

    return operator


class _Chaotic(Stage[T]):
    def __init__(
        self,
        source: Stage[T],
        injector: FaultInjector,
        on_fault: Callable[[FaultEvent], None] | None,
        clock: Clock | None,
    ) -> None:
        self.source = source
        self.injector = injector
        self.on_fault = on_fault
        self.clock = clock

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        try:
            plan = self.injector.plan()
        except Exception as error:
            sink.on_error(error)
            return NOTHING
        if plan is None or plan == _NOTHING_HAPPENS:
            return self.source.attach(sink, scheduler)
        link = _Befallen(sink, self, plan, scheduler)
        link.start()
        return link

    def tell(self, event: FaultEvent) -> None:
        """Counts a fault and speaks of it."""
        self.injector.record(event.kind)
        if self.on_fault is not None:
            try:
                self.on_fault(event)
            except Exception:
                _LOG.exception("on_fault failed; the fault stays")


class _Befallen(Link):
    """A subscription that a fault befalls; `upstream` is the wait for a late start, and then the source."""

    __slots__ = ("_left", "_plan", "_policy", "_scheduler", "_stage")

    def __init__(
        self, sink: ObserverBase[Any], stage: _Chaotic[Any], plan: FaultPlan, scheduler: DemandScheduler
    ) -> None:
        super().__init__(sink)
        self._stage = stage
        self._policy = stage.injector.policy
        self._plan = plan
        self._scheduler = scheduler
        self._left = plan.after  # elements that may pass before a reset

    def start(self) -> None:
        """Starts, or waits if it is to start late."""
        latency = self._plan.latency
        if latency:
            clock = self._stage.clock or self._scheduler.clock
            self.upstream = _Wait(clock.call_later(latency, self._over))
            self._stage.tell(FaultEvent("latency", latency))
        else:
            self._go_on()

    def _over(self) -> None:
        self.upstream = NOTHING
        self._go_on()

    def _go_on(self) -> None:
        fault = self._plan.fault
        if fault == "error":
            self._fail("error", self._policy.error or _refused)
        elif fault == "outcome":
            self._substitute()
        else:
            self._subscribe()

    def _subscribe(self) -> None:
        try:
            self.connect(self._stage.source, self._scheduler)
        except Exception as error:
            if self.upstream is DISPOSED:  # it had ended before
                raise
            self.on_error(error)

    def _substitute(self) -> None:
        make = self._policy.outcome
        assert make is not None  # the policy has no rate without it
        try:
            value = make()
        except Exception as broken:
            self.on_error(broken)
            return
        self._stage.tell(FaultEvent("outcome"))
        if self.upstream is not DISPOSED:
            self.sink.on_next(value)
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_completed()

    def _fail(self, kind: Literal["error", "reset"], make: Callable[[], Exception]) -> None:
        try:
            error = make()
            if not isinstance(error, Exception):
                raise TypeError(f"{kind} of a ChaosPolicy must make an exception, got {type(error).__name__}")
        except Exception as broken:
            self.on_error(broken)
            return
        self._stage.tell(FaultEvent(kind, error=error))
        self.on_error(error)

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        if self._plan.fault == "reset":
            if not self._left:
                self._fail("reset", self._policy.reset or _reset)
                return
            self._left -= 1
        self.sink.on_next(value)

    def on_completed(self) -> None:
        if self.upstream is DISPOSED:
            return
        if self._plan.fault == "reset":
            self._fail("reset", self._policy.reset or _reset)
        else:
            self.release()
            self.sink.on_completed()

    def on_error(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_error(error)


def _refused() -> Exception:
    return ConnectionRefusedError("injected by chaos: the call was not made")


def _reset() -> Exception:
    return ConnectionResetError("injected by chaos: the connection broke")


class _Wait(DisposableBase):
    """A timer as something to dispose."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def dispose(self) -> None:
        self._handle.cancel()
