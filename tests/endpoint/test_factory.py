"""`client.observe(endpoint)`: cold, one call per subscription, cancelled by disposal."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
import reactivex as rx
from reactivex import operators as ops

from rxorch import ApiClient
from rxorch import operators as rxo
from rxorch.errors import ApiHttpError, ApiValidationError
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, turns


def collect(source: rx.Observable[Any]) -> tuple[list[Any], rx.abc.DisposableBase]:
    """Subscribe and note everything that happens."""
    seen: list[Any] = []
    return seen, source.subscribe(seen.append, seen.append, lambda: seen.append("end"))


async def test_making_a_factory_or_an_observable_calls_nothing() -> None:
    transport = FakeTransport()
    ApiClient(transport).observe(api())({})
    await turns()
    assert transport.calls == []


async def test_each_subscription_is_a_fresh_call() -> None:
    transport = FakeTransport({"api": in_turn({"turn": 0}, {"turn": 1})})
    call = ApiClient(transport).observe(api())({})
    first, _ = collect(call)
    second, _ = collect(call)
    await turns(40)
    assert first == [{"turn": 0}, "end"]
    assert second == [{"turn": 1}, "end"]
    assert transport.sends == 2


async def test_data_reaches_the_request() -> None:
    transport = FakeTransport()
    user = ApiClient(transport).observe(api("user", "http://shop.test/users/{id}"))
    for number in (7, 8):
        collect(user({"id": number}))
    await turns()
    assert transport.paths("user") == ["/users/7", "/users/8"]


async def test_a_call_without_data_says_what_it_lacks() -> None:
    seen, _ = collect(ApiClient(FakeTransport()).observe(api("user", "http://shop.test/users/{id}"))())
    (error,) = seen
    assert isinstance(error, ApiValidationError)
    assert error.endpoint == "user" and "id" in str(error)


async def test_disposal_cancels_the_call() -> None:
    hold = Hold()
    transport = FakeTransport({"api": hold})
    client = ApiClient(transport)
    seen, subscription = collect(client.observe(api())({}))
    await turns()
    assert (hold.waiting, transport.in_flight, client.runtimes["api"].calls_in_flight) == (1, 1, 1)
    subscription.dispose()
    await turns()
    assert (hold.cancelled, transport.in_flight, client.runtimes["api"].calls_in_flight) == (1, 0, 0)
    assert seen == []
    subscription.dispose()  # harmless
    assert client.runtimes["api"].calls_in_flight == 0


async def test_disposal_before_the_first_turn_sends_nothing() -> None:
    transport = FakeTransport()
    client = ApiClient(transport)
    _, subscription = collect(client.observe(api())({}))
    subscription.dispose()
    await turns()
    assert transport.calls == []
    assert client.runtimes["api"].calls_in_flight == 0


async def test_disposing_one_leaves_the_other() -> None:
    hold = Hold()
    factory = ApiClient(FakeTransport({"api": hold})).observe(api())
    _, first = collect(factory({}))
    seen, _ = collect(factory({}))
    await turns()
    first.dispose()
    hold.answer(7)
    await turns()
    assert seen == [7, "end"]


async def test_an_error_arrives_as_one() -> None:
    seen, _ = collect(ApiClient(FakeTransport({"api": 404})).observe(api())({}))
    await turns()
    (error,) = seen
    assert isinstance(error, ApiHttpError)
    assert (error.status_code, error.endpoint, error.attempts, error.url) == (
        404,
        "api",
        1,
        "http://shop.test/api",
    )
    assert error.elapsed is not None


async def test_one_item_whatever_the_key_extracts() -> None:
    """A factory emits one item per call, a list too."""
    transport = FakeTransport(otherwise={"posts": [1, 2, 3]})
    seen, _ = collect(ApiClient(transport).observe(api(response_key="posts"))({}))
    await turns()
    assert seen == [[1, 2, 3], "end"]


@pytest.mark.parametrize(("on_endpoint", "on_observe"), [(True, None), (False, True)])
async def test_each_emits_the_elements_one_by_one(on_endpoint: bool, on_observe: bool | None) -> None:
    transport = FakeTransport(otherwise={"posts": [1, [2], None]})
    endpoint = api(response_key="posts", each=on_endpoint)
    seen, _ = collect(ApiClient(transport).observe(endpoint, each=on_observe)({}))
    await turns()
    assert seen == [1, [2], None, "end"]


async def test_each_may_be_switched_off_for_one_factory() -> None:
    client = ApiClient(FakeTransport(otherwise=[1, 2]))
    endpoint = api(each=True)
    assert client.observe(endpoint).each
    seen, _ = collect(client.observe(endpoint, each=False)({}))
    await turns()
    assert seen == [[1, 2], "end"]


async def test_each_of_an_empty_list_is_nothing() -> None:
    seen, _ = collect(ApiClient(FakeTransport(otherwise=[])).observe(api(each=True))({}))
    await turns()
    assert seen == ["end"]


@pytest.mark.parametrize("value", [{"not": "a list"}, "text", 7])
async def test_each_of_something_else_is_an_error_that_names_the_endpoint(value: Any) -> None:
    seen, _ = collect(ApiClient(FakeTransport(otherwise=value)).observe(api(each=True))({}))
    await turns()
    (error,) = seen
    assert isinstance(error, ApiValidationError)
    assert error.endpoint == "api" and type(value).__name__ in str(error)


async def test_each_feeds_no_more_than_is_asked_for() -> None:
    """The elements wait for a bounded consumer."""
    factory = ApiClient(FakeTransport(otherwise=list(range(1000)))).observe(api(each=True))
    called: list[int] = []

    async def slow(element: int) -> int:
        called.append(element)
        await asyncio.sleep(0)
        return element

    stream = factory({}).pipe(rxo.flat_map_bounded(slow, max_concurrent=2))
    async with rxo.to_async_iterable(stream) as elements:
        async for element in elements:
            if element == 3:
                break
    assert len(called) <= 8


def is_active(user: Any) -> bool:
    return bool(user["active"])


async def test_a_factory_is_a_step_of_a_pipeline_in_code() -> None:
    """DESIGN, way (a): back-pressured, filtered, one factory feeding the next."""
    transport = FakeTransport(
        {
            "user": lambda request: {"id": int(request.url.path[-1]), "active": request.url.path[-1] != "2"},
            "posts": lambda request: {"posts": [f"{request.url.path[7]}a", f"{request.url.path[7]}b"]},
        }
    )
    client = ApiClient(transport)
    user = client.observe(api("user", "http://shop.test/users/{id}"))
    posts = client.observe(api("posts", "http://shop.test/users/{id}/posts", response_key="posts", each=True))
    stream = rxo.from_iterable([1, 2, 3]).pipe(
        ops.map(lambda number: {"id": number}),
        rxo.flat_map_bounded(user, max_concurrent=2),
        ops.filter(is_active),
        rxo.flat_map_bounded(posts, max_concurrent=2),
    )
    assert sorted([post async for post in rxo.to_async_iterable(stream)]) == ["1a", "1b", "3a", "3b"]


async def test_the_cap_of_a_pipeline_in_code_holds() -> None:
    transport = FakeTransport(lag=5)
    call = ApiClient(transport).observe(api())
    stream = rxo.from_iterable([{}] * 50).pipe(rxo.flat_map_bounded(call, max_concurrent=7))
    assert len([value async for value in rxo.to_async_iterable(stream)]) == 50
    assert transport.peak == 7


async def test_leaving_the_loop_cancels_what_is_in_flight() -> None:
    hold = Hold()
    transport = FakeTransport({"api": in_turn({}, hold)})
    client = ApiClient(transport)
    stream = rxo.from_iterable([{}] * 50).pipe(rxo.flat_map_bounded(client.observe(api()), max_concurrent=4))
    async for _ in rxo.to_async_iterable(stream):
        await turns()
        break
    gc.collect()
    await turns()
    assert transport.in_flight == 0 and hold.cancelled >= 3
    assert client.runtimes["api"].calls_in_flight == 0


async def test_an_observer_that_raises_gets_its_own_error() -> None:
    """RxPY would swallow it; here it ends the subscription and reaches on_error."""
    errors: list[Exception] = []

    def broken(value: Any) -> None:
        raise LookupError("mine")

    client = ApiClient(FakeTransport())
    client.observe(api())({}).subscribe(broken, errors.append)
    await turns()
    assert [str(error) for error in errors] == ["mine"]
    assert client.runtimes["api"].calls_in_flight == 0


def test_a_subscription_outside_of_any_loop_is_an_error_and_no_call() -> None:
    client = ApiClient(FakeTransport())
    seen, _ = collect(client.observe(api())({}))
    (error,) = seen
    assert isinstance(error, RuntimeError) and "event loop" in str(error)
    assert client.runtimes["api"].calls_in_flight == 0


async def test_a_factory_says_what_it_is() -> None:
    endpoint = api("user")
    factory = ApiClient(FakeTransport()).observe(endpoint)
    assert factory.endpoint is endpoint
    assert repr(factory) == "<observable factory of endpoint 'user'>"
