"""What the callables of a user may raise or return: it ends their own call, nothing else, and never hangs."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import (
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiValidationError,
    CircuitBreaker,
    OrchestrationMode,
    conditional,
)
from tests.support.fake_transport import FakeTransport, Hold, in_turn, turns


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """Refuses every attribute, notes and results included."""

    reason: str


class Ambiguous:
    """Has no truth value, as an array of numbers."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


class User(BaseModel):
    id: int


def raising(error: BaseException) -> Callable[[Any], Any]:
    def function(_: Any) -> Any:
        raise error

    return function


PLACES = ["transform_input", "response_parser", "transform_output", "condition", "retry_if"]


@pytest.mark.parametrize("fail_fast", [False, True])
@pytest.mark.parametrize("place", PLACES)
async def test_an_error_that_refuses_attributes_ends_its_step(place: str, fail_fast: bool) -> None:
    error = Frozen("no")
    endpoint = APIEndpoint(name="a", url="http://a.test", **{place: raising(error)})
    orchestrator = APIOrchestrator(endpoint, transport=FakeTransport({"a": {}}), fail_fast=fail_fast)
    if fail_fast:
        with pytest.raises(Frozen):
            await orchestrator.execute()
    else:
        assert (await orchestrator.execute()).errors == {"a": error}


@pytest.mark.parametrize("place", PLACES)
async def test_a_bare_next_is_explained(place: str) -> None:
    endpoint = APIEndpoint(name="a", url="http://a.test", **{place: lambda _: next(iter(()))})
    result = await APIOrchestrator(endpoint, transport=FakeTransport({"a": {}})).execute()
    assert isinstance(result.errors["a"], RuntimeError)
    assert "next() without default" in str(result.errors["a"]) and "'a'" in str(result.errors["a"])


@pytest.mark.parametrize("place", ["error_handler", "retry_if"])
async def test_a_cancellation_of_its_own_is_an_error(place: str) -> None:
    fields = {place: raising(asyncio.CancelledError()), "retry_count": 1, "retry_delay": 0.0}
    transport = FakeTransport({"a": 404 if place == "error_handler" else {}})
    result = await APIOrchestrator(
        APIEndpoint(name="a", url="http://a.test", **fields), transport=transport
    ).execute()
    assert isinstance(result.errors["a"], RuntimeError)


async def test_a_condition_without_truth_value_fails_its_step_alone() -> None:
    steps = [
        APIEndpoint(name="a", url="http://a.test", condition=lambda _: Ambiguous()),
        APIEndpoint(name="b", url="http://b.test"),
    ]
    config = APIOrchestrationConfig(endpoints=steps, mode=OrchestrationMode.PARALLEL)
    result = await APIOrchestrator(config, transport=FakeTransport({"b": {"ok": 1}})).execute()
    assert list(result.errors) == ["a"] and result["b"] == {"ok": 1}


async def test_a_choice_without_truth_value_fails_its_step() -> None:
    flow = conditional(lambda _: Ambiguous(), then=APIEndpoint(name="a", url="http://a.test"))
    result = await APIOrchestrator(flow, transport=FakeTransport()).execute()
    assert isinstance(result.errors["a"], ValueError)


async def test_a_model_made_by_the_parser_does_not_quote_the_answer() -> None:
    endpoint = APIEndpoint(
        name="a", url="http://a.test", response_parser=lambda answer: User(**answer.json())
    )
    result = await APIOrchestrator(endpoint, transport=FakeTransport({"a": {"id": "s3cret"}})).execute()
    assert isinstance(result.errors["a"], ApiValidationError)
    assert "s3cret" not in str(result.errors["a"])


async def test_a_shared_breaker_keeps_no_client_alive() -> None:
    breaker = CircuitBreaker(5, 60.0)
    clients: list[weakref.ref[APIOrchestrator]] = []
    for _ in range(3):
        endpoint = APIEndpoint(name="a", url="http://a.test", circuit_breaker=breaker)
        orchestrator = APIOrchestrator(endpoint, transport=FakeTransport({"a": {}}))
        await orchestrator.execute()
        clients.append(weakref.ref(orchestrator))
    del orchestrator
    gc.collect()
    assert [client() for client in clients] == [None, None, None]


async def test_a_client_at_work_on_one_loop_refuses_another() -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    forever = asyncio.Event()

    class Slow(FakeTransport):
        async def send(self, request: Any) -> Any:
            loop.call_soon_threadsafe(started.set)
            await forever.wait()

    orchestrator = APIOrchestrator(APIEndpoint(name="a", url="http://a.test"), transport=Slow())
    run = asyncio.create_task(orchestrator.execute())
    await started.wait()
    with pytest.raises(ValueError, match="another event loop"):
        await asyncio.to_thread(orchestrator.run)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_what_was_refused_before_it_was_sent_is_no_request() -> None:
    endpoint = APIEndpoint(name="a", url="http://127.0.0.1:9", retry_count=1, retry_delay=0.0)
    orchestrator = APIOrchestrator(endpoint)
    result = await orchestrator.execute()
    assert result.outcomes["a"].attempts == 2
    figures = orchestrator.get_metrics()
    assert (figures.total_requests, figures.calls, figures.retries) == (0, 1, 1)


CANCELLING = ["condition", "transform_input", "body", "params", "response_parser", "transform_output"]


@pytest.mark.parametrize("place", CANCELLING)
async def test_a_callable_that_raises_cancelled_error_fails_its_step(place: str) -> None:
    steps = [
        APIEndpoint(name="a", url="http://a.test"),
        APIEndpoint(
            name="b", url="http://b.test", method="POST", **{place: raising(asyncio.CancelledError())}
        ),
    ]
    config = APIOrchestrationConfig(endpoints=steps, total_timeout=None)
    result = await APIOrchestrator(config, transport=FakeTransport({"a": {}, "b": {}})).execute()
    assert isinstance(result.errors["b"], RuntimeError) and "CancelledError" in str(result.errors["b"])


async def test_requests_of_a_shared_call_are_counted_when_its_first_caller_has_left() -> None:
    hold = Hold()
    transport = FakeTransport({"a": in_turn(503, hold)})
    endpoint = APIEndpoint(name="a", url="http://a.test", cache_ttl=60, retry_delay=0.0)
    async with APIOrchestrator(endpoint, transport=transport) as orchestrator:
        leader = asyncio.create_task(orchestrator.execute())
        follower = asyncio.create_task(orchestrator.execute())
        await turns()
        leader.cancel()
        await asyncio.wait([leader])
        hold.answer({"ok": 1})
        assert (await follower)["a"] == {"ok": 1}
        assert orchestrator.get_metrics().total_requests == transport.sends == 2
