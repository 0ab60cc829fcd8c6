"""Credentials in the policy stack: who gets them, and what a 401 costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from rxorch import ApiClient, APIEndpoint, ApiHttpError, Response
from rxorch.client import BaseRequestHook, RedirectPolicy
from rxorch.client.oauth2 import OAuth2ClientCredentials
from rxorch.endpoint.auth import AllAuth, ApiKeyAuth, Auth, BearerAuth, bound
from rxorch.errors import ApiConfigurationError, ApiError, ApiNetworkError
from rxorch.events import CallFinished
from rxorch.http import Request
from rxorch.http.body import StreamedBody
from rxorch_operators.testing import virtual_time
from tests.client.token_server import CLIENT, SECRET, TokenServer
from tests.conftest import ServeLoopback
from tests.hardening.canary import KEY, NAMED, Exposure, Witness
from tests.support.fake_transport import FakeTransport, api, in_turn, turns
from tests.support.loopback import Loopback
from tests.support.watch import Watch

pytestmark = pytest.mark.usefixtures("each_transport")

HOME = "http://shop.test"


class Tokens:
    """A provider that counts, beside a server that lets the newest token in."""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        self.given += 1
        await turns(5)
        return f"t{self.given}"

    def guard(self, request: Request) -> Any:
        return {"ok": True} if request.headers.get("Authorization") == f"Bearer t{self.given}" else 401


def client_of(wire: FakeTransport, auth: Auth, **settings: Any) -> ApiClient:
    return ApiClient(wire, auth=auth, base_url=HOME, **settings)


def per_call(server: Loopback) -> Counter[str]:
    return Counter(seen.path for seen in server.seen if seen.path != "/token")


@pytest.mark.parametrize("how", ["request", "endpoint"])
async def test_a_token_that_ends_under_a_hundred_calls_is_one_refresh(
    loopback: ServeLoopback, how: str
) -> None:
    tokens = TokenServer()
    server = await loopback(tokens.routes)
    auth = OAuth2ClientCredentials(f"{server.url}/token", CLIENT, SECRET)
    endpoint = APIEndpoint(name="api", url="/api/{id}")
    async with ApiClient(base_url=server.url, auth=auth) as client:

        async def call(number: int) -> Any:
            if how == "request":
                return await client.call_api(f"/api/{number}")
            return await client.call(endpoint, {"id": number})

        assert await call(1000) == {"ok": True}
        tokens.revoke()
        before = tokens.given
        assert await asyncio.gather(*(call(number) for number in range(100))) == [{"ok": True}] * 100
        assert tokens.given == before + 1
    sends = per_call(server)
    assert sends.pop("/api/1000") == 1
    assert len(sends) == 100 and set(sends.values()) == {2}


async def test_the_first_token_is_fetched_once_for_all(loopback: ServeLoopback) -> None:
    tokens = TokenServer()
    server = await loopback(tokens.routes)
    auth = OAuth2ClientCredentials(f"{server.url}/token", CLIENT, SECRET)
    async with ApiClient(base_url=server.url, auth=auth, max_in_flight=3) as client:
        await asyncio.gather(*(client.call_api(f"/api/{number}") for number in range(100)))
    assert tokens.given == 1 and set(per_call(server).values()) == {1}


@virtual_time
async def test_a_401_is_neither_a_retry_nor_a_failure() -> None:
    tokens = Tokens()
    wire = FakeTransport(otherwise=tokens.guard)
    client = client_of(wire, BearerAuth(tokens), breaker_threshold=1)
    watch = Watch(client.events)
    endpoint = api(retry_count=0)
    assert await client.call(endpoint) == {"ok": True}
    tokens.given += 1
    assert await client.call(endpoint) == {"ok": True}
    assert watch.last(CallFinished).attempts == 2 and "RetryWaiting" not in watch.kinds
    assert client.runtimes["api"].retries == 0 and wire.sends == 3


@virtual_time
async def test_a_second_401_is_the_answer() -> None:
    tokens = Tokens()
    wire = FakeTransport(otherwise=tokens.guard)
    client = client_of(wire, BearerAuth(tokens))
    await client.call(api())
    wire.script("api", 401)
    for asked in (2, 3):  # the first had a token that was good before; then each has a fresh one
        with pytest.raises(ApiHttpError, match="HTTP 401"):
            await client.call(api())
        assert tokens.given == asked
    assert wire.sends == 1 + 2 + 1


@virtual_time
async def test_for_a_fixed_token_a_401_is_the_answer() -> None:
    wire = FakeTransport(otherwise=401)
    with pytest.raises(ApiHttpError, match="HTTP 401"):
        await client_of(wire, BearerAuth("t")).call(api())
    assert wire.sends == 1


@pytest.mark.parametrize("how", ["request", "endpoint"])
@virtual_time
async def test_a_post_is_sent_again_with_the_same_key(how: str) -> None:
    tokens = Tokens()
    wire = FakeTransport(otherwise=tokens.guard)
    client = client_of(wire, BearerAuth(tokens))
    endpoint = api(method="POST")

    async def call() -> Any:
        if how == "request":
            return await client.call_api("/orders", "POST", json_payload={"n": 1})
        return await client.call(endpoint, {"n": 1})

    await call()
    tokens.given += 1
    assert await call() == {"ok": True}
    first, second = wire.calls[1:]
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.headers["Idempotency-Key"] != wire.calls[0].headers["Idempotency-Key"]
    assert first.body == second.body == b'{"n":1}'
    assert first.headers["Authorization"] != second.headers["Authorization"]


@virtual_time
async def test_each_attempt_has_the_credentials_of_its_time() -> None:
    tokens = Tokens()
    wire = FakeTransport({"api": in_turn(503, 401, ApiNetworkError("reset", sent=True), {"ok": True})})
    auth = BearerAuth(tokens)
    assert await client_of(wire, auth).call(api(retry_delay=0)) == {"ok": True}
    assert [call.headers["Authorization"][-2:] for call in wire.calls] == ["t1", "t1", "t2", "t2"]


@virtual_time
async def test_a_body_that_can_be_sent_once_is_not_sent_again() -> None:
    tokens = Tokens()
    wire = FakeTransport(otherwise=tokens.guard)
    client = client_of(wire, BearerAuth(tokens))
    await client.call(api())
    tokens.given += 1
    with pytest.raises(ApiHttpError, match="HTTP 401"):
        await client.call_api("/upload", "POST", data=StreamedBody(iter([b"x"])))
    assert wire.sends == 2
    await client.call_api("/upload", "POST", data=StreamedBody(iter([b"x"])))  # it was forgotten all the same
    tokens.given += 1
    await client.call_api("/upload", "POST", data=StreamedBody(lambda: [b"x"]))
    assert wire.sends == 5


async def test_a_stream_is_begun_again_with_a_new_token(loopback: ServeLoopback) -> None:
    tokens = Tokens()

    def lines(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer t{tokens.given}":
            return web.Response(status=401)
        return web.Response(text='{"n": 1}\n{"n": 2}\n')

    server = await loopback({"/lines": lines})
    endpoint = APIEndpoint(name="lines", url="/lines", stream="ndjson")
    async with ApiClient(base_url=server.url, auth=BearerAuth(tokens)) as client:
        for sends in (1, 2):
            before = server.total
            assert await client.call(endpoint) == [{"n": 1}, {"n": 2}]
            assert server.total == before + sends
            tokens.given += 1


def moved(location: str) -> Response:
    return Response(302, b"", {"Location": location})


CREDENTIALS: dict[str, Auth] = {
    "bearer": BearerAuth(KEY),
    "key in a header": ApiKeyAuth("X-Tenant", NAMED),
    "key in the query": ApiKeyAuth("id", KEY, "query"),
    "all": AllAuth(BearerAuth(KEY), ApiKeyAuth("X-Tenant", NAMED), ApiKeyAuth("id", KEY, "query")),
}


def carries(request: Request) -> bool:
    return bool({"Authorization", "X-Tenant"} & request.headers.keys()) or "id" in request.url.query


@pytest.mark.parametrize("auth", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("of", ["client", "endpoint"])
@virtual_time
async def test_a_redirect_takes_credentials_along_to_their_origin_alone(auth: Auth, of: str) -> None:
    wire = FakeTransport(
        {"api": in_turn(moved("/b"), moved("http://evil.test/c"), moved(f"{HOME}/d"), {"ok": True})}
    )
    policy = RedirectPolicy(cross_origin=True)
    if of == "client":
        client, endpoint = client_of(wire, auth, follow_redirects=policy), api()
    else:
        client, endpoint = ApiClient(wire, follow_redirects=policy), api(auth=auth)
    assert await client.call(endpoint) == {"ok": True}
    assert [call.url.host for call in wire.calls] == ["shop.test", "shop.test", "evil.test", "shop.test"]
    assert [carries(call) for call in wire.calls] == [True, True, False, True]


@pytest.mark.parametrize("auth", CREDENTIALS.values(), ids=CREDENTIALS)
@virtual_time
async def test_each_attempt_carries_them_once(auth: Auth) -> None:
    wire = FakeTransport({"api": in_turn(503, {"ok": True})})
    endpoint = api("api", f"{HOME}/api?page=2", retry_delay=0)
    assert await client_of(wire, auth).call(endpoint) == {"ok": True}
    first, second = wire.calls
    assert carries(first)
    assert (first.headers, first.url) == (second.headers, second.url)


class Elsewhere(BaseRequestHook):
    keeps_identity = True

    async def before(self, request: Any) -> None:
        request.url = f"http://evil.test{request.url[len(HOME) :]}"

    async def after(self, request: Any, response: Any) -> None: ...


@pytest.mark.parametrize("auth", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("of", ["client", "endpoint", "request"])
@virtual_time
async def test_a_hook_that_leads_elsewhere_goes_without_credentials(auth: Auth, of: str) -> None:
    wire = FakeTransport()
    hooks = [Elsewhere()]
    if of == "endpoint":
        await ApiClient(wire, hooks=hooks).call(api(auth=auth))
    else:
        client = client_of(wire, auth, hooks=hooks)
        await (client.call(api()) if of == "client" else client.call_api(f"{HOME}/x"))
    assert [call.url.host for call in wire.calls] == ["evil.test"]
    assert not carries(wire.calls[0])


@pytest.mark.parametrize(
    "url", ["https://shop.test/x", f"{HOME}:81/x", "http://evil.test/", f"{HOME}.evil.test/"]
)
@virtual_time
async def test_the_credentials_of_a_client_stay_at_home(url: str) -> None:
    wire = FakeTransport()
    client = client_of(wire, CREDENTIALS["all"])
    await client.call_api(url)
    await client.call(api("other", url))
    await client.call(api("none", f"{HOME}/x", auth=False))
    assert not any(map(carries, wire.calls)) and wire.sends == 3
    await client.call_api("http://SHOP.test:80/x")
    assert carries(wire.calls[-1])


def test_a_client_must_know_where_its_credentials_may_go() -> None:
    for lost in (BearerAuth("t"), AllAuth(BearerAuth("t", origins=HOME), ApiKeyAuth("k", "v"))):
        with pytest.raises(ApiConfigurationError, match="base_url"):
            ApiClient(auth=lost)
    home = BearerAuth("t", origins=HOME)
    for known in (home, AllAuth(home, home), bound(BearerAuth("t"), HOME)):
        ApiClient(auth=known)


class Broken:
    """Credentials of the user's own, which go wrong."""

    async def authorize(self, request: Request, caller: Any) -> None:
        raise LookupError("no credentials")

    def refused(self, request: Request) -> bool:
        return True


