"""What is drawn and judged: a flow, its plan, and the settings that it runs with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.flow import Flow, FlowPlan, as_flow, compile_flow
from rxorch.orchestrator import APIOrchestrator

__all__ = ["Drawable", "Subject", "subject_of"]

Drawable: TypeAlias = Flow | APIEndpoint | APIOrchestrationConfig | APIOrchestrator


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A flow as it would run."""

    flow: Flow
    plan: FlowPlan
    config: APIOrchestrationConfig


def subject_of(what: Drawable) -> Subject:
    """The subject of a picture; a bare flow or endpoint has the settings that a run has by default.

    Raises:
        ApiConfigurationError: it is none of the four kinds, or a flow that cannot be planned.
    """
    if isinstance(what, APIOrchestrator):
        return _subject(what.flow, what.config)
    if isinstance(what, APIOrchestrationConfig):
        return _subject(what.flow(), what)
    if isinstance(what, Flow | APIEndpoint):
        return _subject(as_flow(what), APIOrchestrationConfig())
    raise ApiConfigurationError(
        "give a flow, an APIEndpoint, an APIOrchestrationConfig or an APIOrchestrator, "
        f"not {type(what).__name__}"
    )


def _subject(flow: Flow, config: APIOrchestrationConfig) -> Subject:
    return Subject(flow, compile_flow(flow), config)
