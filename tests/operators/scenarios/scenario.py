"""What every row of a scenario table has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One documented behaviour.

    `name` is the test id. `source` names project, document or test file, and section or test. `why` is the
    reason of a row in a `DIFFERS` table, where the expected outcome is ours; it says what the other does.
    """

    name: str
    source: str
    why: str = ""


def rows(*tables: Iterable[Scenario]) -> pytest.MarkDecorator:
    """Parametrises a test with the rows of its tables, under their names."""
    found = [pytest.param(row, id=row.name.replace(" ", "-")) for table in tables for row in table]
    return pytest.mark.parametrize("row", found)
