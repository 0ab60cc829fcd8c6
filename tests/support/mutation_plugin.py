"""How pytest runs under `dev.py mutate`: the first failure is enough, so the quick tests come first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

MEASURED = Path("mutmut-stats.json")
"""What mutmut leaves in its folder after the first run of all tests."""

settings.register_profile(
    "mutation",
    phases=[Phase.explicit, Phase.generate],  # nobody reads the counter-example, so it may be a large one
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by the time that each test took."""
    if MEASURED.exists():
        seconds = json.loads(MEASURED.read_text())["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))
