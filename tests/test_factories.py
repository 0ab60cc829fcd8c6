"""The ready-made orchestrators: what they make of their arguments."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from rxorch import (
    ApiConfigurationError,
    ApiError,
    ApiGraphQLError,
    APIOrchestrator,
    ApiValidationError,
    OrchestrationMode,
    create_graphql_orchestrator,
    create_parallel_aggregator,
    create_rest_api_orchestrator,
    create_sequential_api_chain,
)
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport
from tests.support.virtual_time import now

PAIRS = [("a", "http://shop.test/a"), ("b", "http://shop.test/b/{a.id}")]


def endpoints(orchestrator: APIOrchestrator) -> list[Any]:
    return list(orchestrator.flow.endpoints())


def test_a_chain_is_a_sequence_of_gets() -> None:
    chain = create_sequential_api_chain(PAIRS, headers={"X-Key": "k"}, timeout=7.0, fail_fast=True)
    assert chain.config.mode is OrchestrationMode.SEQUENTIAL
    assert chain.config.fail_fast
    assert [(e.name, e.method, e.headers, e.timeout) for e in endpoints(chain)] == [
        ("a", "GET", {"X-Key": "k"}, 7.0),
        ("b", "GET", {"X-Key": "k"}, 7.0),
    ]


async def test_a_chain_passes_results_on() -> None:
    transport = FakeTransport({"a": {"id": 7}})
    await create_sequential_api_chain(iter(PAIRS), transport=transport).execute()
    assert transport.paths("b") == ["/b/7"]


def test_a_chain_that_cannot_run_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"\{a\.id\}"):
        create_sequential_api_chain(reversed(PAIRS))


def test_an_aggregator_is_parallel() -> None:
    aggregator = create_parallel_aggregator(
        PAIRS[:1], max_concurrent=3, headers={"X-Key": "k"}, cache_ttl=60.0
    )
    config = aggregator.config
    assert (config.mode, config.max_concurrent, config.cache_ttl) == (OrchestrationMode.PARALLEL, 3, 60.0)
    assert endpoints(aggregator)[0].headers == {"X-Key": "k"}


async def test_an_aggregator_merges_where_told() -> None:
    transport = FakeTransport(otherwise=lambda request: request.endpoint)
    pairs = [(name, f"http://shop.test/{name}") for name in "abc"]
    assert dict(await create_parallel_aggregator(pairs, transport=transport).execute()) == {
        "a": "a",
        "b": "b",
        "c": "c",
    }
    merged = create_parallel_aggregator(pairs, transport=transport, result_merger="".join)
    assert await merged.execute() == "abc"


def test_what_a_factory_decides_cannot_be_set_beside_it() -> None:
    with pytest.raises(TypeError, match="mode"):
        create_sequential_api_chain(PAIRS, mode=OrchestrationMode.PARALLEL)
    with pytest.raises(ValidationError, match="max_concurent"):
        create_sequential_api_chain(PAIRS, max_concurent=2)


# -- REST ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["http://shop.test/api", "http://shop.test/api/", "http://shop.test/api//"])
@pytest.mark.parametrize(
    ("resource", "name", "method", "url"),
    [
        ("users", "users", "GET", "users"),
        ("/users/{id}", "users", "GET", "users/{id}"),
        ("users?page=2", "users", "GET", "users?page=2"),
        ("POST orders", "orders", "POST", "orders"),
        ("delete /orders/{id}", "orders", "DELETE", "orders/{id}"),
        ("  PUT   orders/{id} ", "orders", "PUT", "orders/{id}"),
        (("mine", "POST users/{id}/orders"), "mine", "POST", "users/{id}/orders"),
        (("first", "{tenant}/users"), "first", "GET", "{tenant}/users"),
    ],
)
def test_a_resource_is_a_path_with_a_method_and_a_name(
    base: str, resource: Any, name: str, method: str, url: str
) -> None:
    (endpoint,) = endpoints(create_rest_api_orchestrator(base, [resource]))
    assert (endpoint.name, endpoint.method, endpoint.url) == (name, method, f"http://shop.test/api/{url}")


@pytest.mark.parametrize("resource", ["", "/", "{id}", "GET {id}/users", "?page=2"])
def test_a_resource_that_gives_no_name_is_refused(resource: str) -> None:
    with pytest.raises(ApiConfigurationError, match="gives no name"):
        create_rest_api_orchestrator("http://shop.test", [resource])


def test_two_resources_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="'users'"):
        create_rest_api_orchestrator("http://shop.test", ["users", "POST users"])


@pytest.mark.parametrize("token", ["plain", "with {braces} in it", "{user.id}", "{{"])
async def test_a_token_is_sent_as_it_is(token: str) -> None:
    """It is no template, whatever it looks like."""
    transport = FakeTransport()
    shop = create_rest_api_orchestrator(
        "http://shop.test", ["users"], auth_token=token, headers={"X-Page": "2"}, transport=transport
    )
    assert (await shop.execute()).ok
    (request,) = transport.calls
    assert request.headers["Authorization"] == f"Bearer {token}"
    assert request.headers["X-Page"] == "2"


@virtual_time
async def test_its_rate_limit_is_for_the_whole_api() -> None:
    transport = FakeTransport()
    shop = create_rest_api_orchestrator(
        "http://shop.test",
        ["a", "b", "c"],
        rate_limit=6,
        transport=transport,
        mode=OrchestrationMode.SEQUENTIAL,
    )
    await shop.execute()
    assert transport.waits == [10.0, 10.0] and now() == 20.0
    assert shop.config.mode is OrchestrationMode.SEQUENTIAL


def test_without_headers_and_token_there_are_none() -> None:
    (endpoint,) = endpoints(create_rest_api_orchestrator("http://shop.test", ["users"], timeout=None))
    assert endpoint.headers is None and endpoint.timeout is None


# -- GraphQL -------------------------------------------------------------------------------------------


QUERIES = {"user": "query($id: ID!) { user(id: $id) { name } }", "posts": "{ posts { id } }"}


async def test_queries_are_posts_of_their_own_and_safe_to_repeat() -> None:
    transport = FakeTransport(otherwise={"data": {"x": 1}})
    graphql = create_graphql_orchestrator(
        "http://shop.test/graphql", QUERIES, variables={"id": 1, "lang": "en"}, transport=transport
    )
    result = await graphql.execute({"id": 7})
    assert dict(result) == {"user": {"x": 1}, "posts": {"x": 1}}
    assert transport.bodies("user") == [
        {"query": QUERIES["user"], "variables": {"id": 7, "lang": "en"}}  # the input's over the defaults
    ]
    assert all((e.method, e.idempotent) == ("POST", True) for e in endpoints(graphql))


@pytest.mark.parametrize("data", [None, {}, [1, 2], 7])
async def test_without_a_mapping_the_variables_are_the_defaults(data: Any) -> None:
    transport = FakeTransport(otherwise={"data": None})
    graphql = create_graphql_orchestrator(
        "http://shop.test/graphql", {"posts": "{ posts }"}, variables={"n": 1}, transport=transport
    )
    result = await graphql.execute(data)
    assert transport.bodies("posts") == [{"query": "{ posts }", "variables": {"n": 1}}]
    assert result.ok and result["posts"] is None


async def test_a_batch_is_one_request_and_its_answers_are_by_name() -> None:
    transport = FakeTransport({"batch": [{"data": 1}, {"data": 2}]})
    graphql = create_graphql_orchestrator(
        "http://shop.test/graphql", QUERIES, batch=True, transport=transport
    )
    result = await graphql.execute({"id": 7})
    assert dict(result) == {"batch": {"user": 1, "posts": 2}}
    assert [each["query"] for each in transport.bodies("batch")[0]] == list(QUERIES.values())
    assert transport.sends == 1


@pytest.mark.parametrize(
    ("batch", "answer", "messages"),
    [
        (
            False,
            {"errors": [{"message": "no such user"}, {"message": "nor this"}]},
            ["no such user", "nor this"],
        ),
        (False, {"data": {"x": 1}, "errors": [{"message": "half"}]}, ["half"]),
        (False, {"errors": ["text", {}]}, ["text", ""]),
        (False, {"errors": [{"message": "x" * 10_000}]}, ["x" * 500]),
        (True, [{"data": 1}, {"errors": [{"message": "second"}]}], ["second"]),
    ],
)
async def test_an_answer_with_errors_is_a_failure_that_keeps_their_text(
    batch: bool, answer: Any, messages: list[str]
) -> None:
    """As an attribute: what a server says may hold a secret, and the text of an error is logged."""
    errors = await failures(batch, answer)
    assert isinstance(errors[0], ApiGraphQLError)
    assert [fault.message for fault in errors[0].errors] == messages
    assert not any(message in str(errors[0]) for message in messages if message)


@pytest.mark.parametrize(
    ("batch", "answer", "words"),
    [
        (False, [1], "not a GraphQL answer"),
        (False, "text", "not a GraphQL answer"),
        (True, {"data": 1}, "list of 2"),
        (True, [{"data": 1}], "list of 2"),
        (True, [{"data": 1}, 2], "not a GraphQL answer"),
    ],
)
async def test_an_answer_of_another_shape_is_a_failure(batch: bool, answer: Any, words: str) -> None:
    errors = await failures(batch, answer)
    assert isinstance(errors[0], ApiValidationError)
    with pytest.raises(ApiValidationError, match=words):
        raise errors[0]


async def failures(batch: bool, answer: Any) -> list[BaseException]:
    transport = FakeTransport(otherwise=answer)
    graphql = create_graphql_orchestrator(
        "http://shop.test/graphql", QUERIES, batch=batch, transport=transport
    )
    result = await graphql.execute({"id": 7})
    errors = list(result.errors.values())
    assert len(errors) == (1 if batch else 2)
    assert len(str(errors[0])) < 700
    assert isinstance(errors[0], ApiError) and errors[0].endpoint == ("batch" if batch else "user")
    assert transport.sends == (1 if batch else 2)  # the server has answered: nothing to repeat
    return errors


async def test_data_without_errors_may_be_missing() -> None:
    transport = FakeTransport(otherwise={"errors": [], "data": {"x": 1}})
    graphql = create_graphql_orchestrator("http://shop.test/g", {"q": "{ x }"}, transport=transport)
    assert (await graphql.execute())["q"] == {"x": 1}


@virtual_time
async def test_queries_are_repeated_like_gets() -> None:
    transport = FakeTransport(otherwise=500)
    graphql = create_graphql_orchestrator(
        "http://shop.test/g", {"q": "{ x }"}, transport=transport, headers={"X-Key": "k"}, max_concurrent=2
    )
    await graphql.execute()
    assert transport.sends == 3
    assert graphql.config.max_concurrent == 2
    assert {request.headers["X-Key"] for request in transport.calls} == {"k"}
