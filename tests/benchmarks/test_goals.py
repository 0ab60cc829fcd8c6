"""The goals for speed, as ratios measured in one run. Not part of the test suite: `python3 dev.py bench`."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from rxorch import (
    ApiClient,
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiTimeoutError,
    OrchestrationMode,
)
from tests.benchmarks import http_client, machinery, sagas, streams
from tests.support.loopback import Loopback

pytestmark = pytest.mark.benchmark


def test_six_operators_cost_a_fifteenth_of_stock_rxpy() -> None:
    """An inner chain of six operators around an asyncio call, 100 in flight."""
    figures = machinery.main()
    print(
        f"\nsix operators, CPU per element: ours {figures['ours']:.1f} us, stock {figures['stock']:.1f} us, "
        f"the bare call {figures['bare']:.1f} us; stock / ours = {figures['stock / ours']:.1f}"
    )
    assert figures["stock / ours"] >= 15


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def kind(request: pytest.FixtureRequest) -> str:
    """The event loop that is measured on."""
    return str(request.param)


@pytest.fixture(scope="module")
def figures(kind: str) -> dict[str, float]:
    """5,000 GETs by each side."""
    measured = http_client.main(uvloop=kind == "uvloop")
    print(f"\n5,000 GETs on {kind}, CPU each in us, and to bare aiohttp:")
    for name in http_client.SIDES:
        print(f"{name:>20} {measured[name]:6.1f} {measured.get(f'{name} / bare', 1.0):6.2f}")
    return measured


def test_all_policies_cost_less_than_bare_aiohttp(figures: dict[str, float], kind: str) -> None:
    """Retry, breaker, limiter, timeout and metrics against a worker pool with none of them."""
    assert figures["ours / bare"] <= {"uvloop": 0.75, "asyncio": 0.9}[kind]


def test_all_policies_cost_less_than_those_put_together_by_hand(figures: dict[str, float]) -> None:
    """Against stamina, aiolimiter and purgatory around bare aiohttp."""
    assert figures["ours"] <= 0.5 * figures["hand-made"]


@pytest.mark.xfail(
    reason="pyreqwest 0.15 by itself, without any of ours, costs more than that on its two threads"
)
@pytest.mark.parametrize("kind", ["uvloop"], indirect=True)
def test_on_pyreqwest_all_policies_cost_less_than_half_of_bare_aiohttp(figures: dict[str, float]) -> None:
    """With the transport of Rust, its thread's time counted too."""
    assert figures["ours on pyreqwest / bare"] <= 0.45


@pytest.fixture(scope="module")
def per_input() -> dict[str, float]:
    """3,000 inputs through each side, 50 at once."""
    measured = streams.main()
    print("\n3,000 inputs, 50 at once, CPU each in us:")
    for name, spent in measured.items():
        print(f"{name:>22} {spent:6.1f}")
    return measured


def test_a_bounded_stream_costs_little_more_than_a_pool_by_hand(per_input: dict[str, float]) -> None:
    """And a seventh of aiostream."""
    assert per_input["flat_map_bounded"] <= 2.5 * per_input["pool"]
    assert per_input["flat_map_bounded"] <= per_input["aiostream"] / 7
    assert per_input["flat_map_bounded"] <= per_input["RxPY"] / 7


def test_a_stream_of_runs_costs_less_than_aiostream_without_records(per_input: dict[str, float]) -> None:
    """Of the same requests."""
    assert per_input["orchestrator.stream"] <= per_input["aiostream of requests"]


def test_a_stream_of_runs_costs_a_third_of_aiostream_without_requests(per_input: dict[str, float]) -> None:
    """Records of whole requests against a call that is one turn of the loop."""
    assert per_input["orchestrator.stream"] <= per_input["aiostream"] / 3


async def test_a_durable_saga_costs_no_more_than_a_journal_by_hand() -> None:
    """Three steps, every one on the disk before the next begins."""
    speeds = await sagas.measured()
    print("\nsagas of three steps per second:")
    for name, speed in speeds.items():
        print(f"{name:>32} {speed:7.0f}")
    assert speeds["ours, FULL, 1 at once"] >= speeds["by hand, WAL, FULL, 1 at once"]
    assert speeds["ours, FULL, 50 at once"] >= 2 * speeds["by hand, WAL, FULL, 50 at once"]


async def test_deadlines_are_overshot_by_less_than_20_ms() -> None:
    """1,000 calls to a server that never answers, 50 at once: the time that passed beyond the limit."""

    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    over: list[float] = []
    async with Loopback({"GET /{name}": silent}) as server, ApiClient() as client:
        endpoint = APIEndpoint(name="silent", url=server.url + "/x", timeout=0.1, retry_count=0)
        endpoint = endpoint.model_copy(update={"circuit_breaker": False})

        async def caller() -> None:
            for _ in range(20):
                started = time.perf_counter()
                with pytest.raises(ApiTimeoutError):
                    await client.call(endpoint)
                over.append(time.perf_counter() - started - 0.1)

        await asyncio.gather(*(caller() for _ in range(50)))
    p99 = sorted(over)[int(len(over) * 0.99)]
    print(f"\n1,000 deadlines of 100 ms: overshot by {p99 * 1000:.1f} ms in the 99th percentile")
    assert p99 <= 0.02


async def test_ten_calls_at_once_take_less_than_two() -> None:
    """PARALLEL, ten endpoints of 50 ms: the whole against a single call."""

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return web.json_response({})

    async with Loopback({"GET /{name}": slow}) as server:
        endpoints = [APIEndpoint(name=f"api{i}", url=f"{server.url}/{i}") for i in range(10)]

        async def seconds(count: int) -> float:
            config = APIOrchestrationConfig(endpoints=endpoints[:count], mode=OrchestrationMode.PARALLEL)
            async with APIOrchestrator(config) as orchestrator:
                started = time.perf_counter()
                assert (await orchestrator.execute()).ok
                return time.perf_counter() - started

        await seconds(10)
        one, ten = await seconds(1), await seconds(10)
    print(
        f"\nten calls of 50 ms at once: {ten * 1000:.0f} ms, one: {one * 1000:.0f} ms; ratio {ten / one:.2f}"
    )
    assert ten / one < 2
