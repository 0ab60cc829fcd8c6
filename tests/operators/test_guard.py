"""guard: the awaitable and the decorator that every operator has."""

from __future__ import annotations

import asyncio
import functools
import traceback
from contextvars import ContextVar
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops

from rxorch_operators import (
    Bulkhead,
    RateLimiter,
    TimeoutExceededError,
    bulkhead,
    coalesce,
    fallback,
    from_iterable,
    guard,
    rate_limit,
    retry_backoff,
    timeout,
)
from rxorch_operators.testing import virtual_time
from tests.operators.support import Boom


class Service:
    """Fails so many times, then answers."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def ask(self, *args: Any, **kwargs: Any) -> str:
        """Answers, after it failed often enough."""
        self.calls.append((args, kwargs))
        await asyncio.sleep(0)
        if len(self.calls) <= self.failures:
            raise Boom(f"call {len(self.calls)}")
        return f"answer {len(self.calls)}"


async def test_a_decorated_function_goes_through_the_operators_and_keeps_its_arguments() -> None:
    service = Service(failures=2)

    @guard(retry_backoff(max_attempts=3, base=0.0))
    async def ask(item: str, *, size: int = 1) -> str:
        """Asks."""
        return await service.ask(item, size=size)

    assert await ask("tea", size=2) == "answer 3"
    assert service.calls == [(("tea",), {"size": 2})] * 3
    assert (ask.__name__, ask.__doc__) == ("ask", "Asks.")
    assert asyncio.iscoroutinefunction(ask)


async def test_the_awaitable_makes_one_call() -> None:
    service = Service(failures=1)
    assert await guard(retry_backoff(base=0.0)).call(service.ask, "tea", size=3) == "answer 2"


async def test_the_error_that_comes_out_is_raised() -> None:
    service = Service(failures=5)
    with pytest.raises(Boom, match="call 2"):
        await guard(retry_backoff(max_attempts=2, base=0.0)).call(service.ask)


async def test_a_method_is_wrapped_as_a_method() -> None:
    class Client:
        factor = 2

        @guard(retry_backoff(base=0.0))
        async def times(self, number: int) -> int:
            return self.factor * number

    client = Client()
    client.factor = 3
    assert await client.times(7) == 21


async def test_each_call_is_a_subscription_of_its_own() -> None:
    services = Service(failures=1), Service(failures=1)

    @guard(retry_backoff(max_attempts=2, base=0.0))
    async def ask(service: Service) -> str:
        return await service.ask()

    assert await asyncio.gather(*map(ask, services)) == ["answer 2", "answer 2"]


async def test_the_innermost_operator_comes_first() -> None:
    service = Service(failures=3)
    both = guard(retry_backoff(max_attempts=2, base=0.0), fallback(lambda error: f"instead of {error}"))
    assert await both.call(service.ask) == "instead of call 2"
    assert await guard(fallback(lambda _: "at once"), retry_backoff(base=0.0)).call(service.ask) == "at once"


async def test_stock_operators_guard_too() -> None:
    assert await guard(ops.map(str.upper)).call(Service().ask) == "ANSWER 1"
    with pytest.raises(LookupError, match="without an element"):
        await guard(ops.filter(lambda _: False)).call(Service().ask)


@virtual_time
async def test_a_cancelled_caller_cancels_the_call_and_gives_the_permit_back() -> None:
    shared, ended = Bulkhead(limit=1), asyncio.Event()

    async def ask() -> None:
        try:
            await asyncio.sleep(3600.0)
        finally:
            ended.set()

    caller = asyncio.create_task(guard(bulkhead(shared)).call(ask))
    await asyncio.sleep(1.0)
    assert shared.statistics().in_flight == 1
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
    assert shared.statistics().in_flight == 0


@virtual_time
async def test_a_time_limit_cancels_the_call() -> None:
    cancelled = []

    async def ask() -> None:
        try:
            await asyncio.sleep(3600.0)
        except asyncio.CancelledError:
            cancelled.append(asyncio.get_running_loop().time())
            raise

    with pytest.raises(TimeoutExceededError):
        await guard(timeout(2.5)).call(ask)
    assert cancelled == [2.5]


async def test_an_awaitable_that_is_no_coroutine_will_do() -> None:
    def later() -> asyncio.Future[int]:
        future = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(future.set_result, 7)
        return future

    assert await guard(timeout(5.0)).call(later) == 7
    assert await guard(timeout(5.0))(functools.partial(Service().ask, "tea"))() == "answer 1"


async def test_what_is_no_async_function_is_refused_by_name() -> None:
    def plain() -> int:
        return 7

    with pytest.raises(TypeError, match=r"plain must be an async def: it returned int"):
        await guard(timeout(5.0)).call(plain)  # type: ignore[arg-type]


def _numbers() -> Any:
    yield 1


async def _numbers_later() -> Any:
    yield 1


@pytest.mark.parametrize("given", [_numbers, _numbers_later, 7, None])
def test_what_gives_more_than_one_value_or_none_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="async def function that returns one value"):
        guard(timeout(5.0))(given)


def test_an_observable_is_to_be_piped() -> None:
    with pytest.raises(TypeError, match="an Observable is piped"):
        guard(timeout(5.0))(from_iterable("abc"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an Observable is piped"):
        guard(timeout(5.0))(reactivex.of(1))  # type: ignore[arg-type]


def test_operators_are_wanted() -> None:
    with pytest.raises(TypeError, match="at least one operator"):
        guard()
    with pytest.raises(TypeError, match="takes operators, got int"):
        guard(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the function comes after"):
        guard(Service().ask)  # type: ignore[arg-type]


def test_it_shows_its_operators() -> None:
    assert repr(guard(timeout(1.0), retry_backoff())) == "guard(timeout, retry_backoff)"


TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.mark.parametrize(
    "operators",
    [
        lambda: [bulkhead(Bulkhead(limit=1))],
        lambda: [rate_limit(RateLimiter(1, 1.0, burst=1))],
        lambda: [timeout(1.5), retry_backoff(max_attempts=2, base=0.5, jitter="none")],
    ],
    ids=["bulkhead", "rate_limit", "timeout and retry"],
)
@virtual_time
async def test_every_attempt_runs_in_the_context_of_its_caller(operators: Any) -> None:
    seen = []

    async def ask(caller: str) -> None:
        seen.append((caller, TENANT.get()))
        TENANT.set("whoever comes next")
        await asyncio.sleep(1.0 if len(seen) > 3 else 2.0)

    guarded = guard(*operators())

    async def caller(name: str) -> None:
        TENANT.set(name)
        await guarded.call(ask, name)

    await asyncio.gather(*map(caller, ("Ada", "Grace", "Barbara")), return_exceptions=True)
    assert len(seen) >= 3
    assert [pair for pair in seen if pair[0] != pair[1]] == []


class Exit(BaseException):
    """What is no Exception and no cancellation either, as pytest's own outcomes."""


@pytest.mark.parametrize("exit_with", [Exit("over"), BaseExceptionGroup("two", [Exit("over")])])
@virtual_time
async def test_an_exit_reaches_who_waits_and_gives_the_permit_back(exit_with: BaseException) -> None:
    shared = Bulkhead(limit=1)

    async def leave() -> None:
        raise exit_with

    with pytest.raises(type(exit_with)):
        await guard(bulkhead(shared), retry_backoff(base=0.0)).call(leave)
    assert shared.statistics().in_flight == 0


async def test_a_guarded_call_that_is_closed_ends_without_a_word() -> None:
    ended = []

    async def ask() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    call = guard(timeout(60.0)).call(ask)
    call.send(None)
    await asyncio.sleep(0)
    call.close()
    await asyncio.sleep(0)
    assert ended == ["cancelled"]


async def test_an_error_shared_by_many_does_not_collect_their_traces() -> None:
    boom = Boom("shared")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise boom

    shared = guard(coalesce())
    await asyncio.gather(*(shared.call(fail) for _ in range(30)), return_exceptions=True)
    assert len(traceback.extract_tb(boom.__traceback__)) < 20
