"""What `call_api` takes and refuses: every wrong argument is named, before anything is sent."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import BaseModel
from yarl import URL

from rxorch.client import AioHttpClient, ApiClient, ApiRequestModel, ApiValidationError, RetryRequestStrategy
from rxorch.errors import ApiConfigurationError
from tests.support.fake_transport import FakeTransport

HERE = "http://shop.test/items"


def client_on(wire: FakeTransport, **settings: Any) -> ApiClient:
    return ApiClient(strategy=RetryRequestStrategy(http=wire), **settings)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": None}, "the url is text or a yarl.URL; not NoneType"),
    ({"url": b"http://shop.test"}, "the url is text or a yarl.URL; not bytes"),
    ({"url": []}, "the url is text or a yarl.URL; not list"),
    ({"url": URL("/items")}, "no base_url"),
    ({"method": None}, "method"),
    ({"method": ["GET"]}, "method"),
    ({"params": "a=1"}, "params: give a mapping"),
    ({"params": ["ab"]}, "params: give a mapping"),
    ({"params": [(1, 2)]}, "params: give a mapping"),
    ({"headers": "X: y"}, "headers: give a mapping"),
    ({"headers": [("X", "y")]}, "headers: give a mapping"),
    ({"headers": {5: "y"}, "method": "POST"}, "header name"),
    ({"timeout": "5"}, "timeout"),
    ({"timeout": True}, "timeout"),
    ({"timeout": math.inf}, "timeout"),
    ({"response_key": 5}, "response_key"),
    ({"response_key": "a[0"}, "neither a dotted path nor"),
    ({"model": object()}, "model"),
    ({"model": list["Nowhere"]}, "model"),  # type: ignore[name-defined] # noqa: F821
    ({"model": "Nowhere"}, "model"),
    ({"data": 5}, "data: give bytes"),
    ({"data": object()}, "data: give bytes"),
    ({"data": [1]}, "data: give bytes"),
    ({"data": {1, 2}}, "data: give bytes"),
]


@pytest.mark.parametrize(("arguments", "error"), WRONG)
@pytest.mark.parametrize("by", ["call_api", "execute", "request"])
async def test_a_wrong_argument_is_named_before_anything_is_sent(
    arguments: dict[str, Any], error: str, by: str
) -> None:
    wire = FakeTransport()
    client = client_on(wire)
    given = {"url": HERE, "method": "GET", **arguments}
    with pytest.raises((ApiConfigurationError, ApiValidationError), match=error):
        if by == "call_api":
            await client.call_api(**given)
        elif by == "execute":
            await client.strategy.execute(ApiRequestModel.model_construct(**given), client)
        elif {"model", "response_key"} & given.keys():
            await client.call_api(**given)
        else:
            await AioHttpClient().request(**given)
    assert wire.sends == 0


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"url": URL(HERE) / "a b"}, "/items/a%20b"),
        ({"params": [("a", 1), ("b", 2), ("a", [3, None])]}, "/items?a=1&a=3&b=2"),
        ({"params": (("a", None),)}, "/items"),
        ({"params": []}, "/items"),
    ],
)
async def test_urls_and_params_in_other_shapes(arguments: dict[str, Any], sent: str) -> None:
    wire = FakeTransport()
    await client_on(wire).call_api(**{"url": HERE, **arguments})
    await client_on(wire).strategy.execute(ApiRequestModel(**{"url": HERE, **arguments}), client_on(wire))
    assert [request.url.raw_path_qs for request in wire.calls] == [sent] * 2


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("users/7", "https://api.test/v1/users/7"),
        ("/users/7", "https://api.test/v1/users/7"),
        ("shop.test/x", "https://api.test/v1/shop.test/x"),
        ("@shop.test/x", "https://api.test/v1/@shop.test/x"),
        ("?page=2", "https://api.test/v1?page=2"),
        ("", "https://api.test/v1"),
        (URL("users/7"), "https://api.test/v1/users/7"),
    ],
)
async def test_what_is_relative_is_put_behind_the_base_url(text: Any, url: str) -> None:
    wire = FakeTransport()
    await client_on(wire, base_url=URL("https://api.test/v1/")).call_api(text)
    assert str(wire.calls[0].url) == url


@pytest.mark.parametrize("text", ["//shop.test/x", "ftp://shop.test", "localhost:80/x", " users/7", "a\nb"])
async def test_what_is_not_relative_is_not_put_there(text: str) -> None:
    wire = FakeTransport()
    with pytest.raises(ApiValidationError, match="the url"):
        await client_on(wire, base_url="https://api.test").call_api(text)
    assert wire.sends == 0


async def test_pairs_are_a_form() -> None:
    wire = FakeTransport()
    client = client_on(wire)
    await client.call_api(HERE, "PUT", data=[("a", 1), ("b", "x y"), ("a", None), ("a", True)])
    await client.call_api(HERE, "PUT", data=[])
    assert [(request.body, request.headers["Content-Type"]) for request in wire.calls] == [
        (b"a=1&b=x%20y&a=true", "application/x-www-form-urlencoded"),
        (b"", "application/x-www-form-urlencoded"),
    ]


# -- models --------------------------------------------------------------------------------------------


class A(BaseModel):
    x: int


class B(BaseModel):
    x: int


async def test_the_order_of_a_union_matters() -> None:
    client = client_on(FakeTransport(otherwise={"x": 1}))
    kinds = [type(await client.call_api(HERE, model=model)) for model in (A | B, B | A, A | B)]
    assert kinds == [A, B, A]
    nested = client_on(FakeTransport(otherwise=[{"x": 1}]))
    lists = [await nested.call_api(HERE, model=model) for model in (list[A | B], list[B | A])]
    assert [type(one[0]) for one in lists] == [A, B]


async def test_equal_models_share_a_reader_and_no_model_outlives_its_strategy() -> None:
    import gc
    import weakref

    class Local(BaseModel):
        x: int

    strategy = RetryRequestStrategy(http=FakeTransport(otherwise={"x": 1}))
    client = ApiClient(strategy=strategy)
    for _ in range(3):
        await client.call_api(HERE, model=Local | None)
    assert len(strategy._engine.readers) == 1
    for n in range(600):
        await client.call_api(HERE, model=int | None, response_key=f"x || `{n}`")
    assert len(strategy._engine.readers) <= 256
    gone = weakref.ref(Local)
    del Local, strategy, client
    gc.collect()
    assert gone() is None
