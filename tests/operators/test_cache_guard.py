"""cache without a key, and around functions: what tells calls apart."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest
from reactivex import operators as ops

from rxorch_operators import Coalescer, TtlCache, cache, coalesce, from_async
from rxorch_operators.core.inbox import last_of
from rxorch_operators.guard import guard
from tests.operators.support import AtOnce, Boom, Manual, Recorder, turns


class Counted:
    """An `async def` that tells how often it was called, and with what."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def __call__(self, *args: Any, **kwargs: Any) -> int:
        self.calls.append((args, kwargs))
        return len(self.calls)


def test_without_a_key_the_pipelines_of_one_operator_object_share_one() -> None:
    store: TtlCache[Any, Any] = TtlCache()
    operator = cache(store, ttl=60.0)
    other = cache(store, ttl=60.0)
    seen = [[], [], []]  # type: list[list[Any]]
    AtOnce(1).pipe(operator).subscribe(seen[0].append)
    AtOnce(2).pipe(operator).subscribe(seen[1].append)
    AtOnce(3).pipe(other).subscribe(seen[2].append)
    assert seen == [[1], [1], [3]] and len(store) == 2


def test_on_hit_is_told_the_key_of_the_operator_itself() -> None:
    hits: list[Hashable] = []
    store: TtlCache[Any, Any] = TtlCache()
    cached = AtOnce(1).pipe(cache(store, ttl=60.0, on_hit=hits.append))
    for _ in range(3):
        cached.subscribe(Recorder())
    assert len(hits) == 2 and hits[0] is hits[1] and store.discard(hits[0])


async def test_a_guarded_call_is_told_apart_by_function_and_arguments() -> None:
    store: TtlCache[Any, Any] = TtlCache()
    operator = cache(store, ttl=60.0)
    first, second = Counted(), Counted()
    guarded, other = guard(operator)(first), guard(operator)(second)
    assert [await guarded(1), await guarded(1), await guarded(2), await guarded(1, by="x")] == [1, 1, 2, 3]
    assert await guarded(True) == 4, "True is equal to 1 and another thing"
    assert await guard(operator).call(first, 2) == 2
    assert await other(1) == 1 and len(store) == 5


async def test_a_method_is_told_apart_by_its_object() -> None:
    store: TtlCache[Any, Any] = TtlCache()

    class Service:
        def __init__(self, name: str) -> None:
            self.name = name

        @guard(cache(store, ttl=60.0))
        async def greet(self, who: str) -> str:
            return f"{self.name} greets {who}"

    ada, bob = Service("Ada"), Service("Bob")
    answers = [await service.greet("you") for service in (ada, bob, ada)]
    assert answers == ["Ada greets you", "Bob greets you", "Ada greets you"]
    assert store.statistics().hits == 1


async def test_a_callable_key_is_asked_with_the_arguments_of_the_call() -> None:
    counted = Counted()
    guarded = guard(cache(TtlCache(), lambda user, *, page=1: (user, page), ttl=60.0))(counted)
    assert [await guarded("ada"), await guarded("ada", page=1), await guarded("ada", page=2)] == [1, 1, 2]


async def test_a_key_from_the_arguments_may_be_a_function_itself() -> None:
    counted = Counted()
    guarded = guard(cache(TtlCache(), lambda kind: kind, ttl=60.0))(counted)
    assert [await guarded(list), await guarded(dict), await guarded(list)] == [1, 2, 1]


async def test_a_constant_key_is_one_for_all_calls() -> None:
    counted = Counted()
    guarded = guard(cache(TtlCache(), "config", ttl=60.0))(counted)
    assert [await guarded(1), await guarded(2)] == [1, 1]


async def test_arguments_that_cannot_be_told_apart_fail_before_the_call() -> None:
    counted = Counted()
    with pytest.raises(TypeError, match="give key="):
        await guard(cache(TtlCache(), ttl=60.0)).call(counted, [1])
    with pytest.raises(TypeError, match="unhashable"):
        await guard(cache(TtlCache(), lambda value: value, ttl=60.0)).call(counted, [1])
    assert counted.calls == []


