"""The promise of docs/reliability.md, sentence by sentence, on a server that does its worst all the time."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from rxorch import APIEndpoint, APIOrchestrator, ApiTimeoutError
from rxorch import operators as rxo
from rxorch.client import ApiClient
from rxorch.endpoint import CallDefaults, Caller
from rxorch.events import AttemptStarted, CallFinished
from rxorch_operators import RateLimiter
from rxorch_operators.testing import virtual_time
from tests.hardening.faults import BRIEF, FAULTS, GOOD, Item
from tests.hardening.shop import KINDS, Shop
from tests.support.fake_transport import FakeTransport, Hold, api
from tests.support.leaks import LeakCheck
from tests.support.virtual_time import now
from tests.support.watch import Watch

each_kind = pytest.mark.parametrize("kind", KINDS)

QUICK = [fault.talk for fault in FAULTS.values() if fault.sent and fault.timeout > BRIEF]
WEATHER = [talk for fault in QUICK for talk in (GOOD, fault, GOOD)]
"""Two connections of three are good, and each fault comes once."""
INPUTS = 150


def order(shop: Shop, method: str, **fields: object) -> APIEndpoint:
    settings = {
        "timeout": 20.0,
        "retry_count": 3,
        "retry_delay": 0.0,
        "model": Item,
        "circuit_breaker": False,
    }
    return api(
        "x", shop.named_url + "/x", method=method, max_response_bytes=100_000, **{**settings, **fields}
    )


@each_kind
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_input_ends_in_one_record_and_every_request_is_counted(method: str, kind: str) -> None:
    """Sentences 1 and 2, counted at the server."""
    async with Shop(*WEATHER, GOOD, kind=kind) as shop:
        orchestrator = APIOrchestrator(order(shop, method), transport=shop.transport, max_concurrent=10)
        watch = Watch(orchestrator.events)
        runs = [run async for run in orchestrator.stream({"n": n} for n in range(INPUTS))]
        assert Counter(run.input["n"] for run in runs) == Counter(range(INPUTS))
        records = watch.of(CallFinished)
        assert len(records) == INPUTS
        assert {record.status for record in records} <= {"ok", "failed", "unknown"}
        assert ("unknown" in watch.statuses) is (method == "POST")
        assert shop.requests == shop.transport.sends == sum(record.sends for record in records)
        assert sum(record.sends for record in records) <= sum(record.attempts for record in records)
        assert orchestrator.get_metrics().calls == INPUTS


@each_kind
async def test_in_flight_is_at_most_the_cap(kind: str) -> None:
    """Sentence 3, counted at the server: a slow answer holds its place."""
    inside = peak = 0

    async def counting(peer: object) -> None:
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        try:
            await asyncio.sleep(0)
            await GOOD(peer)  # type: ignore[arg-type]
        finally:
            inside -= 1

    async with Shop(counting, kind=kind) as shop:
        client = Caller(shop.transport, defaults=CallDefaults(bulkhead=rxo.Bulkhead(3, queue=None)))
        x = order(shop, "GET")
        await asyncio.gather(*(client.call(x) for _ in range(60)))
        assert shop.requests == 60 and peak <= 3


@pytest.mark.parametrize("burst", [1, 5])
@virtual_time
async def test_departures_are_at_most_the_limit_in_every_window(burst: int) -> None:
    """Sentence 3: retries and all, over any window of ten seconds."""
    answers = iter([500, 503, {"id": 1}] * 100)
    wire = FakeTransport({"x": lambda request: next(answers)})
    limiter = RateLimiter(10, 10.0, burst=burst)
    client = ApiClient(wire, retry_budget=False)
    watch = Watch(client.events)
    x = api("x", rate_limiter=limiter, retry_count=3, retry_delay=0.1, circuit_breaker=False)
    await asyncio.gather(*(client.call(x) for _ in range(25)), return_exceptions=True)
    times = [event.at for event in watch.of(AttemptStarted)]
    assert len(times) == wire.sends > 25
    for start in times:
        assert sum(start <= at < start + 10.0 for at in times) <= 10 + burst
    assert all(later >= earlier for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"retry_count": 50, "retry_delay": 3.0},
        {"rate_limit": 1, "rate_limit_window": 3600.0, "burst_limit": 1},
        {"stream": "lines"},
    ],
)
@pytest.mark.parametrize("answer", ["silence", "503", "503 with a hint"])
@virtual_time
async def test_a_deadline_holds_whatever_is_waited_for(fields: dict[str, object], answer: str) -> None:
    """Sentence 4, exactly: none is passed, by an attempt, a wait between two, or a wait for a permit."""
    from rxorch import ApiError, Response

    busy = Response(503, b"", {"Retry-After": "9"} if "hint" in answer else {})
    wire = FakeTransport(otherwise=Hold() if answer == "silence" else busy)
    client = ApiClient(wire)
    x = api("x", total_timeout=7.5, timeout=None, **fields)

    async def call() -> None:
        with pytest.raises(ApiError) as caught:
            await client.call(x)
        if answer == "silence":
            assert isinstance(caught.value, ApiTimeoutError | ApiError)

    await asyncio.gather(call(), call())
    assert now() <= 7.5


@each_kind
@pytest.mark.parametrize("ending", ["to the end", "left", "cancelled", "closed"])
async def test_after_the_end_nothing_is_left(ending: str, kind: str) -> None:
    """Sentence 5: no task, no timer and no permit; sockets are seen by every test."""
    async with Shop(*WEATHER, GOOD, kind=kind) as shop:
        check = LeakCheck()
        limiter, bulkhead = RateLimiter(10_000, 1.0), rxo.Bulkhead(5, queue=None)
        client = Caller(shop.transport, defaults=CallDefaults(global_limiter=limiter, bulkhead=bulkhead))
        x = order(shop, "GET")
        source = rxo.from_iterable(range(INPUTS)).pipe(
            rxo.flat_map_bounded(client.observe(x), max_concurrent=10, on_error="as_result")
        )
        if ending == "to the end":
            assert len([each async for each in rxo.to_async_iterable(source)]) == INPUTS
        elif ending == "left":
            async for _ in rxo.to_async_iterable(source):
                break
        elif ending == "cancelled":
            task = asyncio.ensure_future(rxo.last_of(source))
            await shop.until_requests(5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            async with client:
                task = asyncio.ensure_future(rxo.last_of(source))
                await shop.until_requests(5)
            await task
        assert await check.finish() == []
        assert client.runtimes["x"].calls_in_flight == 0
        assert bulkhead.statistics().in_flight == 0 and bulkhead.statistics().waiting == 0
        assert limiter.statistics().waiting == 0
