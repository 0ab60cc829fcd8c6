"""The result of a run as its events tell it is the result of the run."""

from __future__ import annotations

from rxorch import APIOrchestrator, OutcomeStatus, sequential
from rxorch.events import CacheHit, StepFinished
from rxorch.flow import result_so_far
from tests.support.fake_transport import FakeTransport, api


def no(data: object) -> bool:
    """A condition that does not hold."""
    return False


async def test_all_events_give_the_whole_result() -> None:
    flow = sequential(
        api("user", cache_ttl=60),
        api("posts", error_handler=lambda error: []),
        api("mail", condition=no),
        api("gone", retry_count=0),
    )
    transport = FakeTransport({"user": {"id": 7}, "posts": 404, "gone": 500})
    async with APIOrchestrator(flow, transport=transport) as shop:
        for _ in range(2):  # the second time from the cache
            result = await shop.execute({})
            told = result_so_far(result.events)
            assert (told.outcomes, told.value) == (result.outcomes, result.value)
            assert (told.run, list(told), told.ok) == (result.run, list(result), False)
    assert told.outcomes["user"].cached


async def test_what_has_not_ended_counts_as_cancelled() -> None:
    shop = APIOrchestrator(sequential(api("a"), api("b")), transport=FakeTransport())
    result = await shop.execute({})
    ends = [place for place, event in enumerate(result.events) if isinstance(event, StepFinished)]
    told = result_so_far(result.events[: ends[0] + 1], ["a", "b"])
    assert [outcome.status for outcome in told.outcomes.values()] == [
        OutcomeStatus.OK,
        OutcomeStatus.CANCELLED,
    ]
    assert told.value == {"ok": True}
    assert result_so_far([], ["a"]).outcomes["a"].status is OutcomeStatus.CANCELLED


def test_stale_values_are_told() -> None:
    events = [CacheHit(1.0, "r", "a", True), StepFinished(2.0, "r", "a", "ok", 0.5)]
    assert result_so_far(events).outcomes["a"].stale
