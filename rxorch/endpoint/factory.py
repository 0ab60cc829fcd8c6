"""EndpointFactory: an endpoint as a function from data to a cold observable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

from rxorch.endpoint.call import LOOSE, Trail
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.runtime import EndpointRuntime
from rxorch.endpoint.stack import EndpointCall
from rxorch.errors import ApiValidationError
from rxorch_operators import flat_map_bounded, from_iterable

__all__ = ["EndpointFactory"]


class EndpointFactory:
    """What `client.observe(endpoint)` returns: call it with data to get an observable of one call.

    Each subscription is a fresh call under the whole policy stack; disposing it cancels the call and
    returns its permits. Emits one value; with `each=True` the elements of a list one by one; of an endpoint
    with `stream` the elements as they arrive, no faster than they are wanted.
    """

    __slots__ = ("_runtime", "each")

    def __init__(self, runtime: EndpointRuntime, each: bool) -> None:
        self._runtime = runtime
        self.each = each

    @property
    def endpoint(self) -> APIEndpoint:
        """The endpoint that is called."""
        return self._runtime.endpoint

    def __call__(self, data: Any = None, *, trail: Trail = LOOSE) -> Observable[Any]:
        streamed = self._runtime.endpoint.stream is not None
        call = EndpointCall(self._runtime, data, trail, piecewise=streamed)
        if streamed or not self.each:
            return call
        return call.pipe(ops.map(self._elements), flat_map_bounded(from_iterable, max_concurrent=1))

    def _elements(self, value: Any) -> Sequence[Any]:
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return value
        raise ApiValidationError(
            f"each=True wants a list to emit the elements of, got {type(value).__name__}",
            endpoint=self.endpoint.name,
        )

    def __repr__(self) -> str:
        return f"<observable factory of endpoint {self.endpoint.name!r}>"
