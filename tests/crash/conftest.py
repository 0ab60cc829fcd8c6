"""What the tests of killed sagas share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ServeLoopback
from tests.crash.participants import Participants
from tests.crash.saga_trials import Processes, Trials, processes


@pytest.fixture(scope="package")
def program() -> Iterator[Processes]:
    """Processes, to be killed."""
    with processes() as made:
        yield made


@pytest.fixture
async def trials(program: Processes, loopback: ServeLoopback, tmp_path: Path) -> Trials:
    """Services that were not asked yet, and processes that ask them."""
    services = Participants()
    server = await loopback(services.routes)
    return Trials(program, server.url, services, tmp_path)
