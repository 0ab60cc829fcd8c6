"""`error_threshold`: which calls count, when it stops, and how it starts anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import (
    ApiNetworkError,
    APIOrchestrator,
    ErrorThresholdExceeded,
)
from tests.support.fake_transport import FakeTransport, Hold, api, apis, in_turn, orchestrate, turns


def failing(*statuses: Any, threshold: float = 0.1, at_least: int = 20, **fields: Any) -> APIOrchestrator:
    """Answers by turn; stops when more than a share of the calls failed."""
    return orchestrate(
        api("a", retry_count=0, circuit_breaker=False, **fields),
        transport=FakeTransport({"a": in_turn(*statuses)}),
        error_threshold=threshold,
        error_threshold_min_calls=at_least,
    )


async def calls_until_stopped(orchestrator: APIOrchestrator, at_most: int = 300) -> int:
    """How many runs went through before one was stopped; -1 if none was."""
    for count in range(at_most):
        try:
            await orchestrator.execute()
        except ErrorThresholdExceeded:
            return count
    return -1


@pytest.mark.parametrize(
    ("failures", "threshold", "at_least", "expected"),
    [
        ([404] * 50, 0.1, 20, 19),
        ([404] * 50, 0.0, 1, 0),
        ([404] * 50, 1.0, 1, -1),  # more than all cannot fail
        ([404] * 2 + [200] * 300, 0.1, 20, -1),  # 2 of 20 are not more than a tenth
        ([404] * 3 + [200] * 300, 0.1, 20, 19),
        ([200] * 18 + [404] * 3 + [200] * 300, 0.1, 20, 20),
        ([404] * 29 + [200] * 300, 0.29, 100, -1),  # though 0.29 * 100 is a little less than 29
        ([404] * 30 + [200] * 300, 0.29, 100, 99),
        ([200] * 100 + [404] * 11 + [200] * 300, 0.1, 20, 110),  # of the last 100
        ([200] * 100 + ([404] + [200] * 9) * 20, 0.1, 20, -1),
        ([200] * 150 + [404] * 50, 0.1, 150, 150 + 15),  # a longer memory where that many are asked for
    ],
)
async def test_more_than_the_threshold_of_the_recent_calls(
    failures: list[int], threshold: float, at_least: int, expected: int
) -> None:
    orchestrator = failing(*failures, threshold=threshold, at_least=at_least)
    assert await calls_until_stopped(orchestrator) == expected


async def test_the_error_has_the_counts_and_what_the_run_had_done() -> None:
    transport = FakeTransport({"b": 404})
    orchestrator = orchestrate(
        *apis("abc"), transport=transport, error_threshold=0.3, error_threshold_min_calls=2
    )
    with pytest.raises(ErrorThresholdExceeded) as caught:
        await orchestrator.execute()
    error = caught.value
    assert error.counts == {"ok": 1, "failed": 1}
    assert "1 of the last 2 calls failed" in str(error) and "error_threshold=0.3" in str(error)
    assert [str(outcome.status) for outcome in error.result.outcomes.values()] == [
        "ok",
        "failed",
        "cancelled",
    ]
    assert transport.names == ["a", "b"]


async def test_the_next_run_starts_clean() -> None:
    orchestrator = failing(*[404] * 100, at_least=5)
    assert [await calls_until_stopped(orchestrator) for _ in range(3)] == [4, 4, 4]


async def test_a_handled_error_does_not_count() -> None:
    assert await calls_until_stopped(failing(404, error_handler=lambda error: None), 50) == -1


async def test_a_skip_does_not_count() -> None:
    orchestrator = orchestrate(
        api("a", condition=lambda data: False), error_threshold=0.0, error_threshold_min_calls=1
    )
    assert await calls_until_stopped(orchestrator, 10) == -1


async def test_a_call_that_nobody_answered_counts() -> None:
    lost = ApiNetworkError("reset", sent=True)
    assert await calls_until_stopped(failing(lost, at_least=3, method="POST")) == 2


async def test_retries_are_one_call() -> None:
    orchestrator = orchestrate(
        api("a", retry_count=2, retry_delay=0.0, circuit_breaker=False),
        transport=FakeTransport({"a": 500}),
        error_threshold=0.5,
        error_threshold_min_calls=4,
        retry_budget=False,
    )
    assert await calls_until_stopped(orchestrator) == 3


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_was_cut_off_does_not_count(method: str) -> None:
    hold = Hold()
    orchestrator = failing(*[hold] * 10, 404, at_least=12, threshold=0.9, method=method, timeout=None)
    for _ in range(10):
        task = asyncio.create_task(orchestrator.execute())
        await turns()
        task.cancel()
        await asyncio.wait([task])
    assert await calls_until_stopped(orchestrator) == 11


async def test_runs_at_the_same_time_count_together() -> None:
    orchestrator = failing(*[404] * 50, at_least=5)
    ends = await asyncio.gather(*(orchestrator.execute() for _ in range(9)), return_exceptions=True)
    assert [type(end).__name__ for end in ends] == [
        *["OrchestrationResult"] * 4,
        "ErrorThresholdExceeded",
        *["OrchestrationResult"] * 4,
    ]
