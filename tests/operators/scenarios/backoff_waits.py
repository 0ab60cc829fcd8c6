"""Waits before repeats, worked out by the engine for failures at given seconds."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from rxorch_operators.engines.backoff import Jitter, RetryPolicy, RetryState
from tests.operators.scenarios.scenario import Scenario


class Drawn(Random):
    """Draws the numbers that it was given, then the last one for ever."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffScenario(Scenario):
    """A policy, what chance draws, what the other side asks for; and the waits, None for giving up.

    `at` is when each attempt fails, if time matters; `hints` and `bases` are per failure.
    """

    policy: RetryPolicy
    draws: tuple[float, ...] = (0.5,)
    at: tuple[float, ...] = ()
    hints: tuple[float | None, ...] = ()
    bases: tuple[float | None, ...] = ()
    deadline: float | None = None
    waits: tuple[float | None, ...]
    limit: str | None = None

    def check(self) -> None:
        """Fails as often as there are waits."""
        state = RetryState(self.policy, Drawn(*self.draws), started=0.0)
        waits = [
            state.next_delay(
                self.at[number] if self.at else 0.0,
                hint=self.hints[number] if self.hints else None,
                base=self.bases[number] if self.bases else None,
                deadline=self.deadline,
            )
            for number in range(len(self.waits))
        ]
        expected = [None if wait is None else pytest.approx(wait) for wait in self.waits]
        assert waits == expected, f"{waits} and not {self.waits}"
        assert state.limit == self.limit, state.limit


def schedule(
    base: float, cap: float, *, factor: float = 2.0, attempts: int = 99, jitter: Jitter = "none"
) -> RetryPolicy:
    """A policy that no time limit ends."""
    return RetryPolicy(
        max_attempts=attempts, base=base, cap=cap, factor=factor, jitter=jitter, max_elapsed=None
    )
