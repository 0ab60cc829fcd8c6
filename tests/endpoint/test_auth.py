"""Credentials on requests: what is written where, to whom it goes, and that no secret is shown."""

from __future__ import annotations

import copy
import pickle
from base64 import b64decode
from typing import Any

import pytest
from pydantic import SecretStr
from yarl import URL

from rxorch import APIEndpoint
from rxorch.endpoint.auth import AllAuth, ApiKeyAuth, Auth, BasicAuth, BearerAuth, bound
from rxorch.endpoint.caller import Caller
from rxorch.endpoint.tokens import Token
from rxorch.errors import ApiConfigurationError, ApiError
from rxorch.http import Request
from rxorch.http.headers import FrozenHeaders
from rxorch_operators.testing import virtual_time
from tests.hardening.canary import KEY, NAMED, Exposure
from tests.support.fake_transport import FakeTransport

HOME = "https://api.example.com"
CALLER = Caller(FakeTransport())


def request_to(url: str = f"{HOME}/users", headers: dict[str, str] | None = None) -> Request:
    return Request("GET", URL(url, encoded=True), FrozenHeaders(headers or {"Accept": "*/*"}))


async def authorized(auth: Auth, request: Request | None = None) -> Request:
    request = request_to() if request is None else request
    await auth.authorize(request, CALLER)
    return request


async def fetched() -> str:
    return "fetched"


@pytest.mark.parametrize(
    "secret",
    ["abc", SecretStr("abc"), lambda: "abc", lambda: SecretStr("abc"), lambda: Token("abc", expires_in=9)],
)
@virtual_time
async def test_a_secret_may_come_in_many_forms(secret: Any) -> None:
    assert (await authorized(BearerAuth(secret))).headers == {"Accept": "*/*", "Authorization": "Bearer abc"}
    assert (await authorized(ApiKeyAuth("X-Key", secret))).headers["X-Key"] == "abc"
    basic = (await authorized(BasicAuth("ada", secret))).headers["Authorization"]
    assert b64decode(basic.removeprefix("Basic ")) == b"ada:abc"


@virtual_time
async def test_an_async_provider_is_awaited() -> None:
    assert (await authorized(BearerAuth(fetched))).headers["Authorization"] == "Bearer fetched"


@virtual_time
async def test_shared_headers_stay_as_they_are_and_an_older_value_gives_way() -> None:
    shared = FrozenHeaders({"authorization": "Bearer old"})
    request = await authorized(BearerAuth("new"), Request("GET", URL(HOME), shared))
    assert request.headers == {"Authorization": "Bearer new"}
    assert shared == {"authorization": "Bearer old"}


@virtual_time
async def test_basic_is_utf8_and_may_have_an_empty_password() -> None:
    request = await authorized(BasicAuth("zoë", "pä:ss"))
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == "zoë:pä:ss"
    request = await authorized(BasicAuth(SecretStr(KEY), ""))
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == f"{KEY}:"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"{HOME}/x", f"{HOME}/x?k%20y=a%26b%3D%2B%25"),
        (f"{HOME}/x?q=a%2Fb&r", f"{HOME}/x?q=a%2Fb&r&k%20y=a%26b%3D%2B%25"),
        (f"{HOME}/a%2Fb?k%20=1&ky=2", f"{HOME}/a%2Fb?k%20=1&ky=2&k%20y=a%26b%3D%2B%25"),
    ],
)
@virtual_time
async def test_a_key_in_the_query_is_encoded_and_the_rest_stays_byte_for_byte(url: str, sent: str) -> None:
    request = await authorized(ApiKeyAuth("k y", "a&b=+%", "query"), request_to(url))
    assert str(request.url) == sent
    assert request.url.query["k y"] == "a&b=+%"
    assert "%26" not in repr(request)


