"""Security schemes and credentials."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from rxorch import ApiClient, ApiConfigurationError
from rxorch.client.oauth2 import OAuth2ClientCredentials
from rxorch.endpoint.auth import Auth
from rxorch.endpoint.caller import Caller
from rxorch.http import Request
from rxorch.openapi import SecurityScheme, endpoints_from_openapi
from tests.openapi.building import described
from tests.support.loopback import Loopback

SCHEMES = {
    "token": {"type": "http", "scheme": "Bearer", "description": "ask for it"},
    "login": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "query", "name": "api_key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "oauth": {
        "type": "oauth2",
        "flows": {
            "clientCredentials": {"tokenUrl": "https://a.example.com/token", "scopes": {"read": "to read"}}
        },
    },
    "digest": {"type": "http", "scheme": "digest"},
    "odd": {"typ": "?"},
}
PATHS = {
    "/default": {"get": {"operationId": "default"}},
    "/open": {"get": {"operationId": "open", "security": []}},
    "/either": {"get": {"operationId": "either", "security": [{"key": []}, {"token": []}]}},
    "/both": {"get": {"operationId": "both", "security": [{"key": [], "token": []}]}},
    "/login": {"get": {"operationId": "login", "security": [{"login": []}]}},
    "/cookie": {"get": {"operationId": "cookie", "security": [{"cookie": []}]}},
    "/oauth": {"get": {"operationId": "oauth", "security": [{"oauth": ["read"]}]}},
    "/optional": {"get": {"operationId": "optional", "security": [{}, {"key": []}]}},
}


class Named(Auth):
    """Credentials that put their name on the request."""

    def __init__(self, name: str, known: bool = False) -> None:
        self.name = name
        self.known = known
        self.told = 0

    async def authorize(self, request: Request, caller: Caller) -> None:
        request.headers = {**request.headers, f"X-{self.name}": "yes"}

    def refused(self, request: Request) -> bool:
        self.told += 1
        return self.known


def secured(**options: Any) -> Any:
    raw = described(PATHS, security=[{"token": []}])
    return endpoints_from_openapi({**raw, "components": {"securitySchemes": SCHEMES}}, **options)


def test_the_schemes_are_described() -> None:
    schemes = secured().security
    assert schemes["token"] == SecurityScheme("token", "bearer", description="ask for it")
    assert schemes["key"] == SecurityScheme("key", "api key", "query", "api_key")
    assert schemes["oauth"] == SecurityScheme(
        "oauth", "oauth2", token_url="https://a.example.com/token", scopes=(("read", "to read"),)
    )
    assert [schemes[name].kind for name in ("login", "cookie", "digest", "odd")] == [
        "basic",
        "api key",
        "other",
        "other",
    ]


def test_credentials_go_to_the_operations_that_need_them() -> None:
    token, key = Named("token"), Named("key")
    endpoints = secured(credentials={"token": token, "key": key})
    assert (endpoints["default"].auth, endpoints["open"].auth) == (token, None)
    assert (endpoints["either"].auth, endpoints["optional"].auth) == (key, key)
    only_token = secured(credentials={"token": token})
    assert [only_token[name].auth for name in ("either", "both", "optional")] == [token, None, None]


async def test_secrets_go_where_the_schemes_say() -> None:
    async with Loopback({"/both": {}, "/default": {}, "/open": {}, "/login": {}, "/cookie": {}}) as server:
        secrets = {
            "token": lambda: "t&",
            "key": "k&",
            "login": ("ada", SecretStr("pw")),
            "cookie": SecretStr("c"),
        }
        endpoints = secured(credentials=secrets, server=server.url)
        async with ApiClient() as client:
            for name in ("both", "default", "open", "login", "cookie"):
                await client.call(endpoints[name])
    sent = [
        (each.path, each.headers.get("Authorization"), each.headers.get("Cookie")) for each in server.seen
    ]
    assert sent == [
        ("/both?api_key=k%26", "Bearer t&", None),
        ("/default", "Bearer t&", None),
        ("/open", None, None),
        ("/login", "Basic YWRhOnB3", None),
        ("/cookie", None, "sid=c"),
    ]


def test_oauth_2_is_a_token_or_a_client() -> None:
    assert repr(secured(credentials={"oauth": "o"})["oauth"].auth) == "<BearerAuth>"
    client = secured(credentials={"oauth": ("id", "s3cret")})["oauth"].auth
    assert isinstance(client, OAuth2ClientCredentials)


def test_missing_credentials_may_be_an_error() -> None:
    with pytest.raises(
        ApiConfigurationError, match="credentials: endpoint 'both' needs those of 'key' with 'token'"
    ):
        secured(credentials={"token": Named("t")}, require_credentials=True)
    endpoints = secured(credentials={name: Named(name) for name in SCHEMES}, require_credentials=True)
    assert endpoints["open"].auth is None


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ({"tokn": "s3cret"}, "credentials: no security scheme 'tokn'; there are token, login"),
        ({"login": "s3cret"}, "credentials: 'login' is a pair (user, password)"),
        ({"token": ("s3cret",)}, "credentials: 'token' is a text, or an Auth"),
        ({"digest": "s3cret"}, "credentials: 'digest' is no scheme that is known here"),
    ],
)
def test_wrong_credentials(credentials: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiConfigurationError) as caught:
        secured(credentials=credentials)
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


ELSEWHERE = {
    "/here": {"get": {"operationId": "here"}},
    "/there": {"get": {"operationId": "there", "servers": [{"url": "https://evil.example.com"}]}},
    "/port": {"get": {"operationId": "port"}, "servers": [{"url": "https://api.example.com:8443"}]},
    "/plain": {"get": {"operationId": "plain", "servers": [{"url": "http://api.example.com"}]}},
    "/same": {"get": {"operationId": "same", "servers": [{"url": "https://API.example.com:443/v2"}]}},
}


def scattered(**options: Any) -> Any:
    raw = described(ELSEWHERE, security=[{"token": []}])
    components = {"securitySchemes": {"token": SCHEMES["token"]}}
    return endpoints_from_openapi({**raw, "components": components}, **options)


def test_credentials_go_to_the_main_server_only() -> None:
    endpoints = scattered(credentials={"token": "s3cret"})
    assert [name for name in endpoints if endpoints[name].auth is not None] == ["here", "same"]
    more = scattered(credentials={"token": "s3cret"}, credential_origins=["https://evil.example.com/x"])
    assert [name for name in more if more[name].auth is not None] == ["here", "there", "same"]
    chosen = scattered(credentials={"token": "s3cret"}, server="https://other.example.com")
    assert all(endpoint.auth is not None for endpoint in chosen.values())
    with pytest.raises(ApiConfigurationError, match="endpoint 'there' is on another server; if they may"):
        scattered(credentials={"token": "s3cret"}, require_credentials=True)
    with pytest.raises(ApiConfigurationError, match="no host"):
        scattered(credential_origins="example.com")


@pytest.mark.parametrize("value", [*("a/", "a?", "a#", "x@a", "{id}", "a\\", "a\n", "a\x00", "a b")])
@pytest.mark.parametrize("given", [True, False])
def test_a_variable_cannot_leave_its_place_in_the_host(value: str, given: bool) -> None:
    variables = {"host": {"default": "a" if given else value}}
    servers = [{"url": "https://{host}.example.com/{host}", "variables": variables}]
    with pytest.raises(ApiConfigurationError, match="the variable 'host' has characters"):
        endpoints_from_openapi(described({}, servers=servers), variables={"host": value} if given else None)


def test_variables_for_a_whole_server_and_in_paths() -> None:
    variables = {"site": {"default": "https://a.example.com:8443"}, "base": {"default": "v1/x"}}
    servers = [{"url": "{site}/{base}", "variables": variables}]
    raw = described({"/y": {"get": {"operationId": "y"}}}, servers=servers)
    assert endpoints_from_openapi(raw)["y"].url == "https://a.example.com:8443/v1/x/y"
    with pytest.raises(ApiConfigurationError, match="variables: 'site' is a text, not int"):
        endpoints_from_openapi(raw, variables={"site": 5})  # type: ignore[dict-item]


def with_cookies(*parameters: Any, **options: Any) -> Any:
    raw = described({"/a": {"get": {"operationId": "a", "parameters": list(parameters)}}})
    schemes = {name: {"type": "apiKey", "in": "cookie", "name": name} for name in ("sid", "csrf")}
    components = {"securitySchemes": schemes}
    return endpoints_from_openapi(
        {**raw, "components": components, "security": [{"sid": [], "csrf": []}]}, **options
    )


async def test_cookies_of_credentials_and_parameters_share_a_header() -> None:
    language = {"name": "lang", "in": "cookie", "schema": {"type": "string"}}
    async with Loopback({"/a": {}}) as server:
        secrets = {"sid": "s", "csrf": SecretStr("c")}
        endpoints = with_cookies(language, credentials=secrets, server=server.url)
        async with ApiClient() as client:
            await client.call(endpoints["a"], {"lang": "de"})
            await client.call(endpoints["a"], {})
    assert [each.headers.get("Cookie") for each in server.seen] == ["lang=de; sid=s; csrf=c", "sid=s; csrf=c"]


def test_what_no_cookie_can_have() -> None:
    for secret in ("s3cret; admin=1", "s3cret\n", "s3crét"):
        with pytest.raises(ApiConfigurationError, match="'sid' has what a cookie cannot have") as caught:
            with_cookies(credentials={"sid": secret})
        assert "s3c" not in str(caught.value)
    language = {"name": "lang", "in": "cookie", "schema": {}}
    for other in ({"name": "Cookie", "in": "header"}, {"name": "a=1; sid", "in": "cookie"}):
        assert list(with_cookies(language, other).skipped) == ["GET /a"]
