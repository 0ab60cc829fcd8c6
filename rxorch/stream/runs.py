"""Runs: the records of a stream that somebody kept."""

from __future__ import annotations

from typing import Any

from rxorch.showing import Shown
from rxorch.stream.run import Run

__all__ = ["Runs"]


class Runs(list[Run], Shown):
    """The records of a stream in a list, which a notebook shows in one card.

    >>> runs = Runs([Run(0, {"id": 7}, True, None), Run(1, {"id": 8}, False, None)])
    >>> runs, runs.ok, [run.index for run in runs.failed]
    (<Runs: 2, 1 failed>, False, [1])
    """

    @property
    def ok(self) -> bool:
        """Whether none failed."""
        return all(run.ok for run in self)

    @property
    def failed(self) -> Runs:
        """Those that failed."""
        return Runs(run for run in self if not run.ok)

    @property
    def results(self) -> list[Any]:
        """What each gave."""
        return [run.result for run in self]

    def __repr__(self) -> str:
        failed = len(self.failed)
        return f"<Runs: {len(self):,}{f', {failed:,} failed' if failed else ''}>"
