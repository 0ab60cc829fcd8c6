"""A second transport: the same requests over Rust's reqwest, by way of pyreqwest.

What reqwest and hyper do by themselves, and what becomes of it here:

- redirects, cookies, the Referer, proxies from the environment, decompression, HTTP/2: switched off.
- reqwest's own retries: it repeats what HTTP/2 servers refuse, and there is no HTTP/2.
- hyper's second try (``retry_canceled_requests``) cannot be switched off, and is harmless: it takes another
  connection when a kept one turns out to be closed before anything was written to it. A request of which one
  byte was written is never repeated, so ``sends`` counts what a server may have seen.
- the form of the url: reqwest brings it into the form that browsers give it, in which ``/a/%2e%2e/b`` is
  ``/b``. It cannot be switched off: such a url is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiError, ApiNetworkError, ApiValidationError
from rxorch.http._failures import raise_instead
from rxorch.http._wire import DefaultHeaders, Origins, encode_head
from rxorch.http.body import StreamedBody
from rxorch.http.pyreqwest_transport.client import build_client, import_pyreqwest
from rxorch.http.pyreqwest_transport.exchange import Exchange
from rxorch.http.pyreqwest_transport.exit import is_exiting, settle_at_exit
from rxorch.http.pyreqwest_transport.failures import as_api_error, is_unsent
from rxorch.http.pyreqwest_transport.upload import BytesUpload, StreamUpload, Upload
from rxorch.http.request import Request
from rxorch.http.response import Response
from rxorch.http.streamed import StreamedResponse
from rxorch.http.tls import TlsOptions

if TYPE_CHECKING:
    from pyreqwest.client import Client
    from pyreqwest.http import Url
    from pyreqwest.request import StreamRequest

__all__ = ["PyreqwestTransport"]


class PyreqwestTransport:
    """Sends requests over pooled connections, on a thread of Rust. Implements ``StreamingTransport``.

    It keeps the promises of ``AioHttpTransport``, with these differences, which are pyreqwest's (0.15):

    - **Cancelling does not reach a request whose answer has not begun.** It goes on by itself until the
      server answers, or was silent for ``silence`` seconds; its answer is thrown away, and never given to
      anybody else. Its connection does not count towards ``limit`` meanwhile. What was cancelled before it
      had a connection may still be sent, unless it has a body; so ``sent`` is True for it, to be on the safe
      side. A body that is still going out, and an answer that has begun, end at once with their connection.
    - **Connections are not kept unless you say so.** A kept one is looked at by the other thread, when that
      comes round to it; so what a server says unasked just before the next request may be taken for the
      answer to that (``AioHttpTransport`` looks at the socket itself, and sees what has arrived). Late
      answers to cancelled requests are no danger. ``connection_reuse=True`` is for servers that say nothing
      unasked, not even a 408 before they close: then it is fast.
    - A server that speaks on a fresh connection before it is asked is believed.
    - ``silence`` limits the time in which a server says nothing.
    - A url that reqwest would change is refused: dot segments, also encoded ones, and characters that a
      browser would encode.
    - ``Response.reason`` is empty. Names of request headers go out in title case. A header of the answer
      whose value is not ASCII is left out.
    - A ``StreamedBody`` that the server refuses half-way is sent on until the answer was read.
    - Heads of answers may be longer (up to about 400 kB).
    - ``tls.ca_file`` is trusted in addition to what the system trusts, not in its place; ``tls.key_password``
      cannot be used; and a certificate that is its own authority (self-signed, CA:TRUE) is trusted for no
      server.
    - Closing lets the idle connections go, which the other thread closes in its own time.

    Args:
        limit: most requests at the same time, all hosts together; 0 for no limit. Who comes later waits.
        connection_reuse: True keeps connections for the next request to the same host; see above.
        keepalive: seconds that an idle connection is kept, where ``connection_reuse`` is True.
        silence: seconds from the beginning of a request to the head of its answer, and between two pieces of
            the answer, after which the connection is given up.
        user_agent: value of the User-Agent header, for requests that have none.
        tls: whom to trust over https; the default trusts what the system trusts.
        proxy: url of the proxy that all requests go through (``"http://user:password@host:port"``).

    Attributes:
        sends: requests put on a connection so far. One that failed to connect is not among them.

    Raises:
        ApiConfigurationError: an option is not valid, or pyreqwest is not installed.

    Example:
        >>> async def main() -> None:
        ...     transport = PyreqwestTransport()
        ...     try:
        ...         response = await transport.send(Request("GET", URL("https://api.example.com/users/7")))
        ...         print(response.status, response.json())
        ...     finally:
        ...         await transport.aclose()
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        connection_reuse: bool = False,
        keepalive: float = 15.0,
        silence: float = 300.0,
        user_agent: str = "rxorch",
        tls: TlsOptions | None = None,
        proxy: str | None = None,
    ) -> None:
        if limit < 0:
            raise ApiConfigurationError("limit is a number of requests; 0 is no limit")
        self.sends = 0
        self._reuse = connection_reuse
        self._defaults = DefaultHeaders(user_agent)
        self._origins = Origins(None, None, user_agent)
        self._places = asyncio.Semaphore(limit) if limit else None
        self._open: set[Exchange] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._url: type[Url] = import_pyreqwest().Url
        idle = None if connection_reuse else 0
        self._client: Client | None = build_client(keepalive, silence, idle, tls, proxy)
        settle_at_exit(self)

    async def send(self, request: Request) -> Response:
        """Send ``request`` once; see ``Transport.send``."""
        request.sent = False
        try:
            _check_limit(request)
            exchange = self._exchange(request)
        except ApiError as error:
            _name(error, request)
            raise
        try:
            head = await self._begin(exchange)
            parts = []
            while (part := await exchange.read()) is not None:
                parts.append(part)
        except BaseException as failure:
            raise_instead(self._error(exchange, failure), failure)
        finally:
            await self._end(exchange)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return Response(head.status, body, head.headers, url=request.url)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Send ``request`` once and hand out the answer as it comes; see ``StreamingTransport.stream``.

        What is left of the request's body when the block is left is not sent.
        """
        request.sent = False
        try:
            exchange = self._exchange(request)
        except ApiError as error:
            _name(error, request)
            raise
        try:
            try:
                answer = await self._begin(exchange)
            except BaseException as failure:
                raise_instead(self._error(exchange, failure), failure)
            yield answer
        finally:
            await self._end(exchange)

    async def aclose(self) -> None:
        """Fail what is in flight, wait until it has, and let the connections go."""
        self._closed = True
        self._client = None
        if self._loop is None:
            return
        self._check_loop()
        waits = [exchange.interrupt() for exchange in self._open]
        left = [wait for wait in waits if wait is not None]
        if left:
            await asyncio.wait(left)

    def abandon(self) -> None:
        """Let go of what is in flight, for the interpreter ends."""
        self._closed = True
        for exchange in list(self._open):
            exchange.abandon()

    def _exchange(self, request: Request) -> Exchange:
        client = self._running()
        origin = self._origins.of(request.url)
        # The head that the other transport would send, so that the same is checked, and the same goes out.
        head = encode_head(request, origin, self._defaults, close=not self._reuse).decode()
        lines = (line.partition(": ") for line in head.split("\r\n")[1:-2])
        headers = [(name, value) for name, _, value in lines if name != "Transfer-Encoding"]
        builder = client.request(request.method, self._unchanged(request.url)).headers(headers)
        upload: Upload | None = None
        if isinstance(request.body, StreamedBody):
            upload = StreamUpload(request.body)
            builder.body_stream(upload)
        elif request.body:
            upload = BytesUpload(request.body)
            builder.body_stream(upload)
        message: StreamRequest = builder.streamed_read_buffer_limit(0).build_streamed()
        return Exchange(message, request, upload, self._places, self._error)

    def _unchanged(self, url: URL) -> Url:
        host = url.host_port_subcomponent
        text = f"{url.scheme}://{host}{url.raw_path_qs}"
        try:
            parsed = self._url(text)
        except ValueError:
            raise ApiNetworkError("not a valid host", sent=False) from None
        if str(parsed) != text:
            query = parsed.query_string
            if (parsed.path if query is None else f"{parsed.path}?{query}") != url.raw_path_qs:
                raise ApiValidationError(
                    "the url has a dot segment or a character that reqwest would rewrite; "
                    "encode it, or send it with the aiohttp transport"
                )
            if str(host).lower() != parsed.authority:
                raise ApiNetworkError("not a valid host", sent=False)
        return parsed

    async def _begin(self, exchange: Exchange) -> StreamedResponse:
        self._open.add(exchange)
        await exchange.prepare()
        self._mark(exchange.request, sent=True)
        return await exchange.begin()

    async def _end(self, exchange: Exchange) -> None:
        self._open.discard(exchange)
        await exchange.close()

    def _error(self, exchange: Exchange, failure: BaseException) -> BaseException:
        """What ``failure`` is raised as: itself, if it says all there is to say."""
        request, upload = exchange.request, exchange.upload
        if upload is not None:
            upload.stop()
        if is_unsent(failure) or (upload is not None and not upload.begun):
            self._mark(request, sent=False)
        if upload is not None and upload.error is not None:
            failure = upload.error
        elif not isinstance(failure, ApiError) and isinstance(failure, import_pyreqwest().PyreqwestError):
            failure = as_api_error(failure, request.sent)
        if isinstance(failure, ApiNetworkError):
            failure.sent = request.sent
        if isinstance(failure, ApiError):
            _name(failure, request)
        return failure

    def _mark(self, request: Request, *, sent: bool) -> None:
        if request.sent is not sent:
            request.sent = sent
            self.sends += 1 if sent else -1

    def _running(self) -> Client:
        client = self._client
        if client is None or is_exiting():
            raise ApiConfigurationError("the transport is closed")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._check_loop()
        return client

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise ApiConfigurationError(
                "the transport belongs to another event loop; make one for each loop and close it there"
            )


def _check_limit(request: Request) -> None:
    if request.max_response_bytes is None:
        raise ApiConfigurationError("max_response_bytes=None is only for an answer that is read as a stream")


def _name(error: ApiError, request: Request) -> None:
    error.endpoint = error.endpoint or request.endpoint
    error.url = error.url or request.shown_url
