"""The circuit breaker of the request layer: the one of the operators, with the words of this layer."""

from __future__ import annotations

from typing import Any

from rxorch_operators import CircuitBreaker as _CircuitBreaker
from rxorch_operators import Outcome3

__all__ = ["CircuitBreaker"]


class CircuitBreaker(_CircuitBreaker):
    """Stops requests to a service that keeps failing, and lets a few through after a while to try.

    It is `rxorch.CircuitBreaker` in other words, so all that takes the one takes the other.

    Args:
        max_failures: Failures in a row that open it.
        cooldown_time: Seconds that it then stays open.
        settings: `policy`, `name`, `classify`, `on_change`, `clock`, `random` of `rxorch.CircuitBreaker`.

    >>> breaker = CircuitBreaker(max_failures=5, cooldown_time=60)
    >>> breaker.policy.threshold, breaker.policy.timeout
    (5, 60)
    """

    def __init__(self, max_failures: int = 5, cooldown_time: float = 60.0, **settings: Any) -> None:
        super().__init__(max_failures, cooldown_time, **settings)

    def is_open(self) -> bool:
        """Whether a call would be refused now. Takes no permit and changes nothing."""
        return self.retry_after != 0.0

    def record_failure(self) -> None:
        """A call that was made elsewhere failed."""
        self._record(Outcome3.FAILURE)

    def record_success(self) -> None:
        """A call that was made elsewhere succeeded."""
        self._record(Outcome3.SUCCESS)

    def _record(self, outcome: Outcome3) -> None:
        now = self._now()
        permit = self.circuit.try_acquire(now)
        if permit is not None:  # an open circuit learns nothing from calls that it did not let through
            self._admitted(permit, now)
            self.record(permit, outcome, now)