@pytest.mark.parametrize("query", ["key=1", "a=1&key=", "a=1&k%65y=2", "key"])
@virtual_time
async def test_a_key_in_the_query_replaces_nothing(query: str) -> None:
    with pytest.raises(ApiConfigurationError, match="'key' is in the url already") as caught:
        await authorized(ApiKeyAuth("key", NAMED.replace("/", "-"), "query"), request_to(f"{HOME}/?{query}"))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "a\r\nX-Admin: 1", "a\n", " a", "a\tb", "\ud800", "a\u200bb", "\x00", "é"]
)
@pytest.mark.parametrize("place", ["header", "query"])
def test_what_no_header_may_hold_is_refused_by_the_name_of_its_field(text: str, place: Any) -> None:
    for make, field in ((BearerAuth, "token"), (lambda value: ApiKeyAuth("X-Key", value, place), "value")):
        for given in (f"{KEY}{text}" if text and text != " a" else text, SecretStr(text)):
            with pytest.raises(ApiConfigurationError, match=f"^{field}: ") as caught:
                make(given)
            assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: BearerAuth(7), "token"),  # type: ignore[arg-type]
        (lambda: BearerAuth(b"abc"), "token"),  # type: ignore[arg-type]
        (lambda: BearerAuth("abc", scheme="a b\n"), "scheme"),
        (lambda: BearerAuth(lambda needed: "abc"), "token"),  # type: ignore[misc]
        (lambda: BearerAuth(fetched, leeway=-1), "leeway"),
        (lambda: BearerAuth(fetched, leeway=float("nan")), "leeway"),
        (lambda: BearerAuth("abc", origins=[]), "origins"),
        (lambda: BasicAuth("a:b", KEY), "user"),
        (lambda: BasicAuth("a", f"{KEY}\n"), "password"),
        (lambda: BasicAuth("a", f"{KEY}\ud800"), "password"),
        (lambda: BasicAuth(7, KEY), "user"),  # type: ignore[arg-type]
        (lambda: BasicAuth("a", None), "password"),  # type: ignore[arg-type]
        (lambda: ApiKeyAuth("a b", KEY), "header name"),
        (lambda: ApiKeyAuth("Host", KEY), "Host"),
        (lambda: ApiKeyAuth("", KEY, "query"), "name"),
        (lambda: ApiKeyAuth("k", KEY, "cookie"), "place"),  # type: ignore[arg-type]
        (lambda: Token(KEY, expires_in="soon"), "expires_in"),  # type: ignore[arg-type]
        (lambda: Token(KEY, expires_in=float("nan")), "expires_in"),
        (AllAuth, "AllAuth"),
        (lambda: AllAuth("abc"), "AllAuth"),  # type: ignore[arg-type]
    ],
)
def test_mistakes_are_named_when_it_is_made(make: Any, field: str) -> None:
    with pytest.raises(ApiConfigurationError, match=field) as caught:
        make()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("given", [f"{KEY}\n", "", None, 7, b"abc", Token(f"{KEY}\r\nX: 1")])
@virtual_time
async def test_a_provider_that_gives_no_token_is_an_error_without_it(given: Any) -> None:
    for auth in (BearerAuth(lambda: given), ApiKeyAuth("X-Key", lambda: given)):
        request = request_to()
        with pytest.raises(ApiError, match="no usable token") as caught:
            await auth.authorize(request, CALLER)
        shown = Exposure()
        shown.error(caught.value)
        assert shown.leaks == []
        assert request.headers == {"Accept": "*/*"}


ALL: list[Any] = [
    BearerAuth(KEY),
    BearerAuth(lambda: KEY),
    BasicAuth(KEY, NAMED),
    ApiKeyAuth("X-Key", NAMED),
    ApiKeyAuth("key", KEY, "query", origins=HOME),
    AllAuth(BearerAuth(KEY), ApiKeyAuth("X-Key", NAMED)),
    bound(BearerAuth(KEY), [HOME]),
    Token(KEY, expires_in=3),
]


@pytest.mark.parametrize("thing", ALL, ids=repr)
def test_no_secret_is_shown(thing: Any) -> None:
    shown = Exposure()
    shown.show(thing)
    shown.text("format", f"{thing:}")
    if hasattr(thing, "__dict__"):
        shown.text("vars", repr(vars(thing)))
    if isinstance(thing, Auth):
        endpoint = APIEndpoint(name="x", url=HOME, auth=thing)
        shown.show(endpoint)
        shown.text("dump", repr(endpoint.model_dump()))
    assert shown.leaks == []


