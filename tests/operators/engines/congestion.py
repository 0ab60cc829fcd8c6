"""A service of known capacity in exact time, and clients that ask as much of it as a limit lets them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

from rxorch_operators.engines.circuit_model import Outcome3
from rxorch_operators.engines.concurrency_limit import ConcurrencyLimit, LimitSample
from rxorch_operators.engines.permits import Permit, PermitPool
from tests.operators.manual_clock import ManualClock

Done = Callable[[bool], object]


class Service:
    """Works on `capacity` calls at once, each for about so many seconds, and lets `backlog` more wait.

    Beyond that it refuses, which takes a tenth of the time.
    """

    def __init__(
        self, clock: ManualClock, capacity: int, *, backlog: int = 0, seconds: float = 1.0, seed: int = 0
    ) -> None:
        self.clock = clock
        self.capacity = capacity
        self.backlog = backlog
        self.seconds = seconds
        self.random = Random(seed)
        self.busy = 0
        self.peak = 0
        self.served = 0
        self.refused = 0
        self._waiting: deque[Done] = deque()

    def call(self, done: Done) -> None:
        """Calls `done` later, with whether the call was served."""
        if self.busy >= self.capacity and len(self._waiting) >= self.backlog:
            self.refused += 1
            self.clock.call_later(self.seconds / 10, partial(done, False))
            return
        self._waiting.append(done)
        self._work()
        self.peak = max(self.peak, self.busy + len(self._waiting))

    def _work(self) -> None:
        while self._waiting and self.busy < self.capacity:
            self.busy += 1
            time = self.seconds * self.random.uniform(0.8, 1.2)
            self.clock.call_later(time, partial(self._end, self._waiting.popleft()))

    def _end(self, done: Done) -> None:
        self.busy -= 1
        self.served += 1
        self._work()
        done(True)


class History:
    """What a limit was, and for how long."""

    def __init__(self, clock: ManualClock, limit: int) -> None:
        self.clock = clock
        self.limits = [(clock.now(), limit)]

    def note(self, limit: int) -> None:
        """It is this from now on."""
        self.limits.append((self.clock.now(), limit))

    def during(self, seconds: float) -> tuple[int, float, int]:
        """Lets time pass, and tells the lowest limit in it, the average and the highest."""
        self.limits = self.limits[-1:]
        start = self.clock.now()
        steps = 100  # a clock takes it for a fault if very many timers fire in one step
        for _ in range(steps):
            self.clock.advance(seconds / steps)
        ends = [at for at, _ in self.limits[1:]] + [self.clock.now()]
        area = sum(limit * (end - max(start, at)) for (at, limit), end in zip(self.limits, ends, strict=True))
        seen = [limit for _, limit in self.limits]
        return min(seen), area / (self.clock.now() - start), max(seen)


class Clients:
    """So many clients, each calling again as soon as its call has ended."""

    def __init__(self, service: Service, limit: ConcurrencyLimit, number: int) -> None:
        self.service = service
        self.limit = limit
        self.pool = PermitPool(limit.limit)
        self.history = History(service.clock, limit.limit)
        for _ in range(number):
            self._ask()

    def _ask(self) -> None:
        permit = self.pool.acquire(self._go)
        if permit.held:
            self._go(permit)

    def _go(self, permit: Permit) -> None:
        assert self.pool.in_flight <= self.limit.limit <= self.limit.policy.max_limit
        sample = self.limit.start(self.service.clock.now(), self.pool.in_flight)
        self.service.call(partial(self._ended, permit, sample))

    def _ended(self, permit: Permit, sample: LimitSample, served: bool) -> None:
        outcome = Outcome3.SUCCESS if served else Outcome3.FAILURE
        change = self.limit.end(sample, self.service.clock.now(), outcome)
        if change is not None:
            self.history.note(change.new)
            self.pool.limit = change.new
        permit.release()
        self._ask()
