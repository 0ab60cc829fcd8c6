"""One call of one endpoint: what is known about it while it runs, and its beginning and end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from reactivex.abc import ObserverBase

from rxorch.endpoint.describing import described
from rxorch.endpoint.exchange import Aside, Hop
from rxorch.errors import ApiError
from rxorch.events import (
    AttemptFailed,
    AttemptStarted,
    CacheHit,
    CallFinished,
    CallStarted,
    Event,
    PermitWaiting,
    RateLimitWaiting,
    RetryBudgetExhausted,
    RetryWaiting,
)
from rxorch.http.headers import SAFE_METHODS
from rxorch.http.redaction import redact_url
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Link
from rxorch_operators.hedge import HEDGE

if TYPE_CHECKING:
    from yarl import URL

    from rxorch.endpoint.runtime import EndpointRuntime
    from rxorch.http import Request
    from rxorch.http.http_cache import Lookup
    from rxorch_operators import GiveUpReason, RetryBudget, RetryEvent

__all__ = ["Call", "CallCounter", "CallLink", "DescribedLink", "IdempotencyKeys", "Trail"]

IdempotencyKeys: TypeAlias = Callable[[str], str]
"""From the name of an endpoint to the key of its call."""

CallCounter: TypeAlias = Callable[[str, str, float, int, BaseException | None, bool, bool, int], None]
"""Takes name of the endpoint, status, duration, attempts, error, degraded, cached and sends of a call."""

_numbers: Final = itertools.count(1)
_NO_HEADERS: Final = MappingProxyType[str, str]({})


class Trail:
    """Where a call belongs: its run, the run's deadline and the list that keeps the run's events.

    Args:
        run: Id of the run, None for a call outside of one.
        deadline: Clock seconds at which the run ends, None for no limit.
        record: Takes each event of the run, None when nobody asked for them.
        context: What two-parameter callables get as second argument: results by name.
        idempotency: Makes the idempotency key of an endpoint's call, where the run must be able to make the
            same call again later, perhaps in another process.

    Attributes:
        headers: Of every request of the run, where its endpoint has none of that name.
    """

    __slots__ = ("context", "deadline", "headers", "idempotency", "record", "run")

    def __init__(
        self,
        run: str | None = None,
        deadline: float | None = None,
        record: Callable[[Event], object] | None = None,
        context: Any = None,
        idempotency: IdempotencyKeys | None = None,
    ) -> None:
        self.run = run
        self.deadline = deadline
        self.record = record
        self.context = context
        self.idempotency = idempotency
        self.headers: Mapping[str, str] | None = None


LOOSE: Final = Trail()
"""The trail of a call that belongs to no run."""


class Call:
    """The facts of one call; the policies write them, the outcome and the events are read off it."""

    __slots__ = (
        "__dict__", "answered", "attempts", "budget", "built", "cached", "cost", "data", "deadline",
        "degraded", "error", "headers", "listening", "now", "number", "request", "runtime", "started",
        "status", "status_code", "trail", "tried", "value",
    )  # fmt: skip

    # Facts that few calls have are these until they are written: a store for each would cost every call.
    rewrite: Callable[[URL], URL] | None = None
    """Makes another url of the one that the templates give: a call for another page of the same."""
    draft: Any = None
    lookup: Lookup | None = None
    unconditional: Request | None = None
    redirected = False
    stale = False
    changed = False
    """Whether a request that may change something was carried out, and only its result is left to get."""
    hop: Request | None = None
    hops = 0
    seen: Any = None
    is_aside = False
    failures: tuple[Exception | None, ...] = ()
    """What the attempts met that were followed by another; None: a result that `retry_if` refused."""
    reconnect: float | None = None
    renewable = False
    renewed = False
    piecewise = False
    """Whether the elements of a stream are emitted as they come; otherwise as one list at the end."""
    emitted = 0
    last_event_id = ""
    key: Any = None
    _attempt_started: float | None = None  # the clock may well say 0

    def __init__(self, runtime: EndpointRuntime, data: Any, trail: Trail) -> None:
        self.runtime = runtime
        self.data = data
        self.trail = trail
        self.number = next(_numbers)
        self.status = "running"
        self.attempts = 0
        self.cost = 1
        self.status_code: int | None = None
        self.headers: Mapping[str, str] = _NO_HEADERS
        self.budget: RetryBudget | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.degraded = False
        self.cached = False
        self.built: Request | None = None
        self.request: Request | None = None
        """What was sent last: what was built, or what hooks, credentials or a redirect made of it."""
        self.tried: list[Request] = []
        self.answered = 0
        self.started = 0.0
        self.now: Callable[[], float]
        self.deadline: float | None = trail.deadline
        self.listening = False

    def begin(self, scheduler: DemandScheduler) -> None:
        """Starts the clock of the call."""
        self.now = now = scheduler.clock.now
        self.started = now()
        total = self.runtime.endpoint.total_timeout
        if total is not None:
            limit = self.started + total
            self.deadline = limit if self.deadline is None else min(limit, self.deadline)
        self.runtime.calls_in_flight += 1
        self.listening = self.runtime.bus.active or self.trail.record is not None
        if self.listening:
            hedge = scheduler.context.get(HEDGE)
            facts = () if hedge is None else (hedge.hedge, hedge.elapsed)
            self._emit(CallStarted, self.started, *facts)

    @property
    def duration(self) -> float:
        """Seconds since the call began."""
        return self.now() - self.started

    def remaining(self) -> float | None:
        """Seconds until the deadline, None without one."""
        return None if self.deadline is None else self.deadline - self.now()

    def _emit(self, kind: Callable[..., Event], at: float, *facts: Any, **named: Any) -> None:
        event = kind(at, self.trail.run, self.runtime.endpoint.name, *facts, call=self.number, **named)
        if self.trail.record is not None:
            self.trail.record(event)
        self.runtime.bus.emit(event)

    def departed(self) -> Request:
        """The first attempt goes out, and nobody listens. Returns its request."""
        request = self.built
        assert request is not None
        self.attempts = 1
        self.tried.append(request)
        return request

    def attempt_started(self) -> None:
        """An attempt goes out."""
        self.attempts += 1
        if self.listening:
            self._attempt_started = self.now()
            self._emit(AttemptStarted, self._attempt_started, self.attempts)

    def attempt_failed(self, error: BaseException) -> None:
        """An attempt ended in an error."""
        if isinstance(error, Hop):
            return
        error = error.error if isinstance(error, Aside) else error
        started = self._attempt_started
        if self.listening and started is not None:
            now = self.now()
            self._emit(AttemptFailed, now, self.attempts, error, now - started)
            self._attempt_started = None

    @property
    def sends(self) -> int:
        """Requests put on the wire. Asks the requests: a time limit is told before its task has unwound."""
        tried = self.tried
        return int(tried[0].sent) if len(tried) == 1 else sum(request.sent for request in tried)

    def budget_spent(self, reason: GiveUpReason, error: Exception | None) -> None:
        """No other attempt follows; told apart is only that the budget is spent."""
        if reason == "budget" and self.listening:
            self._emit(RetryBudgetExhausted, self.now(), self.attempts, error)

    def follow(self, hop: Request, *, from_method: str) -> None:
        """The attempt was answered by a redirect and goes on with another request.

        Args:
            hop: That request.
            from_method: Method of the one that was answered.
        """
        self.hop = hop
        self.hops += 1
        self.redirected = True
        if hop.method != from_method and from_method not in SAFE_METHODS:
            self.changed = True  # it was carried out: its result is elsewhere

    def wait_before_reconnecting(self, error: Exception) -> float | None:
        """Seconds that the server asked to wait: with this failure, or by an event of the stream before."""
        asked = error.retry_after if isinstance(error, ApiError) else None
        return self.reconnect if asked is None else asked

    def renews(self, error: Exception) -> bool:
        """Whether an attempt that was answered 401 is made again with other credentials: once in a call."""
        renews, self.renewable = self.renewable and not self.renewed and not self.changed, False
        self.renewed = self.renewed or renews
        return renews

    def retrying(self, event: RetryEvent) -> None:
        """Another attempt follows after a wait."""
        self.runtime.retries += 1
        self.failures = (*self.failures, event.error)
        if self.listening:
            asked = event.error is not None and self.wait_before_reconnecting(event.error) is not None
            self._emit(RetryWaiting, self.now(), self.attempts, event.wait, event.error, asked)

    def rate_limited(self, wait: float) -> None:
        """The call waits for its turn."""
        if self.listening:
            self._emit(RateLimitWaiting, self.now(), wait)

    def permit_awaited(self) -> None:
        """The attempt waits for another one's end."""
        if self.listening:
            self._emit(PermitWaiting, self.now())

    def cache_hit(self, *_: Any, stale: bool = False) -> None:
        """The value is taken from the cache; `stale`: past its time."""
        self.cached = True
        if stale:
            self.stale = True
        if self.listening:
            self._emit(CacheHit, self.now(), stale)

    def substituted(self, error: BaseException) -> None:
        """Another value takes the place of this error."""
        self.degraded = True
        self.stale = False  # what the cache gave could not be used
        self.error = error

    def describe(self, error: ApiError) -> ApiError:
        """Writes the facts of this call on an error, where they are not there yet."""
        if error.endpoint is None:
            error.endpoint = self.runtime.endpoint.name
        if error.url is None and self.built is not None:
            error.url = redact_url(self.built.url)
        error.attempts = error.attempts or self.attempts
        if error.elapsed is None:
            error.elapsed = self.duration
        return error

    def finish(self, status: str, now: float | None = None) -> None:
        """Ends the call, once; `now` is what the clock says, for who knows it."""
        self.status = status
        runtime, trail = self.runtime, self.trail
        runtime.calls_in_flight -= 1
        bus, count = runtime.bus, runtime.caller.count
        listened = bus.active or trail.record is not None or CallFinished in bus.kinds
        if count is None and not listened:
            return
        if now is None:
            now = self.now()
        name, duration, tried = runtime.endpoint.name, now - self.started, self.tried
        sends = int(tried[0].sent) if len(tried) == 1 else self.sends
        if count is not None:
            count(name, status, duration, self.attempts, self.error, self.degraded, self.cached, sends)
        if listened:
            event = CallFinished(
                now, trail.run, name, status, duration, self.attempts, self.status_code, self.error,
                self.degraded, self.cached, sends, call=self.number,
            )  # fmt: skip
            if trail.record is not None:
                trail.record(event)
            bus.emit(event)


