"""Streams through the transport that logs."""

from __future__ import annotations

import logging

import pytest
from yarl import URL

from rxorch.errors import ApiNetworkError
from rxorch.http import AioHttpTransport, LoggedTransport, Request, Response
from rxorch.http.body import StreamedBody
from rxorch.http.transport import StreamingTransport
from tests.conftest import ServeLoopback
from tests.http.raw import RawServer
from tests.http.test_streaming import CHUNKED, chunk, saying


class Plain:
    """A transport that cannot stream."""

    sends = 0

    async def send(self, request: Request) -> Response:
        return Response(200, b"hello")

    async def aclose(self) -> None:
        pass


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().rpartition(" bytes,")[0] or record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rxorch.requests")


def test_it_streams_where_the_other_does(transport: AioHttpTransport) -> None:
    assert isinstance(LoggedTransport(transport), StreamingTransport)
    assert not isinstance(LoggedTransport(Plain()), StreamingTransport)


async def test_a_stream_is_logged_when_it_is_over(
    loopback: ServeLoopback, transport: AioHttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    server = await loopback({"POST /x": "hello"})
    body = StreamedBody([b"secret"], length=6)
    url = URL(server.url + "/x?token=hunter2")
    request = Request("POST", url, {"Authorization": "Bearer hunter2"}, body, endpoint="up")
    async with LoggedTransport(transport).stream(request) as response:
        assert len(lines(caplog)) == 1
        assert (response.status, response.url) == (200, str(url))
        assert [piece async for piece in response.pieces] == [b"hello"]
    shown = f"up: POST {server.url}/x?token=***"
    assert lines(caplog) == [f"{shown} headers={{'Authorization': '***'}} body=6 bytes", f"{shown} -> 200, 5"]


@pytest.mark.parametrize("error", [ValueError("mine"), None])
async def test_what_was_read_before_leaving_is_logged(
    loopback: ServeLoopback,
    transport: AioHttpTransport,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
) -> None:
    server = await loopback({"GET /x": "x" * 1_000_000})
    logged = LoggedTransport(transport, requests=False)
    try:
        async with logged.stream(Request("GET", URL(server.url + "/x"))) as response:
            size = len(await anext(response.pieces))
            if error is not None:
                raise error
    except ValueError:
        pass
    assert lines(caplog) == [f"None: GET {server.url}/x -> 200, {size}"]


async def test_an_error_takes_the_place_of_the_answer(
    transport: AioHttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    logged = LoggedTransport(transport, requests=False)
    async with RawServer(saying(CHUNKED + chunk(b"abc"))) as server:
        with pytest.raises(ApiNetworkError):
            async with logged.stream(Request("GET", URL(server.url))) as response:
                await response.read()
    with pytest.raises(ApiNetworkError):
        async with logged.stream(Request("GET", URL("http://no-such-host.invalid/"))):
            pass
    assert lines(caplog) == [
        f"None: GET {server.url} failed: ApiNetworkError",
        "None: GET http://no-such-host.invalid/ failed: ApiNetworkError",
    ]


async def test_answers_may_stay_unlogged(
    loopback: ServeLoopback, transport: AioHttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    server = await loopback({"GET /x": "hello"})
    logged = LoggedTransport(transport, requests=False, responses=False)
    async with logged.stream(Request("GET", URL(server.url + "/x"))) as response:
        await response.read()
    await logged.send(Request("GET", URL(server.url + "/x")))
    assert lines(caplog) == []
