"""OAuth 2.0: what is asked of a token server, what its answers mean, and that no secret is shown."""

from __future__ import annotations

import asyncio
import builtins
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from rxorch import ApiClient
from rxorch.client.oauth2 import OAuth2ClientCredentials, OAuth2RefreshToken
from rxorch.endpoint.auth import Auth
from rxorch.endpoint.caller import Caller
from rxorch.errors import (
    ApiCircuitOpenError,
    ApiConfigurationError,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiValidationError,
)
from rxorch.events import CallFinished
from rxorch.http import Request
from rxorch_operators.testing import run_virtual, virtual_time
from tests.client.token_server import CLIENT, REFRESH, SECRET, TokenServer
from tests.conftest import ServeLoopback
from tests.hardening.canary import KEY, NAMED, Exposure, chain
from tests.support.fake_transport import FakeTransport, Hold, in_turn, reply, turns
from tests.support.loopback import Loopback
from tests.support.virtual_time import now
from tests.support.watch import Watch

URL_OF_TOKENS = "https://id.test/token"
ANSWER = {"access_token": f"{KEY}-0", "token_type": "Bearer", "expires_in": 3600}


async def sent(auth: Auth, caller: Caller) -> Request:
    request = Request("GET", URL("https://api.test/"))
    await auth.authorize(request, caller)
    return request


async def token(auth: Auth, caller: Caller) -> str:
    return (await sent(auth, caller)).headers["Authorization"].removeprefix("Bearer ")


def credentials(url: str = URL_OF_TOKENS, **settings: Any) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(url, CLIENT, SECRET, **settings)


def refreshing(url: str = URL_OF_TOKENS, secret: Any = None, **settings: Any) -> OAuth2RefreshToken:
    return OAuth2RefreshToken(url, REFRESH, CLIENT, secret, **settings)


def wire(*answers: Any) -> FakeTransport:
    return FakeTransport({"oauth2-token": in_turn(*answers)})


class Issued(TokenServer):
    """With the server that it stands on."""

    server: Loopback

    @property
    def url(self) -> str:
        return f"{self.server.url}/token"


@pytest.fixture
async def issuer(loopback: ServeLoopback) -> Issued:
    issuer = Issued()
    issuer.server = await loopback(issuer.routes)
    return issuer


async def test_client_credentials_by_header(issuer: Issued) -> None:
    auth = credentials(issuer.url, scope=["a:read", "b c"], audience="https://api.test/?x=1&y")
    async with ApiClient() as client:
        assert await token(auth, client) == issuer.token
    assert issuer.who == [(CLIENT, SECRET)]
    assert issuer.forms == [
        {"grant_type": "client_credentials", "scope": "a:read b c", "audience": "https://api.test/?x=1&y"}
    ]
    seen = issuer.server.seen[0]
    assert seen.headers["Accept"] == "application/json"
    assert SECRET.encode() not in seen.body and "Idempotency-Key" not in seen.headers


async def test_client_credentials_in_the_form(issuer: Issued) -> None:
    auth = credentials(issuer.url, client_auth="body", extra={"resource": "ä&=+", "hint": SecretStr(KEY)})
    async with ApiClient() as client:
        await token(auth, client)
    assert "Authorization" not in issuer.server.seen[0].headers
    assert issuer.forms == [
        {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "resource": "ä&=+",
            "hint": KEY,
        }
    ]


async def test_a_refresh_token_of_a_public_client(issuer: Issued) -> None:
    async with ApiClient() as client:
        assert await token(refreshing(issuer.url, scope="a"), client) == issuer.token
    assert "Authorization" not in issuer.server.seen[0].headers
    assert issuer.forms == [
        {"grant_type": "refresh_token", "refresh_token": REFRESH, "client_id": CLIENT, "scope": "a"}
    ]


@pytest.mark.parametrize("how", ["basic", "body"])
async def test_a_refresh_token_of_a_client_with_a_secret(issuer: Issued, how: Any) -> None:
    async with ApiClient() as client:
        await token(refreshing(issuer.url, SecretStr(SECRET), client_auth=how), client)
    assert issuer.who == [(CLIENT, SECRET)]
    assert ("client_secret" in issuer.forms[0], "client_id" in issuer.forms[0]) == (how == "body",) * 2


