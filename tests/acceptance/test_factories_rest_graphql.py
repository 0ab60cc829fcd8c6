"""Factory functions: the resources of one REST API, and GraphQL queries, separate and in one batch."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from rxorch import (
    ApiGraphQLError,
    OrchestrationMode,
    create_graphql_orchestrator,
    create_rest_api_orchestrator,
)
from tests.acceptance.witness import Call, Company, Witness
from tests.support.loopback import Loopback

USER = "query($id: ID!) { user(id: $id) { name } }"
POSTS = "query($id: ID!, $first: Int) { posts(of: $id, first: $first) { title } }"


async def test_rest_resources_share_base_and_token() -> None:
    """create_rest_api_orchestrator: paths under one root, asked together, with one token."""
    witness, company = Witness(), Company(2)
    routes = {
        "GET /api/users/{id}": witness.answers("users", {"id": 7}, company=company),
        "GET /api/users/{id}/orders": witness.answers("orders", [1, 2], company=company),
    }
    async with Loopback(routes) as server:
        orchestrator = create_rest_api_orchestrator(
            f"{server.url}/api",
            ["users/{id}", ("orders", "users/{id}/orders")],
            auth_token="t{1}",
            headers={"X-Tenant": "acme"},
        )
        result = await orchestrator.execute({"id": 7})

    assert dict(result) == {"users": {"id": 7}, "orders": [1, 2]}
    assert {call.headers["Authorization"] for call in witness.calls} == {"Bearer t{1}"}
    assert {call.headers["X-Tenant"] for call in witness.calls} == {"acme"}


async def test_rest_resources_in_order_with_a_method() -> None:
    """create_rest_api_orchestrator: another mode, and a resource that is written to."""
    witness = Witness()
    routes = {
        "GET /users/{id}": witness.answers("users", {"id": 7}),
        "POST /orders": witness.answers("orders", {"order": 1}, status=201),
    }
    async with Loopback(routes) as server:
        orchestrator = create_rest_api_orchestrator(
            f"{server.url}/", ["users/{id}", "POST /orders"], mode=OrchestrationMode.SEQUENTIAL
        )
        result = await orchestrator.execute({"id": 7})

    assert witness.names() == ["users", "orders"]
    assert witness.last("orders").body == {"id": 7, "users": {"id": 7}}
    assert result["orders"] == {"order": 1}


def resolve(call: Call) -> Any:
    """A GraphQL server of two queries; a batch is a list of them."""
    if isinstance(call.body, list):
        return [answer(query) for query in call.body]
    return answer(call.body)


def answer(query: dict[str, Any]) -> dict[str, Any]:
    variables = query["variables"]
    if query["query"] == USER:
        return {"data": {"user": {"name": f"user {variables['id']}"}}}
    return {"data": {"posts": [{"title": "Notes"}] * variables["first"]}}


async def test_graphql_queries_separately() -> None:
    """create_graphql_orchestrator: one request per query, the input as variables over the given ones."""
    witness = Witness()
    async with Loopback({"POST /graphql": witness.answers("graphql", resolve)}) as server:
        orchestrator = create_graphql_orchestrator(
            f"{server.url}/graphql",
            {"user": USER, "posts": POSTS},
            variables={"first": 2, "id": 0},
            headers={"Authorization": "Bearer t"},
        )
        result = await orchestrator.execute({"id": 7})

    assert result["user"] == {"user": {"name": "user 7"}}
    assert result["posts"] == {"posts": [{"title": "Notes"}, {"title": "Notes"}]}
    assert witness.count("graphql") == 2
    assert all(call.headers["Authorization"] == "Bearer t" for call in witness.calls)


async def test_graphql_queries_in_one_batch() -> None:
    """create_graphql_orchestrator(batch=True): one request for all queries, the data by query name."""
    witness = Witness()
    async with Loopback({"POST /graphql": witness.answers("graphql", resolve)}) as server:
        orchestrator = create_graphql_orchestrator(
            f"{server.url}/graphql", {"user": USER, "posts": POSTS}, batch=True
        )
        result = await orchestrator.execute({"id": 7, "first": 1})

    assert result["batch"] == {
        "user": {"user": {"name": "user 7"}},
        "posts": {"posts": [{"title": "Notes"}]},
    }
    assert witness.count("graphql") == 1


async def test_graphql_errors_are_failures() -> None:
    """create_graphql_orchestrator: a 200 with ``errors`` fails its query; the server's words are kept."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"data": None, "errors": [{"message": "no such user"}]})

    async with Loopback({"POST /graphql": refuse}) as server:
        result = await create_graphql_orchestrator(f"{server.url}/graphql", {"user": USER}).execute({"id": 7})

        assert server.total == 1
    error = result.errors["user"]
    assert isinstance(error, ApiGraphQLError)
    assert [fault.message for fault in error.errors] == ["no such user"]