@pytest.mark.parametrize("thing", ALL, ids=repr)
def test_it_is_not_pickled_and_a_copy_is_itself(thing: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled") as caught:
            pickle.dumps(thing, protocol)
        assert KEY not in str(caught.value)
    assert copy.copy(thing) is thing and copy.deepcopy(thing) is thing
    if isinstance(thing, Auth):
        assert APIEndpoint(name="x", url=HOME, auth=thing).model_copy(deep=True).auth is thing


AWAY = ["https://evil.test/", "http://api.example.com/", f"{HOME}:444/", f"{HOME}@evil.test/", "/users"]


@pytest.mark.parametrize(
    "auth",
    [
        BearerAuth("abc", origins=HOME),
        ApiKeyAuth("key", "abc", "query", origins=[HOME, "https://b.test"]),
        bound(BasicAuth("a", "b"), [HOME]),
        bound(AllAuth(BearerAuth("abc"), ApiKeyAuth("X-Key", "k")), f"{HOME}/v1"),
    ],
    ids=repr,
)
@virtual_time
async def test_it_goes_to_its_origins_and_leaves_other_requests_alone(auth: Any) -> None:
    for url in AWAY:
        request = request_to(url)
        headers = request.headers
        await auth.authorize(request, CALLER)
        assert request.headers is headers and str(request.url) == url
        assert auth.refused(request) is False
    at_home = await authorized(auth)
    assert at_home.headers != {"Accept": "*/*"} or at_home.url.query_string


@virtual_time
async def test_a_provider_is_not_even_asked_for_another_origin() -> None:
    asked: list[str] = []
    auth = BearerAuth(lambda: asked.append("x") or "abc", origins=HOME)  # type: ignore[func-returns-value]
    await authorized(auth, request_to("https://evil.test/"))
    assert asked == []


@virtual_time
async def test_a_refusal_from_elsewhere_costs_no_token() -> None:
    asked: list[str] = []
    auth = BearerAuth(lambda: asked.append("x") or "abc", origins=HOME)  # type: ignore[func-returns-value]
    await authorized(auth)
    forged = request_to("https://evil.test/", {"Authorization": "Bearer abc"})
    assert auth.refused(forged) is False
    await authorized(auth)
    assert asked == ["x"]


@virtual_time
async def test_for_a_fixed_secret_there_is_no_other() -> None:
    for auth in (BearerAuth("a"), BasicAuth("a", "b"), ApiKeyAuth("k", "a", "query")):
        assert auth.refused(await authorized(auth)) is False


@virtual_time
async def test_a_refused_token_is_found_wherever_it_stands() -> None:
    auths: list[Auth] = []
    for make in (
        lambda provider: BearerAuth(provider, scheme="Token"),
        lambda provider: BasicAuth("ada", provider),
        lambda provider: ApiKeyAuth("x-key", provider),
        lambda provider: ApiKeyAuth("k y", provider, "query"),
        lambda provider: bound(BearerAuth(provider), HOME),
    ):
        numbers = iter(range(9))
        auth = make(lambda numbers=numbers: f"a+b/{next(numbers)}=")
        auths.append(auth)
        first = await authorized(auth)
        kept = await authorized(auth)
        assert (first.headers, first.url) == (kept.headers, kept.url)
        assert auth.refused(kept) is True
        renewed = await authorized(auth)
        assert (kept.headers, kept.url) != (renewed.headers, renewed.url)
    assert len(auths) == 5


@virtual_time
async def test_a_request_without_the_token_says_nothing_about_it() -> None:
    numbers = iter(range(9))
    auth = BearerAuth(lambda: f"t{next(numbers)}")
    await authorized(auth)
    for headers in ({}, {"Authorization": "Basic t0"}):
        assert auth.refused(request_to(headers=headers)) is False
    assert (await authorized(auth)).headers["Authorization"] == "Bearer t0"


@virtual_time
async def test_all_of_them_are_put_on_and_any_of_them_may_be_renewed() -> None:
    numbers = iter(range(9))
    auth = AllAuth(BearerAuth(lambda: f"t{next(numbers)}"), ApiKeyAuth("X-Key", "k"))
    await authorized(auth)
    request = await authorized(auth)
    assert (request.headers["Authorization"], request.headers["X-Key"]) == ("Bearer t0", "k")
    assert auth.refused(request) is True
    assert (await authorized(auth)).headers["Authorization"] == "Bearer t1"
    assert AllAuth(BearerAuth("a"), ApiKeyAuth("X-Key", "k")).refused(request) is False


@virtual_time
async def test_two_that_want_the_same_header_are_a_mistake() -> None:
    with pytest.raises(ApiConfigurationError, match="same header"):
        await authorized(AllAuth(BearerAuth("a"), BasicAuth("a", "b")))


def test_what_all_of_them_name_are_their_origins() -> None:
    home = BearerAuth("a", origins=HOME)
    assert AllAuth(home, bound(ApiKeyAuth("k", "v"), HOME)).origins == home.origins
    assert AllAuth(home, ApiKeyAuth("k", "v")).origins is None