async def test_a_hundred_who_need_it_ask_once(issuer: Issued) -> None:
    auth = credentials(issuer.url)
    async with ApiClient() as client:
        assert set(await asyncio.gather(*(token(auth, client) for _ in range(100)))) == {issuer.token}
        assert await token(auth, client) == issuer.token
        assert (issuer.given, client.sends) == (1, 1)


async def test_cancelling_one_of_a_hundred_and_then_all(issuer: Issued) -> None:
    issuer.gate.clear()
    auth = credentials(issuer.url)
    async with ApiClient() as client:
        tasks = [asyncio.create_task(token(auth, client)) for _ in range(100)]
        await issuer.server.until_in_flight(1)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        assert issuer.server.closed_early == 0
        issuer.gate.set()
        assert set(await asyncio.gather(*tasks[1:])) == {issuer.token}

        issuer.gate.clear()
        auth = credentials(issuer.url)
        tasks = [asyncio.create_task(token(auth, client)) for _ in range(100)]
        await issuer.server.until_in_flight(1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await issuer.server.until_idle()
        assert issuer.server.closed_early == 1


@virtual_time
async def test_it_is_kept_until_shortly_before_its_end() -> None:
    transport = wire(ANSWER, {**ANSWER, "access_token": "new"})
    caller, auth = Caller(transport), credentials(leeway=60)
    first = await token(auth, caller)
    await asyncio.sleep(3539.0)
    assert await token(auth, caller) == first
    await asyncio.sleep(2.0)
    assert await token(auth, caller) == "new"
    assert transport.sends == 2


@pytest.mark.parametrize(
    ("expires_in", "good_at", "over_at"),
    [("100", 89.0, 91.0), (100.9, 89.0, 91.0), (0, None, 0.0), ("0", None, 0.0), (-7, None, 0.0),
     (None, 1e9, None), (10**400, 1e8, 1e9), (1e300, 1e8, 1e9)],
)  # fmt: skip
@virtual_time
async def test_how_long_it_lasts(expires_in: Any, good_at: float | None, over_at: float | None) -> None:
    transport = wire({**ANSWER, "expires_in": expires_in})
    caller, auth = Caller(transport), credentials()
    await token(auth, caller)
    if good_at is not None:
        await asyncio.sleep(good_at)
        await token(auth, caller)
        assert transport.sends == 1
    if over_at is not None:
        await asyncio.sleep(over_at - now())
        await token(auth, caller)
        assert transport.sends == 2


@virtual_time
async def test_it_is_repeated_like_any_call_and_has_a_breaker_of_its_own() -> None:
    transport = wire(503, ApiNetworkError("reset", sent=True), ANSWER)
    client = ApiClient(transport, breaker_threshold=3)
    watch = Watch(client.events)
    assert await token(credentials(), client) == ANSWER["access_token"]
    assert (transport.sends, watch.last(CallFinished).attempts) == (3, 3)
    assert {event.endpoint for event in watch.events} == {"oauth2-token"}

    transport = wire(500)
    client = ApiClient(transport, breaker_threshold=2, base_url="https://api.test")
    auth = credentials()
    for kind in (ApiCircuitOpenError, ApiCircuitOpenError):
        with pytest.raises(kind):
            await token(auth, client)
    assert transport.sends == 2
    assert client.runtimes == {}  # it is no endpoint of the user's


@virtual_time
async def test_it_waits_for_no_permit_of_its_client() -> None:
    transport = wire(ANSWER)
    client = ApiClient(transport, max_in_flight=1, auth=credentials(), base_url="https://api.test")
    results = await asyncio.gather(*(client.call_api("/users") for _ in range(5)))
    assert (results, now()) == ([{"ok": True}] * 5, 0.0)


@virtual_time
async def test_it_carries_no_credentials_of_its_client_and_no_hook_sees_it() -> None:
    from rxorch.client import BaseRequestHook

    seen: list[str] = []

    class Hook(BaseRequestHook):
        async def before(self, request: Any) -> None:
            seen.append(request.url)
            request.headers = {**(request.headers or {}), "X-Key": "k"}

        async def after(self, request: Any, response: Any) -> None: ...

    transport = wire(ANSWER)
    auth = credentials(client_auth="body", origins="https://id.test")  # even if they are of one origin
    client = ApiClient(transport, auth=auth, hooks=[Hook()])
    await client.call_api("https://id.test/users")
    asked, called = transport.calls
    assert {"Authorization", "X-Key"}.isdisjoint(asked.headers)
    assert called.headers["Authorization"] == f"Bearer {ANSWER['access_token']}"
    assert seen == ["https://id.test/users"]


def form_of(request: Request) -> str:
    assert isinstance(request.body, bytes)
    return request.body.decode()


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_new_refresh_token_takes_the_place_of_the_old_one(issuer: Issued, is_async: bool) -> None:
    issuer.rotates = True
    told: list[str] = []

    async def store(text: str) -> None:
        await asyncio.sleep(0)
        told.append(text)

    auth = refreshing(issuer.url, on_rotated=store if is_async else told.append)
    async with ApiClient() as client:
        await token(auth, client)
        assert told == [f"{REFRESH}-1"]
        kept = await sent(auth, client)
        assert auth.refused(kept) is True
        assert await token(auth, client) == issuer.token
    assert told == [f"{REFRESH}-1", f"{REFRESH}-2"]
    assert [form["refresh_token"] for form in issuer.forms] == [REFRESH, f"{REFRESH}-1"]


@pytest.mark.parametrize("again", [None, REFRESH])
@virtual_time
async def test_without_a_new_one_the_old_one_stays(again: str | None) -> None:
    told: list[str] = []
    transport = wire({**ANSWER, "expires_in": 0, "refresh_token": again})
    caller, auth = Caller(transport), refreshing(on_rotated=told.append)
    await token(auth, caller)
    await token(auth, caller)
    assert told == []
    assert [f"refresh_token={REFRESH}" in form_of(request) for request in transport.calls] == [True, True]


@virtual_time
async def test_who_could_not_store_it_is_told_again_before_it_is_used() -> None:
    told: list[str] = []

    def store(text: str) -> None:
        told.append(text)
        if len(told) < 3:
            raise OSError("disk full")

    transport = wire({**ANSWER, "refresh_token": "r1"}, {**ANSWER, "access_token": "new"})
    caller, auth = Caller(transport), refreshing(on_rotated=store)
    for _ in range(2):
        with pytest.raises(ApiError, match="OSError"):
            await token(auth, caller)
    assert (told, transport.sends) == (["r1", "r1"], 1)
    assert await token(auth, caller) == "new"
    assert told == ["r1"] * 3 and "refresh_token=r1" in form_of(transport.calls[1])


@virtual_time
async def test_one_that_came_is_not_lost_with_those_who_waited() -> None:
    hold = Hold()

    async def slow(_: str) -> None:
        await hold.wait()

    transport = wire({**ANSWER, "refresh_token": "r1"}, {**ANSWER, "access_token": "new"})
    caller, auth = Caller(transport), refreshing(on_rotated=slow)
    task = asyncio.create_task(token(auth, caller))
    while not hold.waiting:
        await turns(1)
    task.cancel()
    await asyncio.wait([task])
    hold.answer()
    assert await token(auth, caller) == "new"
    assert "refresh_token=r1" in form_of(transport.calls[1])


@virtual_time
async def test_a_refresh_token_is_used_on_one_loop_at_a_time() -> None:
    hold = Hold()
    auth = refreshing()
    task = asyncio.create_task(token(auth, Caller(FakeTransport({"oauth2-token": hold}))))
    while not hold.waiting:
        await turns(1)
    with pytest.raises(ApiConfigurationError, match="another event loop"):
        run_virtual(token(auth, Caller(wire(ANSWER))))
    hold.answer(ANSWER)
    await task
    assert run_virtual(token(auth, Caller(wire({**ANSWER, "access_token": "other"})))) == "other"


CODES = [
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope", "access_denied", "server_error", "temporarily_unavailable",
]  # fmt: skip


@pytest.mark.parametrize("status", [200, 400, 401, 403])
@pytest.mark.parametrize("code", CODES)
@virtual_time
async def test_a_refusal_names_the_code_and_nothing_else(status: int, code: str) -> None:
    transport = wire(reply(status, {"error": code, "error_description": NAMED * 99, "error_uri": KEY}))
    with pytest.raises(ApiError, match=rf"the token endpoint refused: {code} ") as caught:
        await token(credentials(), Caller(transport))
    error = caught.value
    assert (error.endpoint, error.attempts, transport.sends) == ("oauth2-token", 1, 1)
    if status != 200:
        assert isinstance(error, ApiHttpError) and (error.status_code, error.body) == (status, "")


@pytest.mark.parametrize("code", [KEY, "invalid_token", "", 7, ["invalid_client"], {"a": NAMED}])
@pytest.mark.parametrize("status", [200, 400])
@virtual_time
async def test_a_code_of_its_own_is_not_quoted(status: int, code: Any) -> None:
    with pytest.raises(ApiError, match="for a reason that RFC 6749 does not list") as caught:
        await token(credentials(), Caller(wire(reply(status, {"error": code}))))
    assert KEY not in str(caught.value) and NAMED not in str(caught.value)


@virtual_time
async def test_a_server_in_trouble_is_an_error_of_http() -> None:
    for answer, kind in ((404, ApiHttpError), (429, ApiRateLimitError), (reply(400, "x"), ApiHttpError)):
        with pytest.raises(kind, match="HTTP"):
            await token(credentials(), Caller(wire(answer)))


MALFORMED: list[Any] = [
    {},
    [],
    "abc",
    7,
    None,
    {"access_token": KEY},
    {**ANSWER, "access_token": None},
    {**ANSWER, "access_token": ""},
    {**ANSWER, "access_token": 7},
    {**ANSWER, "access_token": f"{KEY}\r\nX: 1"},
    {**ANSWER, "access_token": f" {KEY}"},
    {**ANSWER, "token_type": "mac"},
    {**ANSWER, "token_type": None},
    {**ANSWER, "token_type": {"a": KEY}},
    {**ANSWER, "expires_in": KEY},
    {**ANSWER, "expires_in": [3600]},
    {**ANSWER, "scope": {"a": KEY}},
    {**ANSWER, "refresh_token": 7},
    {**ANSWER, "refresh_token": f"{KEY}\n"},
]


@pytest.mark.parametrize("answer", MALFORMED, ids=range(len(MALFORMED)))
@virtual_time
async def test_an_answer_that_is_no_token(answer: Any) -> None:
    told: list[str] = []
    auth = refreshing(on_rotated=told.append)
    with pytest.raises(ApiError, match=r"token|JSON") as caught:
        await token(auth, Caller(wire(reply(200, answer))))
    shown = Exposure()
    shown.error(caught.value)
    assert shown.leaks == [] and told == []


@pytest.mark.parametrize(
    "content", [b"{", b"", b"\xff", b"[" * 100_000, b'{"expires_in": NaN}', KEY.encode()]
)
@virtual_time
async def test_an_answer_that_is_no_json(content: bytes) -> None:
    from rxorch import Response

    with pytest.raises(ApiValidationError, match="JSON") as caught:
        await token(credentials(), Caller(wire(Response(200, content))))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("kind", ["bearer", "BEARER", "Bearer"])
@virtual_time
async def test_the_case_of_bearer_does_not_matter(kind: str) -> None:
    assert (await sent(credentials(), Caller(wire({**ANSWER, "token_type": kind})))).headers == {
        "Authorization": f"Bearer {ANSWER['access_token']}"
    }


@virtual_time
async def test_another_scope_than_was_asked_for_is_taken() -> None:
    await token(credentials(scope="a b"), Caller(wire({**ANSWER, "scope": "a"})))


async def test_a_redirect_is_not_followed(loopback: ServeLoopback) -> None:
    thief: list[Any] = []
    away = await loopback({"/token": lambda request: thief.append(request) or ANSWER})
    moved = await loopback(
        {"/token": lambda request: web.Response(status=307, headers={"Location": f"{away.url}/token"})}
    )
    async with ApiClient(follow_redirects=True) as client:
        with pytest.raises(ApiHttpError, match="redirects are not followed"):
            await token(credentials(f"{moved.url}/token"), client)
    assert thief == []


@pytest.mark.parametrize(
    "url",
    [
        "http://id.test/token",
        "http://localhost.evil.test/token",
        "http://localhost@evil.test/token",
        "http://127.0.0.1.evil.test/",
        "ftp://localhost/token",
        "/token",
        "",
        None,
        7,
        "https://",
        f"https://me:{KEY}@id.test/token",
        "https://id.test/token#x",
        f"https://id.test:{KEY}/",
    ],
)
def test_secrets_are_sent_by_https_or_not_at_all(url: Any) -> None:
    for make in (credentials, refreshing):
        with pytest.raises(ApiConfigurationError, match=r"^token_url: ") as caught:
            make(url)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/t", "http://127.0.0.2/", "http://[::1]:8080/", "HTTPS://id.test/{a}"]
)
def test_on_this_machine_http_will_do_and_braces_are_no_template(url: str) -> None:
    assert repr(credentials(url)) == "<OAuth2ClientCredentials>"