@virtual_time
async def test_without_credentials_nothing_is_sent_and_nothing_repeated() -> None:
    wire = FakeTransport()
    client = client_of(wire, Broken(), breaker_threshold=1)
    for _ in range(2):
        with pytest.raises(LookupError):
            await client.call(api())

    async def provider() -> str:
        raise OSError("the vault is closed")

    client = client_of(wire, BearerAuth(provider), breaker_threshold=1)
    errors = await asyncio.gather(*(client.call(api(name)) for name in "abab"), return_exceptions=True)
    assert [(type(error), error.endpoint) for error in errors if isinstance(error, ApiError)] == [
        (ApiError, name) for name in "abab"
    ]
    assert wire.sends == 0


ANSWERS: dict[str, Any] = {
    "fine": {"ok": True},
    "unauthorized": 401,
    "unavailable": 503,
    "moved": moved("http://evil.test/x"),
    "reset": ApiNetworkError("the connection was reset", sent=True),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("auth", CREDENTIALS.values(), ids=CREDENTIALS)
@virtual_time
async def test_no_secret_is_shown(answer: Any, auth: Auth) -> None:
    witness = Witness(FakeTransport(otherwise=answer))
    client = ApiClient(witness, auth=auth, base_url=HOME)
    watch = Watch(client.events)
    shown = Exposure()
    for call in (client.call_api("/users?a=1"), client.call(api(retry_delay=0))):
        try:
            await call
        except ApiError as error:
            shown.error(error)
    shown.show(*watch.events, client, *client.runtimes.values(), *client.loose_runtimes.values())
    shown.show(*[seen for seen in witness.seen if isinstance(seen, Request)])
    assert witness.sends and shown.leaks == []


class OwnAuth:
    """Credentials of the user's own that name their origins, and do not look at them."""

    origins = ("https://a.test",)

    async def authorize(self, request: Any, caller: Any) -> None:
        request.headers = {**request.headers, "X-Own": "s3cret"}

    def refused(self, request: Any) -> bool:
        return False


async def test_credentials_of_ones_own_are_held_to_the_origins_that_they_name() -> None:
    wire = FakeTransport()
    client = ApiClient(wire, auth=OwnAuth())
    await client.call_api("https://a.test/")
    await client.call_api("https://evil.test/")
    assert ["X-Own" in request.headers for request in wire.calls] == [True, False]
