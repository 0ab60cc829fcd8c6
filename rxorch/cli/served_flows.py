"""FLOWS of ``rxorch serve``: from a reference to flows and sagas, whose runs are in one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rxorch.flowfile import resolve_flows
from rxorch.saga import Saga
from rxorch.server import Served

__all__ = ["served_flows"]


def served_flows(reference: str, journal: Path | None) -> dict[str, Any]:
    """What is served, by name.

    Args:
        reference: Of the flows and sagas.
        journal: File in which the runs of all sagas are kept; None: each has its own journal.

    Raises:
        ApiConfigurationError: It leads to nothing that can be served; says why.
    """
    kinds = (Served, Saga)
    if journal is None:
        return resolve_flows(reference, kinds)
    from rxorch.saga import SqliteJournal

    path = journal
    found = resolve_flows(reference, kinds, lambda: SqliteJournal(path))
    return {name: _kept_in(path, each) for name, each in found.items()}


def _kept_in(path: Path, what: Any) -> Any:
    """The same with its runs in the file. Each saga has a journal object of its own, which it closes."""
    from rxorch.saga import SqliteJournal

    if isinstance(what, Served):
        return replace(what, flow=_kept_in(path, what.flow))
    return what.with_journal(SqliteJournal(path)) if isinstance(what, Saga) else what