def is_unknown(call: Call) -> bool:
    """Whether nobody knows if the server acted: a request that may change something had no answer.

    One such attempt is enough, whatever became of later ones.
    """
    return call.runtime.unsafe and call.sends > call.answered


class DescribedLink(Link):
    """Gives every error that passes its name, place and facts."""

    __slots__ = ("_call",)

    def __init__(self, sink: ObserverBase[Any], call: Call) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._call = call

    def on_error(self, error: Exception) -> None:
        self.sink.on_error(described(self._call, error))  # type: ignore[arg-type]


class CallLink(DescribedLink):
    """The outermost link of a call: sees how it ends, whichever way it does.

    Args:
        sink: Who hears the call.
        call: Its facts.
        describes: Whether errors come as the policies raise them; else another link has described them.
    """

    __slots__ = ("_describes", "_siblings")

    def __init__(self, sink: ObserverBase[Any], call: Call, *, describes: bool) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._call = call
        self._describes = describes
        self._siblings: set[Any] | None = None
        if call.trail.run is None:  # those of a run end with their run
            self._siblings = call.runtime.caller.session().calls
            self._siblings.add(self)

    def abort(self) -> None:
        """Ends the call because its client is closed; who waits for it is told."""
        self.dispose()
        error = ApiError("the client was closed while this call was under way")
        self._call.error = error
        self.sink.on_error(self._call.describe(error))

    def on_next(self, value: Any) -> None:
        self._call.value = value
        self.sink.on_next(value)

    def on_error(self, error: BaseException) -> None:
        if self._siblings is not None:
            self._siblings.discard(self)
        call = self._call
        if self._describes:
            error = described(call, error)
        if call.status == "running":
            call.error = error
            if isinstance(error, Exception):
                call.finish("unknown" if is_unknown(call) else "failed")
            else:  # the task of the call was cancelled by somebody else
                call.finish("unknown" if is_unknown(call) else "cancelled")
        self.sink.on_error(error)  # type: ignore[arg-type]

    def on_completed(self) -> None:
        if self._siblings is not None:
            self._siblings.discard(self)
        call = self._call
        if call.status == "running":
            call.finish("ok")
        self.upstream = DISPOSED  # which has let go already
        self.sink.on_completed()

    def on_only(self, value: Any) -> None:
        self._call.value = value
        self.sink.on_next(value)
        if self.upstream is not DISPOSED:
            self.on_completed()

    def dispose(self) -> None:
        if self.upstream is DISPOSED:
            return
        if self._siblings is not None:
            self._siblings.discard(self)
        call = self._call
        if call.status == "running":
            call.finish("unknown" if is_unknown(call) else "cancelled")
        super().dispose()
