"""How far the orders are that are sagas: completed, undone, or for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass

from rxorch.demo.progress import Progress
from rxorch.saga import SagaState
from rxorch.terminal.ink import count

__all__ = ["SagaProgress"]


@dataclass(slots=True)
class SagaProgress(Progress):
    """The state of ``total`` runs of which ``cap`` may be under way at once."""

    undone: int = 0

    def on_end(self, state: SagaState, duration: float) -> None:
        """Take one run that is over."""
        if state is SagaState.COMPENSATED:
            self.undone += 1
            self.durations.add(duration)
        else:
            self.on_run(state is SagaState.COMPLETED, duration)

    @property
    def done(self) -> int:
        """Runs that are over."""
        return self.ok + self.undone + self.failed

    def facts(self) -> list[tuple[str, str]]:
        """What to show beside the bar: label and value."""
        states = [("completed", self.ok), ("undone", self.undone), ("dead letters", self.failed)]
        return [*((label, count(number)) for label, number in states), *Progress.facts(self)[2:]]
