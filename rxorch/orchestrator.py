"""APIOrchestrator: runs a declared orchestration, once or for an endless stream of inputs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Self

from reactivex import Observable

from rxorch.blocking import run_blocking, run_in_thread
from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint, CallDefaults, Caller, InSession
from rxorch.errors import ErrorThresholdExceeded
from rxorch.events import Event, EventBus
from rxorch.flow import (
    Flow,
    FlowRun,
    OrchestrationResult,
    Outcome,
    OutcomeStatus,
    RunEvents,
    RunSettings,
    as_flow,
    compile_flow,
)
from rxorch.http import LoggedTransport, Transport
from rxorch.http.choosing import TransportKind, chosen
from rxorch.observe import IOMetrics, MetricsSnapshot
from rxorch.stream import RunStream
from rxorch_operators import RateLimiter, last_of

__all__ = ["APIOrchestrator"]

_RECENT_CALLS = 100
_ROUNDING = 1e-9
"""0.29 * 100 is 28.999999999999996, which 29 failures do not exceed."""


class APIOrchestrator:
    """Runs an orchestration over HTTP.

    Within `async with` all runs share one HTTP session; without it each `execute` opens and closes its own.
    Rate limits, circuit breakers, caches and metrics belong to the orchestrator either way.

    Args:
        config: An `APIOrchestrationConfig`, or a flow made by combinators, run with the default settings.
        transport: What sends requests: a `Transport`, which is used and not closed; `"aiohttp"` (the
            default) or `"pyreqwest"` for an HTTP session of its own.
        settings: With a flow: any setting of `APIOrchestrationConfig` but `endpoints` and `mode`.

    >>> import asyncio
    >>> from rxorch import APIOrchestrationConfig, APIOrchestrator
    >>> orchestrator = APIOrchestrator(APIOrchestrationConfig(endpoints=[]))
    >>> asyncio.run(orchestrator.execute({"id": 7})).ok
    True
    """

    def __init__(
        self,
        config: APIOrchestrationConfig | Flow | APIEndpoint,
        *,
        transport: Transport | TransportKind | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(config, APIOrchestrationConfig):
            if settings:
                raise TypeError(f"settings belong into the config: {', '.join(settings)}")
            self.flow = config.flow()
        else:
            if misplaced := {"endpoints", "mode"} & settings.keys():
                raise TypeError(f"the flow itself says what runs and how: {', '.join(sorted(misplaced))}")
            self.flow = as_flow(config)
            config = APIOrchestrationConfig(**settings)
        self.config = config
        self._plan = compile_flow(self.flow)
        self._threshold = _ErrorThreshold(config)
        self._caller = _OrchestratorCaller(config, transport)
        self._settings = RunSettings(
            max_concurrent=config.max_concurrent,
            fail_fast=config.fail_fast,
            total_timeout=config.total_timeout,
            on_outcome=None if config.error_threshold is None else self._threshold.judge,
        )
        self._metrics = IOMetrics()
        if config.metrics_enabled:
            self.events.subscribe(self._metrics.on_event, kinds=IOMetrics.KINDS)

    @property
    def events(self) -> EventBus:
        """Everything that happens, live."""
        return self._caller.events

    @property
    def in_flight(self) -> int:
        """Calls that have begun and not ended."""
        return sum(runtime.calls_in_flight for runtime in self._caller.runtimes.values())

    @property
    def breakers(self) -> dict[str, Any]:
        """The circuit breakers in use so far, by endpoint name."""
        return {
            name: runtime.breaker
            for name, runtime in self._caller.runtimes.items()
            if runtime.breaker is not None
        }

    async def execute(self, data: Any = None) -> Any:
        """Runs the orchestration for one input.

        Args:
            data: The input; what url templates, conditions and transforms see. None counts as `{}`.

        Returns:
            An `OrchestrationResult`, or what `result_merger` and `result_transformer` make of it.

        Raises:
            ApiError: with `fail_fast`, the first failure; `ApiTimeoutError` past `total_timeout`;
                `ErrorThresholdExceeded`. The partial result is on `error.result`.

        Cancelling the awaiting task cancels every call in flight and waits until they are gone.
        """
        run = FlowRun(self._plan, data, self._caller, self._settings, record=True)
        return self.shape(await last_of(InSession(run, self._caller)))

    def shape(self, result: OrchestrationResult) -> Any:
        """A result as `execute` returns it: merged and transformed as the config says."""
        value: Any = result
        if self.config.result_merger is not None:
            value = self.config.result_merger(list(result.values()))
        if self.config.result_transformer is not None:
            value = self.config.result_transformer(value)
        return value

    def run(self, data: Any = None) -> Any:
        """`execute`, blocking: for scripts, and for notebooks and other places where a loop runs already.

        There the run has a thread, an event loop and an HTTP session of its own; the calling thread waits.

        Raises:
            RuntimeError: runs of this orchestrator are in flight on the loop that would have to wait: they
                would stand still, and hold limits that the new run may need. Use `await execute(...)`.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return run_blocking(lambda: self.execute(data))
        if self.in_flight:
            raise RuntimeError(
                f"{self.in_flight} calls of this orchestrator are in flight on this event loop, which run() "
                "would block: use `await orchestrator.execute(...)`"
            )
        return run_in_thread(lambda: self.execute(data))

    def observe(self, data: Any = None) -> Observable[Event]:
        """The run for one input as an Observable of its events, live; the last one is `RunFinished`.

        Cold: each subscription is a run of its own, on the running loop. Disposal cancels it.
        Errors: as `execute`.
        """
        run = FlowRun(self._plan, data, self._caller, self._settings)
        return InSession(RunEvents(run), self._caller)

    def stream(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any] | Observable[Any],
        *,
        max_concurrent: int | None = None,
        ordered: bool = False,
    ) -> RunStream:
        """Runs the orchestration for each of many inputs, endlessly if they are, in bounded memory.

        Args:
            inputs: Read only as fast as runs are consumed: at most `max_concurrent` + 1 ahead.
            max_concurrent: Inputs in flight at once; the config's by default. The config's cap holds inside
                each.
            ordered: Give the runs in the order of the inputs.

        Returns:
            An async iterator of `Run` records, one per input, failed ones included. Leave it with
            `async with`, `aclose()` or the end of the loop; `break` cancels what is in flight.

        Raises: `ErrorThresholdExceeded`, and errors of the source itself.
        """
        return RunStream(
            inputs,
            plan=self._plan,
            caller=self._caller,
            settings=self._settings,
            shape=self.shape,
            max_concurrent=self.config.max_concurrent if max_concurrent is None else max_concurrent,
            ordered=ordered,
        )

    def get_metrics(self) -> MetricsSnapshot:
        """The figures so far, all endpoints together and each; empty with `metrics_enabled=False`."""
        figures = self._metrics.snapshot()
        # What was sent is counted where it is sent: a call that many share may outlive the one that began it.
        sends = {name: runtime.sends for name, runtime in self._caller.runtimes.items()}
        endpoints = {
            name: replace(each, total_requests=sends.get(name, 0)) for name, each in figures.endpoints.items()
        }
        total = sum(sends.values()) if self.config.metrics_enabled else 0
        return replace(figures, total_requests=total, endpoints=MappingProxyType(endpoints))

    def clear_cache(self, name: str) -> int:
        """Forgets the kept answers of one endpoint; returns how many there were."""
        known = [endpoint.name for endpoint in self.flow.endpoints()]
        if name not in known:
            raise KeyError(f"no endpoint {name!r}; there are {', '.join(map(repr, known)) or 'none'}")
        return self._caller.clear_cache(name)

    def clear_all_cache(self) -> int:
        """Forgets all kept answers; returns how many there were."""
        return self._caller.clear_all_cache()

    async def aclose(self) -> None:
        """Closes the HTTP session, if one is open. The orchestrator can be used again."""
        await self._caller.aclose()

    async def __aenter__(self) -> Self:
        await self._caller.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._caller.__aexit__(kind, error, trace)


