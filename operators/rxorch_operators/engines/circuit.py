"""The circuit breaker's state machine: the engine of `circuit_breaker`.

After Michael Nygard, "Release It!" (2007); windows, rates and the manual states as in resilience4j.

::

    CLOSED --- too many failed or slow calls ---> OPEN
    OPEN --- first try after the open time ---> HALF_OPEN
    HALF_OPEN --- the probes fail ---> OPEN (longer, if growth is set)
    HALF_OPEN --- the probes are well ---> CLOSED
    any --- by hand ---> FORCED_OPEN (nothing passes) | DISABLED (all passes, nothing counts)
                         | METRICS_ONLY (all passes and counts) | CLOSED (reset)

Every permit carries the generation of the state that gave it. Each change of state begins a new generation,
and the result of an older one changes nothing. The engine calls nobody: a change is returned, and the caller
tells the listeners after it, so a listener may use the circuit again.

Pure: the time is passed in as monotonic seconds.
"""

from __future__ import annotations

from random import Random
from typing import Final

from .circuit_model import (
    CircuitChange,
    CircuitKind,
    CircuitPermit,
    CircuitPolicy,
    CircuitReason,
    CircuitState,
    CircuitStatistics,
    Outcome3,
)
from .tally import LastCalls, LastSeconds, Run, Tally
from .window import seconds_until

__all__ = [
    "Circuit",
    "CircuitChange",
    "CircuitKind",
    "CircuitPermit",
    "CircuitPolicy",
    "CircuitReason",
    "CircuitState",
    "CircuitStatistics",
    "Outcome3",
]

_PARTS: Final = 50


_CLOSED: Final = CircuitState.CLOSED
_OPEN: Final = CircuitState.OPEN
_HALF_OPEN: Final = CircuitState.HALF_OPEN
_FORCED_OPEN: Final = CircuitState.FORCED_OPEN
_DISABLED: Final = CircuitState.DISABLED
_METRICS_ONLY: Final = CircuitState.METRICS_ONLY
_FAILURE: Final = Outcome3.FAILURE
_IGNORED: Final = Outcome3.IGNORED
_SUCCESS: Final = Outcome3.SUCCESS


