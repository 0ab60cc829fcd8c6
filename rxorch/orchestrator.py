"""APIOrchestrator: runs a declared orchestration, once or for an endless stream of inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import replace
from os import PathLike
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from reactivex import Observable

from rxorch.blocking import run_blocking, run_in_thread
from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint, CallDefaults, Caller, InSession
from rxorch.error_threshold import ErrorThreshold
from rxorch.errors import ApiConfigurationError
from rxorch.events import Event, EventBus
from rxorch.flow import (
    Flow,
    FlowRun,
    OrchestrationResult,
    RunBeginner,
    RunEvents,
    RunSettings,
    as_flow,
    awaited_run,
    compile_flow,
)
from rxorch.http import LoggedTransport, Transport
from rxorch.http.choosing import TransportKind, chosen
from rxorch.http.http_cache import http_cache_of
from rxorch.observe import IOMetrics, MetricsSnapshot
from rxorch.showing import Shown
from rxorch.stream import Run, RunStream
from rxorch.stream.alone import record_of
from rxorch.stream.inputs import ManyInputs, failed_inputs
from rxorch.stream.options import Batches, Order, StreamOptions, ledger_of
from rxorch_operators import ErrorMode, RateLimiter

if TYPE_CHECKING:
    from rxorch.ledger import Ledger

__all__ = ["APIOrchestrator"]


class APIOrchestrator(Shown):
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
        self._threshold = ErrorThreshold(config)
        self._caller = _OrchestratorCaller(config, transport)
        self._settings = RunSettings(
            max_concurrent=config.max_concurrent,
            fail_fast=config.fail_fast,
            total_timeout=config.total_timeout,
            on_outcome=None if config.error_threshold is None else self._threshold.judge,
        )
        self._beginner = RunBeginner(self._plan, self._caller, self._settings)
        self._metrics = IOMetrics()
        if config.metrics_enabled:
            self._caller.count = self._metrics.count

    def __repr__(self) -> str:
        return f"<APIOrchestrator of {', '.join(endpoint.name for endpoint in self.flow.endpoints())}>"

    @property
    def events(self) -> EventBus:
        """Everything that happens, live."""
        return self._caller.events

    @property
    def in_flight(self) -> int:
        """Calls that have begun and not ended."""
        return sum(runtime.calls_in_flight for runtime in self._caller.runtimes.values())

    @property
    def limiters(self) -> dict[str, RateLimiter]:
        """The rate limiters in use so far: by endpoint name, and "" for that of all endpoints together.

        Their rates can be changed while they are in use: `limiter.change(rate_limit=200)`.
        """
        runtimes = self._caller.runtimes.items()
        own = {name: each.own_limiter for name, each in runtimes if each.own_limiter is not None}
        shared = self._caller.defaults.global_limiter
        return own if shared is None else {"": shared, **own}

    def limit_rate(self, rate_limit: float, window: float, *, burst: float | None = None) -> None:
        """Limits the requests of all endpoints together, also while they are under way.

        Args:
            rate_limit: Requests per window, above 0.
            window: Seconds, above 0.
            burst: Requests at once, 1 or more; by default 1 + a tenth of the rate.

        Raises:
            ApiConfigurationError: There was no such limit before, and calls have been made already.
        """
        self._caller.limit_rate(rate_limit, window, burst)

    @property
    def breakers(self) -> dict[str, Any]:
        """The circuit breakers in use so far, by endpoint name."""
        return self._caller.breakers

    async def execute(self, data: Any = None) -> Any:
        """Runs the orchestration for one input.

        Args:
            data: The input; what url templates, conditions and transforms see. None counts as `{}`.

        Returns:
            An `OrchestrationResult`, or what `result_merger` and `result_transformer` make of it.

        Raises:
            ApiError: with `fail_fast`, the first failure; `ApiTimeoutError` past `total_timeout`;
                `ErrorThresholdExceeded`. The partial result is on `error.result`.

        Cancelling the awaiting task cancels every call in flight and waits until they are gone. An
        interrupt of a notebook does the same, and raises `RunInterrupted` with the partial result.
        """
        return self.shape(await awaited_run(self._plan, data, self._caller, self._settings))

    async def record(self, data: Any = None) -> Run:
        """Runs the orchestration for one input, as `execute`, and tells all about it.

        Returns:
            What `stream` would give for this input: a `Run` with the outcomes of all endpoints beside the
            result. A run that fails has its error there; none is raised.

        >>> import asyncio
        >>> from rxorch import APIOrchestrationConfig, APIOrchestrator
        >>> asyncio.run(APIOrchestrator(APIOrchestrationConfig()).record({"id": 7})).ok
        True
        """
        shape = self.shape if self._reshapes else None
        return await record_of(self._beginner, shape, data)

    def shape(self, result: OrchestrationResult) -> Any:
        """A result as `execute` returns it: merged and transformed as the config says."""
        value: Any = result
        if self.config.result_merger is not None:
            value = self.config.result_merger(list(result.values()))
        if self.config.result_transformer is not None:
            value = self.config.result_transformer(value)
        return value

    @property
    def _reshapes(self) -> bool:
        return self.config.result_merger is not None or self.config.result_transformer is not None

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
        inputs: ManyInputs,
        *,
        max_concurrent: int | None = None,
        ordered: Order = False,
        key: Callable[[Any], Hashable] | None = None,
        on_error: ErrorMode = "as_result",
        tolerated_failures: float | None = None,
        batch: Batches | None = None,
        ledger: str | PathLike[str] | Ledger | None = None,
        resume: bool = False,
    ) -> RunStream:
        """Runs the orchestration for each of many inputs, endlessly if they are, in bounded memory.

        Args:
            inputs: Read only as fast as runs are consumed: at most `max_concurrent` + 1 ahead, and as many
                again with `ordered`.
            max_concurrent: Inputs in flight at once; the config's by default. The config's cap holds inside
                each. `stream.max_concurrent` may be set while it runs.
            ordered: True gives the runs in the order of the inputs; "key" runs inputs of the same key one
                after another in their order, and others meanwhile.
            key: A function of the input: its identity, for `ordered="key"` and for the ledger, in which two
                inputs of the same key are the same input.
            on_error: "as_result" goes on after a failed run. "fail_fast" ends the stream with its error, and
                what is in flight with it. "delay" goes on, and ends with the error or an `ExceptionGroup` of
                the first 100 of them.
            tolerated_failures: How many inputs may fail: a whole number of them, or a fraction of all, which
                is looked at after 20. None: any.
            batch: Make lists of so many inputs, each the input of one run; a pair `(size, seconds)` lets a
                list go so long after its first input at the latest. Inputs that could not be read are not in
                them.
            ledger: A `Ledger`, or the path of its SQLite file: what was begun and how it ended, so that a run
                that was killed can go on. Each record is in it before it is given. See `rxorch.ledger`.
            resume: Go on with the run that the ledger has, if it has one. Inputs that have a record in it are
                not called again, failed ones included (see `retry_failed`); those that were in flight are,
                with the same idempotency keys.

        Returns:
            An async iterator of `Run` records, one per input, failed ones included; it is an Observable too.
            Leave it with `async with`, `aclose()` or the end of the loop; `break` cancels what is in flight,
            `drain()` lets it end.

        Raises:
            ErrorThresholdExceeded: More failed than is tolerated, or than `error_threshold` bears. The
                records given so far stay.
            LedgerError: The ledger cannot be opened or written.
            Exception: What the source itself raises, after the records of what it gave.
        """
        options = StreamOptions(
            ordered=ordered,
            key=key,
            on_error=on_error,
            tolerated_failures=tolerated_failures,
            batch=batch,
            ledger=ledger_of(ledger),
            resume=resume,
        )
        return self._stream(inputs, options, max_concurrent)

    def retry_failed(
        self,
        ledger: str | PathLike[str] | Ledger,
        *,
        max_concurrent: int | None = None,
        on_error: ErrorMode = "as_result",
        tolerated_failures: float | None = None,
    ) -> RunStream:
        """Runs the inputs again whose record in a ledger says that they failed.

        The inputs are those that the ledger has kept, as JSON gives them. Each gets a new record in the place
        of the old one, and its calls have the same idempotency keys as before. Inputs that could not be read
        are left as they are.

        Args:
            ledger: A `Ledger`, or the path of its file.
            max_concurrent: As in `stream`.
            on_error: As in `stream`.
            tolerated_failures: As in `stream`.

        Returns:
            The runs, as `stream` does; `run.index` counts them from 0.
        """
        book = ledger_of(ledger)
        assert book is not None
        options = StreamOptions(
            on_error=on_error, tolerated_failures=tolerated_failures, ledger=book, resume=True, again=True
        )
        return self._stream(failed_inputs(book), options, max_concurrent)

    def _stream(self, inputs: ManyInputs, options: StreamOptions, max_concurrent: int | None) -> RunStream:
        return RunStream(
            inputs,
            options,
            plan=self._plan,
            caller=self._caller,
            settings=self._settings,
            shape=self.shape if self._reshapes else None,
            max_concurrent=self.config.max_concurrent if max_concurrent is None else max_concurrent,
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
                http_cache=http_cache_of(config.http_cache),
                retry_budget=config.retry_budget,
            ),
        )

    def limit_rate(self, rate_limit: float, window: float, burst: float | None) -> None:
        """See `APIOrchestrator.limit_rate`."""
        limiter = self.defaults.global_limiter
        if limiter is not None:
            limiter.change(rate_limit, window, burst=burst)
        elif self.runtimes:
            raise ApiConfigurationError(
                "limit_rate: the endpoints are in use without a common limit; set one before their calls, or "
                "global_rate_limit in the config"
            )
        else:
            limiter = RateLimiter(rate_limit, window, burst=burst, name="global")
            self.defaults = replace(self.defaults, global_limiter=limiter)

    def _logged(self, transport: Transport) -> Transport:
        config = self._config
        if config.log_requests or config.log_responses:
            return LoggedTransport(transport, requests=config.log_requests, responses=config.log_responses)
        return transport

    def _make_transport(self) -> Transport:
        return self._logged(super()._make_transport())
