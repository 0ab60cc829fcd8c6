"""Short ways to a worst case."""

from __future__ import annotations

from typing import Any

from rxorch import (
    APIOrchestrationConfig,
)
from rxorch.worst_case import WorstCase, worst_case

__all__ = ["codes", "judged"]


def judged(*endpoints: Any, **more: Any) -> WorstCase:
    """The worst case of a config."""
    return worst_case(APIOrchestrationConfig(endpoints=endpoints, **more))


def codes(case: WorstCase) -> list[str]:
    """What is found, in short."""
    return [finding.code for finding in case.findings]
