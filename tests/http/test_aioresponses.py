"""Tools that replace ``ClientSession._request`` see the requests, and nothing gets past them."""

from __future__ import annotations

import asyncio
import functools
import gzip
import importlib.util
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest.mock import Mock, patch

import pytest
from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientOSError,
    ClientPayloadError,
    ClientResponse,
    ClientSession,
    DummyCookieJar,
    InvalidURL,
    ServerDisconnectedError,
    ServerTimeoutError,
)
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import HttpProcessingError
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from rxorch import ApiClient, APIEndpoint, APIOrchestrationConfig, APIOrchestrator, OrchestrationMode
from rxorch.errors import (
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiProtocolError,
    ApiResponseTooLargeError,
    ApiTimeoutError,
    ApiValidationError,
)
from rxorch.http import AioHttpTransport, Request
from rxorch.http.aiohttp_transport import session_route
from tests.conftest import ServeLoopback
from tests.http.conftest import MakeTransport
from tests.http.raw import Peer, RawServer, ok
from tests.http.test_faults import CHUNKED, GZIP, OK, Talk, saying
from tests.support.fake_transport import api
from tests.support.loopback import reset_connection
from tests.support.watch import Watch

URL_X = "http://shop.test/x"


class Answer(ClientResponse):
    """aioresponses 0.7.9 leaves out an argument that aiohttp wants since 3.14."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **options})


@pytest.fixture(autouse=True)
def answers_of_this_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioresponses.core.ClientResponse", Answer)


@pytest.fixture
def mock() -> Iterator[aioresponses]:
    with aioresponses() as mock:
        yield mock


@pytest.fixture
async def client(transport: AioHttpTransport) -> ApiClient:
    return ApiClient(transport, breaker_threshold=None)


def get(url: str = URL_X, **options: Any) -> Request:
    return Request("GET", URL(url, encoded=True), endpoint="x", **options)


async def failure(transport: AioHttpTransport, request: Request) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await transport.send(request)
    assert (caught.value.endpoint, caught.value.url) == ("x", "http://shop.test/x")
    assert transport.sends == int(request.sent)
    return caught.value


async def test_an_answer(mock: aioresponses, transport: AioHttpTransport) -> None:
    mock.get(URL_X, status=207, payload={"id": 7}, headers={"X-A": "1", "Set-Cookie": "a=b"}, reason="Some")
    request = get()
    response = await transport.send(request)
    assert (response.status, response.reason, response.json(), response.url) == (
        207,
        "Some",
        {"id": 7},
        URL_X,
    )
    assert response.headers["x-a"] == "1"
    assert (request.sent, transport.sends) == (True, 1)


async def test_no_part_of_a_session_speaks_up(mock: aioresponses, transport: AioHttpTransport) -> None:
    mock.get(URL_X, headers={"Set-Cookie": "a=b"}, repeat=True)
    await transport.send(get())
    await transport.send(get())
    assert transport._route is not None
    session = transport._route._session
    assert session is not None
    assert isinstance(session.cookie_jar, DummyCookieJar)
    assert (session.trust_env, session._retry_connection) == (False, False)
    assert (session.timeout.total, session.timeout.sock_connect, session.auto_decompress) == (
        None,
        None,
        False,
    )
    await transport.aclose()
    assert session.closed


async def test_a_call_of_a_client(mock: aioresponses, client: ApiClient) -> None:
    mock.get("http://shop.test/users/7?deep=true&q=a%20b%26", payload={"id": 7})
    endpoint = api("user", "http://shop.test/users/{id}", params={"q": "{q}", "deep": True})
    assert await client.call(endpoint, {"id": 7, "q": "a b&"}) == {"id": 7}
    mock.assert_called_once()
    assert client.sends == 1


@pytest.mark.parametrize("mode", OrchestrationMode)
async def test_an_orchestration_in_each_mode(mock: aioresponses, mode: OrchestrationMode) -> None:
    mock.get("http://shop.test/a", payload={"n": 1})
    mock.get("http://shop.test/b", payload={"n": 2})
    endpoints = [api("a"), api("b", depends_on=["a"] if mode is OrchestrationMode.HYBRID else [])]
    result = await APIOrchestrator(APIOrchestrationConfig(endpoints=endpoints, mode=mode)).execute({})
    assert (result.ok, dict(result)) == (True, {"a": {"n": 1}, "b": {"n": 2}})
    assert len(mock.requests) == 2


def test_a_blocking_run(mock: aioresponses) -> None:
    mock.get("http://shop.test/a", payload=1)
    assert APIOrchestrator(api("a")).run({})["a"] == 1


@pytest.mark.parametrize("status", [302, 404, 429, 500])
async def test_an_error_status(mock: aioresponses, client: ApiClient, status: int) -> None:
    mock.get(URL_X, status=status, body="no", headers={"Location": "http://shop.test/y", "Retry-After": "7"})
    with pytest.raises(ApiHttpError) as caught:
        await client.call(api("x", retry_count=0))
    assert (caught.value.status_code, caught.value.body) == (status, "no")
    assert (caught.value.retry_after, caught.value.attempts, client.sends) == (7.0, 1, 1)


async def test_a_retry_sees_the_second_answer(mock: aioresponses, client: ApiClient) -> None:
    mock.get(URL_X, status=503)
    mock.get(URL_X, payload={"id": 7})
    watch = Watch(client.events)
    assert await client.call(api("x", retry_delay=0)) == {"id": 7}
    assert watch.kinds.count("AttemptStarted") == 2
    assert client.sends == len(mock.requests["GET", URL(URL_X)]) == 2


async def test_repeat(mock: aioresponses, client: ApiClient) -> None:
    mock.get(URL_X, payload=1, repeat=2)
    endpoint = api("x", retry_count=0)
    assert [await client.call(endpoint), await client.call(endpoint)] == [1, 1]
    with pytest.raises(ApiNetworkError) as caught:
        await client.call(endpoint)
    assert caught.value.__notes__ == [session_route.REPLACED]
    assert client.sends == 3


async def test_the_body_and_headers_are_seen(mock: aioresponses, client: ApiClient) -> None:
    mock.post(URL_X, status=201, payload={"id": 1})
    await client.call(api("x", method="POST", headers={"X-A": "{n}"}, idempotency_key="k-{n}"), {"n": 5})
    mock.assert_called_with(
        URL_X, "POST", ["data", "allow_redirects"], data=b'{"n":5}', allow_redirects=False
    )
    (call,) = mock.requests["POST", URL(URL_X)]
    assert call.kwargs["headers"]["X-A"] == "5"
    assert call.kwargs["headers"]["Idempotency-Key"] == "k-5"
    assert set(call.kwargs) == {"data", "headers", "allow_redirects"}


async def test_the_url_stays_encoded_as_it_is(mock: aioresponses, transport: AioHttpTransport) -> None:
    seen: list[URL] = []
    mock.get("http://shop.test/a%2Fb", callback=lambda url, **_: seen.append(url))
    await transport.send(get("http://me:p%40ss@shop.test/a%2Fb"))
    assert [str(url) for url in seen] == ["http://shop.test/a%2Fb"]
    ((call,),) = mock.requests.values()
    assert call.kwargs["headers"]["Authorization"] == "Basic bWU6cEBzcw=="


REFUSED = ClientConnectorError(
    ConnectionKey("shop.test", 80, False, True, None, None, None), OSError(111, "no")
)


@pytest.mark.parametrize(
    ("given", "expected", "text", "sent"),
    [
        (ClientConnectionError("k1"), ApiNetworkError, "the connection failed: ClientConnectionError", True),
        (ServerDisconnectedError(), ApiNetworkError, "without an answer", True),
        (ClientPayloadError("k1"), ApiNetworkError, "cut short", True),
        (ClientOSError(104, "k1"), ApiNetworkError, "lost: Connection reset by peer", True),
        (ConnectionResetError(104, "k1"), ApiNetworkError, "lost: Connection reset by peer", True),
        (HttpProcessingError(message="bad: k1"), ApiProtocolError, "not valid HTTP: bad", True),
        (REFUSED, ApiNetworkError, "cannot connect: Connection refused", False),
        (InvalidURL("k1"), ApiNetworkError, "not a valid host", False),
        (TimeoutError("k1"), ApiTimeoutError, "(attempt)", True),
        (asyncio.TimeoutError, ApiTimeoutError, "(attempt)", True),
        (ServerTimeoutError("k1"), ApiTimeoutError, "(attempt)", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_an_exception_of_the_mock(
    mock: aioresponses,
    transport: AioHttpTransport,
    given: Any,
    expected: type[ApiError],
    text: str,
    sent: bool,
) -> None:
    mock.get(URL_X, exception=given)
    request = get()
    error = await failure(transport, request)
    assert type(error) is expected
    assert text in str(error)
    assert "k1" not in str(error)
    assert request.sent is sent
    assert getattr(error, "sent", sent) is sent


async def test_a_foreign_exception_comes_as_it_is(mock: aioresponses, client: ApiClient) -> None:
    mock.get(URL_X, exception=LookupError("mine"))
    with pytest.raises(LookupError, match="mine") as caught:
        await client.call(api("x"))
    assert caught.value.__notes__ == ["in endpoint 'x'"]


async def test_a_timeout_of_the_mock_is_retried_like_one_of_ours(
    mock: aioresponses, client: ApiClient
) -> None:
    mock.get(URL_X, timeout=True)
    mock.get(URL_X, payload=7)
    assert await client.call(api("x", retry_delay=0)) == 7
    mock.post(URL_X, timeout=True)
    watch = Watch(client.events)
    with pytest.raises(ApiTimeoutError) as caught:
        await client.call(api("post", URL_X, method="POST", retry_delay=0))
    assert (caught.value.kind, caught.value.attempts, watch.statuses) == ("attempt", 1, ["unknown"])


async def test_a_post_that_found_no_connection_is_sent_again(mock: aioresponses, client: ApiClient) -> None:
    mock.post(URL_X, exception=REFUSED)
    mock.post(URL_X, payload=7)
    assert await client.call(api("x", method="POST", retry_delay=0)) == 7
    assert client.sends == 1


async def test_an_attempt_that_a_double_holds_up_counts_as_sent(
    mock: aioresponses, client: ApiClient
) -> None:
    async def forever(url: URL, **_: Any) -> None:
        await asyncio.get_running_loop().create_future()

    mock.post(URL_X, callback=forever)
    watch = Watch(client.events)
    with pytest.raises(ApiTimeoutError):
        await client.call(api("x", method="POST", timeout=0.01))
    assert (watch.statuses, client.sends) == (["unknown"], 1)


async def test_the_limit_of_the_body(mock: aioresponses, transport: AioHttpTransport) -> None:
    mock.get(URL_X, body=bytes(1000))
    mock.get(URL_X, body=bytes(1001))
    mock.get(URL_X, body=gzip.compress(bytes(1001)), headers={"Content-Encoding": "gzip"})
    assert len((await transport.send(get(max_response_bytes=1000))).content) == 1000
    for _ in range(2):
        with pytest.raises(ApiResponseTooLargeError):
            await transport.send(get(max_response_bytes=1000))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_a_body_that_only_claims_to_be_encoded(
    mock: aioresponses, transport: AioHttpTransport, coding: str
) -> None:
    mock.get(URL_X, payload={"id": 7}, headers={"Content-Encoding": coding})
    assert (await transport.send(get())).json() == {"id": 7}


async def test_a_body_that_is_encoded(mock: aioresponses, transport: AioHttpTransport) -> None:
    mock.get(URL_X, body=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})
    mock.get(URL_X, body=gzip.compress(b"hello")[:-3], headers={"Content-Encoding": "gzip"})
    assert (await transport.send(get())).content == b"hello"
    assert isinstance(await failure_of_second(transport), ApiProtocolError)


async def failure_of_second(transport: AioHttpTransport) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await transport.send(get())
    return caught.value


async def test_a_request_that_may_not_be_sent_does_not_reach_the_mock(
    mock: aioresponses, transport: AioHttpTransport
) -> None:
    with pytest.raises(ApiValidationError):
        await transport.send(get(headers={"X-A": "1\r\nX-B: 2"}))
    mock.assert_not_called()
    assert transport.sends == 0


async def test_nothing_reaches_the_network_until_the_mock_is_gone(
    loopback: ServeLoopback, transport: AioHttpTransport
) -> None:
    server = await loopback({"GET /x": "real"})
    with aioresponses() as mock:
        mock.get(server.url + "/x", body="mocked")
        assert (await transport.send(get(server.url + "/x"))).text == "mocked"
        with pytest.raises(ApiNetworkError):
            await transport.send(get(server.url + "/other"))
        assert (server.total, server.connections_made) == (0, 0)
    assert transport._route is not None
    with patch.object(transport._route, "send", side_effect=AssertionError("the session is still used")):
        assert (await transport.send(get(server.url + "/x"))).text == "real"
    assert (server.total, transport.sends) == (1, 3)


@pytest.mark.parametrize("reuse", [True, False])
async def test_what_passes_through_is_as_on_the_own_way(
    loopback: ServeLoopback, make_transport: MakeTransport, reuse: bool
) -> None:
    server = await loopback({"POST /x": {"id": 7}})
    transport = make_transport(connection_reuse=reuse)
    request = Request("POST", URL(server.url + "/x?q=%26"), {"x-a": "1"}, b"{}")
    first = await transport.send(request)
    with aioresponses(passthrough=[server.url]):
        second = await transport.send(request)
        third = await transport.send(request)
    assert first.json() == second.json() == third.json() == {"id": 7}
    own, *others = server.seen
    for other in others:
        assert (other.method, other.path, other.body) == (own.method, own.path, own.body)
        assert dict(other.headers) == dict(own.headers)
    assert (transport.sends, server.total) == (3, 3)
    assert server.connections_made == (2 if reuse else 3)
    await transport.aclose()
    await server.until_disconnected()


THROUGH: list[tuple[Talk, type[ApiError]]] = [
    (saying(), ApiNetworkError),
    (saying(end="reset"), ApiNetworkError),
    (saying(OK + b"Content-Length: 10\r\n\r\n", b"abc"), ApiNetworkError),
    (saying(CHUNKED, b"5\r\nhe", end="reset"), ApiNetworkError),
    (saying(b"SSH-2.0-OpenSSH_9.6\r\n", end="wait"), ApiProtocolError),
    (saying(ok(gzip.compress(b"hello" * 50)[:-5], GZIP)), ApiProtocolError),
    (saying(ok(b"hello", GZIP)), ApiProtocolError),
    (saying(ok(bytes(1001)), end="wait"), ApiResponseTooLargeError),
    (saying(ok(gzip.compress(bytes(1001)), GZIP), end="wait"), ApiResponseTooLargeError),
]


@pytest.mark.parametrize(("talk", "expected"), THROUGH)
async def test_a_fault_behind_the_passage_is_sent_and_counted_once(
    transport: AioHttpTransport, talk: Talk, expected: type[ApiError]
) -> None:
    async with RawServer(talk) as server, asyncio.timeout(20):
        with aioresponses(passthrough=[server.url]), pytest.raises(expected) as caught:
            await transport.send(get(server.url, max_response_bytes=1000))
        await transport.aclose()
    assert getattr(caught.value, "sent", True)
    assert (transport.sends, server.connections) == (1, 1)


async def test_the_session_repeats_nothing_by_itself(
    loopback: ServeLoopback, transport: AioHttpTransport
) -> None:
    server = await loopback({"GET /x": reset_connection})
    with aioresponses(passthrough=[server.url]), pytest.raises(ApiNetworkError):
        await transport.send(get(server.url + "/x"))
    assert transport.sends == server.total == 1


async def test_a_stale_connection_is_not_used_for_what_passes_through(transport: AioHttpTransport) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"hello")  # and ends the connection, without a word about it

    async with RawServer(once) as server:
        with aioresponses(passthrough=[server.url]):
            for _ in range(3):
                assert (await transport.send(get(server.url))).content == b"hello"
                assert transport._route is not None
    assert transport.sends == server.connections == 3


async def test_what_cannot_connect_was_not_sent(transport: AioHttpTransport, unused_url: str) -> None:
    request = get(unused_url)
    with aioresponses(passthrough=[unused_url]), pytest.raises(ApiNetworkError) as caught:
        await transport.send(request)
    assert (caught.value.sent, request.sent, transport.sends) == (False, False, 0)


async def test_what_waits_for_a_connection_was_not_sent(make_transport: MakeTransport) -> None:
    transport = make_transport(limit=1)
    first, second = get(), get()
    async with RawServer(saying(end="wait")) as server, asyncio.timeout(20):
        first.url = second.url = URL(server.url)
        with aioresponses(passthrough=[server.url]):
            sending = [asyncio.ensure_future(transport.send(request)) for request in (first, second)]
            while not (transport._route and transport._open and transport.sends):
                await asyncio.sleep(0)
            assert (first.sent, second.sent, transport.sends) == (True, False, 1)
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
        assert (second.sent, transport.sends, server.connections) == (False, 1, 1)
        await transport.aclose()


@pytest.fixture
async def unused_url() -> str:
    """An address at which nobody listens any more."""
    async with RawServer(saying()) as server:
        return server.url


async def test_closing_cuts_off_what_passes_through(transport: AioHttpTransport) -> None:
    async with RawServer(saying(OK, end="wait")) as server, asyncio.timeout(20):
        with aioresponses(passthrough=[server.url]):
            sending = asyncio.ensure_future(transport.send(get(server.url)))
            while not transport.sends:
                await asyncio.sleep(0)
            await transport.aclose()
            with pytest.raises(ApiNetworkError, match="the transport was closed"):
                await sending


async def test_a_callback_may_make_the_answer(mock: aioresponses, client: ApiClient) -> None:
    mock.post(URL_X, callback=lambda url, **kwargs: CallbackResult(status=202, body=kwargs["data"]))
    assert await client.call(api("x", method="POST"), {"n": 5}) == {"n": 5}


def wrapper() -> Callable[..., Any]:
    genuine = ClientSession._request

    @functools.wraps(genuine)
    async def traced(*args: Any, **kwargs: Any) -> Any:
        return await genuine(*args, **kwargs)

    return traced


def loaded_anew() -> ModuleType:
    spec = importlib.util.spec_from_file_location("late_session_route", session_route.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_replacement_is_noticed() -> None:
    assert ClientSession._request is session_route.SHIPPED
    assert not session_route.is_replaced()
    for replaced in (
        patch.object(ClientSession, "_request", wrapper()),
        patch.object(ClientSession, "_request"),
    ):
        with replaced:
            assert session_route.is_replaced()
    assert not session_route.is_replaced()


def test_an_import_under_a_mock_does_not_take_the_mock_for_aiohttp() -> None:
    with aioresponses():
        late = loaded_anew()
        assert late.SHIPPED is None
        assert late.is_replaced()
    assert not late.is_replaced()
    assert loaded_anew().SHIPPED is ClientSession._request


async def test_a_wrapper_that_only_looks_on(loopback: ServeLoopback, transport: AioHttpTransport) -> None:
    server = await loopback({"GET /x": {"id": 7}})
    endpoint = APIEndpoint(name="x", url=server.url + "/x")
    with patch.object(ClientSession, "_request", wrapper()):
        assert await ApiClient(transport).call(endpoint) == {"id": 7}
    assert transport._route is not None
    assert transport.sends == server.total == 1
