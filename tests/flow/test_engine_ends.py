"""How a run may end early: fail_fast and its deadline."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import (
    ApiHttpError,
    ApiNetworkError,
    APIOrchestrator,
    ApiTimeoutError,
    OrchestrationResult,
    RateLimiter,
    conditional,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.flow import Flow
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, apis, turns
from tests.support.virtual_time import now


async def failure(flow: Flow, transport: FakeTransport, **settings: Any) -> Any:
    """The error that ends a run."""
    with pytest.raises(Exception) as caught:
        await APIOrchestrator(flow, transport=transport, **settings).execute({})
    return caught.value


def fates(result: OrchestrationResult) -> dict[str, str]:
    """How everything ended."""
    return {name: str(outcome.status) for name, outcome in result.outcomes.items()}


# -- fail_fast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("combine", [parallel, fanout, graph])
async def test_the_first_failure_cancels_what_is_in_flight_and_is_raised(combine: Any) -> None:
    hold = Hold()
    transport = FakeTransport({"get": hold, "post": hold, "bad": 404}, otherwise={"n": 1})
    endpoints = [api("done"), api("get"), api("post", method="POST"), api("bad"), *apis("yz")]
    error = await failure(combine(*endpoints, max_concurrent=4), transport, fail_fast=True)
    assert isinstance(error, ApiHttpError) and error.endpoint == "bad"
    assert fates(error.result) == {
        "done": "ok",
        "get": "cancelled",
        "post": "unknown",
        "bad": "failed",
        "y": "cancelled",  # took the place of `done`, in the turn in which `bad` failed
        "z": "cancelled",
    }
    assert error.result.outcomes["y"].started is not None
    assert error.result.outcomes["z"].started is None
    assert (hold.cancelled, transport.in_flight) == (2, 0)
    assert error.result["done"] == {"n": 1} and error.result["get"] is None
    assert error.result.errors == {"bad": error} and not error.result.ok


@pytest.mark.parametrize("combine", [sequential, pipeline])
async def test_what_never_started_is_cancelled_and_says_so(combine: Any) -> None:
    transport = FakeTransport({"b": 404})
    error = await failure(combine(*apis("abcd")), transport, fail_fast=True)
    assert fates(error.result) == {"a": "ok", "b": "failed", "c": "cancelled", "d": "cancelled"}
    outcome = error.result.outcomes["c"]
    assert (outcome.started, outcome.attempts, outcome.error) == (None, 0, None)
    assert outcome.reason == "the run ended before its turn"
    assert transport.names == ["a", "b"]


async def test_in_nested_groups_everything_ends() -> None:
    hold = Hold()
    transport = FakeTransport({"bad": 404, "x": hold, "y": hold})
    flow = parallel(sequential(api("a"), api("bad"), api("b")), pipeline(api("x"), api("z")), graph(api("y")))
    error = await failure(flow, transport, fail_fast=True)
    assert fates(error.result) == {
        "a": "ok",
        "bad": "failed",
        "b": "cancelled",
        "x": "cancelled",
        "z": "cancelled",
        "y": "cancelled",
    }
    assert transport.in_flight == 0


async def test_a_handled_failure_is_none() -> None:
    flow = sequential(api("a", error_handler=lambda error: "instead"), api("b"))
    result = await APIOrchestrator(flow, transport=FakeTransport({"a": 404}), fail_fast=True).execute()
    assert fates(result) == {"a": "ok", "b": "ok"}


async def test_a_skip_is_no_failure() -> None:
    flow = sequential(
        api("a", condition=lambda data: False, skip_propagates=True), api("b", depends_on=["a"])
    )
    result = await APIOrchestrator(flow, transport=FakeTransport(), fail_fast=True).execute()
    assert fates(result) == {"a": "skipped", "b": "skipped"}


@pytest.mark.parametrize("where", ["endpoint", "choice"])
async def test_a_condition_that_raises_is_a_failure(where: str) -> None:
    def condition(data: Any) -> bool:
        raise LookupError("mine")

    guarded = api("a", condition=condition) if where == "endpoint" else conditional(condition, then=api("a"))
    error = await failure(sequential(guarded, api("b")), FakeTransport(), fail_fast=True)
    assert isinstance(error, LookupError)
    assert fates(error.result) == {"a": "failed", "b": "cancelled"}  # type: ignore[attr-defined]


async def test_the_error_is_the_one_of_the_endpoint_even_if_it_is_not_ours() -> None:
    def parse(response: Any) -> Any:
        raise KeyError("mine")

    error = await failure(sequential(api("a", response_parser=parse)), FakeTransport(), fail_fast=True)
    assert type(error) is KeyError
    assert fates(error.result) == {"a": "failed"}  # type: ignore[attr-defined]


async def test_two_runs_that_share_a_failure_have_each_their_own_result() -> None:
    """Equal calls at once are one call with one error; each run says on it what it had done itself."""
    hold = Hold()
    transport = FakeTransport({"shared": hold, "own": lambda request: request.url.path[-1]})
    flow = sequential(api("own", "http://shop.test/{n}"), api("shared", cache_ttl=60.0, retry_count=0))
    orchestrator = APIOrchestrator(flow, transport=transport, fail_fast=True)
    tasks = [asyncio.create_task(orchestrator.execute({"n": n})) for n in range(3)]
    await turns()
    hold.answer(500)
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert transport.counts["shared"] == 1
    assert [error.result["own"] for error in errors if isinstance(error, ApiHttpError)] == ["0", "1", "2"]
    assert len({id(error) for error in errors}) == 3


async def test_an_error_that_is_raised_again_and_again_keeps_the_result_of_each_run() -> None:
    known = ApiNetworkError("the same object each time", sent=False)
    transport = FakeTransport({"a": known})
    orchestrator = APIOrchestrator(sequential(api("a", retry_count=0)), transport=transport, fail_fast=True)
    errors = [await failure_of(orchestrator) for _ in range(2)]
    assert errors[0].result.run != errors[1].result.run
    assert [str(error).split(" [")[0] for error in errors] == ["the same object each time"] * 2


async def failure_of(orchestrator: APIOrchestrator) -> Any:
    with pytest.raises(Exception) as caught:
        await orchestrator.execute({})
    return caught.value


# -- the deadline --------------------------------------------------------------------------------------


@virtual_time
async def test_past_its_time_a_run_ends_with_what_it_has() -> None:
    hold = Hold()
    transport = FakeTransport({"get": hold, "post": hold}, otherwise={"n": 1})
    flow = sequential(api("a"), parallel(api("get"), api("post", method="POST"), api("b")), api("c"))
    error = await failure(flow, transport, total_timeout=5.0)
    assert isinstance(error, ApiTimeoutError)
    assert (error.kind, error.limit) == ("total", 5.0)
    assert "total_timeout of 5 s" in str(error)
    assert fates(error.result) == {
        "a": "ok",
        "get": "cancelled",
        "post": "unknown",
        "b": "ok",
        "c": "cancelled",
    }
    assert error.result.outcomes["get"].duration == error.result.duration == now() == 5.0
    await turns()
    assert transport.in_flight == 0


@virtual_time
async def test_the_time_is_inherited_by_attempts_and_waits() -> None:
    """A retry that could not start in time is not waited for: the run ends early, as a failure."""
    transport = FakeTransport({"a": 503})
    flow = sequential(api("a", retry_delay=4.0, retry_jitter="none", retry_count=5))
    result = await APIOrchestrator(flow, transport=transport, total_timeout=10.0).execute()
    assert transport.waits == [4.0]  # the next wait of 8 s would end at 12
    assert (fates(result), now()) == ({"a": "failed"}, 4.0)


@virtual_time
async def test_the_time_is_inherited_by_waits_for_a_limit() -> None:
    flow = sequential(api("a", rate_limit=1, rate_limit_window=60.0), api("b", depends_on=["a"]))
    orchestrator = APIOrchestrator(flow, transport=FakeTransport(), total_timeout=10.0)
    assert (await orchestrator.execute()).ok
    result = await orchestrator.execute()
    assert (fates(result), now()) == ({"a": "failed", "b": "skipped"}, 0.0)
    assert result.errors["a"].retry_after == pytest.approx(60.0)


@virtual_time
async def test_without_a_limit_a_run_may_take_all_day() -> None:
    limiter = RateLimiter(1, 86_400.0, burst=1)
    limiter.try_acquire()
    flow = sequential(api("a", rate_limiter=limiter))
    result = await APIOrchestrator(flow, transport=FakeTransport(), total_timeout=None).execute()
    assert result.ok and now() == 86_400.0


@virtual_time
async def test_an_endpoints_own_time_within_the_runs() -> None:
    flow = sequential(api("a", total_timeout=3.0, timeout=None), api("b"))
    result = await APIOrchestrator(flow, transport=FakeTransport({"a": Hold()}), total_timeout=10.0).execute()
    assert fates(result) == {"a": "failed", "b": "ok"}
    assert isinstance(result.errors["a"], ApiTimeoutError) and result.errors["a"].endpoint == "a"
    assert now() == 3.0


@virtual_time
async def test_an_endpoints_own_time_does_not_stretch_the_runs() -> None:
    flow = sequential(api("a", total_timeout=30.0, timeout=None), api("b"))
    error = await failure(flow, FakeTransport({"a": Hold()}), total_timeout=10.0)
    assert isinstance(error, ApiTimeoutError) and now() == 10.0


@virtual_time
async def test_five_minutes_unless_the_config_says_otherwise() -> None:
    flow = sequential(api("a", timeout=None))
    error = await failure(flow, FakeTransport({"a": Hold()}))
    assert isinstance(error, ApiTimeoutError) and now() == 300.0


@virtual_time
async def test_the_clock_of_a_run_starts_with_it() -> None:
    orchestrator = APIOrchestrator(sequential(api("a")), transport=FakeTransport(), total_timeout=10.0)
    await asyncio.sleep(100.0)
    assert (await orchestrator.execute()).ok