class Circuit:
    """Decides which calls may go through, from what became of the calls before.

    Args:
        policy: The rules; the default opens after five failures in a row.
        random: Source of the jitter; needed only if the policy has one.

    Example:
        >>> circuit = Circuit(CircuitPolicy(threshold=1, timeout=60.0))
        >>> change = circuit.record(circuit.try_acquire(now=0.0), Outcome3.FAILURE, now=0.1)
        >>> change.new, circuit.try_acquire(now=1.0), circuit.retry_after(now=20.1)
        (<CircuitState.OPEN: 'open'>, None, 40.0)
    """

    __slots__ = (
        "_failed_trials",
        "_forgets",
        "_generation",
        "_opened",
        "_out",
        "_random",
        "_refused",
        "_state",
        "_tally",
        "_trials",
        "_until",
        "policy",
    )

    def __init__(self, policy: CircuitPolicy | None = None, random: Random | None = None) -> None:
        self.policy = CircuitPolicy() if policy is None else policy
        self._random = Random() if random is None else random
        self._tally = _tally_of(self.policy)
        # Whether a good call does nothing but clear the tally.
        self._forgets = self.policy.kind == "consecutive" and self.policy.slow_call_duration is None
        self._trials = LastCalls(self.policy.half_open_permits)
        self._out: list[CircuitPermit] = []  # trial permits without a result
        self._state = _CLOSED
        self._generation = 0
        self._until = 0.0
        self._failed_trials = 0
        self._opened = 0
        self._refused = 0

    def enter_closed(self) -> int | None:
        """`try_acquire` of a closed circuit without a permit: for `record_closed` its generation is enough.

        Returns:
            None, and nothing else happens, in any other state.
        """
        return self._generation if self._state is _CLOSED else None

    def record_closed(
        self, generation: int, started: float, outcome: Outcome3, now: float
    ) -> CircuitChange | None:
        """`record` for a call that was let in by `enter_closed`: who made it sees to it that it comes once.

        Args:
            generation: From `enter_closed`.
            started: When that was, in monotonic seconds.
            outcome: What the call means for the circuit.
            now: Monotonic seconds.
        """
        if generation != self._generation or outcome is _IGNORED:
            return None  # of the same generation it is closed still
        if outcome is _SUCCESS and self._forgets and not self._tally.calls:
            return None  # a good call of many: there is nothing to forget
        return self._count(started, outcome, now)

    def try_acquire(self, now: float) -> CircuitPermit | None:
        """Asks for leave to make a call; None if it must not be made.

        The first to ask after the open time turns OPEN into HALF_OPEN; `CircuitPermit.change` tells.

        Args:
            now: Monotonic seconds.
        """
        if self._state is _CLOSED:
            return CircuitPermit(self._generation, now)
        permit = self._acquire_elsewhere(now)
        if permit is None:
            self._refused += 1
        return permit

    def record(self, permit: CircuitPermit, outcome: Outcome3, now: float) -> CircuitChange | None:
        """Gives a permit back with what became of its call; returns the change of state, if there was one.

        A second result for one permit, the result of an older state, and that of a trial whose lease ran out
        change nothing.

        Args:
            permit: From `try_acquire`.
            outcome: What the call means for the circuit.
            now: Monotonic seconds.
        """
        if permit.settled:
            return None
        permit.settled = True
        state = self._state
        if permit.generation != self._generation or state is _DISABLED:
            return None
        if state is _HALF_OPEN:
            return self._record_trial(permit, outcome, now)
        return None if outcome is _IGNORED else self._count(permit.started, outcome, now)

    def _count(self, started: float, outcome: Outcome3, now: float) -> CircuitChange | None:
        slow = self.policy.slow_call_duration
        tally = self._tally
        tally.add(now, outcome is _FAILURE, slow is not None and now - started > slow)
        if self._state is _CLOSED and (tally.failed or tally.slow):
            return self._judge(now)
        return None

    def state(self, now: float) -> CircuitState:
        """The state, read without taking a permit. An OPEN circuit stays so until somebody tries.

        Args:
            now: Monotonic seconds; not needed here, but where the state is shared through a store.
        """
        return self._state

    def retry_after(self, now: float) -> float | None:
        """Seconds until a call may be let through: 0 if one may pass now.

        None if that is unknown: forced open, or half-open with all trials out.

        Args:
            now: Monotonic seconds.
        """
        if self._state is _OPEN:
            return seconds_until(self._until, now)
        if self._state is _FORCED_OPEN or (self._state is _HALF_OPEN and not self._has_trial(now)):
            return None
        return 0.0

    def force_open(self, now: float) -> CircuitChange | None:
        """Lets nothing through until further notice; None if it was so already.

        Args:
            now: Monotonic seconds.
        """
        return self._by_hand(_FORCED_OPEN, now)

    def disable(self, now: float) -> CircuitChange | None:
        """Lets everything through and counts nothing, until further notice; None if it was so already.

        Args:
            now: Monotonic seconds.
        """
        return self._by_hand(_DISABLED, now)

    def metrics_only(self, now: float) -> CircuitChange | None:
        """Lets everything through and counts it, until further notice; None if it was so already.

        Args:
            now: Monotonic seconds.
        """
        return self._by_hand(_METRICS_ONLY, now)

    def reset(self, now: float) -> CircuitChange | None:
        """Closes the circuit and forgets all results, also of calls under way; None if it was closed.

        Args:
            now: Monotonic seconds.
        """
        was_closed = self._state is _CLOSED
        change = self._enter(_CLOSED, now, "manual")
        return None if was_closed else change

    def statistics(self, now: float) -> CircuitStatistics:
        """A snapshot.

        Args:
            now: Monotonic seconds.
        """
        self._tally.advance(now)
        retry_after = self.retry_after(now)  # also drops the trials whose lease ran out
        tally: Tally = self._trials if self._state is _HALF_OPEN else self._tally
        return CircuitStatistics(
            state=self._state,
            generation=self._generation,
            calls=tally.calls,
            failed=tally.failed,
            slow=tally.slow,
            trials=len(self._out),
            opened=self._opened,
            refused=self._refused,
            retry_after=retry_after,
        )

    def _acquire_elsewhere(self, now: float) -> CircuitPermit | None:
        state = self._state
        if state is _DISABLED or state is _METRICS_ONLY:
            return CircuitPermit(self._generation, now)
        if state is _FORCED_OPEN:
            return None
        change = None
        if state is _OPEN:
            if now < self._until:
                return None
            change = self._enter(_HALF_OPEN, now, "timeout")
        elif not self._has_trial(now):
            return None
        permit = CircuitPermit(self._generation, now, change)
        self._out.append(permit)
        return permit

    def _has_trial(self, now: float) -> bool:
        """Whether a trial permit is free, now that those whose lease ran out have lost theirs."""
        if self._trials.calls + len(self._out) >= self.policy.half_open_permits:
            self._out = [permit for permit in self._out if not self._lapsed(permit, now)]
        return self._trials.calls + len(self._out) < self.policy.half_open_permits

    def _lapsed(self, permit: CircuitPermit, now: float) -> bool:
        return now - permit.started >= self.policy.lease

    def _record_trial(self, permit: CircuitPermit, outcome: Outcome3, now: float) -> CircuitChange | None:
        if permit in self._out:
            self._out.remove(permit)
        # Decided by the time alone: whether somebody else wanted the permit meanwhile must not matter.
        if outcome is _IGNORED or self._lapsed(permit, now):
            return None
        trials = self._trials
        slow = self.policy.slow_call_duration
        trials.add(now, outcome is _FAILURE, slow is not None and now - permit.started > slow)
        if self.policy.kind == "consecutive":
            reason = _worst(trials)
        else:
            # Measured against all permits: bad enough now is bad enough whatever the others bring.
            reason = self.policy.judge(self.policy.half_open_permits, trials.failed, trials.slow)
        if reason is not None:
            self._failed_trials += 1
            return self._open(now, reason)
        if trials.calls == self.policy.half_open_permits:
            return self._enter(_CLOSED, now, "recovered")
        return None

    def _judge(self, now: float) -> CircuitChange | None:
        policy, tally = self.policy, self._tally
        failed, slow = tally.failed, tally.slow
        calls = tally.calls
        if policy.kind == "consecutive":
            reason = _worst(tally) if calls >= policy.threshold else None
        else:
            reason = policy.judge(calls, failed, slow) if calls >= policy.min_calls else None
        return None if reason is None else self._open(now, reason)

    def _open(self, now: float, reason: CircuitReason) -> CircuitChange:
        wait = self.policy.open_time(self._failed_trials)
        if self.policy.jitter:
            wait *= 1.0 + self.policy.jitter * self._random.random()
        self._until = now + wait
        self._opened += 1
        return self._enter(_OPEN, now, reason, wait)

    def _by_hand(self, state: CircuitState, now: float) -> CircuitChange | None:
        return None if self._state is state else self._enter(state, now, "manual")

    def _enter(
        self, state: CircuitState, now: float, reason: CircuitReason, retry_after: float | None = None
    ) -> CircuitChange:
        change = CircuitChange(self._state, state, now, reason, retry_after)
        self._state = state
        self._generation += 1
        self._out = []
        self._trials.clear()
        if state is _CLOSED or state is _METRICS_ONLY:
            self._tally.clear()
        if state is _CLOSED:
            self._failed_trials = 0
        return change


def _worst(tally: Tally) -> CircuitReason | None:
    if tally.failed:
        return "failures"
    return "slow_calls" if tally.slow else None


def _tally_of(policy: CircuitPolicy) -> Tally:
    if policy.kind == "count":
        return LastCalls(int(policy.size))
    if policy.kind == "time":
        return LastSeconds(policy.size, _PARTS)
    return Run()
