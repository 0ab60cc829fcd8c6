"""Whatever the network and the server do, each input ends in one record, and each request is counted once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from rxorch import APIEndpoint, APIOrchestrator
from rxorch.endpoint import CallDefaults, Caller
from rxorch.errors import (
    ApiError,
)
from rxorch.events import CallFinished, CallStarted, RunFinished
from tests.hardening.faults import BRIEF, FAULTS, GOOD, JSON, MOST_BYTES, Fault, Item, lost
from tests.hardening.shop import HERE, Shop
from tests.http.raw import Peer
from tests.http.test_faults import Talk, saying
from tests.support.fake_transport import api
from tests.support.watch import Watch

each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
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


@each_method
@each_fault
async def test_a_single_call(fault: Fault, method: str) -> None:
    async with Shop(fault.talk, lookups=fault.lookups) as shop:
        error, record = await Single(shop)(endpoint(shop, method, fault, retry_count=0))
        check_error(error, fault, attempts=1)
        assert (record.status, record.attempts) == (fault.status(method), 1)
        assert shop.transport.sends == shop.requests == int(fault.sent)


@each_method
@each_fault
async def test_a_call_that_is_retried_where_that_may_help(fault: Fault, method: str) -> None:
    async with Shop(fault.talk, GOOD, lookups=(*fault.lookups, HERE)) as shop:
        end, record = await Single(shop)(endpoint(shop, method, fault, retry_count=3))
        if method in fault.cured:
            assert end == Item(id=7)
            assert (record.status, record.attempts, record.error) == ("ok", 2, None)
        else:
            check_error(end, fault, attempts=1)
            assert (record.status, record.attempts) == (fault.status(method), 1)
        assert shop.transport.sends == shop.requests == record.attempts - (not fault.sent)


@each_method
@each_fault
async def test_a_stream(fault: Fault, method: str) -> None:
    async with Shop(fault.talk, lookups=fault.lookups) as shop:
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
        assert shop.transport.sends == shop.requests == 20 * fault.sent
        assert (orchestrator.in_flight, orchestrator.get_metrics().calls) == (0, 20)


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
