"""``graphql_endpoint``: what is sent, what comes back, what is repeated."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import ApiClient, APIEndpoint, ApiGraphQLError, ApiHttpError, ApiValidationError, Response
from rxorch.errors import ApiConfigurationError, GraphQLFault
from rxorch.graphql import GraphQLAnswer, batch_endpoint, graphql_endpoint
from rxorch.testing import MockTransport
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback

URL = "https://api.example.com/graphql"
USER = "query User($id: ID!) { user(id: $id) { name } }"
RENAME = "mutation($name: String!) { rename(name: $name) { name } }"
THROTTLED = {"errors": [{"message": "slow down", "extensions": {"code": "THROTTLED"}}]}
NOT_FOUND = {"message": "no user s3cret", "path": ["user", 0], "extensions": {"code": "NOT_FOUND"}}


class User(BaseModel):
    name: str


async def call(
    answer: Any, data: Any = None, query: str = USER, **settings: Any
) -> tuple[Any, MockTransport]:
    transport = MockTransport({"q": answer})
    async with ApiClient(transport) as client:
        return await client.call(graphql_endpoint("q", URL, query, **settings), data), transport


async def failure(answer: Any, query: str = USER, **settings: Any) -> tuple[Exception, int]:
    """The error, and how many requests it took."""
    transport = MockTransport({"q": answer})
    async with ApiClient(transport) as client:
        with pytest.raises(Exception) as caught:
            await client.call(graphql_endpoint("q", URL, query, **settings), {"id": 7, "name": "Ada"})
    return caught.value, transport.sends


class Input(BaseModel):
    id: int
    other: str = "x"


@pytest.mark.parametrize(
    ("data", "settings", "variables"),
    [
        ({"id": 7, "auth": {"token": "t"}}, {}, {"id": 7}),
        (None, {}, {}),
        ([1], {}, {}),
        (Input(id=7), {}, {"id": 7}),
        ({}, {"variables": {"id": 1, "lang": "en"}}, {"id": 1, "lang": "en"}),
        ({"id": 7}, {"variables": {"id": 1}}, {"id": 7}),
        ({"id": 7, "other": 1}, {"query": "query User($id: ID!) { not understood"}, {"id": 7, "other": 1}),
        (
            {"id": 7, "a": 1},
            {"query": "query A($a: Int) { a } query B { b }", "operation_name": "A"},
            {"a": 1},
        ),
    ],
)
async def test_the_variables_are_those_that_the_query_declares(
    data: Any, settings: dict[str, Any], variables: dict[str, Any]
) -> None:
    _, transport = await call({"data": {}}, data, **settings)
    (sent,) = transport.calls
    expected = {"query": settings.get("query", USER), "variables": variables}
    if "operation_name" in settings:
        expected["operationName"] = settings["operation_name"]
    assert (sent.method, sent.json(), sent.headers["content-type"]) == ("POST", expected, "application/json")


async def test_braces_of_a_query_are_no_templates_and_headers_are() -> None:
    value, transport = await call({"data": {"user": None}}, {"id": 7}, headers={"X-Id": "{id}"})
    assert value == {"user": None}
    assert transport.calls[0].headers["x-id"] == "7"


async def test_key_and_model_apply_to_the_data() -> None:
    answer = {"data": {"user": {"name": "Ada"}}}
    assert (await call(answer, response_key="user.name"))[0] == "Ada"
    assert (await call(answer, response_key="user", model=User))[0] == User(name="Ada")
    error, _ = await failure({"data": {"user": None}}, response_key="user.name")
    assert isinstance(error, ApiValidationError)


async def test_errors_are_kept_and_only_their_codes_and_paths_are_shown() -> None:
    answer = {"data": {"user": [None]}, "errors": [NOT_FOUND, {"message": "t0p"}, {"type": "RATE_LIMITED"}]}
    error, sends = await failure(answer)
    assert isinstance(error, ApiGraphQLError) and sends == 1
    assert error.errors == (
        GraphQLFault("no user s3cret", ("user", 0), "NOT_FOUND"),
        GraphQLFault("t0p"),
        GraphQLFault("", (), "RATE_LIMITED"),
    )
    assert error.data == {"user": [None]}
    assert str(error).startswith(
        "GraphQL: 3 errors (NOT_FOUND at user.0; RATE_LIMITED); what the server says"
    )
    assert "endpoint 'q'" in str(error) and "s3cret" not in str(error) and "t0p" not in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.errors, again.data) == (error.errors, error.data)


@pytest.mark.parametrize(
    "fault",
    [
        {"extensions": {"code": "sk_live_s3cret1234"}},
        {"extensions": {"code": "it is s3cret"}},
        {"path": ["token=s3cret"]},
        {"path": "s3cret", "extensions": "s3cret"},
        {"path": [{"s3cret": 1}], "extensions": {"code": {"s3cret": 1}}},
        "s3cret",
        7,
    ],
)
async def test_what_is_no_plain_name_is_not_shown(fault: Any) -> None:
    error, _ = await failure({"errors": [fault]})
    assert isinstance(error, ApiGraphQLError) and len(error.errors) == 1
    assert "s3cret" not in str(error)


async def test_many_errors_make_a_short_text() -> None:
    faults = [{"path": [f"field_{n}"] * 20, "extensions": {"code": "C" * 60}} for n in range(1000)]
    error, _ = await failure({"errors": faults})
    assert isinstance(error, ApiGraphQLError) and len(error.errors) == 1000
    assert len(str(error)) < 1000 and "; ...)" in str(error)


@pytest.mark.parametrize("errors", [{"message": "odd"}, "odd"])
async def test_errors_that_are_no_list_are_errors_too(errors: Any) -> None:
    error, _ = await failure({"data": 1, "errors": errors})
    assert isinstance(error, ApiGraphQLError)


# -- partial data --------------------------------------------------------------------------------------


async def test_partial_data_comes_with_its_errors() -> None:
    answer = {"data": {"user": {"name": "Ada"}, "posts": None}, "errors": [NOT_FOUND]}
    value, _ = await call(answer, partial=True, response_key="user", model=User)
    assert value == GraphQLAnswer(
        User(name="Ada"), (GraphQLFault("no user s3cret", ("user", 0), "NOT_FOUND"),)
    )
    assert not value.ok
    value, _ = await call({"data": {"user": 1}}, partial=True)
    assert value == GraphQLAnswer({"user": 1}) and value.ok
    value, _ = await call(answer, partial=True, transform_output=lambda answer: len(answer.errors))
    assert value == 1


async def test_without_data_there_is_nothing_partial() -> None:
    error, _ = await failure({"data": None, "errors": [NOT_FOUND]}, partial=True)
    assert isinstance(error, ApiGraphQLError)


async def test_what_is_missing_of_partial_data_is_so_for_the_reasons_of_the_server() -> None:
    settings: dict[str, Any] = {"partial": True, "response_key": "user.name"}
    error, _ = await failure({"data": {"user": None}, "errors": [NOT_FOUND]}, **settings)
    assert isinstance(error, ApiGraphQLError) and isinstance(error.__cause__, ApiValidationError)
    error, _ = await failure({"data": {"user": None}}, **settings)
    assert isinstance(error, ApiValidationError)


# -- repetition ----------------------------------------------------------------------------------------


@virtual_time
@pytest.mark.parametrize(
    ("answer", "query", "settings", "sends"),
    [
        (500, USER, {}, 3),
        (500, RENAME, {}, 1),
        (500, "mutation broken {", {}, 1),
        (500, "query broken {", {}, 1),
        (500, RENAME, {"idempotent": True}, 3),
        (500, RENAME, {"idempotency_key": "{name}"}, 3),
        (500, USER, {"idempotent": False}, 1),
        (429, RENAME, {}, 3),
        (THROTTLED, USER, {}, 3),
        (THROTTLED, RENAME, {}, 1),
        ({"errors": [{"type": "rate_limited"}]}, USER, {}, 3),
        ({**THROTTLED, "data": {"a": 1}}, USER, {}, 1),
        ({"errors": [*THROTTLED["errors"], NOT_FOUND]}, USER, {}, 1),
        ({"errors": [NOT_FOUND]}, USER, {}, 1),
    ],
)
async def test_what_is_repeated(answer: Any, query: str, settings: dict[str, Any], sends: int) -> None:
    error, sent = await failure(answer, query, **settings)
    assert sent == sends
    assert isinstance(error, ApiHttpError if isinstance(answer, int) else ApiGraphQLError)


async def test_too_many_calls_are_waited_for_like_a_429() -> None:
    from rxorch.endpoint.retry_rules import THROTTLED_BASE, RetryRules
    from rxorch.graphql.answers import answer_parts, graphql_error

    rules = RetryRules(graphql_endpoint("q", URL, USER))
    assert rules.base(graphql_error(answer_parts(THROTTLED)[1])) == THROTTLED_BASE
    assert rules.base(graphql_error([GraphQLFault("x")])) is None


async def test_a_mutation_has_a_key_as_any_unsafe_request_has() -> None:
    _, transport = await call({"data": {}}, {"name": "Ada"}, RENAME)
    assert len(transport.calls[0].headers["idempotency-key"]) == 32
    _, transport = await call({"data": {}}, {"id": 7})
    assert "idempotency-key" not in transport.calls[0].headers


async def test_an_http_error_stays_one() -> None:
    error, _ = await failure(Response(400, b'{"errors": []}', {"Content-Type": "application/json"}))
    assert isinstance(error, ApiHttpError) and not isinstance(error, ApiGraphQLError)


# -- declaration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "settings", "words"),
    [
        ("subscription { a }", {}, "a subscription is a stream"),
        ("subscription A { a } query B { b }", {"operation_name": "A"}, "a subscription is a stream"),
        ("query A { a } query B { b }", {}, "say which by operation_name"),
        ("fragment F on Q { a }", {}, "has no operation"),
        ("  ", {}, "give the text of a GraphQL document"),
        (None, {}, "give the text of a GraphQL document"),
        (USER, {"variables": [1]}, "variables: give a mapping"),
        (USER, {"method": "GET"}, "method: is what makes it GraphQL"),
        (USER, {"body": {}}, "body: is what makes it GraphQL"),
        (USER, {"stream": "sse"}, "stream: is what makes it GraphQL"),
    ],
)
def test_a_mistake_is_told_when_it_is_declared(query: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiConfigurationError, match=words):
        graphql_endpoint("q", URL, query, **settings)


@pytest.mark.parametrize("partial", [False, True])
async def test_the_same_declaration_twice_is_one_endpoint(partial: bool) -> None:
    """Limits and breaker are kept by name, and a client refuses two different endpoints of one name."""

    def made(query: str = USER) -> APIEndpoint:
        return graphql_endpoint("q", URL, query, variables={"id": 1}, partial=partial, response_key="a")

    assert made() == made() != made("{ a }")


async def test_a_batch_fails_for_any_error_and_tells_of_which_query() -> None:
    batch = batch_endpoint("b", URL, {"one": USER, "two": "{ two }"})
    answers = [{"data": {"user": 1}}, {"data": None, "errors": [NOT_FOUND]}]
    async with ApiClient(MockTransport({"b": [answers]})) as client:
        with pytest.raises(ApiGraphQLError, match=r"NOT_FOUND at two\.user\.0") as caught:
            await client.call(batch, {"id": 7})
    assert caught.value.data == {"one": {"user": 1}, "two": None}
    assert batch.is_idempotent and not batch_endpoint("b", URL, {"one": USER, "two": RENAME}).is_idempotent
    with pytest.raises(ApiConfigurationError, match="one at least"):
        batch_endpoint("b", URL, {})


async def test_over_the_wire(loopback: ServeLoopback) -> None:
    async def resolve(request: Any) -> Any:
        body = await request.json()
        return {"data": {"user": {"name": f"user {body['variables']['id']}"}}}

    server = await loopback({"POST /graphql": resolve})
    user = graphql_endpoint("user", f"{server.url}/graphql", USER, response_key="user", model=User)
    async with ApiClient() as client:
        assert await client.call(user, {"id": 7}) == User(name="user 7")
