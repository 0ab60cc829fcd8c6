"""A transport without a network, for tests of code that calls APIs."""

from __future__ import annotations

import asyncio
import copy
import inspect
import math
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiohttp import ClientConnectorError
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic_core import PydanticSerializationError, to_json
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiError, ApiNetworkError, ApiResponseTooLargeError
from rxorch.http._failures import TRANSPORT_FAILURES, as_api_error
from rxorch.http._mock_routes import Route
from rxorch.http._wire import DefaultHeaders, Origin, encode_head
from rxorch.http.body import StreamedBody
from rxorch.http.redaction import redact_url
from rxorch.http.request import Request
from rxorch.http.response import Response
from rxorch.http.streamed import StreamedResponse

__all__ = ["MockRequest", "MockTransport"]

_JSON: Final = {"Content-Type": "application/json"}
_DEFAULTS: Final = DefaultHeaders("rxorch")
_NEVER_LEFT: Final = (ConnectionRefusedError, socket.gaierror, ClientConnectorError)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MockRequest:
    """A request as it arrived at a `MockTransport`.

    Attributes:
        method: HTTP method, in capitals.
        url: As it was sent; `url.query["page"]` is a parameter.
        headers: Those that the caller set, case-insensitive.
        body: All of it, also of one that was sent piece by piece; empty if there was none.
        endpoint: Name of the endpoint that was called.
        parameters: What stood in the place of the placeholders of its route.
        at: Seconds on the clock of the event loop.
    """

    method: str
    url: URL
    headers: CIMultiDictProxy[str]
    body: bytes
    endpoint: str | None
    parameters: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0

    def json(self) -> Any:
        """The body as a JSON value.

        Raises:
            ApiValidationError: it is none.
        """
        return Response(200, self.body).json()

    def __repr__(self) -> str:
        return f"<MockRequest {self.method} {redact_url(self.url)}>"


