"""A transport without a network: answers by script, and remembers everything.

    transport = FakeTransport({"user": {"id": 7}, "posts": in_turn(503, {"posts": []})})
    orchestrator = APIOrchestrator(config, transport=transport)

The script maps endpoint names to answers. What an answer may be:

- an ``int`` from 100 to 599: an empty answer with that status; a ``Response``: itself;
- an exception: raised; the request counts as sent, unless it is an ``ApiNetworkError(sent=False)``;
- ``in_turn(a, b, c)``: one after another, then the last one for ever;
- a ``Hold``: the request is sent, and the answer comes when the test says so;
- a function of the request that returns any of these;
- any other value: 200 with it as JSON.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator
from rxorch.errors import ApiNetworkError
from rxorch.http import Request, Response
from tests.support.virtual_time import waits

__all__ = ["FakeTransport", "Hold", "api", "apis", "in_turn", "orchestrate", "reply", "turns"]

JSON = {"Content-Type": "application/json"}


def reply(status: int, value: Any = None, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a JSON body, or without a body for None."""
    body = b"" if value is None else json.dumps(value).encode()
    return Response(status, body, {**JSON, **(headers or {})})


def api(name: str = "api", url: str | None = None, /, **fields: Any) -> APIEndpoint:
    """An endpoint on a host that does not exist."""
    return APIEndpoint(name=name, url=url or f"http://shop.test/{name}", **fields)


def apis(names: str, **fields: Any) -> list[APIEndpoint]:
    """One endpoint for each letter or word."""
    return [api(name, **fields) for name in (names.split() if " " in names else names)]


def in_turn(*answers: Any) -> Callable[[Request], Any]:
    """One answer after another, then the last one for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


async def turns(count: int = 20) -> None:
    """Let the loop go round a few times."""
    for _ in range(count):
        await asyncio.sleep(0)


class Hold:
    """Answers when the test says so: ``hold.answer(value)`` releases whoever waits and all who come later."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[Any]] = []
        self._answer: tuple[Any] | None = None
        self.cancelled = 0
        """Requests that were cut off while they waited."""

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return sum(not future.done() for future in self._waiting)

    def answer(self, value: Any = None) -> None:
        """Give everybody this answer (any that a script may have), now and from now on."""
        self._answer = (value,)
        for future in self._waiting:
            if not future.done():
                future.set_result(value)

    def answer_next(self, value: Any = None) -> None:
        """Answer the one that has waited longest."""
        next(future for future in self._waiting if not future.done()).set_result(value)

    async def wait(self) -> Any:
        """For the transport: the answer, once it is given."""
        if self._answer is not None:
            return self._answer[0]
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class FakeTransport:
    """See the module.

    Attributes:
        sends: Requests sent.
        calls: Requests that came in, in order, also those that could not be sent.
        times: When each of them came, in seconds of the loop.
        in_flight: Requests being answered now; ``peak``: the most at any time.
        closed: How often ``aclose`` was called.
    """

    def __init__(
        self, script: Mapping[str, Any] | None = None, *, otherwise: Any = None, lag: int = 1
    ) -> None:
        self._script = dict(script or {})
        self._otherwise = {"ok": True} if otherwise is None else otherwise
        self._lag = lag
        self.sends = 0
        self.calls: list[Request] = []
        self.times: list[float] = []
        self.in_flight = 0
        self.peak = 0
        self.closed = 0

    @property
    def names(self) -> list[str]:
        """The endpoints that were called, in order."""
        return [request.endpoint or "" for request in self.calls]

    @property
    def counts(self) -> Counter[str]:
        """Calls by endpoint."""
        return Counter(self.names)

    @property
    def waits(self) -> list[float]:
        """Seconds between the calls."""
        return waits(self.times)

    def of(self, name: str) -> list[Request]:
        """The requests of one endpoint."""
        return [request for request in self.calls if request.endpoint == name]

    def bodies(self, name: str) -> list[Any]:
        """What was sent to one endpoint, decoded."""
        return [None if request.body is None else json.loads(request.body) for request in self.of(name)]

    def paths(self, name: str) -> list[str]:
        """The paths and queries that were asked of one endpoint."""
        return [request.url.raw_path_qs for request in self.of(name)]

    def script(self, name: str, answer: Any) -> None:
        """Change what an endpoint answers from now on."""
        self._script[name] = answer

    async def send(self, request: Request) -> Response:
        """Answer a request by the script."""
        self.calls.append(request)
        self.times.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._answer(request, self._script.get(request.endpoint or "", self._otherwise))
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        """Count the closing."""
        self.closed += 1

    async def _answer(self, request: Request, answer: Any) -> Response:
        while callable(answer):
            answer = answer(request)
        if not (isinstance(answer, ApiNetworkError) and not answer.sent):
            request.sent = True
            self.sends += 1
        await turns(self._lag)
        if isinstance(answer, Hold):
            answer = await answer.wait()
        while callable(answer):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Response):
            return answer
        if isinstance(answer, int) and answer in range(100, 600):
            return reply(answer)
        return reply(200, answer)


def orchestrate(*steps: Any, transport: FakeTransport | None = None, **settings: Any) -> APIOrchestrator:
    """An orchestrator of a config with these endpoints and settings."""
    config = APIOrchestrationConfig(endpoints=steps, **settings)
    return APIOrchestrator(config, transport=transport or FakeTransport())
