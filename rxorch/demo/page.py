"""A page about what the demo has done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rxorch import APIOrchestrator
from rxorch.draw import record, report

__all__ = ["page_about"]


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
