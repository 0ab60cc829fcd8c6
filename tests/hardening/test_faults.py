"""Whatever the network and the server do, each input ends in one record, and each request is counted once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from rxorch import APIEndpoint, APIOrchestrator
from rxorch.endpoint import CallDefaults, Caller
from rxorch.errors import ApiError, ApiNetworkError
from rxorch.events import CallFinished, CallStarted, RunFinished
from rxorch.http.choosing import make_transport
from rxorch_operators import CircuitBreaker, CircuitPolicy, CircuitState, Outcome3, RateLimiter
from tests.hardening.faults import BRIEF, FAULTS, GOOD, JSON, MOST_BYTES, Fault, Item, lost
from tests.hardening.shop import HERE, KINDS, Shop
from tests.http.raw import Peer, RawServer
from tests.http.test_faults import Talk, saying
from tests.http.test_tls import server_side
from tests.support.fake_transport import api
from tests.support.watch import Watch

each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
each_kind = pytest.mark.parametrize("kind", KINDS)
each_method = pytest.mark.parametrize("method", ["GET", "POST"])


def endpoint(shop: Shop, method: str = "GET", fault: Fault | None = None, **fields: Any) -> APIEndpoint:
    settings = {
        "timeout": 20.0 if fault is None else fault.timeout,
        "max_response_bytes": MOST_BYTES,
        "model": Item,
        "retry_delay": 0,
        "circuit_breaker": False,
    }
    return api("x", shop.named_url + "/x", method=method, **{**settings, **fields})


class Single:
    """One call after another, each watched to its end."""

    def __init__(self, shop: Shop) -> None:
        self.caller = Caller(shop.transport, defaults=CallDefaults(retry_budget=False))
        self.watch = Watch(self.caller.events)

    async def __call__(self, endpoint: APIEndpoint) -> tuple[Any, CallFinished]:
        """The value or the error of a call, and its only record."""
        before = len(self.watch.of(CallFinished))
        try:
            end = await self.caller.call(endpoint, {"n": 1})
        except ApiError as error:
            end = error
        (record,) = self.watch.of(CallFinished)[before:]
        assert record.error is (end if isinstance(end, ApiError) else None)
        assert self.caller.runtimes["x"].calls_in_flight == 0
        return end, record


def check_error(error: object, fault: Fault, *, attempts: int) -> None:
    assert type(error) is fault.error, error
    assert isinstance(error, ApiError)
    assert (error.endpoint, error.attempts) == ("x", attempts)
    assert {name: getattr(error, name) for name, _ in fault.facts} == dict(fault.facts)


def check_counts(shop: Shop, fault: Fault, method: str, kind: str, *, attempts: int) -> None:
    """What the server has seen is what was counted here; only the first attempt met the fault."""
    assert shop.requests == attempts - (not fault.sent)
    assert shop.transport.sends == shop.requests + (method == "GET" and kind in fault.unsure)


def _then_good(fault: Fault) -> tuple[Talk, ...]:
    """The fault for the first connection, and a good server from then on."""
    return (fault.talk, GOOD) if fault.sent else (GOOD,)


@each_kind
@each_method
@each_fault
async def test_a_single_call(fault: Fault, method: str, kind: str) -> None:
    fault = fault.on(kind)
    async with Shop(fault.talk, lookups=fault.lookups, kind=kind) as shop:
        error, record = await Single(shop)(endpoint(shop, method, fault, retry_count=0))
        check_error(error, fault, attempts=1)
        assert (record.status, record.attempts) == (fault.status(method), 1)
        check_counts(shop, fault, method, kind, attempts=1)


@each_kind
@each_method
@each_fault
async def test_a_call_that_is_retried_where_that_may_help(fault: Fault, method: str, kind: str) -> None:
    fault = fault.on(kind)
    async with Shop(*_then_good(fault), lookups=(*fault.lookups, HERE), kind=kind) as shop:
        end, record = await Single(shop)(endpoint(shop, method, fault, retry_count=3))
        if method in fault.cured:
            assert end == Item(id=7)
            assert (record.status, record.attempts, record.error) == ("ok", 2, None)
        else:
            check_error(end, fault, attempts=1)
            assert (record.status, record.attempts) == (fault.status(method), 1)
        check_counts(shop, fault, method, kind, attempts=record.attempts)


@each_kind
@each_method
@each_fault
async def test_a_stream(fault: Fault, method: str, kind: str) -> None:
    fault = fault.on(kind)
    async with Shop(fault.talk, lookups=fault.lookups, kind=kind) as shop:
        orchestrator = APIOrchestrator(
            endpoint(shop, method, fault, retry_count=0), transport=shop.transport, max_concurrent=20
        )
        watch = Watch(orchestrator.events)
        runs = [run async for run in orchestrator.stream({"n": n} for n in range(20))]
        assert sorted(run.index for run in runs) == list(range(20))
        assert sorted(run.input["n"] for run in runs) == list(range(20))
        for run in runs:
            outcome = run.outcomes["x"]
            check_error(run.error, fault, attempts=1)
            assert run.error is outcome.error
            assert (run.ok, str(outcome.status), outcome.attempts) == (False, fault.status(method), 1)
        assert watch.statuses == [fault.status(method)] * 20
        assert len(watch.of(RunFinished)) == 20
        assert shop.requests == 20 * fault.sent
        assert shop.transport.sends == 20 * (fault.sent or (method == "GET" and kind in fault.unsure))
        assert (orchestrator.in_flight, orchestrator.get_metrics().calls) == (0, 20)


@each_kind
@each_method
@each_fault
async def test_the_trial_of_a_half_open_circuit(fault: Fault, method: str, kind: str) -> None:
    """What says that the service is ill opens the circuit again; anything else gives the trial back."""
    fault = fault.on(kind)
    breaker = CircuitBreaker(policy=CircuitPolicy(threshold=1, timeout=1e-9, half_open_permits=1))
    async with Shop(*_then_good(fault), lookups=(*fault.lookups, HERE), kind=kind) as shop:
        call = Single(shop)
        breaker.record(breaker.acquire(), Outcome3.FAILURE)  # open, and at once ready for a trial
        x = endpoint(shop, method, fault, retry_count=0, circuit_breaker=breaker)
        error, _ = await call(x)
        check_error(error, fault, attempts=1)
        assert breaker.statistics().opened == (2 if fault.counts else 1)
        assert breaker.statistics().trials == 0
        value, _ = await call(x)  # the trial is there for the next one
        assert value == Item(id=7)
        assert breaker.state is CircuitState.CLOSED


@each_kind
@each_method
@each_fault
async def test_a_call_under_a_rate_limit(fault: Fault, method: str, kind: str) -> None:
    """Every attempt pays once, whatever becomes of it; nobody is left standing in the line."""
    fault = fault.on(kind)
    limiter = RateLimiter(1000, 1.0, burst=1000)
    async with Shop(*_then_good(fault), lookups=(*fault.lookups, HERE), kind=kind) as shop:
        _, record = await Single(shop)(endpoint(shop, method, fault, retry_count=3, rate_limiter=limiter))
        assert record.attempts == (2 if method in fault.cured else 1)
        assert limiter.statistics().granted == record.attempts
        assert limiter.statistics().waiting == 0
        check_counts(shop, fault, method, kind, attempts=record.attempts)


@each_kind
@each_fault
async def test_a_call_before_a_cache(fault: Fault, kind: str) -> None:
    """What failed is not kept; what came after it is."""
    fault = fault.on(kind)
    async with Shop(*_then_good(fault), lookups=(*fault.lookups, HERE), kind=kind) as shop:
        call = Single(shop)
        x = endpoint(shop, "GET", fault, retry_count=0, cache_ttl=3600)
        error, _ = await call(x)
        check_error(error, fault, attempts=1)
        assert [(await call(x))[0] for _ in range(3)] == [Item(id=7)] * 3
        check_counts(shop, fault, "GET", kind, attempts=2)


async def test_a_stream_in_which_only_some_meet_the_fault() -> None:
    faults = [fault.talk for fault in FAULTS.values() if fault.sent and fault.timeout > BRIEF]
    talks = [talk for fault in faults for talk in (GOOD, fault)]
    async with Shop(*talks, GOOD) as shop:
        orchestrator = APIOrchestrator(endpoint(shop, retry_count=0), transport=shop.transport)
        runs = [run async for run in orchestrator.stream(range(len(talks)), max_concurrent=1)]
        assert [run.ok for run in runs] == [True, False] * len(faults)
        assert shop.transport.sends == shop.requests == len(talks)


# Connections that were good once


def stale(end: str) -> Talk:
    """Answers the first request of a connection, and ends with the second."""

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b'{"id": 7}', JSON)
        await saying(end=end)(peer)

    return talk


@pytest.mark.parametrize("end", ["finish", "reset"])
@each_method
async def test_a_connection_that_ends_with_the_request(method: str, end: str) -> None:
    async with Shop(stale(end)) as shop:
        call = Single(shop)
        value, _ = await call(endpoint(shop, method, retry_count=0))
        error, record = await call(endpoint(shop, method, retry_count=0))
        assert value == Item(id=7)
        check_error(error, lost(GOOD), attempts=1)
        assert record.status == ("unknown" if method == "POST" else "failed")
        assert (shop.transport.sends, shop.requests, shop.connections) == (2, 2, 1)


@pytest.mark.parametrize("end", ["finish", "reset"])
async def test_a_connection_that_ends_with_the_request_and_a_retry(end: str) -> None:
    async with Shop(stale(end)) as shop:
        call = Single(shop)
        ends = [await call(endpoint(shop)) for _ in range(3)]
        assert [value for value, _ in ends] == [Item(id=7)] * 3
        assert [record.attempts for _, record in ends] == [1, 2, 2]
        assert (shop.transport.sends, shop.requests, shop.connections) == (5, 5, 3)


@each_method
async def test_a_stream_over_connections_that_end_with_every_second_request(method: str) -> None:
    async with Shop(stale("finish")) as shop:
        orchestrator = APIOrchestrator(endpoint(shop, method, retry_count=0), transport=shop.transport)
        runs = [run async for run in orchestrator.stream(range(20), max_concurrent=1)]
        assert [run.ok for run in runs] == [True, False] * 10
        assert (shop.transport.sends, shop.requests, shop.connections) == (20, 20, 10)


@each_method
async def test_connections_that_end_while_nobody_uses_them_cost_nothing(method: str) -> None:
    async def at_once(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b'{"id": 7}', JSON)
        peer.finish()

    async with Shop(at_once) as shop:
        orchestrator = APIOrchestrator(endpoint(shop, method, retry_count=0), transport=shop.transport)
        assert all([run.ok async for run in orchestrator.stream(range(20), max_concurrent=4)])
        assert shop.transport.sends == shop.requests == shop.connections == 20


# Cancellation

SILENT = saying(end="wait")
CUT_OFF = {"GET": "cancelled", "POST": "unknown"}


@each_method
async def test_a_call_that_is_cancelled(method: str) -> None:
    async with Shop(SILENT) as shop:
        call = Single(shop)
        calling = asyncio.ensure_future(call(endpoint(shop, method, retry_count=3)))
        await shop.until_requests(1)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        (record,) = call.watch.of(CallFinished)
        assert (record.status, record.attempts) == (CUT_OFF[method], 1)
        assert shop.transport.sends == shop.requests == 1


@each_method
async def test_a_retry_that_is_cancelled(method: str) -> None:
    async with Shop(FAULTS["503"].talk, SILENT) as shop:
        call = Single(shop)
        calling = asyncio.ensure_future(call(endpoint(shop, method, retry_count=3)))
        await shop.until_requests(2)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        (record,) = call.watch.of(CallFinished)
        assert (record.status, record.attempts) == (CUT_OFF[method], 2)
        assert shop.transport.sends == shop.requests == 2


@each_method
async def test_a_stream_that_is_left(method: str) -> None:
    async with Shop(*(talk for _ in range(10) for talk in (GOOD, SILENT))) as shop:
        orchestrator = APIOrchestrator(endpoint(shop, method), transport=shop.transport, max_concurrent=20)
        watch = Watch(orchestrator.events)
        async with orchestrator.stream(range(20)) as stream:
            runs = [await anext(stream) for _ in range(10)]
            await shop.until_requests(20)
        assert all(run.ok for run in runs)
        assert len(watch.of(CallStarted)) == 20
        assert Counter(watch.statuses) == {"ok": 10, CUT_OFF[method]: 10}
        assert shop.transport.sends == shop.requests == 20
        assert orchestrator.in_flight == 0


# A certificate that nobody vouches for. No retry can cure it, so it is no row of the table above


@each_kind
@each_method
async def test_a_certificate_that_is_not_trusted(method: str, kind: str) -> None:
    breaker = CircuitBreaker(policy=CircuitPolicy(threshold=1, timeout=1e-9, half_open_permits=1))
    limiter = RateLimiter(1000, 1.0, burst=1000)
    async with RawServer(GOOD, server_side()) as server:
        transport = make_transport(kind)  # type: ignore[arg-type]
        caller = Caller(transport, defaults=CallDefaults(retry_budget=False))
        watch = Watch(caller.events)
        for retry_count in (0, 2):
            x = api(f"x{retry_count}", server.url, method=method, retry_count=retry_count, retry_delay=0,
                    circuit_breaker=breaker, rate_limiter=limiter, cache_ttl=60)  # fmt: skip
            with pytest.raises(ApiNetworkError) as caught:
                await caller.call(x, {"n": 1})
            assert (caught.value.sent, caught.value.attempts) == (False, retry_count + 1)
        assert [record.status for record in watch.of(CallFinished)] == ["failed", "failed"]
        assert (transport.sends, limiter.statistics().granted, breaker.statistics().opened) == (0, 4, 4)
        await transport.aclose()
