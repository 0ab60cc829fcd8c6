"""A page about what the demo has done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rxorch import APIOrchestrator
from rxorch.draw import record, report
from rxorch.saga.reading import reading
from rxorch.saga.reporting import runs_report

__all__ = ["page_about", "page_about_runs"]


@contextmanager
def page_about(orchestrator: APIOrchestrator, path: Path | None, title: str) -> Iterator[None]:
    """Records what happens in its block, and writes a page about it, also where the block does not end well.

    Args:
        orchestrator: Is listened to.
        path: Of the page; None: there will be none.
        title: What stands above it.
    """
    if path is None:
        yield
        return
    is_over = False
    with record(orchestrator, limit=1) as recording:
        try:
            yield
            is_over = True
        finally:
            report(orchestrator, recording, title=title, interrupted=not is_over).save(path)


@contextmanager
def page_about_runs(journal: Path, path: Path | None, title: str, steps: Sequence[str]) -> Iterator[None]:
    """Writes a page about the runs in a journal, however its block ends.

    Args:
        journal: Its file; where there is none at the end, there is no page.
        path: Of the page; None: there will be none.
        title: What stands above it.
        steps: Of the saga, in their order.
    """
    try:
        yield
    finally:
        if path is not None and journal.exists():
            with reading(journal) as view:
                runs = view.latest(limit=view.counts().total())
                runs_report(view, runs, title=title, names=steps).save(path)
