"""The figures and the logs of an orchestrator: exact, and without secrets."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rxorch import (
    ApiNetworkError,
    APIOrchestrationConfig,
    APIOrchestrator,
)
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, api, apis, in_turn, orchestrate, reply, turns

# -- figures -------------------------------------------------------------------------------------------


@virtual_time
async def test_the_figures_are_exact() -> None:
    script = {
        "fine": {},
        "again": in_turn(500, {}),
        "bad": 404,
        "handled": 404,
        "lost": ApiNetworkError("reset", sent=True),
    }
    orchestrator = orchestrate(
        api("fine", cache_ttl=60.0),
        api("again", retry_delay=2.0, retry_jitter="none"),
        api("bad"),
        api("handled", error_handler=lambda error: None),
        api("lost", method="POST"),
        api("off", condition=lambda data: False),
        transport=FakeTransport(script),
    )
    await orchestrator.execute()
    await orchestrator.execute()  # `fine` from memory, `again` at once
    figures = orchestrator.get_metrics()
    assert (figures.total_requests, figures.calls, figures.retries, figures.cache_hits) == (10, 10, 1, 1)
    assert (figures.successes, figures.errors, figures.degraded) == (6, 4, 2)
    assert (figures.success_rate, figures.error_rate) == (60.0, 0.4)
    assert figures.avg_latency == pytest.approx(200.0)  # one call of 2 s, nine of nothing
    assert dict(figures.errors_by_type) == {"ApiHttpError": 2, "ApiNetworkError": 2}
    assert list(figures.endpoints) == ["fine", "again", "bad", "handled", "lost"]
    again = figures.endpoints["again"]
    assert (again.total_requests, again.calls, again.retries, again.avg_latency) == (3, 2, 1, 1000.0)
    assert again.p99 == pytest.approx(2000.0, rel=0.01)
    assert figures.endpoints["fine"].cache_hits == 1 and figures.endpoints["fine"].total_requests == 1


async def test_requests_are_counted_as_they_were_sent() -> None:
    transport = FakeTransport({"a": in_turn(500, 503, {})})
    orchestrator = orchestrate(api("a", retry_delay=0.0), transport=transport)
    await orchestrator.execute()
    assert orchestrator.get_metrics().total_requests == transport.sends == 3


async def test_a_cancelled_call_is_a_request_and_no_call() -> None:
    orchestrator = orchestrate(api("a"), transport=FakeTransport({"a": Hold()}))
    task = asyncio.create_task(orchestrator.execute())
    await turns()
    task.cancel()
    await asyncio.wait([task])
    figures = orchestrator.get_metrics()
    assert (figures.total_requests, figures.calls, figures.error_rate, figures.success_rate) == (
        1,
        0,
        0.0,
        100.0,
    )


async def test_an_order_cut_off_is_an_error_called_unknown() -> None:
    orchestrator = orchestrate(api("a", method="POST"), transport=FakeTransport({"a": Hold()}))
    task = asyncio.create_task(orchestrator.execute())
    await turns()
    task.cancel()
    await asyncio.wait([task])
    figures = orchestrator.get_metrics()
    assert (figures.calls, figures.errors, dict(figures.errors_by_type)) == (1, 1, {"unknown": 1})


async def test_it_may_be_told_not_to_count() -> None:
    orchestrator = orchestrate(api("a"), metrics_enabled=False)
    await orchestrator.execute()
    assert orchestrator.get_metrics().calls == 0
    assert orchestrator.events.kinds == frozenset()


async def test_a_snapshot_stays_as_it_is() -> None:
    orchestrator = orchestrate(api("a"))
    before = orchestrator.get_metrics()
    await orchestrator.execute()
    assert (before.calls, orchestrator.get_metrics().calls) == (0, 1)


# -- logs ----------------------------------------------------------------------------------------------


CANARY = "canary-4242"


async def test_the_log_tells_everything_but_secrets(caplog: pytest.LogCaptureFixture) -> None:
    endpoint = api(
        "pay",
        "http://shop.test/pay/{id}?api_key={secret}&page=2",
        method="POST",
        headers={"Authorization": "Bearer {secret}", "X-Api-Key": "{secret}", "X-Page": "2"},
        body=lambda data: {"card": data["secret"]},
        retry_delay=0.0,
    )
    transport = FakeTransport(
        {
            "pay": in_turn(
                503, ApiNetworkError(f"broken by {CANARY}", sent=False), reply(200, {"token": CANARY})
            )
        }
    )
    orchestrator = orchestrate(endpoint, transport=transport, log_requests=True, log_responses=True)
    with caplog.at_level(logging.INFO, "rxorch.requests"):
        result = await orchestrator.execute({"id": 7, "secret": CANARY})
    assert result.ok
    assert CANARY not in caplog.text
    lines = [record.message for record in caplog.records]
    assert len(lines) == 6  # three requests, and what came of each
    assert lines[0].startswith("pay: POST http://shop.test/pay/7?api_key=***&page=2 headers=")
    assert "'X-Page': '***'" in lines[0] and "body=22 bytes" in lines[0]
    assert "-> 503, 0 bytes" in lines[1]
    assert "failed: ApiNetworkError" in lines[3]
    assert "-> 200" in lines[5]


@pytest.mark.parametrize(
    ("requests", "responses", "lines"), [(True, False, 2), (False, True, 2), (False, False, 0)]
)
async def test_requests_and_answers_are_logged_as_told(
    caplog: pytest.LogCaptureFixture, requests: bool, responses: bool, lines: int
) -> None:
    orchestrator = orchestrate(*apis("ab"), log_requests=requests, log_responses=responses)
    with caplog.at_level(logging.DEBUG, "rxorch"):
        await orchestrator.execute()
    assert len(caplog.records) == lines
    assert all(("->" in record.message) == responses for record in caplog.records)


async def test_its_own_transport_is_logged_too(
    caplog: pytest.LogCaptureFixture, loopback: ServeLoopback
) -> None:
    server = await loopback({"GET /": {"fine": True}})
    config = APIOrchestrationConfig(endpoints=[api("a", server.url)], log_requests=True, log_responses=True)
    with caplog.at_level(logging.INFO, "rxorch.requests"):
        await APIOrchestrator(config).execute()
    assert len(caplog.records) == 2