class MockTransport:
    """Answers requests by a function or a table of routes, and keeps what arrived.

    It is given to an `ApiClient` or an `APIOrchestrator` in the place of the real one. Requests are checked
    as the real one checks them; retries, limits, breakers and all other policies work as ever. A request that
    no route is meant for is an `ApiConfigurationError`.

    An answer is one of these:

    - a status from 200 to 599: an answer without a body;
    - a `Response`, or a `StreamedResponse` whose pieces come one by one;
    - an error or a class of errors: raised, and those of the system (`ConnectionResetError`) as the
      `ApiNetworkError` that the real transport makes of them. After an `ApiNetworkError`, unless that says
      `sent=True`, and after a refused connection the request does not count as sent;
    - a function of the `MockRequest`, sync or async, that returns any of these;
    - any other value: status 200, with the value as JSON.

    Args:
        answers: A function, or a mapping of routes to answers: `"GET https://api.example.com/users/{id}"`;
            without a method for any method, as a path for any host, with a query for what has these
            parameters among others; or the name of an endpoint. The first that fits counts. A list holds
            several answers, given in turn, the last one for ever: a JSON list stands in a list of its own.
        delay: Seconds that each answer takes, on the clock of the event loop.

    Attributes:
        sends: Requests that were sent.
        calls: All that arrived, in order, also those that count as not sent.

    Raises:
        ApiConfigurationError: A route that is none, an empty list, a negative delay.

    >>> import asyncio
    >>> from rxorch import APIEndpoint, ApiClient
    >>> user = APIEndpoint(name="user", url="https://api.example.com/users/{id}", retry_delay=0)
    >>> async def main():
    ...     transport = MockTransport({"GET https://api.example.com/users/{id}": [503, {"name": "Ada"}]})
    ...     async with ApiClient(transport) as client:
    ...         value = await client.call(user, {"id": 7})
    ...     return value, transport.calls, transport.calls[0].parameters
    >>> asyncio.run(main())  # doctest: +NORMALIZE_WHITESPACE
    ({'name': 'Ada'},
     [<MockRequest GET https://api.example.com/users/7>, <MockRequest GET https://api.example.com/users/7>],
     {'id': '7'})
    """

    def __init__(
        self, answers: Callable[[MockRequest], Any] | Mapping[str, Any], *, delay: float = 0.0
    ) -> None:
        self.sends = 0
        self.calls: list[MockRequest] = []
        self._handler: Callable[[MockRequest], Any] | None = None
        self._routes: dict[str, tuple[Route, Any]] = {}
        if isinstance(answers, Mapping):
            self._routes = {text: (Route(text), _in_turn(text, answer)) for text, answer in answers.items()}
        elif callable(answers):
            self._handler = answers
        else:
            raise ApiConfigurationError(
                f"a MockTransport wants a function of the request, or a mapping of routes to answers; "
                f"not {type(answers).__name__}"
            )
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < math.inf:
            raise ApiConfigurationError("delay: give a number of seconds, 0 or more")
        self._delay = delay
        self._closed = False

    def calls_to(self, name: str) -> list[MockRequest]:
        """What arrived from one endpoint, by its name; or at one route, by its text.

        >>> MockTransport({"user": {"id": 7}}).calls_to("user")
        []
        """
        if name not in self._routes:
            return [call for call in self.calls if call.endpoint == name]
        # What an earlier route answered did not arrive at this one.
        return [call for call in self.calls if (found := self._find(call)) and found[0] == name]

    async def send(self, request: Request) -> Response:
        """Answer a request; see `Transport.send`."""
        if request.max_response_bytes is None:
            raise ApiConfigurationError(
                "max_response_bytes=None is only for an answer that is read as a stream"
            )
        async with self.stream(request) as answer:
            return await answer.read()

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Answer a request, the body piece by piece; see `StreamingTransport.stream`."""
        answer = await self._answer(request)
        async with aclosing(_pieces(answer, request)) as pieces:
            headers, reason = answer.headers, answer.reason
            yield StreamedResponse(answer.status, pieces, headers, reason=reason, url=request.url)

    async def aclose(self) -> None:
        """Take no more requests."""
        self._closed = True

    async def _answer(self, request: Request) -> Response | StreamedResponse:
        request.sent = False
        if self._closed:
            raise ApiConfigurationError("the transport is closed")
        encode_head(request, Origin(request.url), _DEFAULTS, close=False)
        answer, arrived = self._meant_for(request)
        self._mark(request, sent=True)
        try:
            if isinstance(request.body, StreamedBody):
                place = len(self.calls) - 1
                body = b"".join([piece async for piece in request.body.pieces()])
                arrived = self.calls[place] = replace(arrived, body=body)
            value = await _resolved(answer, arrived)
        except Exception as error:
            value = error
        if isinstance(value, Exception):
            value = _as_of_transport(value, request)
            if isinstance(value, ApiNetworkError):
                self._mark(request, sent=value.sent)
        await asyncio.sleep(self._delay)
        if isinstance(value, BaseException):
            raise value
        return _response(value)

    def _meant_for(self, request: Request) -> tuple[Any, MockRequest]:
        """The answer for a request, which is noted."""
        found = self._find(request)
        body = request.body
        arrived = MockRequest(
            request.method,
            request.url,
            CIMultiDictProxy(CIMultiDict(request.headers)),
            body if isinstance(body, bytes) else b"",
            request.endpoint,
            {} if found is None else found[1],
            asyncio.get_running_loop().time(),
        )
        self.calls.append(arrived)
        if self._handler is not None:
            return self._handler, arrived
        if found is None:
            routes = ", ".join(repr(redact_url(text)) for text in self._routes) or "none"
            message = (
                f"no route of the MockTransport fits {request.method} {request.shown_url}; it has: {routes}"
            )
            raise ApiConfigurationError(message, endpoint=request.endpoint)
        return self._routes[found[0]][1], arrived

    def _find(self, request: Request | MockRequest) -> tuple[str, dict[str, str]] | None:
        for text, (route, _) in self._routes.items():
            parameters = route.match(request.method, request.url, request.endpoint)
            if parameters is not None:
                return text, parameters
        return None

    def _mark(self, request: Request, *, sent: bool) -> None:
        if request.sent is not sent:
            request.sent = sent
            self.sends += 1 if sent else -1

    def __repr__(self) -> str:
        return f"<MockTransport, {len(self.calls)} calls>"


class _InTurn:
    """One answer after another, then the last one for ever."""

    __slots__ = ("_left",)

    def __init__(self, answers: list[Any]) -> None:
        self._left = list(answers)

    def next(self) -> Any:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


def _in_turn(text: str, answer: Any) -> Any:
    if not isinstance(answer, list):
        return answer
    if not answer:
        raise ApiConfigurationError(
            f"route {redact_url(text)!r}: a list holds the answers in turn, and this one holds none; "
            "an answer that is an empty list is [[]]"
        )
    return _InTurn(answer)


async def _resolved(answer: Any, arrived: MockRequest) -> Any:
    """What an answer comes to: functions called, their results awaited, classes of errors made."""
    while True:
        if isinstance(answer, _InTurn):
            answer = answer.next()
        elif isinstance(answer, type) and issubclass(answer, BaseException):
            return answer()
        elif isinstance(answer, BaseException):
            return _fresh(answer)
        elif callable(answer):
            answer = answer(arrived)
            if inspect.isawaitable(answer):
                answer = await answer
        else:
            return answer


def _fresh(error: BaseException) -> BaseException:
    """A copy, where one can be made: those who call write their facts on the error that they get."""
    try:
        copied = copy.copy(error)
    except Exception:
        return error
    return copied if type(copied) is type(error) else error


def _as_of_transport(error: Exception, request: Request) -> Exception:
    """An error as the real transport raises it."""
    if not isinstance(error, ApiError):
        if not isinstance(error, TRANSPORT_FAILURES):
            return error
        cause, error = error, as_api_error(error, not isinstance(error, _NEVER_LEFT))
        error.__cause__ = cause
    error.endpoint = error.endpoint or request.endpoint
    error.url = error.url or request.shown_url
    return error


def _response(value: Any) -> Response | StreamedResponse:
    if isinstance(value, Response | StreamedResponse):
        return value
    if type(value) is int and 200 <= value < 600:
        return Response(value)
    try:
        return Response(200, to_json(value, inf_nan_mode="constants"), _JSON)
    except (PydanticSerializationError, ValueError):
        raise ApiConfigurationError(
            f"the answer of a MockTransport cannot be written as JSON: {type(value).__name__}"
        ) from None


async def _pieces(answer: Response | StreamedResponse, request: Request) -> AsyncGenerator[bytes]:
    """The body of an answer, within the limit of the request."""
    if request.method == "HEAD":
        return
    size, limit = 0, request.max_response_bytes
    source = _whole(answer) if isinstance(answer, Response) else answer.pieces
    try:
        async for piece in source:
            size += len(piece)
            if limit is not None and size > limit:
                raise ApiResponseTooLargeError(limit)
            yield piece
    except Exception as error:
        raise _as_of_transport(error, request)  # noqa: B904 - mostly it is the same
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def _whole(answer: Response) -> AsyncGenerator[bytes]:
    if answer.content:
        yield answer.content
