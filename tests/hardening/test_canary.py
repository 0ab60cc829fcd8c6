"""A secret put into every place where one may stand shows up nowhere."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import quote

import pytest
from pydantic import BaseModel, Discriminator, ValidationError
from yarl import URL

from rxorch import (
    ApiClient,
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    CircuitBreaker,
    OrchestrationMode,
    RateLimiter,
)
from rxorch.endpoint import Caller
from rxorch.errors import ApiError, ApiHttpError
from rxorch.events import CallFinished
from rxorch.http import AioHttpTransport, Request
from tests.hardening.canary import FORMS, KEY, NAMED, Exposure, Witness
from tests.hardening.shop import NOBODY, NOWHERE, Shop
from tests.http.raw import ok
from tests.http.test_faults import CHUNKED, LENGTH_10, OK, Talk, saying
from tests.support.watch import Watch

CLOSE = "Connection: close"
JSON = "Content-Type: application/json"
DATA = {"key": KEY, "named": NAMED, "card": {"number": NAMED, "cvc": KEY}}
SAID = (
    f"Set-Cookie: sid={NAMED}; Path=/",
    f"X-Whatever: {NAMED}",
    f"WWW-Authenticate: Bearer realm={KEY}",
    f"Location: http://me:{NAMED}@127.0.0.1/{KEY}?token={NAMED}",
    CLOSE,
)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class Zoo(BaseModel):
    pet: Annotated[Cat | Dog, Discriminator("kind")]


def echo(*lines: str, status: str = "200 OK", body: str = f'{{"said": "{NAMED}", "key": "{KEY}"}}') -> Talk:
    """An answer that gives away all it can."""
    return saying(ok(body.encode(), *lines, *SAID).replace(b"200 OK", status.encode()))


def loaded(url: str, **fields: Any) -> APIEndpoint:
    """An endpoint with a secret wherever one can be put."""
    settings: dict[str, Any] = {
        "name": "x",
        "url": f"{url}/v1/{{key}}/items?api_key={quote(NAMED, safe='')}&note={KEY}&token={{named}}",
        "method": "POST",
        "headers": {
            "Authorization": f"Bearer {NAMED}",
            "Cookie": f"sid={NAMED}",
            "X-Api-Key": "{named}",
            "X-Any": KEY,
            "X-Other": "{key}",
        },
        "params": {"password": "{named}", "sig": NAMED, "any": "{key}", "session": [NAMED, "{named}"]},
        "idempotency_key": "order-{key}",
        "retry_delay": 0,
        "retry_count": 1,
    }
    return APIEndpoint(**{**settings, **fields})


ANSWERS: dict[str, tuple[Talk, dict[str, Any]]] = {
    "json": (echo(JSON), {}),
    "text": (echo("Content-Type: text/plain"), {}),
    "bytes": (echo(), {}),
    "redirect": (echo(status="302 Found"), {}),
    "unauthorized": (echo(JSON, status="401 No"), {}),
    "too many": (echo(JSON, "Retry-After: 99999", status="429 No"), {}),
    "unavailable": (echo(JSON, status="503 No"), {}),
    "nonsense in Retry-After": (echo(f"Retry-After: {NAMED}", status="503 No"), {}),
    "bad JSON": (echo(JSON, body=f'{{"a": "{NAMED}'), {}),
    "bad JSON in a charset": (echo("Content-Type: application/json; charset=latin-1", body=NAMED), {}),
    "unknown charset": (echo(f'Content-Type: application/json; charset="{NAMED}"', body=NAMED), {}),
    "unknown coding": (echo(f"Content-Encoding: {NAMED}"), {}),
    "not gzip": (echo("Content-Encoding: gzip"), {}),
    "gzip, then more": (
        saying(ok(gzip.compress(b"x") + NAMED.encode(), "Content-Encoding: gzip", CLOSE)),
        {},
    ),
    "wrong type": (echo(JSON), {"model": list[int]}),
    "wrong value": (echo(JSON, body=f'{{"n": "{NAMED}"}}'), {"model": dict[str, int]}),
    "wrong tag": (echo(JSON, body=f'{{"pet": {{"kind": "{NAMED}"}}}}'), {"model": Zoo}),
    "wrong field": (echo(JSON, body=f'{{"pet": {{"kind": "cat", "lives": "{NAMED}"}}}}'), {"model": Zoo}),
    "wrong literal": (echo(JSON, body=f'"{NAMED}"'), {"model": Literal["a", "b"]}),
    "no such key": (echo(JSON), {"response_key": "a.b"}),
    "no such key in a text": (echo(JSON, body=f'"{NAMED}"'), {"response_key": "a.b"}),
    "no such key among keys": (echo(JSON, body=f'{{"{KEY}": 1}}'), {"response_key": "a"}),
    "too large": (echo(JSON, body=NAMED * 100), {"max_response_bytes": 100}),
    "cut short": (saying(LENGTH_10 + NAMED[:5].encode()), {}),
    "status line": (saying(f"HTTP/1.1 {NAMED} OK\r\n\r\n".encode(), end="wait"), {}),
    "other protocol": (saying(f"{KEY} {NAMED}\r\n\r\n".encode(), end="wait"), {}),
    "header without colon": (saying(OK + f"{KEY}\r\n\r\n".encode(), end="wait"), {}),
    "control character": (saying(OK + f"A: {NAMED}\0\r\n\r\n".encode(), end="wait"), {}),
    "long header": (saying(OK + b"A: " + NAMED.encode() * 9000 + b"\r\n\r\n", end="wait"), {}),
    "length": (saying(OK + f"Content-Length: {NAMED}\r\n\r\n".encode(), end="wait"), {}),
    "transfer coding": (saying(OK + f"Transfer-Encoding: {NAMED}\r\n\r\n".encode(), end="wait"), {}),
    "chunk size": (saying(CHUNKED, f"{NAMED}\r\n".encode(), end="wait"), {}),
    "no answer": (saying(), {}),
    "reset": (saying(end="reset"), {}),
    "attempt timeout": (saying(end="wait"), {"timeout": 0.01}),
    "total timeout": (saying(end="wait"), {"total_timeout": 0.01}),
    "each of no list": (echo(JSON), {"each": True}),
    "limiter": (echo(JSON), {"rate_limiter": RateLimiter(1, 60, max_wait=0, name="slow")}),
    "breaker": (echo(status="500 No"), {"circuit_breaker": CircuitBreaker(1)}),
    "nested too deeply": (echo(JSON), {"body": lambda _: nested(3000)}),
    "degraded": (echo(status="500 No"), {"error_handler": lambda _: {"substitute": NAMED}}),
    "cached": (echo(JSON), {"method": "GET", "cache_ttl": 60}),
    "form": (
        echo(JSON),
        {
            "headers": {"Content-Type": "application/x-www-form-urlencoded", "X-Auth": NAMED},
            "body": {"card": NAMED},
        },
    ),
    "text body": (echo(JSON), {"body": NAMED}),
    "unwritable body": (echo(JSON), {"body": lambda _: {"card": {NAMED}, "x": Secretive()}}),
    "query that breaks": (echo(JSON), {"params": lambda data: NAMED}),
    "value that breaks": (echo(JSON), {"params": lambda data: {"sig": [{"a": NAMED}]}}),
}


class Secretive:
    """An object whose every representation is a secret."""

    def __repr__(self) -> str:
        return NAMED


def nested(depth: int) -> Any:
    value: Any = NAMED
    for _ in range(depth):
        value = [value]
    return value


async def expose_runs(shop: Shop, endpoint: APIEndpoint, caplog: pytest.LogCaptureFixture) -> Exposure:
    """Run an endpoint in every way there is, and gather what is shown of it."""
    caplog.set_level(logging.DEBUG)
    exposure = Exposure()
    after = APIEndpoint(name="y", url=shop.url + "/y", depends_on=["x"], condition=lambda _: False)
    config = APIOrchestrationConfig(
        endpoints=[endpoint, after], mode=OrchestrationMode.HYBRID, log_requests=True, log_responses=True
    )
    witness = Witness(shop.transport)
    orchestrator = APIOrchestrator(config, transport=witness)
    watch = Watch(orchestrator.events)
    result = await orchestrator.execute(DATA)
    runs = [run async for run in orchestrator.stream([DATA, DATA])]
    client = ApiClient(witness)
    client_watch = Watch(client.events)
    factory = client.observe(endpoint.model_copy(update={"each": False}))
    try:
        await factory(DATA)
    except ApiError as error:
        exposure.error(error)
    for error in [*result.errors.values(), *(run.error for run in runs if run.error is not None)]:
        exposure.error(error)
    exposure.show(endpoint, config, orchestrator, orchestrator.flow, orchestrator.get_metrics(), result)
    exposure.show(result.skipped, result.errors, orchestrator.breakers, client, factory)
    exposure.show(*witness.seen, *watch.events, *client_watch.events, *result.events)
    for record in caplog.records:
        exposure.text("log", record.getMessage() + repr(record.args) + str(record.exc_text))
    exposure.text("log", caplog.text)
    assert len(watch.of(CallFinished, endpoint="x")) == 3
    return exposure


@pytest.mark.parametrize(("talk", "fields"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_nothing_is_shown_of_a_call_and_its_answer(
    talk: Talk, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with Shop(talk) as shop:
        exposure = await expose_runs(shop, loaded(shop.url, **fields), caplog)
    assert exposure.leaks == []
    assert len(exposure) > 30


@pytest.mark.parametrize("lookup", [NOBODY, NOWHERE])
async def test_nothing_is_shown_of_a_call_that_finds_nobody(
    lookup: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Shop(saying(), lookups=[lookup]) as shop:
        exposure = await expose_runs(shop, loaded(shop.named_url), caplog)
    assert exposure.leaks == []


async def test_a_full_bulkhead_and_a_cancelled_call() -> None:
    exposure = Exposure()
    async with Shop(saying(end="wait")) as shop:
        client = ApiClient(shop.transport, max_in_flight=1)
        watch = Watch(client.events)
        calls = [asyncio.ensure_future(client.call(loaded(shop.url, timeout=20), DATA)) for _ in range(30)]
        await shop.until_requests(1)
        for call in calls:
            call.cancel()
        for call in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(call, BaseException)
            exposure.error(call)
        exposure.show(*watch.events)
    assert exposure.leaks == []


async def test_what_an_http_error_keeps_of_the_answer_is_its_data_only() -> None:
    async with Shop(echo(status="500 No", body=NAMED * 1000)) as shop:
        with pytest.raises(ApiHttpError) as caught:
            await Caller(shop.transport).call(loaded(shop.url), DATA)
    error = caught.value
    assert len(error.body) == 500
    assert error.body.startswith(NAMED)
    assert error.headers["x-whatever"] == NAMED
    exposure = Exposure()
    exposure.error(error)
    assert exposure.leaks == []


REFUSED: dict[str, dict[str, Any]] = {
    "user info": {"url": f"https://me:{NAMED}@shop.test/"},
    "user": {"url": f"https://{NAMED}@shop.test/"},
    "other scheme": {"url": f"ftp://shop.test/{KEY}"},
    "no scheme": {"url": f"shop.test/{KEY}"},
    "fragment": {"url": f"https://shop.test/#{KEY}"},
    "port": {"url": f"https://shop.test:{KEY}/"},
    "single brace": {"url": f"https://shop.test/?token={NAMED}{{"},
    "bad placeholder": {"url": f"https://shop.test/{{{KEY}!r}}"},
    "placeholder for the port": {"url": f"https://shop.test:{{port}}/{KEY}"},
    "header with line end": {"headers": {"Authorization": f"{NAMED}\r\nX: {KEY}"}},
    "header that is no text": {"headers": {"Authorization": [NAMED]}},
    "headers that are a text": {"headers": f"Authorization: {NAMED}"},
    "header with its value in its name": {"headers": {f"Authorization: Bearer {NAMED}": ""}},
    "header with a brace": {"headers": {"Authorization": f"{NAMED} {{"}},
    "header given twice": {"headers": {"X-Api-Key": NAMED, "x-api-key": KEY}},
    "framing header": {"headers": {"Content-Length": NAMED}},
    "proxy credentials": {"headers": {"Proxy-Authorization": NAMED}},
    "params that are a text": {"params": f"token={NAMED}"},
    "params of the wrong kind": {"params": {"token": {"a": NAMED}}},
    "params with a brace": {"params": {"token": f"{NAMED}{{"}},
    "body that is async": {"body": asyncio.sleep},
    "timeout": {"timeout": NAMED},
    "retry count": {"retry_count": NAMED},
    "retry on": {"retry_on": NAMED},
    "jitter": {"retry_jitter": NAMED},
    "key with line end": {"idempotency_key": f"{NAMED}\n"},
    "key twice": {"idempotency_key": NAMED, "headers": {"Idempotency-Key": NAMED}},
    "model": {"model": NAMED},
    "breaker": {"circuit_breaker": NAMED},
    "limiter": {"rate_limiter": NAMED},
    "condition": {"condition": NAMED},
    "path": {"response_key": f"{NAMED}.."},
    "name": {"name": NAMED + " "},
    "unknown field": {"token": NAMED},
    "depends on": {"depends_on": [NAMED + " "]},
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED.keys())
def test_an_endpoint_that_is_refused(fields: dict[str, Any]) -> None:
    given = {"name": "x", "url": "https://shop.test/", **fields}
    exposure = Exposure()
    makers: list[Callable[[], Any]] = [
        lambda: APIEndpoint(**given),
        lambda: APIEndpoint(name="x", url="https://shop.test/").model_copy(update=fields),
        lambda: APIEndpoint.model_validate(given),
    ]
    for make in makers:
        with pytest.raises(ValidationError) as caught:
            make()
        exposure.show(caught.value, caught.value.errors(), caught.value.json())
        exposure.text("traceback", "".join(traceback_of(caught.value)))
    assert exposure.leaks == []


def traceback_of(error: BaseException) -> list[str]:
    import traceback

    return traceback.format_exception(error)


UNFIT: dict[str, tuple[dict[str, Any], Any]] = {
    "nothing": ({}, {}),
    "None": ({}, None),
    "a text": ({}, NAMED),
    "a list": ({}, {**DATA, "key": [KEY]}),
    "a mapping": ({}, {**DATA, "named": {"a": NAMED}}),
    "an object": ({}, {**DATA, "named": Secretive()}),
    "line end": ({}, {**DATA, "named": NAMED + "\r\n"}),
    "control character": ({}, {**DATA, "key": KEY + "\0"}),
    "way up": ({}, {**DATA, "key": f"../{KEY}"}),
    "lone surrogate": ({}, {**DATA, "key": KEY + "\ud800"}),
    "host": ({"url": "https://{named}.test/"}, DATA),
    "host that is an address": ({"url": "https://{key}.0x7f.{n}/"}, {**DATA, "n": 1}),
    "params": ({"params": {"token": "{card}"}}, DATA),
    "header": ({"headers": {"X-Api-Key": "{card}"}}, DATA),
    "key": ({"idempotency_key": lambda _: [NAMED]}, DATA),
    "form": (
        {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": lambda data: data},
        DATA,
    ),
    "NaN in the body": ({"body": lambda _: {NAMED: float("nan")}}, DATA),
    "surrogate in the body": ({"body": NAMED + "\ud800"}, DATA),
}


@pytest.mark.parametrize(("fields", "data"), UNFIT.values(), ids=UNFIT.keys())
async def test_an_input_that_is_refused(
    fields: dict[str, Any], data: Any, transport: AioHttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exposure = Exposure()
    with pytest.raises(ApiError) as caught:
        await Caller(transport).call(loaded("https://shop.test", **fields), data)
    exposure.error(caught.value)
    exposure.text("log", caplog.text)
    assert exposure.leaks == []
    assert transport.sends == 0


async def test_a_request_by_hand(transport: AioHttpTransport) -> None:
    exposure = Exposure()
    async with Shop(saying()) as shop:
        secret = quote(NAMED, safe="")
        urls = [
            shop.url.replace("http://", f"http://me:{secret}@") + f"/{KEY}?token={secret}#{secret}",
            f"ftp://me:{secret}@shop.test/",
            f"http://me:{secret}@/",
        ]
        for url in urls:
            request = Request("GET", URL(url, encoded=True), {"Authorization": f"{KEY}"}, NAMED.encode())
            exposure.show(request)
            with pytest.raises(ApiError) as caught:
                await shop.transport.send(request)
            exposure.error(caught.value)
        request = Request("GET", URL(shop.url), {"Authorization": f"{NAMED}\n"})
        with pytest.raises(ApiError) as caught:
            await shop.transport.send(request)
        exposure.error(caught.value)
        request = Request("GET", URL(shop.url), {f"Authorization: {NAMED}": ""})
        with pytest.raises(ApiError) as caught:
            await shop.transport.send(request)
        exposure.error(caught.value)
    assert exposure.leaks == []


def test_the_canary_is_found_where_it_sings() -> None:
    error = ApiError(f"no luck with {NAMED}", url=f"http://x/{KEY}")
    error.add_note(f"{NAMED.encode().hex()}")
    exposure = Exposure()
    exposure.error(error)
    kinds = {leak.partition(":")[0].partition(" of")[0] for leak in exposure.leaks}
    assert kinds == {"str", "repr", "attributes", "pickle", "traceback"}
    assert all(form not in repr(DATA) for form in FORMS - {KEY, NAMED})
