"""ReadySteps: a source that emits the members of a group the moment they may start."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage


class ReadySteps(Stage[int]):
    """Emits each index once all its needs are settled and there is demand; among the ready, the lowest first.

    For one subscription. Completes after the last index.

    Args:
        needs: For each index, those that come before it.
        now: The clock, if somebody wants to know since when each was ready.
    """

    def __init__(self, needs: Sequence[Sequence[int]], now: Callable[[], float] | None = None) -> None:
        self._open = [len(need) for need in needs]
        self._dependants: list[list[int]] = [[] for _ in needs]
        for index, need in enumerate(needs):
            for needed in need:
                self._dependants[needed].append(index)
        self._ready = [index for index, count in enumerate(self._open) if count == 0]
        self._left = len(needs)
        self._now = now
        self._since = {} if now is None else dict.fromkeys(self._ready, now())
        self._pump: _ReadyPump | None = None

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        self._pump = pump = _ReadyPump(self, sink, scheduler)
        pump.run()
        return pump

    def settle(self, index: int) -> None:
        """A member is done: its dependants may be ready now."""
        for dependant in self._dependants[index]:
            self._open[dependant] -= 1
            if self._open[dependant] == 0:
                heapq.heappush(self._ready, dependant)
                if self._now is not None:
                    self._since[dependant] = self._now()
        if self._pump is not None:
            self._pump.run()

    def waited(self, index: int) -> float:
        """Seconds that one has been ready for; 0 without a clock."""
        return 0.0 if self._now is None else self._now() - self._since[index]

    def detach(self) -> None:
        """The subscription is over."""
        self._pump = None

    def take_ready(self) -> int | None:
        """The next index that may start."""
        if not self._ready:
            return None
        self._left -= 1
        return heapq.heappop(self._ready)

    @property
    def exhausted(self) -> bool:
        """Whether every index was taken."""
        return self._left == 0


class _ReadyPump(DisposableBase):
    __slots__ = ("_busy", "_demand", "_sink", "_steps", "_stopped")

    def __init__(self, steps: ReadySteps, sink: ObserverBase[Any], scheduler: DemandScheduler) -> None:
        self._steps = steps
        self._sink = sink
        self._demand = scheduler.demand
        self._busy = False
        self._stopped = False
        self._demand.listen(self.run)

    def run(self) -> None:
        """Emits what is ready while there is demand."""
        if self._busy or self._stopped:
            return
        self._busy = True
        while not self._stopped and self._demand.credit() > 0:
            index = self._steps.take_ready()
            if index is None:
                break
            self._sink.on_next(index)
        self._busy = False
        if self._steps.exhausted and not self._stopped:
            sink = self._sink
            self.dispose()
            sink.on_completed()

    def dispose(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._demand.forget(self.run)
            self._steps.detach()  # source, pump and sink refer to each other in a ring
