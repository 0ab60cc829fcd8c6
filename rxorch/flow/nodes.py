"""A flow as data: a small tree of frozen nodes. The engine runs it, pictures and linters read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError

if TYPE_CHECKING:
    from reactivex import Observable

    from rxorch.endpoint import Caller
    from rxorch.flow.result import OrchestrationResult

__all__ = ["Call", "Choice", "Flow", "Group", "Kind"]


class Kind(Enum):
    """How the children of a group are put together."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    FANOUT = "fanout"
    PIPELINE = "pipeline"
    CONDITIONAL = "conditional"
    GRAPH = "graph"


class Flow:
    """What can be orchestrated: one endpoint, a group of flows, or a choice between flows."""

    __slots__ = ()

    @property
    def depth(self) -> int:
        """Levels of nesting, 1 for a single call."""
        return 1

    def children(self) -> tuple[Flow, ...]:
        """The nodes directly below this one."""
        return ()

    def endpoints(self) -> Iterator[APIEndpoint]:
        """All endpoints below, in the order in which they were written."""
        for child in self.children():
            yield from child.endpoints()

    def observe(self, data: Any = None, client: Caller | None = None) -> Observable[OrchestrationResult]:
        """This flow for one input as a cold observable of its one result.

        Args:
            data: The input.
            client: Calls the endpoints; must be open. Without one, each subscription uses and closes its own.

        Emits: one `OrchestrationResult`; a failed step is in it, and no error of the observable.
        Disposal: cancels every call in flight.
        """
        from rxorch.flow.engine import observe_flow

        return observe_flow(self, data, client)

    async def execute(self, data: Any = None, client: Caller | None = None) -> OrchestrationResult:
        """Runs this flow for one input; see `observe`. Cancelling the awaiting task ends every call.

        >>> import asyncio
        >>> from rxorch import sequential
        >>> asyncio.run(sequential().execute({"id": 7})).ok
        True
        """
        from rxorch.flow.engine import execute_flow

        return await execute_flow(self, data, client)


MAX_DEPTH: Final = 32
"""How deep flows may be nested: each level takes some frames of the interpreter's stack, which has an end."""


def _depth(members: Iterable[Flow]) -> int:
    depth = 1 + max((member.depth for member in members), default=0)
    if depth > MAX_DEPTH:
        raise ApiConfigurationError(f"flows are nested deeper than {MAX_DEPTH} levels")
    return depth


@dataclass(frozen=True, slots=True)
class Call(Flow):
    """A call of one endpoint."""

    endpoint: APIEndpoint

    def endpoints(self) -> Iterator[APIEndpoint]:
        yield self.endpoint


@dataclass(frozen=True, slots=True)
class Group(Flow):
    """Several flows together.

    Args:
        kind: How they are put together.
        members: The flows.
        max_concurrent: How many of them run at once; None: the run's default. Ignored where only one runs
            at a time.
    """

    kind: Kind
    members: tuple[Flow, ...]
    max_concurrent: int | None = None
    depth: int = field(init=False, default=1, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Measures the depth."""
        object.__setattr__(self, "depth", _depth(self.members))

    def children(self) -> tuple[Flow, ...]:
        return self.members


@dataclass(frozen=True, slots=True)
class Choice(Flow):
    """One flow or another, by a condition on the data.

    Args:
        condition: Gets the data (and the context, if it takes two parameters).
        then: Runs if the condition holds.
        otherwise: Runs if not; None: everything below is skipped.
    """

    condition: Callable[..., Any]
    then: Flow
    otherwise: Flow | None = None
    depth: int = field(init=False, default=1, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Measures the depth."""
        object.__setattr__(self, "depth", _depth(self.children()))

    def children(self) -> tuple[Flow, ...]:
        return (self.then,) if self.otherwise is None else (self.then, self.otherwise)
