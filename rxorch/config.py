"""The declared layer: a list of endpoints, a mode, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rxorch.endpoint import APIEndpoint, call_with_context
from rxorch.endpoint.values import check_parser
from rxorch.errors import ApiConfigurationError
from rxorch.flow import Flow, Group, Kind, as_flow, compile_flow
from rxorch.http.http_cache import HttpCache
from rxorch.showing import Shown

__all__ = ["APIOrchestrationConfig", "OrchestrationMode"]


class OrchestrationMode(Enum):
    """How the endpoints of a configuration are put together.

    `SEQUENTIAL` one after another; `PARALLEL` at once, as far as `depends_on` and the cap allow; `FANOUT` one
    input to all; `PIPELINE` each gets what the one before returned; `CONDITIONAL` in order, those
    whose condition holds; `HYBRID` the graph of `depends_on` with conditions.
    """

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    FANOUT = "fanout"
    PIPELINE = "pipeline"
    CONDITIONAL = "conditional"
    HYBRID = "hybrid"


_KINDS = {
    OrchestrationMode.SEQUENTIAL: Kind.SEQUENTIAL,
    OrchestrationMode.PARALLEL: Kind.PARALLEL,
    OrchestrationMode.FANOUT: Kind.FANOUT,
    OrchestrationMode.PIPELINE: Kind.PIPELINE,
    OrchestrationMode.CONDITIONAL: Kind.CONDITIONAL,
    OrchestrationMode.HYBRID: Kind.GRAPH,
}


def _mode(value: Any) -> Any:
    """Lets `"PARALLEL"` stand for `"parallel"`."""
    return value.lower() if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class APIOrchestrationConfig(Shown, BaseModel):
    """Everything an `APIOrchestrator` needs to know.

    Args:
        endpoints: What to call; combinators (`parallel(...)`) may stand among them. May be empty.
        mode: How they are put together.
        max_concurrent: Calls of one run in flight at once, per group.
        total_timeout: Seconds for a whole run, inherited by every attempt and wait; None: no limit.
        fail_fast: The first failure cancels what is in flight and is raised, with the partial result on it.
        global_rate_limit: Requests per `rate_limit_window`, all endpoints together.
        rate_limit_window: Seconds, for the global limit and for endpoints that set none.
        error_threshold: Highest bearable fraction of failed calls among the last 100, from 0 to 1.
        error_threshold_min_calls: Calls before the threshold is looked at.
        circuit_breaker_threshold: Consecutive failures that open an endpoint's circuit; None: no breakers.
        circuit_breaker_timeout: Seconds it stays open.
        cache_ttl: Seconds for which answers of GET, HEAD and OPTIONS are kept; None: not at all. All who get
            a kept answer get the same object: do not change it.
        cache_key_generator: `f(endpoint)` or `f(endpoint, data)`; replaces url, parameters and body in the
            key.
        http_cache: Keeps answers as their servers allow (RFC 9111): True, or an `HttpCache` that others have
            too. Wants the extra `http-cache`.
        metrics_enabled: Whether `get_metrics()` counts.
        log_requests: Log each request (logger `rxorch.requests`), secrets removed.
        log_responses: Log each answer, likewise.
        result_merger: Gets the results in endpoint order (None for failed and skipped ones); what it makes of
            them is what `execute` returns.
        result_transformer: Applied last, to what the merger, or the mode, produced.
        retry_budget: Whether retries may be at most 20 % of the calls to a host (for each of its endpoints, 3
            in 10 s are always allowed).

    >>> from rxorch import APIEndpoint
    >>> config = APIOrchestrationConfig(
    ...     endpoints=[APIEndpoint(name="user", url="https://api.example.com/users/{id}")],
    ...     mode=OrchestrationMode.PARALLEL,
    ... )
    >>> config.max_concurrent
    10
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    endpoints: Sequence[APIEndpoint | Flow] = ()
    mode: Annotated[OrchestrationMode, BeforeValidator(_mode)] = OrchestrationMode.SEQUENTIAL
    max_concurrent: Count = 10
    total_timeout: Seconds | None = 300.0
    fail_fast: bool = False
    global_rate_limit: Count | None = None
    rate_limit_window: Seconds = 60.0
    error_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    error_threshold_min_calls: Count = 20
    circuit_breaker_threshold: Count | None = 5
    circuit_breaker_timeout: Seconds = 60.0
    cache_ttl: Seconds | None = None
    cache_key_generator: Callable[..., Any] | None = None
    http_cache: HttpCache | bool = False
    metrics_enabled: bool = True
    log_requests: bool = False
    log_responses: bool = False
    result_merger: Callable[[list[Any]], Any] | None = None
    result_transformer: Callable[[Any], Any] | None = None
    retry_budget: bool = True

    @model_validator(mode="after")
    def _check_flow(self) -> Self:
        try:
            self._check_callables()
            compile_flow(self.flow())
        except ApiConfigurationError as error:
            raise ValueError(error.message) from error
        return self

    def _check_callables(self) -> None:
        """Refuses what could only fail when the work is done already, or give a coroutine nobody awaits."""
        for label in ("result_merger", "result_transformer"):
            function = getattr(self, label)
            if function is not None:
                check_parser(function, label=label)
        if self.cache_key_generator is not None:
            call_with_context(self.cache_key_generator, label="cache_key_generator")

    def flow(self) -> Flow:
        """The endpoints and the mode as a flow."""
        return Group(_KINDS[self.mode], tuple(as_flow(step) for step in self.endpoints))
