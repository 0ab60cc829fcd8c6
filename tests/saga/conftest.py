"""What the tests of sagas share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rxorch.saga import Journal
from tests.saga.journals import KINDS, Journals, journals_of
from tests.saga.services import Services, serving


@pytest.fixture(params=KINDS)
async def journals(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journals]:
    """Journals of each kind, in turn."""
    async with journals_of(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def journal(journals: Journals) -> Journal:
    """One journal of each kind, in turn."""
    return journals.one


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    """Services on loopback that a saga may call."""
    async with serving() as made:
        yield made
