"""Endpoints with `stream`: elements as they come, and no faster than they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel
from reactivex import operators as ops

from rxorch import (
    ApiClient,
    APIEndpoint,
    ApiHttpError,
    ApiNetworkError,
    ApiTimeoutError,
    Response,
    parallel,
)
from rxorch import operators as rxo
from rxorch.client import BaseRequestHook
from rxorch.errors import ApiResponseTooLargeError, ApiValidationError
from rxorch.http.elements import ServerSentEvent
from rxorch.http.streamed import StreamedResponse
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, turns
from tests.support.loopback import reset_connection

pytestmark = pytest.mark.usefixtures("each_transport")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def streaming(*pieces: bytes, then: str = "end", content_type: str = "text/plain") -> Handler:
    """Sends these pieces, then ends, waits for ever, or resets the connection."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if then == "wait":
            await asyncio.Event().wait()
        if then == "reset":
            await reset_connection(request)
        await response.write_eof()
        return response

    return handle


def endpoint(url: str, stream: str, **fields: Any) -> APIEndpoint:
    return APIEndpoint(name="feed", url=f"{url}/feed", stream=stream, **fields)


async def collected(client: ApiClient, feed: APIEndpoint, data: Any = None) -> list[Any]:
    return [each async for each in rxo.to_async_iterable(client.observe(feed)(data))]


@pytest.mark.parametrize(
    ("stream", "body", "expected"),
    [
        ("ndjson", b'{"id": 1}\n{"id": 2}', [{"id": 1}, {"id": 2}]),
        ("lines", b"one\r\ntwo", ["one", "two"]),
        ("bytes", b"abc", [b"abc"]),
        ("sse", b"data: a\n\ndata: b\n\n", [ServerSentEvent("a"), ServerSentEvent("b")]),
    ],
)
async def test_elements_are_emitted_one_by_one(
    loopback: ServeLoopback, stream: str, body: bytes, expected: list[Any]
) -> None:
    server = await loopback({"/feed": streaming(body)})
    async with ApiClient() as client:
        assert await collected(client, endpoint(server.url, stream)) == expected


async def test_an_element_is_there_before_the_next_one_is(loopback: ServeLoopback) -> None:
    """The server never ends: what it has sent is all that can be seen."""
    server = await loopback({"/feed": streaming(b"1\n2\n", then="wait")})
    async with ApiClient() as client:
        source = client.observe(endpoint(server.url, "ndjson"))()
        async with rxo.to_async_iterable(source) as elements:
            assert [await anext(elements), await anext(elements)] == [1, 2]
        await server.until_disconnected()


async def test_back_pressure_reaches_the_server(loopback: ServeLoopback) -> None:
    """A server that could send without end is never further ahead than the buffers of two sockets."""
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65535 + b"\n")
            sent += 1

    server = await loopback({"/feed": endless})
    async with ApiClient() as client:
        source = client.observe(endpoint(server.url, "lines"))()
        async with rxo.to_async_iterable(source, buffer=1) as elements:
            for taken in range(1, 101):
                await anext(elements)
                await turns(20)  # in each of which the server could send one more
                assert sent - taken < 500


async def test_each_element_is_unpacked_and_validated(loopback: ServeLoopback) -> None:
    class Item(BaseModel):
        id: int

    server = await loopback({"/feed": streaming(b'{"item": {"id": 1}}\n{"item": {"id": "s3cret"}}\n')})
    feed = endpoint(server.url, "ndjson", response_key="item", model=Item)
    seen: list[Any] = []
    async with ApiClient() as client:
        with pytest.raises(ApiValidationError, match="Input should be a valid integer") as caught:
            async for each in rxo.to_async_iterable(client.observe(feed)()):
                seen.append(each)  # noqa: PERF401 - what comes before the error counts
    assert seen == [Item(id=1)] and "s3cret" not in str(caught.value)


async def test_a_call_and_an_orchestration_get_a_list(loopback: ServeLoopback) -> None:
    server = await loopback({"/feed": streaming(b"1\n2\n3\n"), "/empty": streaming()})
    feed = endpoint(server.url, "ndjson")
    empty = APIEndpoint(name="empty", url=f"{server.url}/empty", stream="lines")
    async with ApiClient() as client:
        assert await client.call(feed) == [1, 2, 3]
        result = await parallel(feed, empty).execute({}, client)
    assert dict(result) == {"feed": [1, 2, 3], "empty": []}


