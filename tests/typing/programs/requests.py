"""Types of the request layer: answers by their model, parts of one's own by what they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

from pydantic import BaseModel
from yarl import URL

from rxorch import APIEndpoint
from rxorch.client import (
    AioHttpClient,
    ApiClient,
    ApiRequestModel,
    BaseCircuitBreaker,
    BaseHttpClient,
    BaseRateLimiter,
    BaseRequestHook,
    BaseRequestModel,
    BaseRequestStrategy,
    BearerAuth,
    CircuitBreaker,
    RetryRequestStrategy,
    Token,
    TokenBucketRateLimiter,
)
from rxorch.endpoint import Caller
from rxorch.http import Response, Transport
from rxorch.testing import MockTransport


class User(BaseModel):
    id: int


class Traced(BaseRequestHook):
    keeps_identity = True

    async def before(self, request: BaseRequestModel) -> None:
        if not request.headers:
            request.headers = {}
        request.headers["X-Trace"] = "t"


class Elsewhere:
    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        json_payload: Any = None,
        timeout: float | None = None,
    ) -> Any:
        return {}


class Paced:
    async def acquire(self) -> None: ...


class Fuse:
    def is_open(self) -> bool:
        return False

    def record_failure(self) -> None: ...

    def reset(self) -> None: ...


class PacedPlainly:
    def acquire(self) -> None: ...


class Stamped:
    def before(self, request: ApiRequestModel) -> None:
        request.headers = {"X-Stamp": "1"}


class Watched:
    async def after(self, request: BaseRequestModel, response: Any) -> None:
        print(request.url)


class Direct:
    async def execute(self, request: BaseRequestModel, client: Caller) -> Any:
        return request.url


class Through:
    async def execute(self, request: ApiRequestModel, client: ApiClient) -> Any:
        return await client.call(APIEndpoint(name="x", url=request.url))


http: BaseHttpClient = Elsewhere()
also_http: BaseHttpClient = AioHttpClient()
limiter: BaseRateLimiter = Paced()
plain_limiter: BaseRateLimiter = PacedPlainly()
also_limiter: BaseRateLimiter = TokenBucketRateLimiter(10)
breaker: BaseCircuitBreaker = Fuse()
also_breaker: BaseCircuitBreaker = CircuitBreaker()
strategy: BaseRequestStrategy = Direct()
through: BaseRequestStrategy = Through()
also_strategy: BaseRequestStrategy = RetryRequestStrategy(
    http, breaker, {"key": "k", "max_requests": 1, "period": 1}, hooks=[Traced(), Stamped(), Watched()]
)
request: BaseRequestModel = ApiRequestModel(url="https://api.example.com")
wire: Transport = MockTransport({})


async def token() -> Token:
    return Token("t", expires_in=60)


async def answers() -> None:
    async with ApiClient(
        strategy=strategy, auth=BearerAuth(token), base_url="https://api.example.com"
    ) as client:
        assert_type(await client.call_api("/users/7", model=User), User)
        assert_type(await client.call_api("/users", model=list[User]), list[User])
        assert_type(await client.call_api("/users"), Any)
        either: User | int = await client.call_api("/users/7", model=User | int)
        print(either)
        pairs = [("tag", "a"), ("tag", "b")]
        answer = await client.fetch(URL("users"), params=pairs, max_response_bytes=1000)
        assert_type(answer, Response)
        assert_type(answer.status, int)
    ApiClient(hooks=[Stamped(), Watched()])
