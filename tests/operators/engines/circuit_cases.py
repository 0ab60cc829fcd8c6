"""Circuits brought into a state, for the tests."""

from __future__ import annotations

from random import Random

from rxorch_operators.engines.circuit import Circuit, CircuitPolicy, CircuitState, Outcome3

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, DISABLED = CircuitState.FORCED_OPEN, CircuitState.DISABLED
METRICS_ONLY = CircuitState.METRICS_ONLY
SUCCESS, FAILURE, IGNORED = Outcome3.SUCCESS, Outcome3.FAILURE, Outcome3.IGNORED
LETTERS = {"s": SUCCESS, "f": FAILURE, "i": IGNORED}


def call(circuit, outcome, now=0.0, took=0.0):
    """One call from permit to result; returns the change of state that the result brought."""
    permit = circuit.try_acquire(now)
    assert permit is not None
    return circuit.record(permit, outcome, now + took)


def play(circuit, letters, now=0.0):
    """One call for each letter; returns the states after each."""
    states = []
    for letter in letters:
        call(circuit, LETTERS[letter], now)
        states.append(circuit.state(now))
    return states


def opened(now=0.0, **policy):
    """A circuit that has just opened."""
    circuit = Circuit(CircuitPolicy(**{"threshold": 1, **policy}), Random(1))
    for _ in range(policy.get("min_calls", 1)):
        call(circuit, FAILURE, now)
    assert circuit.state(now) is OPEN
    return circuit


def half_opened(now=60.0, permits=3, **policy):
    """A circuit on trial, with all its trial permits out."""
    circuit = opened(half_open_permits=permits, **policy)
    trials = [circuit.try_acquire(now) for _ in range(permits)]
    assert all(trials)
    assert circuit.state(now) is HALF_OPEN
    return circuit, trials