async def test_a_refusal_is_an_http_error_and_is_repeated(loopback: ServeLoopback) -> None:
    answers = [web.Response(status=503, text="busy"), None]

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = answers.pop(0)
        return answer if answer is not None else await streaming(b"1\n")(request)

    server = await loopback({"/feed": handle})
    async with ApiClient() as client:
        assert await collected(client, endpoint(server.url, "ndjson", retry_delay=0.0)) == [1]
        server2 = await loopback({"/feed": 404})
        with pytest.raises(ApiHttpError, match="HTTP 404"):
            await collected(client, APIEndpoint(name="gone", url=f"{server2.url}/feed", stream="lines"))


async def test_what_breaks_in_the_middle_is_not_begun_again(loopback: ServeLoopback) -> None:
    """Or elements would come twice."""
    server = await loopback({"/feed": streaming(b"1\n2\n", then="reset")})
    seen: list[Any] = []
    async with ApiClient() as client:
        with pytest.raises(ApiNetworkError) as caught:
            async for each in rxo.to_async_iterable(client.observe(endpoint(server.url, "ndjson"))()):
                seen.append(each)  # noqa: PERF401 - what comes before the error counts
    assert seen == [1, 2] and server.total == 1 and caught.value.sent


async def test_events_with_ids_go_on_where_they_broke(loopback: ServeLoopback) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        start = int(request.headers.get("Last-Event-ID", "0"))
        if start >= 4:
            return await streaming(b"id: 5\ndata: 5\n\n", content_type="text/event-stream")(request)
        events = [f"id: {n}\ndata: {n}\n\n".encode() for n in (start + 1, start + 2)]
        return await streaming(*events, then="reset")(request)

    server = await loopback({"/feed": handle})
    async with ApiClient() as client:
        feed = endpoint(server.url, "sse", retry_count=5, retry_delay=0.0)
        events = await collected(client, feed)
    assert [each.data for each in events] == ["1", "2", "3", "4", "5"]
    assert server.total == 3


async def test_events_without_ids_do_not_go_on(loopback: ServeLoopback) -> None:
    server = await loopback({"/feed": streaming(b"data: 1\n\n", then="reset")})
    async with ApiClient() as client:
        with pytest.raises(ApiNetworkError):
            await collected(client, endpoint(server.url, "sse", retry_delay=0.0))
    assert server.total == 1


async def test_silence_is_limited_and_a_long_stream_is_not(loopback: ServeLoopback) -> None:
    server = await loopback({"/feed": streaming(b"1\n", then="wait")})
    seen: list[Any] = []
    async with ApiClient() as client:
        feed = endpoint(server.url, "ndjson", timeout=0.1)
        with pytest.raises(ApiTimeoutError) as caught:
            async for each in rxo.to_async_iterable(client.observe(feed)()):
                seen.append(each)  # noqa: PERF401 - what comes before the error counts
    assert seen == [1] and caught.value.kind == "each"


async def test_limits(loopback: ServeLoopback) -> None:
    server = await loopback({"/feed": streaming(*[b"x" * 1000 + b"\n"] * 20)})
    async with ApiClient() as client:
        for fields in ({"max_response_bytes": 5_000}, {"max_element_bytes": 500}):
            with pytest.raises(ApiResponseTooLargeError):
                feed = APIEndpoint(
                    name=str(len(fields)) + next(iter(fields)),
                    url=f"{server.url}/feed",
                    stream="lines",
                    **fields,
                )
                await collected(client, feed)


async def test_the_request_says_what_it_wants(loopback: ServeLoopback) -> None:
    server = await loopback({"/feed": streaming(b"")})
    async with ApiClient() as client:
        for stream in ("sse", "ndjson", "lines", "bytes"):
            await collected(client, APIEndpoint(name=stream, url=f"{server.url}/feed", stream=stream))
    accepts = [seen.headers["Accept"].split(",")[0] for seen in server.seen]
    assert accepts == ["text/event-stream", "application/x-ndjson", "text/plain", "*/*"]


