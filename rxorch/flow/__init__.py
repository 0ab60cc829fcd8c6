"""Floor 4: orchestrations as data, the combinators that write them, the engine that runs them."""

from rxorch.flow.combinators import as_flow, conditional, fanout, graph, parallel, pipeline, sequential
from rxorch.flow.engine import FlowRun, RunEvents, RunLink, awaited_run
from rxorch.flow.nodes import Call, Choice, Flow, Group, Kind
from rxorch.flow.plan import FlowPlan, compile_flow
from rxorch.flow.result import OrchestrationResult, Outcome, OutcomeStatus
from rxorch.flow.so_far import result_so_far
from rxorch.flow.solo import RunBeginner, SoloRun
from rxorch.flow.state import RunSettings

__all__ = [
    "Call",
    "Choice",
    "Flow",
    "FlowPlan",
    "FlowRun",
    "Group",
    "Kind",
    "OrchestrationResult",
    "Outcome",
    "OutcomeStatus",
    "RunBeginner",
    "RunEvents",
    "RunLink",
    "RunSettings",
    "SoloRun",
    "as_flow",
    "awaited_run",
    "compile_flow",
    "conditional",
    "fanout",
    "graph",
    "parallel",
    "pipeline",
    "result_so_far",
    "sequential",
]