async def test_a_key_that_fails_is_the_error() -> None:
    def fail(_: object) -> str:
        raise Boom

    with pytest.raises(Boom):
        await guard(cache(TtlCache(), fail, ttl=60.0)).call(Counted(), 1)


async def test_an_error_is_not_kept_and_a_substitute_serves() -> None:
    answers: list[Any] = [Boom(), "a", Boom()]

    async def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    told: list[Any] = []
    guarded = guard(
        cache(TtlCache(), ttl=0.0, stale_if_error=60.0, on_stale=lambda key, error: told.append(error))
    )(call)
    with pytest.raises(Boom):
        await guarded()
    assert [await guarded(), await guarded()] == ["a", "a"]
    assert isinstance(told[0], Boom)


async def test_a_cancelled_call_stores_nothing_and_is_not_substituted() -> None:
    store: TtlCache[Any, Any] = TtlCache()
    gate = asyncio.Event()

    async def call() -> str:
        await gate.wait()
        return "late"

    guarded = guard(cache(store, "k", ttl=0.0, stale_if_error=60.0))(call)
    store.put("k", ("old",), asyncio.get_running_loop().time(), 0.0, keep=60.0)
    task = asyncio.create_task(guarded())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.statistics().stale_hits == 0


async def test_operators_around_and_inside_of_it_mix() -> None:
    counted = Counted()
    guarded = guard(ops.map(lambda n: n * 10), cache(TtlCache(), ttl=60.0), ops.map(lambda n: n + 1))(counted)
    assert [await guarded(), await guarded()] == [11, 11]


def test_guard_shows_it_by_its_name() -> None:
    assert repr(guard(coalesce(), cache(TtlCache(), ttl=60.0))) == "guard(coalesce, cache)"


def test_what_is_not_a_store_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a TtlCache, got str"):
        cache("k", ttl=60.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["discard", "clear", "clear tag"])
def test_a_call_under_way_when_its_value_was_found_wrong_stores_nothing(how: str) -> None:
    store: TtlCache[Any, Any] = TtlCache()
    source, recorder = Manual(), Recorder()
    source.pipe(cache(store, "k", ttl=60.0, tag="api")).subscribe(recorder)
    if how == "discard":
        store.discard("k")
    else:
        store.clear("api" if how == "clear tag" else None)
    source.send("outdated")
    source.complete()
    assert recorder.values == ["outdated"] and recorder.completed
    assert len(store) == 0 and store.statistics().outdated == 1
    source.pipe(cache(store, "k", ttl=60.0, tag="api")).subscribe()
    source.send("right")
    source.complete()
    assert store.get("k", 0.0) == ("right",)


def test_a_call_under_way_stores_when_something_else_was_found_wrong() -> None:
    store: TtlCache[Any, Any] = TtlCache()
    source = Manual()
    source.pipe(cache(store, "k", ttl=60.0, tag="api")).subscribe()
    store.discard("other")
    store.clear("other")
    source.send("right")
    source.complete()
    assert store.get("k", 0.0) == ("right",)


async def test_a_shared_call_is_forgotten_together_with_the_value_it_would_bring() -> None:
    """Otherwise who comes after the discard joins the call that began before it."""
    store: TtlCache[Any, Any] = TtlCache()
    group = Coalescer()
    gate = asyncio.Event()
    answers = iter(["outdated", "right"])

    async def call() -> str:
        answer = next(answers)
        await gate.wait()
        return answer

    cached = from_async(call).pipe(coalesce(group, "k"), cache(store, "k", ttl=60.0))
    first = asyncio.create_task(last_of(cached))
    await turns()
    store.discard("k")
    assert group.forget("k")
    second = asyncio.create_task(last_of(cached))
    await turns()
    gate.set()
    assert [await first, await second] == ["outdated", "right"]
    assert await last_of(cached) == "right"
