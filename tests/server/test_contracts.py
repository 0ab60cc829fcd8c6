"""Types of inputs and results: checked before and after the run, and described in /openapi.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any, Literal

import pytest
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from rxorch import ApiConfigurationError, APIEndpoint
from rxorch.server import Served, create_app
from tests.conftest import ServeLoopback
from tests.server.conftest import Ask, Serve, Upstream, endpoint, parallel_of
from tests.support.loopback import Loopback

SECRET = "hunter2-hunter2"


class Item(BaseModel):
    sku: str
    count: int = Field(default=1, ge=1)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: int = Field(ge=1)
    day: date = date(2026, 1, 1)
    items: list[Item] = Field(default_factory=list, max_length=2)


class Search(BaseModel):
    model_config = ConfigDict(strict=True)

    id: int
    tags: list[int] = Field(default_factory=list)
    kind: Literal[1, 2] = 1
    deep: bool = False
    text: str | None = None


class User(BaseModel):
    name: str


class Profile(BaseModel):
    users: User
    orders: list[Any] | None = None


@pytest.fixture
async def echo(loopback: ServeLoopback) -> APIEndpoint:
    """Gives back what it was sent."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), content_type="application/json")

    server = await loopback({"GET /echo": answer, "POST /echo": answer})
    return APIEndpoint(name="echo", method="POST", url=f"{server.url}/echo", retry_count=0)


def read_back(services: Loopback, model: Any, **fields: Any) -> Served:
    """A readable flow whose result is its input."""
    data: Callable[[Any], Any] = lambda value: value  # noqa: E731
    config = parallel_of(
        endpoint(services, "users"), result_transformer=lambda _: seen[-1], max_concurrent=1, **fields
    )
    seen: list[Any] = []
    watched = config.endpoints[0].model_copy(
        update={"condition": lambda value: seen.append(data(value)) or True}
    )
    return Served(config.model_copy(update={"endpoints": [watched]}), input=model, readable=True)


async def test_the_flow_gets_what_the_model_makes_of_the_input(
    echo: APIEndpoint, serve: Serve, ask: Ask
) -> None:
    server = await serve({"order": Served(echo, input=Order)})
    sent = {"id": "7", "day": "2026-02-03", "items": [{"sku": "a"}]}
    answer = await ask("POST", f"{server.url}/orchestrations/order", json=sent)
    assert (answer.status, answer.json["result"]["echo"]) == (
        200,
        {"id": 7, "day": "2026-02-03", "items": [{"sku": "a", "count": 1}]},
    )


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({}, ["id"]),
        ({"id": SECRET}, ["id"]),
        ({"id": 0}, ["id"]),
        ({"id": 1, "day": SECRET}, ["day"]),
        ({"id": 1, "items": [{"sku": "a"}, {"sku": "b", "count": SECRET}]}, ["items", 1, "count"]),
        ({"id": 1, "other": SECRET}, ["other"]),
        ([SECRET], []),
    ],
)
async def test_what_does_not_fit_is_named_and_nothing_is_called(
    echo: APIEndpoint, serve: Serve, ask: Ask, sent: Any, place: list[Any]
) -> None:
    server = await serve({"order": Served(echo, input=Order)})
    answer = await ask("POST", f"{server.url}/orchestrations/order", json=sent)
    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    (fault,) = answer.json["errors"]
    assert fault["loc"] == place and fault["msg"]
    assert SECRET not in answer.text
    assert "rxorch_requests_total{" not in (await ask("GET", f"{server.url}/metrics")).text


async def test_lines_are_checked_one_by_one(echo: APIEndpoint, serve: Serve, ask: Ask) -> None:
    server = await serve({"order": Served(echo, input=Order)})
    answer = await ask(
        "POST",
        f"{server.url}/orchestrations/order/stream",
        data=f'{{"id": 1}}\n{{"id": "{SECRET}"}}\nno JSON\n{{"id": 3}}\n',
        headers={"Content-Type": "application/x-ndjson"},
    )
    records = {record["index"]: record for record in map(json.loads, answer.text.splitlines())}
    assert [records[index]["status"] for index in range(4)] == [200, 422, 422, 200]
    assert records[0]["result"]["echo"]["day"] == "2026-01-01"
    assert (records[1]["problem"]["line"], records[1]["problem"]["errors"][0]["loc"]) == (2, ["id"])
    assert "errors" not in records[2]["problem"]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("id=7", {"id": 7, "tags": [], "kind": 1, "deep": False, "text": None}),
        (
            "id=-7&tags=1&kind=2&deep=true&text=true",
            {"id": -7, "tags": [1], "kind": 2, "deep": True, "text": "true"},
        ),
        ("id=7&tags=1&tags=2&text=12", {"id": 7, "tags": [1, 2], "kind": 1, "deep": False, "text": "12"}),
    ],
)
async def test_a_query_is_read_by_the_types_of_the_fields(
    services: Loopback, serve: Serve, ask: Ask, query: str, seen: dict[str, Any]
) -> None:
    server = await serve({"search": read_back(services, Search)})
    answer = await ask("GET", f"{server.url}/orchestrations/search?{query}")
    assert (answer.status, answer.json["result"]) == (200, seen)


