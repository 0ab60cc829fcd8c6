"""A secret put into every place where one may stand shows up nowhere."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Discriminator
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
from rxorch.errors import (
    ApiCircuitOpenError,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiProtocolError,
    ApiRateLimitError,
    ApiResponseTooLargeError,
    ApiTimeoutError,
    ApiValidationError,
)
from rxorch.events import CallFinished
from rxorch.http import Request
from tests.hardening.canary import DATA, FORMS, KEY, NAMED, SAFE, Exposure, Secretive, Witness, loaded
from tests.hardening.shop import NOBODY, NOWHERE, Shop
from tests.http.raw import ok
from tests.http.test_faults import CHUNKED, GZIP, LENGTH_10, OK, ZIPPED, Talk, saying
from tests.support.watch import Watch

CLOSE = "Connection: close"
FINE = OK.decode()
JSON = "Content-Type: application/json"
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


def spoken(text: str, end: str = "wait") -> Talk:
    """Says this much, whatever it is asked."""
    return saying(text.encode(), end=end)


def nested(depth: int) -> Any:
    value: Any = NAMED
    for _ in range(depth):
        value = [value]
    return value


ANSWERS: dict[str, tuple[type[ApiError] | None, Talk, dict[str, Any]]] = {
    "json": (None, echo(JSON), {}),
    "text": (None, echo("Content-Type: text/plain"), {}),
    "bytes": (None, echo(), {}),
    "redirect": (ApiHttpError, echo(status="302 Found"), {}),
    "unauthorized": (ApiHttpError, echo(JSON, status="401 No"), {}),
    "too many": (ApiRateLimitError, echo(JSON, "Retry-After: 99999", status="429 No"), {}),
    "unavailable": (ApiHttpError, echo(JSON, status="503 No"), {}),
    "nonsense in Retry-After": (ApiHttpError, echo(f"Retry-After: {NAMED}", status="503 No"), {}),
    "bad JSON": (ApiValidationError, echo(JSON, body=f'{{"a": "{NAMED}'), {}),
    "bad JSON in a charset": (ApiValidationError, echo(f"{JSON}; charset=utf-16", body=NAMED + "."), {}),
    "unknown charset": (ApiValidationError, echo(f'{JSON}; charset="{NAMED}"', body=NAMED), {}),
    "unknown coding": (ApiProtocolError, echo(f"Content-Encoding: {NAMED}"), {}),
    "not gzip": (ApiProtocolError, echo(GZIP), {}),
    "gzip, then more": (ApiProtocolError, saying(ok(ZIPPED + NAMED.encode(), GZIP, CLOSE)), {}),
    "wrong type": (ApiValidationError, echo(JSON), {"model": list[int]}),
    "wrong value": (ApiValidationError, echo(JSON, body=f'{{"n": "{NAMED}"}}'), {"model": dict[str, int]}),
    "wrong tag": (ApiValidationError, echo(JSON, body=f'{{"pet": {{"kind": "{NAMED}"}}}}'), {"model": Zoo}),
    "wrong field": (
        ApiValidationError,
        echo(JSON, body=f'{{"pet": {{"kind": "cat", "lives": "{NAMED}"}}}}'),
        {"model": Zoo},
    ),
    "wrong literal": (ApiValidationError, echo(JSON, body=f'"{NAMED}"'), {"model": Literal["a", "b"]}),
    "no such key": (ApiValidationError, echo(JSON), {"response_key": "a.b"}),
    "no such key in a text": (ApiValidationError, echo(JSON, body=f'"{NAMED}"'), {"response_key": "a.b"}),
    "no such key among keys": (ApiValidationError, echo(JSON, body=f'{{"{KEY}": 1}}'), {"response_key": "a"}),
    "too large": (ApiResponseTooLargeError, echo(JSON, body=NAMED * 100), {"max_response_bytes": 100}),
    "cut short": (ApiNetworkError, saying(LENGTH_10 + NAMED[:5].encode()), {}),
    "status line": (ApiProtocolError, spoken(f"HTTP/1.1 {NAMED} OK\r\n\r\n"), {}),
    "other protocol": (ApiProtocolError, spoken(f"{KEY} {NAMED}\r\n\r\n"), {}),
    "header without colon": (ApiProtocolError, spoken(f"{FINE}{KEY}\r\n\r\n"), {}),
    "control character": (ApiProtocolError, spoken(f"{FINE}A: {NAMED}\0\r\n\r\n"), {}),
    "long header": (ApiProtocolError, spoken(f"{FINE}A: {NAMED * 9000}\r\n\r\n"), {}),
    "length": (ApiProtocolError, spoken(f"{FINE}Content-Length: {NAMED}\r\n\r\n"), {}),
    "transfer coding": (
        ApiProtocolError,
        spoken(f"{FINE}Transfer-Encoding: {NAMED}\r\n\r\n", end="finish"),
        {},
    ),
    "chunk size": (ApiProtocolError, saying(CHUNKED, f"{NAMED}\r\n".encode(), end="wait"), {}),
    "no answer": (ApiNetworkError, saying(), {}),
    "reset": (ApiNetworkError, saying(end="reset"), {}),
    "attempt timeout": (ApiTimeoutError, spoken(""), {"timeout": 0.01}),
    "total timeout": (ApiTimeoutError, spoken(""), {"total_timeout": 0.01}),
    "each of no list": (ApiValidationError, echo(JSON), {"each": True}),
    "limiter": (
        ApiRateLimitError,
        echo(JSON),
        {"rate_limiter": RateLimiter(1, 60, name="slow"), "total_timeout": 20},
    ),
    "breaker": (ApiCircuitOpenError, echo(status="500 No"), {"circuit_breaker": CircuitBreaker(1)}),
    "deep body": (ApiValidationError, echo(JSON), {"body": lambda _: nested(3000)}),
    "degraded": (None, echo(status="500 No"), {"error_handler": lambda _: {"substitute": NAMED}}),
    "cached": (None, echo(JSON), {"method": "GET", "cache_ttl": 60}),
    "form": (
        None,
        echo(JSON),
        {
            "headers": {"Content-Type": "application/x-www-form-urlencoded", "X-Auth": NAMED},
            "body": {"card": NAMED},
        },
    ),
    "text body": (None, echo(JSON), {"body": NAMED}),
    "unwritable body": (ApiValidationError, echo(JSON), {"body": lambda _: {"card": Secretive()}}),
    "query that breaks": (ApiValidationError, echo(JSON), {"params": lambda _: NAMED}),
    "value that breaks": (ApiValidationError, echo(JSON), {"params": lambda _: {"sig": [{"a": NAMED}]}}),
}


async def expose_runs(
    shop: Shop, endpoint: APIEndpoint, caplog: pytest.LogCaptureFixture
) -> tuple[Exposure, set[type[BaseException]]]:
    """Run an endpoint in every way there is; return what is shown of it, and the kinds of errors."""
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
    factory = client.observe(endpoint)
    errors = [*result.errors.values(), *(run.error for run in runs if run.error is not None)]
    try:
        await factory(DATA)
    except ApiError as error:
        errors.append(error)
    for error in errors:
        exposure.error(error)
    exposure.show(endpoint, config, orchestrator, orchestrator.flow, orchestrator.get_metrics(), result)
    exposure.show(result.skipped, result.errors, orchestrator.breakers, client, factory)
    exposure.show(*runs, runs, result.outcomes, *(run.outcomes for run in runs))
    exposure.show(*witness.seen, *watch.events, *client_watch.events, *result.events)
    for record in caplog.records:
        exposure.text("log", record.getMessage() + repr(record.args) + str(record.exc_text))
    exposure.text("log", caplog.text)
    assert len(watch.of(CallFinished, endpoint="x")) == 3
    return exposure, {type(error) for error in errors}


@pytest.mark.parametrize(("kind", "talk", "fields"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_nothing_is_shown_of_a_call_and_its_answer(
    kind: type[ApiError] | None, talk: Talk, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with Shop(talk) as shop:
        exposure, kinds = await expose_runs(shop, loaded(shop.url, **fields), caplog)
    assert exposure.leaks == []
    assert kind in kinds if kind else not kinds


@pytest.mark.parametrize("lookup", [NOBODY, NOWHERE])
async def test_nothing_is_shown_of_a_call_that_finds_nobody(
    lookup: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Shop(saying(), lookups=[lookup]) as shop:
        exposure, kinds = await expose_runs(shop, loaded(shop.named_url), caplog)
    assert exposure.leaks == []
    assert kinds == {ApiNetworkError}


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


async def test_a_request_by_hand() -> None:
    exposure = Exposure()
    async with Shop(saying()) as shop:
        urls = [
            shop.url.replace("http://", f"http://me:{SAFE}@") + f"/{KEY}?token={SAFE}#{SAFE}",
            f"ftp://me:{SAFE}@shop.test/",
            f"http://me:{SAFE}@/",
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
