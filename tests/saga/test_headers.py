"""The headers of a saga's requests: idempotency key, workflow id, trace."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rxorch import APIEndpoint
from rxorch.saga import Saga, SagaState, Step
from tests.saga.dying import Dying
from tests.saga.journals import Journals
from tests.saga.services import QUICK, Services

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-01")
KEY, WORKFLOW, TRACE = "Idempotency-Key", "X-Workflow-Id", "traceparent"


def fails(data: Any) -> None:
    raise ValueError("this never works")


def trace_ids(services: Services) -> set[str]:
    found = [TRACEPARENT.fullmatch(text or "") for text in services.headers(TRACE)]
    assert all(found)
    return {each[1] for each in found if each is not None}


async def test_keys_name_run_and_step_and_whether_it_is_undone(services: Services) -> None:
    async with Saga("order", [services.step("a"), services.step("b"), Step(fails)]) as saga:
        await saga.execute({}, run_id="r-1")
    assert services.headers(KEY) == ["r-1:a", "r-1:b", "r-1:b:undo", "r-1:a:undo"]
    assert services.headers(WORKFLOW) == ["r-1"] * 4
    assert len(trace_ids(services)) == 1


async def test_they_are_the_same_over_restarts(journals: Journals, services: Services) -> None:
    services.answers = {"b": [503], "undo a": [503, 503]}
    # The endpoint repeats, the saga repeats, and two processes do.
    again = services.step("b", retry_count=1, retry_delay=0.001, retry_on=[503])
    steps: list[Any] = [services.step("a"), Step(again, retriable=True), Step(fails)]
    for writes in (3, 5):  # dies in b, then in the undoing
        dying = Dying(journals.one, writes)
        async with Saga("order", steps, journal=dying, undo=QUICK, recovery=QUICK) as saga:
            await saga.start({}, run_id="r")
            await dying.died.wait()
        journals.clock.now += 100
    async with Saga("order", steps, journal=journals.one, undo=QUICK, recovery=QUICK) as saga:
        (run,) = await saga.resume()
        assert (await run).state is SagaState.COMPENSATED
        record = await saga.status("r")
    keys = dict(zip(services.asked, services.headers(KEY), strict=True))
    assert len(services.asked) > len(keys)
    assert keys == {"a": "r:a", "b": "r:b", "undo b": "r:b:undo", "undo a": "r:a:undo"}
    for text, key in zip(services.asked, services.headers(KEY), strict=True):
        assert key == keys[text]
    assert set(services.headers(WORKFLOW)) == {"r"}
    assert trace_ids(services) == {record.trace_id}


async def test_each_run_has_a_trace_of_its_own(services: Services) -> None:
    async with Saga("order", [services.step("a")]) as saga:
        await saga.execute()
        await saga.execute()
    assert len(trace_ids(services)) == 2


@pytest.mark.parametrize("name", ["X-Correlation-ID", None])
async def test_the_workflow_header_may_have_another_name_or_be_left_out(
    name: str | None, services: Services
) -> None:
    async with Saga("order", [services.step("a"), Step(fails)], workflow_header=name) as saga:
        await saga.execute({}, run_id="r")
    assert services.headers(WORKFLOW) == [None, None]
    if name is not None:
        assert services.headers(name) == ["r", "r"]
    assert len(trace_ids(services)) == 1


async def test_an_endpoint_keeps_headers_of_its_own(services: Services) -> None:
    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    mine = {"x-workflow-id": "mine", "idempotency-key": "{n}", "TraceParent": trace}
    async with Saga("order", [services.step("a", headers=mine)]) as saga:
        await saga.execute({"n": 7}, run_id="r")
    assert services.headers(WORKFLOW) == ["mine"]
    assert services.headers(KEY) == ["7"]
    assert services.headers(TRACE) == [trace]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
async def test_every_method_that_may_change_something_has_a_key(method: str, services: Services) -> None:
    body: Any = None if method == "GET" else {}
    endpoint = services.step("a", method=method, body=body, undo=False)
    keyless = APIEndpoint(name="b", method="POST", url=endpoint.url, idempotency_key=None)
    services.bodies["a"] = {}
    services.effects["none 0"] = "a"  # without a key nothing is read
    async with Saga("order", [endpoint, keyless]) as saga:
        await saga.execute({}, run_id="r")
    assert services.headers(KEY)[0] == (None if method == "GET" else "r:a")
    assert services.headers(KEY)[1] is None
    assert services.headers(WORKFLOW) == ["r", "r"]