MISTAKES: dict[str, Callable[[], Any]] = {
    "client_auth": lambda: credentials(client_auth="jwt"),
    "client_id": lambda: OAuth2ClientCredentials(URL_OF_TOKENS, "", KEY),
    "client_id: give": lambda: OAuth2ClientCredentials(URL_OF_TOKENS, None, KEY),  # type: ignore[arg-type]
    "client_secret": lambda: OAuth2ClientCredentials(URL_OF_TOKENS, "a", f"{KEY}\n"),
    "client_secret: give": lambda: refreshing(secret=7),
    "client_secret: empty": lambda: refreshing(secret="\ud800"),
    "refresh_token": lambda: OAuth2RefreshToken(URL_OF_TOKENS, SecretStr(""), "a"),
    "scope": lambda: credentials(scope=7),
    "scope: give": lambda: credentials(scope=["a", 7]),
    "extra: give": lambda: credentials(extra="a=b"),
    "extra: resource": lambda: credentials(extra={"resource": 7}),
    "extra: grant_type": lambda: credentials(extra={"grant_type": KEY}),
    "extra: body": lambda: credentials(extra={"body": KEY}),
    "extra: audience": lambda: credentials(extra={"audience": KEY}, audience="b"),
    "audience": lambda: credentials(audience=7),
    "leeway": lambda: credentials(leeway=-1),
    "origins": lambda: credentials(origins=["api"]),
    "on_rotated": lambda: refreshing(on_rotated="store"),
}


