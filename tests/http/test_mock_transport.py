"""``MockTransport``: answers by function and by route, what it keeps, and how strict it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel
from yarl import URL

from rxorch import ApiClient, APIEndpoint, Request, Response, Transport
from rxorch.errors import (
    ApiConfigurationError,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiResponseTooLargeError,
    ApiTimeoutError,
    ApiValidationError,
)
from rxorch.http.body import StreamedBody
from rxorch.http.streamed import StreamedResponse
from rxorch.http.transport import StreamingTransport
from rxorch.testing import MockRequest, MockTransport
from rxorch_operators.testing import virtual_time

HOST = "https://api.example.com"


def get(path: str = "/x", method: str = "GET", **options: Any) -> Request:
    return Request(method, URL(HOST + path, encoded=True), **options)


async def answer_of(answer: Any, request: Request | None = None) -> Response:
    return await MockTransport({"/x": answer}).send(request or get())


def test_it_is_a_transport() -> None:
    assert isinstance(MockTransport({}), Transport) and isinstance(MockTransport({}), StreamingTransport)


class User(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (404, 404, b""),
        (199, 200, b"199"),
        (True, 200, b"true"),
        (None, 200, b"null"),
        ("text", 200, b'"text"'),
        ({"id": 7}, 200, b'{"id":7}'),
        ([[1, 2]], 200, b"[1,2]"),
        ([[]], 200, b"[]"),
        (User(name="Ada"), 200, b'{"name":"Ada"}'),
        (Response(201, b"made", {"X-A": "1"}), 201, b"made"),
        (lambda request: 503, 503, b""),
        (lambda request: {"path": request.url.path}, 200, b'{"path":"/x"}'),
        (lambda request: [1], 200, b"[1]"),
        (lambda request: lambda again: 204, 204, b""),
    ],
)
async def test_what_an_answer_may_be(answer: Any, status: int, body: bytes) -> None:
    response = await answer_of(answer)
    assert (response.status, response.content) == (status, body)
    assert response.url == f"{HOST}/x"


async def test_a_function_may_be_async_and_stand_alone() -> None:
    async def handler(request: MockRequest) -> Any:
        await asyncio.sleep(0)
        return {"sent": request.json(), "page": request.url.query["page"]}

    transport = MockTransport(handler)
    request = get("/y?page=2", "POST", body=b'{"id": 7}', headers={"X-Id": "1"}, endpoint="user")
    response = await transport.send(request)
    assert response.json() == {"sent": {"id": 7}, "page": "2"}
    (call,) = transport.calls
    assert (call.method, call.headers["x-id"], call.endpoint, call.parameters) == ("POST", "1", "user", {})
    assert transport.calls_to("user") == [call] and transport.calls_to("other") == []


async def test_a_list_is_given_in_turn_and_its_last_for_ever() -> None:
    transport = MockTransport({"/x": [503, ConnectionResetError, lambda request: [7]]})
    assert (await transport.send(get())).status == 503
    with pytest.raises(ApiNetworkError):
        await transport.send(get())
    assert [(await transport.send(get())).json() for _ in range(3)] == [[7]] * 3


@pytest.mark.parametrize(
    ("route", "method", "url", "found"),
    [
        ("GET https://api.example.com/users/{id}", "GET", "https://api.example.com/users/7", {"id": "7"}),
        ("GET https://API.example.com:443/a", "GET", "https://api.example.com/a?x=1", {}),
        ("GET https://api.example.com", "GET", "https://api.example.com/", {}),
        ("GET https://api.example.com/a", "POST", "https://api.example.com/a", None),
        ("GET https://api.example.com/a", "GET", "http://api.example.com/a", None),
        ("GET https://api.example.com/a", "GET", "https://api.example.com:8443/a", None),
        ("GET https://api.example.com/a", "GET", "https://api.example.org/a", None),
        ("https://{tenant}.example.com/a", "PUT", "https://acme.example.com/a", {"tenant": "acme"}),
        ("https://{tenant}.example.com/a", "PUT", "https://a.b.example.com/a", None),
        ("http://[::1]:8080/a", "GET", "http://[::1]:8080/a", {}),
        ("* /a", "DELETE", "http://x.test/a", {}),
        ("get /a", "GET", "http://x.test/a", {}),
        ("/a/{b}/c", "GET", "http://x.test/a/1%2F2%20/c", {"b": "1/2 "}),
        ("/a/{b}", "GET", "http://x.test/a/", None),
        ("/a/{b}", "GET", "http://x.test/a/b/c", None),
        ("/files/{name}.{kind}", "GET", "http://x.test/files/a.b.txt", {"name": "a.b", "kind": "txt"}),
        ("/a%20b/c.d", "GET", "http://x.test/a%20b/c.d", {}),
        ("/c.d", "GET", "http://x.test/cxd", None),
        ("/a?page=2&x=%26", "GET", "http://x.test/a?x=%26&y=1&page=2", {}),
        ("/a?page=2", "GET", "http://x.test/a?page=3", None),
        ("user", "POST", "http://x.test/anything", {}),
        ("users", "POST", "http://x.test/anything", None),
    ],
)
async def test_routes(route: str, method: str, url: str, found: dict[str, str] | None) -> None:
    transport = MockTransport({route: 200})
    request = Request(method, URL(url, encoded=True), endpoint="user")
    if found is None:
        with pytest.raises(ApiConfigurationError, match="no route of the MockTransport fits"):
            await transport.send(request)
    else:
        assert (await transport.send(request)).status == 200
        assert transport.calls[0].parameters == found


async def test_the_first_route_that_fits_counts_and_its_calls_are_its_own() -> None:
    transport = MockTransport({"/users/me": 201, "GET /users/{id}": 202})
    assert [(await transport.send(get(path))).status for path in ("/users/me", "/users/7")] == [201, 202]
    assert [call.url.path for call in transport.calls_to("GET /users/{id}")] == ["/users/7"]


async def test_what_no_route_fits_names_itself_and_the_routes_without_secrets() -> None:
    transport = MockTransport({"GET /a?token=t0psecret": 200, "POST /b": 200})
    request = get("/c?api_key=k3y", endpoint="user")
    with pytest.raises(ApiConfigurationError) as caught:
        await transport.send(request)
    text = str(caught.value)
    assert f"GET {HOST}/c?api_key=***" in text and "'POST /b'" in text and "endpoint 'user'" in text
    assert "t0psecret" not in text and "k3y" not in text
    assert (request.sent, transport.sends, len(transport.calls)) == (False, 0, 1)
    assert "k3y" not in repr(transport.calls)


@pytest.mark.parametrize(
    ("error", "raised", "sent"),
    [
        (ApiNetworkError("no way"), ApiNetworkError, False),
        (ApiNetworkError("lost", sent=True), ApiNetworkError, True),
        (ApiTimeoutError(limit=1), ApiTimeoutError, True),
        (ConnectionResetError(104, "s3cret"), ApiNetworkError, True),
        (ConnectionRefusedError, ApiNetworkError, False),
        (socket.gaierror(-2, "unknown"), ApiNetworkError, False),
        (LookupError("mine"), LookupError, True),
    ],
)
async def test_errors_are_those_of_the_real_transport_and_tell_whether_it_was_sent(
    error: Any, raised: type[Exception], sent: bool
) -> None:
    transport = MockTransport({"/x": error})
    request = get(endpoint="user")
    with pytest.raises(raised) as caught:
        await transport.send(request)
    assert (request.sent, transport.sends) == (sent, int(sent))
    if isinstance(caught.value, ApiError):
        assert (caught.value.endpoint, caught.value.url) == ("user", f"{HOST}/x")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(raised) as again:  # facts that a caller writes on one are not on the other
        await transport.send(get())
    assert again.value is not caught.value


async def test_a_function_may_raise_too() -> None:
    def refuse(request: MockRequest) -> Any:
        raise ConnectionRefusedError

    transport = MockTransport(refuse)
    with pytest.raises(ApiNetworkError):
        await transport.send(get())
    assert transport.sends == 0


@pytest.mark.parametrize(
    "request_",
    [
        get(headers={"Host": "evil"}),
        get(headers={"X-A": "1\r\nX-B: 2"}),
        get(headers={"X-A": "1", "x-a": "2"}),
        get(method="get"),
        Request("GET", URL("/relative")),
        Request("GET", URL("ftp://api.example.com/x")),
        get(max_response_bytes=None),
    ],
)
async def test_requests_are_checked_as_the_real_transport_checks_them(request_: Request) -> None:
    transport = MockTransport({"/x": 200})
    with pytest.raises((ApiConfigurationError, ApiValidationError)):
        await transport.send(request_)
    assert (request_.sent, transport.sends, transport.calls) == (False, 0, [])


async def test_limits_and_heads() -> None:
    with pytest.raises(ApiResponseTooLargeError) as caught:
        await answer_of({"text": "x" * 100}, get(max_response_bytes=50))
    assert caught.value.url == f"{HOST}/x"
    assert (await answer_of({"text": "x"}, get(method="HEAD"))).content == b""


async def test_a_body_in_pieces_arrives_whole() -> None:
    transport = MockTransport({"/x": lambda request: {"size": len(request.body)}})
    sent = [Request("POST", URL(f"{HOST}/x"), {}, StreamedBody([b"ab", b"c"])) for _ in range(2)]
    answers = await asyncio.gather(*(transport.send(request) for request in sent))
    assert [answer.json() for answer in answers] == [{"size": 3}, {"size": 3}]
    assert [call.body for call in transport.calls] == [b"abc", b"abc"]
    with pytest.raises(ApiValidationError, match="more than the 1 bytes"):
        await transport.send(Request("POST", URL(f"{HOST}/x"), {}, StreamedBody([b"ab"], length=1)))


async def test_an_answer_in_pieces() -> None:
    closed = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b'{"id": 1}\n'
            yield b'{"id": 2}\n'
            raise ConnectionResetError
        finally:
            closed.append(True)

    transport = MockTransport(lambda request: StreamedResponse(200, pieces(), {"X-A": "1"}))
    async with transport.stream(get()) as response:
        assert (response.status, response.headers["x-a"], response.url) == (200, "1", f"{HOST}/x")
        assert await anext(response.pieces) == b'{"id": 1}\n'
    assert closed == [True]  # who leaves early closes it
    with pytest.raises(ApiNetworkError, match="connection was lost"):
        await transport.send(get())
    async with MockTransport({"/x": {"id": 7}}).stream(get()) as response:
        assert [piece async for piece in response.pieces] == [b'{"id":7}']


async def test_elements_come_from_it() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"data: a\n\nda", b"ta: b\n\n"):
            yield piece

    transport = MockTransport(lambda request: StreamedResponse(200, pieces()))
    endpoint = APIEndpoint(name="feed", url=f"{HOST}/feed", stream="sse")
    async with ApiClient(transport) as client:
        assert [event.data for event in await client.call(endpoint)] == ["a", "b"]
    assert transport.calls[0].headers["accept"] == "text/event-stream"


@virtual_time
async def test_latency_is_on_the_clock_of_the_loop() -> None:
    transport = MockTransport({"/x": [200, ConnectionResetError]}, delay=30.0)
    loop = asyncio.get_running_loop()
    await transport.send(get())
    assert loop.time() == 30.0
    with pytest.raises(ApiNetworkError):
        await transport.send(get())
    assert loop.time() == 60.0
    assert [call.at for call in transport.calls] == [0.0, 30.0]


@virtual_time
async def test_a_slow_answer_meets_the_time_limit_of_an_endpoint() -> None:
    transport = MockTransport({"slow": 200}, delay=30.0)
    endpoint = APIEndpoint(name="slow", url=f"{HOST}/x", method="POST", timeout=1.0)
    async with ApiClient(transport) as client:
        with pytest.raises(ApiTimeoutError):
            await client.call(endpoint)
    assert transport.sends == 1  # it was sent, and a POST may have been carried out


@virtual_time
async def test_policies_work_as_ever() -> None:
    transport = MockTransport({"user": [ConnectionRefusedError, 503, {"id": 7}]})
    async with ApiClient(transport) as client:
        assert await client.call(APIEndpoint(name="user", url=f"{HOST}/x")) == {"id": 7}
    assert (transport.sends, len(transport.calls_to("user"))) == (2, 3)


async def test_it_serves_single_requests_too() -> None:
    async with ApiClient(MockTransport(lambda request: 404)) as client:
        with pytest.raises(ApiHttpError, match="HTTP 404"):
            await client.call_api(f"{HOST}/x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"answers": 7}, "a function of the request, or a mapping"),
        ({"answers": {"/x": []}}, r"an empty list is \[\[\]\]"),
        ({"answers": {"GET": 200, "GET x y": 200}}, "a route of a MockTransport"),
        ({"answers": {"/x#top": 200}}, "a route of a MockTransport"),
        ({"answers": {7: 200}}, "a route of a MockTransport"),
        ({"answers": {"/{id}/{id}/{1}": 200}}, "a placeholder of a route"),
        ({"answers": {}, "delay": -1}, "delay"),
        ({"answers": {}, "delay": float("inf")}, "delay"),
    ],
)
def test_a_mistake_is_told_when_it_is_made(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiConfigurationError, match=words):
        MockTransport(**arguments)


async def test_an_answer_that_is_none_is_told() -> None:
    with pytest.raises(ApiConfigurationError, match="cannot be written as JSON: object"):
        await answer_of(object())


async def test_a_closed_one_takes_nothing() -> None:
    transport = MockTransport({"/x": 200})
    await transport.aclose()
    with pytest.raises(ApiConfigurationError, match="is closed"):
        await transport.send(get())
