"""Circuits played by a script of one word per step, so that a scenario fits on two lines.

::

    s f i      a whole call that ends at once: success, failure, ignored
    s:5        the same, and the call took 5 s
    ?          a call asks, may pass, and is under way
    x          a call asks and is refused
    =s =f =i   the oldest call under way ends
    +5         5 s pass
    open! off! watch! reset!     force_open, disable, metrics_only, reset

The expected states are one letter per word: C(losed), O(pen), H(alf-open), F(orced open), D(isabled) and
M(etrics only).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from rxorch_operators.engines.circuit import Circuit, CircuitChange, CircuitPermit, CircuitPolicy
from tests.operators.engines.circuit_cases import LETTERS
from tests.operators.scenarios.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitScenario(Scenario):
    """A policy, a script, the state after each step, and figures at the end where the source gives them."""

    policy: CircuitPolicy
    script: str
    states: str
    calls: int | None = None
    failed: int | None = None
    slow: int | None = None
    refused: int | None = None
    retry_after: float | None = None
    changes: int | None = None

    def check(self) -> None:
        """Plays the script."""
        player = Player(self.policy)
        states = ""
        for word in self.script.split():
            player.step(word)
            states += player.circuit.state(player.now).name[0]
        expected = self.states.replace(" ", "")
        assert states == expected, f"{states} and not {expected}"
        seen = player.circuit.statistics(player.now)
        for figure in ("calls", "failed", "slow", "refused", "retry_after"):
            wanted = getattr(self, figure)
            assert wanted is None or getattr(seen, figure) == pytest.approx(wanted), f"{figure}: {seen}"
        assert self.changes is None or len(player.changes) == self.changes, player.changes


class Player:
    """A circuit, its time and the calls under way."""

    def __init__(self, policy: CircuitPolicy) -> None:
        self.circuit = Circuit(policy, Random(1))
        self.now = 0.0
        self.out: list[CircuitPermit] = []
        self.changes: list[CircuitChange] = []

    def step(self, word: str) -> None:
        """Does what one word says."""
        if word == "?":
            self.ask()
        elif word == "x":
            assert self.circuit.try_acquire(self.now) is None, f"let through at {self.now} s"
        elif word[0] == "+":
            self.now += float(word[1:])
        elif word[0] == "=":
            self.end(self.out.pop(0), word[1])
        elif word[-1] == "!":
            self.by_hand(word[:-1])
        else:
            letter, _, took = word.partition(":")
            self.ask()
            self.now += float(took or 0)
            self.end(self.out.pop(), letter)

    def ask(self) -> None:
        """A call that may pass."""
        permit = self.circuit.try_acquire(self.now)
        assert permit is not None, f"refused at {self.now} s"
        self.noted(permit.change)
        self.out.append(permit)

    def end(self, permit: CircuitPermit, letter: str) -> None:
        """The result of a call."""
        self.noted(self.circuit.record(permit, LETTERS[letter], self.now))

    def by_hand(self, name: str) -> None:
        """One of the manual changes of state."""
        method = {"open": "force_open", "off": "disable", "watch": "metrics_only", "reset": "reset"}[name]
        self.noted(getattr(self.circuit, method)(self.now))

    def noted(self, change: CircuitChange | None) -> None:
        """Keeps what listeners would have been told."""
        if change is not None:
            self.changes.append(change)