@pytest.mark.parametrize("field", MISTAKES)
def test_mistakes_are_named_when_it_is_made(field: str) -> None:
    with pytest.raises(ApiConfigurationError, match=field) as caught:
        MISTAKES[field]()
    assert KEY not in str(caught.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("oauthlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ApiConfigurationError, match=r'OAuth2RefreshToken needs .*"rxorch\[oauth\]"'):
        refreshing()


def test_it_shows_no_secret_and_is_not_pickled() -> None:
    for auth in (
        credentials(extra={"client_assertion": KEY}),
        credentials(client_auth="body", audience="x"),
        refreshing(secret=NAMED),
    ):
        shown = Exposure()
        shown.show(auth)
        shown.text("vars", repr(vars(auth)))
        assert shown.leaks == []
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(auth)


REFUSALS: dict[str, Any] = {
    "refused": reply(401, {"error": "invalid_client", "error_description": f"{NAMED} {KEY}"}),
    "refused with 200": reply(200, {"error": KEY, "error_description": NAMED}),
    "text": reply(500, NAMED),
    "throttled": reply(429, {"error": KEY}, {"Retry-After": "1"}),
    "no token": {"token_type": "Bearer", "scope": KEY, "id_token": NAMED},
    "wrong type": {**ANSWER, "token_type": NAMED},
    "unfit": {**ANSWER, "access_token": f"{KEY}\n"},
    "no number": {**ANSWER, "expires_in": NAMED},
    "network": ApiNetworkError("the connection was reset", sent=True),
    "fine": {**ANSWER, "refresh_token": f"{KEY}-1"},
}


@pytest.mark.parametrize("case", REFUSALS)
@virtual_time
async def test_no_secret_is_shown_on_any_way(case: str) -> None:
    shown = Exposure()
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append  # type: ignore[method-assign]
    root = logging.getLogger()
    before, root.level = root.level, logging.DEBUG
    root.addHandler(handler)
    try:
        for make in (lambda: credentials(client_auth="body"), lambda: refreshing(secret=SECRET)):
            client = ApiClient(wire(REFUSALS[case]), base_url="https://api.test", auth=make())
            watch = Watch(client.events)
            try:
                await client.call_api("/users")
            except ApiError as error:
                shown.error(error)
                # Not even where nobody looks: what stands behind an error is kept by tools that report them.
                for each in chain(error):
                    if each.__context__ is not None:
                        shown.error(each.__context__)
            else:
                assert case == "fine"
            shown.show(*watch.events, *client.loose_runtimes, *client.loose_runtimes.values())
    finally:
        root.removeHandler(handler)
        root.level = before
    for record in records:
        shown.text("log", logging.Formatter().format(record))
    assert shown.leaks == []
