"""The server behind the examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.threaded import ThreadedLoopback
from tests.docs.api import routes


@pytest.fixture
def example_api() -> Iterator[str]:
    """The address of a fresh server, on a thread of its own: ``run`` in an example blocks the event loop."""
    with ThreadedLoopback(routes()) as server:
        yield server.url
