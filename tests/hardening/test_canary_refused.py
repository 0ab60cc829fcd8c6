"""What is refused before anything is sent is refused without a word of what was in it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from rxorch import APIEndpoint
from rxorch.endpoint import Caller
from rxorch.errors import ApiError
from tests.hardening.canary import DATA, KEY, NAMED, SAFE, Exposure, Secretive, loaded
from tests.support.fake_transport import FakeTransport

REFUSED: dict[str, dict[str, Any]] = {
    "user info": {"url": f"https://me:{SAFE}@shop.test/"},
    "user": {"url": f"https://{SAFE}@shop.test/"},
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
        exposure.text("traceback", "".join(traceback.format_exception(caught.value)))
    assert exposure.leaks == []


UNFIT: dict[str, tuple[dict[str, Any], Any]] = {
    "nothing": ({}, {}),
    "None": ({}, None),
    "a text": ({}, NAMED),
    "a list": ({}, {**DATA, "key": [KEY]}),
    "a mapping": ({}, {**DATA, "named": {"a": NAMED}}),
    "an object": ({}, {**DATA, "named": Secretive()}),
    "line end": ({}, {**DATA, "named": NAMED + "\r\n"}),
    "control character": ({}, {**DATA, "key": KEY + "\0"}),
    "way up": ({}, {**DATA, "key": ".."}),
    "lone surrogate": ({}, {**DATA, "key": KEY + "\ud800"}),
    "host": ({"url": "https://{named}.test"}, DATA),
    "host that is an address": ({"url": "https://{key}.{n}x"}, {**DATA, "n": "0"}),
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
    fields: dict[str, Any], data: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exposure, transport = Exposure(), FakeTransport()
    with pytest.raises(ApiError) as caught:
        await Caller(transport).call(loaded(**{"url": "https://shop.test", **fields}), data)
    exposure.error(caught.value)
    exposure.text("log", caplog.text)
    assert exposure.leaks == []
    assert transport.sends == 0