async def test_hooks_see_it_too(loopback: ServeLoopback) -> None:
    seen: list[Any] = []

    class Hook(BaseRequestHook):
        async def before(self, request: Any) -> None:
            request.headers = {**request.headers, "X-Hook": "1"}

        async def after(self, request: Any, response: Any) -> None:
            seen.append(response)

    server = await loopback({"/feed": streaming(b"1\n")})
    async with ApiClient(hooks=[Hook()]) as client:
        assert await collected(client, endpoint(server.url, "ndjson")) == [1]
    assert server.seen[0].headers["X-Hook"] == "1" and seen == [None]


async def test_a_transport_that_cannot_stream_brings_the_whole() -> None:
    client = ApiClient(FakeTransport(otherwise=Response(200, b"1\n2\n")))
    assert await collected(client, endpoint("http://shop.test", "ndjson")) == [1, 2]


@pytest.mark.parametrize(
    "fields",
    [
        {"response_parser": lambda r: r},
        {"cache_ttl": 5},
        {"retry_if": lambda a: False},
        {"each": True},
        {"stream": "xml"},
    ],
)
def test_what_a_stream_cannot_have(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"whole answers|stream"):
        APIEndpoint(**{"name": "feed", "url": "http://shop.test/", "stream": "lines", **fields})


async def test_it_ends_with_take(loopback: ServeLoopback) -> None:
    server = await loopback({"/feed": streaming(b"1\n2\n3\n", then="wait")})
    async with ApiClient() as client:
        source = client.observe(endpoint(server.url, "ndjson"))().pipe(ops.take(2))
        assert [each async for each in rxo.to_async_iterable(source)] == [1, 2]
        await server.until_disconnected()


@virtual_time
async def test_a_stream_of_events_may_break_any_number_of_times_if_it_goes_on_in_between() -> None:
    """Attempts and time begin anew with each element; the server says how long to wait."""
    number = 0

    def answer(request: Any) -> Any:
        nonlocal number
        number += 1
        if number > 20:
            return Response(200, b"")
        if number % 2:
            return Response(200, b"retry: 10000\nid: %d\ndata: x\n\n" % number)
        return ApiNetworkError("reset", sent=True)

    class Breaking(FakeTransport):
        @asynccontextmanager
        async def stream(self, request: Any) -> AsyncIterator[StreamedResponse]:
            response = await self.send(request)

            async def pieces() -> AsyncIterator[bytes]:
                yield response.content
                if response.content:
                    raise ApiNetworkError("reset", sent=True)

            yield StreamedResponse(200, pieces(), response.headers)

    client = ApiClient(Breaking(otherwise=answer), retry_budget=False)
    events = await collected(client, endpoint("http://shop.test", "sse", retry_jitter="none"))
    assert [each.id for each in events] == [str(n) for n in range(1, 20, 2)]
    assert asyncio.get_running_loop().time() > 100.0


async def test_an_id_that_no_header_can_hold_is_not_asked_for(loopback: ServeLoopback) -> None:
    server = await loopback({"/feed": streaming(b"id: a\x01b\ndata: 1\n\n", then="reset")})
    async with ApiClient() as client:
        with pytest.raises(ApiNetworkError):
            await collected(client, endpoint(server.url, "sse", retry_delay=0.0))
    assert server.total == 1


async def test_a_call_outside_of_a_block_leaves_the_work_of_others_alone(loopback: ServeLoopback) -> None:
    """And leaves no connection open."""
    gate = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await gate.wait()
        return web.json_response("slow")

    server = await loopback({"/slow": slow, "/fast": "fast", "/feed": streaming(b"1\n2\n", then="wait")})
    client = ApiClient()
    source = client.observe(endpoint(server.url, "ndjson"))()
    async with rxo.to_async_iterable(source) as elements:
        assert await anext(elements) == 1
        call = asyncio.create_task(client.call(APIEndpoint(name="slow", url=f"{server.url}/slow")))
        await server.until(lambda: server.hits["/slow"] == 1)
        assert await client.call_api(f"{server.url}/fast") == "fast"
        assert await anext(elements) == 2
        gate.set()
        assert await call == "slow"
    await server.until_disconnected()
