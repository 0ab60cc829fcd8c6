"""The server behind the examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.threaded import ThreadedLoopback
from tests.docs.api import routes


@pytest.fixture
def example_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a fresh server, on a thread of its own: ``run`` in an example blocks the event loop.

    Meanwhile the current folder is an empty one, for the files that examples write.
    """
    monkeypatch.chdir(tmp_path)
    with ThreadedLoopback(routes()) as server:
        yield server.url
