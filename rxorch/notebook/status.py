"""How a handle stands: what its panel shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rxorch.notebook.figures import Figures

__all__ = ["HandleState", "Status"]


class HandleState(StrEnum):
    """Where a handle stands.

    `WAITING`: not begun. `RUNNING`. `DONE`: to its end. `FAILED`: with an error, which is kept.
    `INTERRUPTED`: by an interrupt of the kernel. `CLOSED`: somebody ended it before its end.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CLOSED = "closed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self not in (HandleState.WAITING, HandleState.RUNNING)


@dataclass(slots=True)
class Status:
    """What a panel shows of a handle, without holding the handle: it must be free to go."""

    name: str
    figures: Figures
    state: HandleState = HandleState.WAITING
    error: BaseException | None = None
