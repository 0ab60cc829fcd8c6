"""`Served`: a flow, and what the server is told about it beyond the flow itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rxorch.server.contracts import Contract

__all__ = ["Served", "contracts_of", "served"]


@dataclass(frozen=True, slots=True)
class Served:
    """A flow with the types of what it takes and gives; stands in the mapping of `create_app`.

    The types are pydantic models, or any other type that pydantic reads from JSON (`list[int]`). They are
    checks as well as schemas in `/openapi.json`.

    Args:
        flow: What `create_app` takes by itself.
        input: Type of the input. What does not fit is answered 422, before anything is called; the problem
            has `errors`, which name fields and never values. The flow gets plain values, as JSON has them: a
            mapping by the names of the fields, coerced and with defaults. The parameters of GET are read by
            the types of the fields; one that comes several times is a list.
        output: Type of the result, after merger and transformer. What does not fit is never given: 500, or,
            if endpoints failed, what would be answered without any value. Fields that it lacks are left out.
        readable: Whether GET runs the flow too; see `create_app`.

    >>> from pydantic import BaseModel, Field
    >>> from rxorch import APIEndpoint
    >>> from rxorch.server import Served, create_app
    >>> class Who(BaseModel):
    ...     id: int = Field(ge=1)
    >>> user = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
    >>> app = create_app({"user": Served(user, input=Who, readable=True)})
    """

    flow: Any
    input: Any = None
    output: Any = None
    readable: bool = False


def served(flow: Any) -> Served:
    """What a mapping of flows holds, as a `Served`."""
    return flow if isinstance(flow, Served) else Served(flow)


def contracts_of(flows: Mapping[str, Served], *, readable: frozenset[str]) -> dict[str, Contract]:
    """The contract of each flow.

    Raises:
        ApiConfigurationError: JSON cannot express a type, or a query cannot, of a readable flow.
    """
    contracts = {name: Contract(name, each.input, each.output) for name, each in flows.items()}
    for name in readable:
        contracts[name].check_query()
    return contracts
