"""A secret in every input place of the request layer shows up nowhere: requests, hooks, credentials."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from rxorch import IOMetrics
from rxorch.client import (
    AioHttpClient,
    AllAuth,
    ApiClient,
    ApiError,
    ApiKeyAuth,
    ApiRequestModel,
    BaseRequestHook,
    BasicAuth,
    BearerAuth,
    CircuitBreaker,
    OAuth2ClientCredentials,
    OAuth2RefreshToken,
    RetryRequestStrategy,
    Token,
    bound,
)
from rxorch.http import LoggedTransport, StreamedBody
from tests.conftest import ServeLoopback
from tests.hardening.canary import FORMS, KEY, NAMED, SAFE, Exposure
from tests.hardening.shop import Shop
from tests.hardening.test_canary import ANSWERS
from tests.http.test_faults import Talk, saying
from tests.support.fake_transport import api
from tests.support.watch import Watch

ODD = "q"
"""A name of a parameter that gives nothing away."""


class Secrets(BaseRequestHook):
    """Puts secrets everywhere, and may fail with one in its local variables."""

    keeps_identity = True

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def before(self, request: Any) -> None:
        token = f"Bearer {NAMED}"
        request.headers = {**(request.headers or {}), "X-Hook": token, "Cookie": f"sid={NAMED}"}
        request.params = {**(request.params or {}), "session": NAMED}
        if self.error is not None:
            raise self.error


async def provided() -> Token:
    return Token(NAMED.strip("="), expires_in=60)


def failing() -> str:
    raise ConnectionError("the vault is closed")


AUTHS: dict[str, Callable[[], Any]] = {
    "bearer": lambda: BearerAuth(KEY),
    "basic": lambda: BasicAuth("me", NAMED),
    "header": lambda: ApiKeyAuth("X-Any", NAMED),
    "query": lambda: ApiKeyAuth(ODD, NAMED, "query"),
    "provider": lambda: BearerAuth(provided),
    "provider in the query": lambda: ApiKeyAuth(ODD, provided, "query"),
    "all": lambda: AllAuth(BearerAuth(KEY), ApiKeyAuth("X-Any", NAMED)),
}
TALKS = {name: talk for name, (_, talk, fields) in ANSWERS.items() if not fields}


async def expose(
    client: ApiClient, url: str, exposure: Exposure, metrics: IOMetrics, *, timeout: float = 20.0
) -> None:
    """Make a request with secrets in it, and one by an endpoint, and show what can be seen of it."""
    watch = Watch(client.events)
    client.events.subscribe(metrics.on_event)
    arguments: dict[str, Any] = {
        "url": url.replace("http://", f"http://me:{SAFE}@") + f"/{KEY}?api_key={SAFE}&note={KEY}",
        "method": "PUT",
        "headers": {"Authorization": f"Bearer {NAMED}", "X-Any": NAMED, "Cookie": f"sid={NAMED}"},
        "params": {"password": NAMED, "token": [NAMED, KEY]},
        "timeout": timeout,
    }
    bodies: list[dict[str, Any]] = [
        {"json_payload": {"card": NAMED}},
        {"data": {"card": NAMED}},
        {"data": NAMED},
        {"data": StreamedBody(lambda: [NAMED.encode()])},
    ]
    for body in bodies:
        exposure.show(ApiRequestModel(**arguments, **body))
        try:
            await client.call_api(**arguments, **body)
        except ApiError as error:
            exposure.error(error)
    try:
        await client.call(api("x", url + "/v1", retry_delay=0, timeout=timeout))
    except ApiError as error:
        exposure.error(error)
    exposure.show(*watch.events, client, client.strategy, client.strategy.__dict__, metrics.snapshot())
    exposure.show(client.defaults.auth, *client.loose_runtimes, *client.runtimes)


def logged(caplog: pytest.LogCaptureFixture, exposure: Exposure) -> None:
    for record in caplog.records:
        exposure.text("log", record.getMessage() + repr(record.args) + str(record.exc_text))
    exposure.text("log", caplog.text)


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS.keys())
async def test_nothing_is_shown_of_a_request(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    exposure = Exposure()
    async with Shop(talk) as shop:
        strategy = RetryRequestStrategy(
            http=LoggedTransport(shop.transport),
            hooks=[Secrets()],
            breaker=CircuitBreaker(max_failures=3),
            max_retries=1,
            backoff=0,
        )
        async with ApiClient(strategy=strategy) as client:
            brief = 0.02 if talk == TALKS["status line"] else 20.0
            await expose(client, shop.url, exposure, IOMetrics(), timeout=brief)
    logged(caplog, exposure)
    assert exposure.leaks == []


@pytest.mark.parametrize("make", AUTHS.values(), ids=AUTHS.keys())
@pytest.mark.parametrize("name", ["json", "unauthorized", "unavailable", "reset", "redirect", "bad JSON"])
async def test_nothing_is_shown_of_credentials(
    make: Callable[[], Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exposure = Exposure()
    async with Shop(TALKS[name]) as shop:
        auth = make()
        exposure.show(auth, bound(auth, [shop.url]))
        strategy = RetryRequestStrategy(http=LoggedTransport(shop.transport), max_retries=1, backoff=0)
        client = ApiClient(strategy=strategy, base_url=shop.url, auth=auth, follow_redirects=True)
        async with client:
            await expose(client, shop.url, exposure, IOMetrics())
        endpoint = api("own", shop.url, auth=auth, retry_count=0)
        exposure.show(endpoint)
        async with ApiClient(LoggedTransport(shop.transport)) as other:
            try:
                await other.call(endpoint)
            except ApiError as error:
                exposure.error(error)
    logged(caplog, exposure)
    assert exposure.leaks == []


@pytest.mark.parametrize("grant", ["client credentials", "refresh token"])
@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": KEY, "token_type": "Bearer", "expires_in": 60, "refresh_token": NAMED},
        {"access_token": KEY, "token_type": "mac"},
        {"access_token": KEY},
        {"error": "invalid_client", "error_description": NAMED},
        {"error": NAMED, "error_description": KEY},
        [NAMED],
        400,
        401,
        500,
    ],
)
async def test_nothing_is_shown_of_an_oauth_token(
    loopback: ServeLoopback, grant: str, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exposure = Exposure()

    async def token(_: web.Request) -> web.Response:
        if isinstance(answer, int):
            return web.Response(status=answer, text=NAMED)
        return web.json_response(answer, status=400 if "error" in answer else 200)

    server = await loopback({"/token": token, "/{rest:.*}": 401})
    auth: Any
    if grant == "client credentials":
        auth = OAuth2ClientCredentials(f"{server.url}/token", "shop", NAMED, extra={"resource": KEY})
    else:
        auth = OAuth2RefreshToken(f"{server.url}/token", NAMED, "shop", KEY, client_auth="body")
    exposure.show(auth)
    async with ApiClient(base_url=server.url, auth=auth) as client:
        await expose(client, server.url, exposure, IOMetrics())
    logged(caplog, exposure)
    assert exposure.leaks == []


@pytest.mark.parametrize("error", [ValueError("no luck"), ApiError("no luck")])
async def test_nothing_is_shown_when_a_hook_or_a_provider_fails(error: Exception) -> None:
    exposure = Exposure()
    async with Shop(TALKS["json"]) as shop:
        for settings in ({"hooks": [Secrets(error)]}, {}):
            auth = None if settings else BearerAuth(failing)
            strategy = RetryRequestStrategy(http=shop.transport, **settings)
            async with ApiClient(strategy=strategy, base_url=shop.url, auth=auth) as client:
                with pytest.raises((ValueError, ApiError, ConnectionError)) as caught:
                    await client.call_api(f"/x?token={SAFE}", headers={"X-Any": NAMED})
            exposure.error(caught.value)
    assert exposure.leaks == []


async def test_nothing_is_shown_of_a_proxy(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    exposure = Exposure()
    async with Shop(saying()) as shop:
        proxy = shop.url.replace("http://", f"http://me:{SAFE}@")
        http = AioHttpClient(proxy=proxy)
        exposure.show(http)
        async with ApiClient(strategy=RetryRequestStrategy(http=http, max_retries=0)) as client:
            for url in ("http://shop.test/x", "https://shop.test/x"):
                with pytest.raises(ApiError) as caught:
                    await client.call_api(url)
                exposure.error(caught.value)
    logged(caplog, exposure)
    assert exposure.leaks == []


def test_nothing_is_shown_by_asyncio_in_debug_mode() -> None:
    """Its log of slow callbacks and its tracebacks show what tasks were made of."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("asyncio")
    log.addHandler(handler)

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0
        async with Shop(TALKS["unavailable"]) as shop:
            strategy = RetryRequestStrategy(http=shop.transport, hooks=[Secrets()], max_retries=0)
            async with ApiClient(strategy=strategy) as client:
                with pytest.raises(ApiError):
                    await client.call_api(f"{shop.url}/?token={SAFE}", "POST", json_payload={"card": NAMED})

    try:
        asyncio.run(main(), debug=True)
    finally:
        log.removeHandler(handler)
    assert stream.getvalue()
    assert not any(form in stream.getvalue() for form in FORMS)