class _OrchestratorCaller(Caller):
    """A caller with the settings of a config."""

    def __init__(self, config: APIOrchestrationConfig, transport: Transport | TransportKind | None) -> None:
        limiter = None
        if config.global_rate_limit is not None:
            limiter = RateLimiter(config.global_rate_limit, config.rate_limit_window, name="global")
        self._config = config
        given, make = chosen(transport)
        super().__init__(
            None if given is None else self._logged(given),
            make_transport=make,
            defaults=CallDefaults(
                breaker_threshold=config.circuit_breaker_threshold,
                breaker_timeout=config.circuit_breaker_timeout,
                rate_limit_window=config.rate_limit_window,
                global_limiter=limiter,
                cache_ttl=config.cache_ttl,
                cache_key_generator=config.cache_key_generator,
                retry_budget=config.retry_budget,
            ),
        )

    def _logged(self, transport: Transport) -> Transport:
        config = self._config
        if config.log_requests or config.log_responses:
            return LoggedTransport(transport, requests=config.log_requests, responses=config.log_responses)
        return transport

    def _make_transport(self) -> Transport:
        return self._logged(super()._make_transport())


class _ErrorThreshold:
    """Watches the fraction of failed calls among the recent ones."""

    def __init__(self, config: APIOrchestrationConfig) -> None:
        self._limit = config.error_threshold
        self._min_calls = config.error_threshold_min_calls
        self._recent: deque[bool] = deque(maxlen=max(_RECENT_CALLS, self._min_calls))
        self._failed = 0

    def judge(self, outcome: Outcome) -> ErrorThresholdExceeded | None:
        """Counts an outcome; returns the error that ends the run when there were too many failures."""
        failed = outcome.status is not OutcomeStatus.OK
        if failed and (outcome.error is None or outcome.status is OutcomeStatus.CANCELLED):
            return None  # cut off by us
        recent = self._recent
        if len(recent) == recent.maxlen and recent[0]:
            self._failed -= 1
        recent.append(failed)
        self._failed += failed
        calls = len(recent)
        if self._limit is None or calls < self._min_calls or self._failed <= self._limit * calls + _ROUNDING:
            return None
        counts = {"ok": calls - self._failed, "failed": self._failed}
        recent.clear()  # the next run starts with a clean slate: otherwise nothing could ever run again
        self._failed = 0
        return ErrorThresholdExceeded(
            f"{counts['failed']} of the last {calls} calls failed, more than error_threshold={self._limit:g}",
            counts=counts,
        )
