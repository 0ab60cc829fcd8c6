"""The combinators: write an orchestration by nesting functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rxorch.endpoint import APIEndpoint, call_with_context
from rxorch.errors import ApiConfigurationError
from rxorch.flow.nodes import Call, Choice, Flow, Group, Kind

__all__ = ["as_flow", "conditional", "fanout", "graph", "parallel", "pipeline", "sequential"]


def as_flow(step: Flow | APIEndpoint) -> Flow:
    """An endpoint as a flow of one call; flows stay what they are."""
    if isinstance(step, Flow):
        return step
    if isinstance(step, APIEndpoint):
        return Call(step)
    raise ApiConfigurationError(
        f"a step must be an APIEndpoint or a flow made by a combinator, got {type(step).__name__}"
    )


def _group(kind: Kind, steps: tuple[Flow | APIEndpoint, ...], max_concurrent: int | None = None) -> Group:
    if max_concurrent is not None and (
        isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int) or max_concurrent < 1
    ):
        raise ApiConfigurationError(
            f"max_concurrent must be a whole number of 1 or more, got {max_concurrent!r}"
        )
    return Group(kind, tuple(as_flow(step) for step in steps), max_concurrent)


def sequential(*steps: Flow | APIEndpoint) -> Group:
    """One after another (`concat`); each sees the input and every earlier result by name.

    >>> from rxorch import APIEndpoint, sequential
    >>> flow = sequential(
    ...     APIEndpoint(name="auth", url="https://api.example.com/auth"),
    ...     APIEndpoint(name="user", url="https://api.example.com/users/{auth.user_id}"),
    ... )
    >>> [endpoint.name for endpoint in flow.endpoints()]
    ['auth', 'user']
    """
    return _group(Kind.SEQUENTIAL, steps)


def parallel(*steps: Flow | APIEndpoint, max_concurrent: int | None = None) -> Group:
    """All at once (`merge`), at most `max_concurrent`; one with `depends_on` starts when those are done."""
    return _group(Kind.PARALLEL, steps, max_concurrent)


def fanout(*steps: Flow | APIEndpoint, max_concurrent: int | None = None) -> Group:
    """The same input to all, at once; nothing may depend on anything else."""
    return _group(Kind.FANOUT, steps, max_concurrent)


def pipeline(*steps: Flow | APIEndpoint) -> Group:
    """A chain of `flat_map`s: each step gets what the one before gave; a skipped one hands its input on."""
    return _group(Kind.PIPELINE, steps)


def graph(*steps: Flow | APIEndpoint, max_concurrent: int | None = None) -> Group:
    """By `depends_on`: each step starts the moment those it names are done, conditions included."""
    return _group(Kind.GRAPH, steps, max_concurrent)


def conditional(
    condition: Callable[..., Any], *, then: Flow | APIEndpoint, otherwise: Flow | APIEndpoint | None = None
) -> Choice:
    """`then` if the condition holds for the data, else `otherwise`; without one, what is below is skipped.

    Args:
        condition: `condition(data)` or `condition(data, context)`; what it raises fails the steps below.
        then: Runs if it holds.
        otherwise: Runs if it does not.
    """
    call_with_context(condition, label="condition")  # refuses what cannot be called, here and not in the run
    return Choice(condition, as_flow(then), None if otherwise is None else as_flow(otherwise))