@pytest.mark.parametrize(
    ("query", "place"),
    [("", ["id"]), (f"id={SECRET}", ["id"]), ("id=1&id=2", ["id"]), ("id=1&tags=1&tags=x", ["tags", 1])],
)
async def test_a_query_that_does_not_fit(
    services: Loopback, serve: Serve, ask: Ask, query: str, place: list[Any]
) -> None:
    server = await serve({"search": read_back(services, Search)})
    answer = await ask("GET", f"{server.url}/orchestrations/search?{query}")
    assert (answer.status, answer.json["errors"][0]["loc"]) == (422, place)
    assert SECRET not in answer.text


class Number(BaseModel):
    value: float


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity"])
async def test_numbers_are_finite(services: Loopback, serve: Serve, ask: Ask, text: str) -> None:
    server = await serve({"number": read_back(services, Number)})
    url = f"{server.url}/orchestrations/number"
    for answer in (await ask("GET", f"{url}?value={text}"), await ask("POST", url, json={"value": text})):
        assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["value"])


async def test_the_result_is_what_its_model_shows(services: Loopback, serve: Serve, ask: Ask) -> None:
    flow = parallel_of(endpoint(services, "users"), endpoint(services, "orders"))
    server = await serve({"profile": Served(flow, output=Profile)})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert (answer.status, answer.json["result"]) == (
        200,
        {"users": {"name": "Ada"}, "orders": [{"order": 1}]},
    )


async def test_a_partial_result_counts_if_it_fits(
    services: Loopback, upstream: Upstream, serve: Serve, ask: Ask
) -> None:
    flow = parallel_of(endpoint(services, "users"), endpoint(services, "orders"))
    server = await serve({"profile": Served(flow, output=Profile)})
    url = f"{server.url}/orchestrations/profile"
    upstream.orders = 500
    answer = await ask("POST", url, json={"id": 7})
    assert (answer.status, answer.json["result"]) == (206, {"users": {"name": "Ada"}, "orders": None})
    upstream.orders, upstream.users = [], 500
    answer = await ask("POST", url, json={"id": 7})
    assert (answer.status, answer.json["outcomes"]["users"]["provenance"]) == (502, "missing")


async def test_a_result_that_does_not_fit_is_never_given(
    services: Loopback, upstream: Upstream, serve: Serve, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve({"profile": Served(parallel_of(endpoint(services, "users")), output=Profile)})
    upstream.users = {"name": [SECRET]}
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert answer.status == 500
    assert SECRET not in answer.text
    (record,) = [record.getMessage() for record in caplog.records if record.name == "rxorch.server"]
    assert answer.json["id"] in record and "users.name" in record
    assert SECRET not in record


async def test_the_description_has_the_types(services: Loopback, serve: Serve, ask: Ask) -> None:
    flow = parallel_of(endpoint(services, "users"))
    server = await serve(
        {
            "order": Served(flow, input=Order, output=Profile),
            "search": Served(flow, input=Search, readable=True),
        }
    )
    document = (await ask("GET", f"{server.url}/openapi.json")).json
    models = document["components"]["schemas"]
    post = document["paths"]["/orchestrations/order"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Order"
    }
    result = post["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["result"]
    assert result == {"$ref": "#/components/schemas/Profile"}
    assert models["Order"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/Item"}
    query = {each["name"]: each for each in document["paths"]["/orchestrations/search"]["get"]["parameters"]}
    assert (query["id"]["required"], query["deep"]["required"]) == (True, False)
    assert query["tags"]["schema"]["items"] == {"type": "integer"}


class Opaque:
    """Nothing that JSON could be."""


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    id: int
    thing: Opaque


class Login(BaseModel):
    name: str
    password: SecretStr


class Recursive(BaseModel):
    id: int
    inner: Recursive | None = None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": Opaque}, "'flow': input: JSON cannot express Opaque"),
        ({"input": Holder}, "'flow': input: JSON cannot express Holder.thing"),
        ({"output": Holder}, "'flow': output: JSON cannot express Holder.thing"),
        ({"input": "Order"}, "'flow': input: give the type itself"),
        ({"input": Login}, "Login.password has a SecretStr"),
        ({"input": Recursive, "readable": True}, "query parameters.*'inner' is more than that"),
        ({"input": Order, "readable": True}, "query parameters.*'items' is more than that"),
        ({"input": list[int], "readable": True}, "give a model with fields"),
    ],
)
def test_what_cannot_be_served(options: dict[str, Any], message: str) -> None:
    flow = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
    with pytest.raises(ApiConfigurationError, match=message):
        create_app({"flow": Served(flow, **options)})
