"""What a flow is, as plain values. No url of an upstream is in it."""

from __future__ import annotations

from typing import Any

from rxorch.orchestrator import APIOrchestrator
from rxorch.worst_case import worst_case

__all__ = ["SAFE_METHODS", "described", "takes"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


def described(name: str, orchestrator: APIOrchestrator, *, readable: bool) -> dict[str, Any]:
    """What a flow calls and takes, and what one run costs at worst."""
    endpoints = [
        {"name": each.name, "method": each.method, "depends_on": list(each.depends_on)}
        for each in orchestrator.flow.endpoints()
    ]
    costs = worst_case(orchestrator)
    return {
        "name": name,
        "readable": readable,
        "takes": takes(orchestrator),
        "endpoints": endpoints,
        "worst_case": {
            "requests": costs.as_dict()["requests"],
            "seconds": costs.as_dict()["seconds"],
            "total_timeout": orchestrator.config.total_timeout,
        },
    }


def takes(orchestrator: APIOrchestrator) -> list[str]:
    """The keys of the input that templates of the flow name."""
    endpoints = tuple(orchestrator.flow.endpoints())
    results = {each.name for each in endpoints}
    fields = [field.split(".")[0] for each in endpoints for field in each.template_fields]
    return [field for field in dict.fromkeys(fields) if field not in results]
