"""CircuitBreaker: the shared object behind `circuit_breaker`, and what awaits calls through it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, ParamSpec, TypeVar, overload

from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable

from .core.clock import Clock
from .core.clock_user import ClockUser
from .engines.circuit import (
    Circuit,
    CircuitChange,
    CircuitPermit,
    CircuitPolicy,
    CircuitState,
    CircuitStatistics,
    Outcome3,
)
from .errors import CircuitOpenError, is_refusal

__all__ = ["CircuitBreaker", "Classify"]

T = TypeVar("T")
P = ParamSpec("P")

Classify = Callable[[Any], Outcome3]
"""Tells what a call means for the circuit, from the exception that it ended with or from its value."""

_LOG: Final = logging.getLogger("rxorch_operators")
_SUCCESS: Final = Outcome3.SUCCESS
_FAILURE: Final = Outcome3.FAILURE
_IGNORED: Final = Outcome3.IGNORED


class CircuitBreaker(ClockUser):
    """A circuit that calls share: it opens when too many fail, and lets a few through later to try.

    Args:
        threshold: Failures in a row that open it.
        timeout: Seconds that it stays open before calls may try again.
        policy: All the rules, in place of `threshold` and `timeout`: windows, rates, slow calls, trials.
        name: For errors and events.
        classify: What a call means for the circuit, from its exception or value. By default an `Exception` is
            a failure and a value a success; a cancellation is ignored, and so is a call that was not made
            because a limit or a bulkhead inside of the circuit refused it.
        on_change: Told each change of state. What it raises is logged and breaks nothing; see also `listen`.
        clock: Time to go by; that of the running loop by default.
        random: Source of the jitter, if the policy has one.

    >>> import asyncio
    >>> from rxorch_operators import CircuitBreaker
    >>> breaker = CircuitBreaker(threshold=1, timeout=30.0, name="shop")
    >>> async def fetch(item):
    ...     raise OSError("down")
    >>> async def main():
    ...     for _ in range(2):
    ...         try:
    ...             await breaker.call(fetch, 7)
    ...         except Exception as error:
    ...             print(error)
    >>> asyncio.run(main())
    down
    circuit 'shop' is open; try again in 30 s
    """

    def __init__(
        self,
        threshold: int = 5,
        timeout: float = 60.0,
        *,
        policy: CircuitPolicy | None = None,
        name: str | None = None,
        classify: Classify | None = None,
        on_change: Callable[[CircuitChange], object] | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(clock)
        self.name = name
        self.classify = classify
        self.circuit = Circuit(policy or CircuitPolicy(threshold=threshold, timeout=timeout), random)
        self._listeners: dict[object, Callable[[CircuitChange], object]] = {}
        if on_change is not None:
            self.listen(on_change)

    @property
    def policy(self) -> CircuitPolicy:
        """The rules."""
        return self.circuit.policy

    @property
    def state(self) -> CircuitState:
        """The state. Reading it takes no permit and changes nothing."""
        return self.circuit.state(self._now())

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be let through: 0 if now; None if nobody can know."""
        return self.circuit.retry_after(self._now())

    def statistics(self) -> CircuitStatistics:
        """A snapshot."""
        return self.circuit.statistics(self._now())

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Calls a function, plain or `async def`, if the circuit allows it, and notes what became of it.

        Args:
            fn: Called with the remaining arguments. Its result is returned, awaited if it is awaitable.
            *args: For the function.
            **kwargs: For the function.

        Raises:
            CircuitOpenError: The function was not called.
            Exception: What the function raises. A cancelled call gives its permit back, and counts
                for nothing.
        """
        now = self.clock_here().now
        permit = self.circuit.try_acquire(now())
        if permit is None or permit.change is not None:
            permit = self._admitted(permit, now())
        try:
            result = fn(*args, **kwargs)
            if hasattr(
                type(result), "__await__"
            ):  # isinstance asks the abstract base class, five times as slow
                result = await result
        except BaseException as error:
            self.settle(permit, error, self.classify, failed=True)
            raise
        if self.classify is None:
            change = self.circuit.record(permit, _SUCCESS, now())
            if change is not None:
                self.tell(change)
        else:
            self.settle(permit, result, self.classify, failed=False)
        return result

    def acquire(self, now: float | None = None) -> CircuitPermit:
        """Leave to make one call; the way in for callers that neither `call` nor pipe.

        Give it back with `record`, whatever became of the call.

        Args:
            now: Monotonic seconds of the breaker's clock, if they are at hand.

        Raises:
            CircuitOpenError: The call must not be made.
        """
        if now is None:
            now = self._now()
        return self._admitted(self.circuit.try_acquire(now), now)

    def _admitted(self, permit: CircuitPermit | None, now: float) -> CircuitPermit:
        if permit is None:
            raise self.refusal(now)
        if permit.change is not None:
            self.tell(permit.change)
        return permit

    def refusal(self, now: float) -> CircuitOpenError:
        """The error for a call that must not be made.

        Args:
            now: Monotonic seconds of the breaker's clock.
        """
        return CircuitOpenError(name=self.name, retry_after=self.circuit.retry_after(now))

    def record(self, permit: CircuitPermit, outcome: Outcome3, now: float | None = None) -> None:
        """Gives a permit back with what became of its call. The second time for one permit does nothing.

        Args:
            permit: From `acquire`.
            outcome: What the call means for the circuit.
            now: Monotonic seconds of the breaker's clock, if they are at hand.
        """
        self.tell(self.circuit.record(permit, outcome, self._now() if now is None else now))

    def settle(
        self,
        permit: CircuitPermit,
        result: object,
        classify: Classify | None,
        *,
        failed: bool,
        now: float | None = None,
    ) -> None:
        """Gives a permit back for a call that has ended: `record`, with the outcome worked out.

        Args:
            permit: From `acquire`.
            result: The call's exception or value.
            classify: What the call means; None for the usual. Not asked about a cancellation.
            failed: Whether the result is an exception that was raised.
            now: Monotonic seconds of the breaker's clock, if they are at hand.
        """
        if not failed and classify is None:
            outcome = _SUCCESS
        elif failed and not isinstance(result, Exception):
            outcome = _IGNORED  # cancelled, or the program is being stopped: no fault of the other side
        elif classify is None:
            outcome = _IGNORED if is_refusal(result) else _FAILURE
        else:
            try:
                outcome = classify(result)
            except BaseException:
                self.record(permit, _IGNORED, now)
                raise
        change = self.circuit.record(permit, outcome, self._now() if now is None else now)
        if change is not None:
            self.tell(change)

    def force_open(self) -> None:
        """Lets nothing through until `reset`, `disable` or `metrics_only`."""
        self.tell(self.circuit.force_open(self._now()))

    def disable(self) -> None:
        """Lets everything through and counts nothing, until further notice."""
        self.tell(self.circuit.disable(self._now()))

    def metrics_only(self) -> None:
        """Lets everything through and counts it, until further notice."""
        self.tell(self.circuit.metrics_only(self._now()))

    def reset(self) -> None:
        """Closes the circuit and forgets all results, also those of calls under way."""
        self.tell(self.circuit.reset(self._now()))

    def listen(self, listener: Callable[[CircuitChange], object]) -> DisposableBase:
        """Tells the listener each change of state, until the result is disposed.

        Args:
            listener: Called after the change; it may use the breaker. What it raises is logged.
        """
        key = object()  # the same function may listen twice
        self._listeners[key] = listener
        return Disposable(lambda: self._forget(key))

    def _forget(self, key: object) -> None:
        self._listeners.pop(key, None)

    def tell(self, change: CircuitChange | None) -> None:
        """Tells the listeners a change that came from the engine.

        Args:
            change: What `Circuit` returned; None for no change.
        """
        if change is None:
            return
        for listener in tuple(self._listeners.values()):
            try:
                listener(change)
            except Exception:
                _LOG.exception("a listener of %r failed", self)

    def _now(self) -> float:
        return self.clock_here().now()

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}, "
        return f"CircuitBreaker({name}{self.state.name})"
