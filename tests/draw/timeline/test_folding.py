"""From events to records: of real runs in virtual time, and of events made by hand."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree

import pytest

import rxorch.events as ev
from rxorch import (
    ApiClient,
    ApiConfigurationError,
    APIOrchestrator,
    graph,
    parallel,
    sequential,
)
from rxorch import operators as rxo
from rxorch.draw import CallRecord, Timeline, record, waterfall
from rxorch.draw.timeline.folding import Folder
from rxorch.draw.timeline.rows import Row, rows_of
from rxorch.http import Request, Response
from rxorch_operators.testing import virtual_time
from tests.draw.timeline.happenings import BUSY, Story
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, reply


class Timed(FakeTransport):
    """Takes a tenth of a second for each answer."""

    async def send(self, request: Request) -> Response:
        await asyncio.sleep(0.1)
        return await super().send(request)


def told(call: CallRecord, timeline: Timeline) -> list[tuple[str, float, float]]:
    """The segments of a call, in milliseconds since the beginning."""
    origin = timeline.start
    return [
        (str(part.kind), round(1000 * (part.start - origin), 3), round(1000 * (part.end - origin), 3))
        for part in call.segments
    ]


def by_name(timeline: Timeline) -> dict[str, CallRecord]:
    return {call.endpoint: call for call in timeline.calls}


@virtual_time
async def test_attempts_and_waits_of_a_real_run() -> None:
    script = {"a": in_turn(503, reply(429, None, {"Retry-After": "2"}), {})}
    flow = sequential(api("a", retry_jitter="none", retry_delay=0.4), api("b"))
    orchestrator = APIOrchestrator(flow, transport=Timed(script))
    timeline = waterfall(await orchestrator.execute()).timeline
    first, second = timeline.calls
    assert told(first, timeline)[:3] == [("failed", 0, 100), ("backoff", 100, 500), ("failed", 500, 600)]
    assert [kind for kind, _, _ in told(first, timeline)[3:]] == ["retry_after", "ok"]
    asked = first.segments[3]
    assert 2.0 <= asked.end - asked.start <= 2.3
    assert [part.note for part in first.segments] == ["503", "", "429", "", "200"]
    assert (first.status, first.attempts, second.after) == ("ok", 3, ("a",))
    assert second.began == first.end
    assert timeline.runs == 1


@virtual_time
async def test_who_waits_for_a_place_could_have_begun_before() -> None:
    flow = parallel(api("a"), api("b"), max_concurrent=1)
    result = await APIOrchestrator(flow, transport=Timed()).execute()
    timeline = waterfall(result).timeline
    assert told(by_name(timeline)["b"], timeline) == [("place", 0, 100), ("ok", 100, 200)]
    assert by_name(timeline)["b"].waited == pytest.approx(0.1)


@virtual_time
async def test_a_rate_limit_and_a_permit_are_waits_of_their_own() -> None:
    client = ApiClient(Timed(), max_in_flight=1)
    limited = api("limited", rate_limit=1, rate_limit_window=0.5, burst_limit=1)
    async with client:
        with record(client) as recording:
            await asyncio.gather(client.call(api("a")), client.call(api("b")))
            await asyncio.gather(client.call(limited), client.call(limited))
    timeline = recording.timeline()
    told_of = [told(call, timeline) for call in timeline.calls]
    assert told_of[1] == [("permit", 0, 100), ("ok", 100, 200)]
    assert told_of[3] == [("rate_limit", 200, 700), ("ok", 700, 800)]


@virtual_time
async def test_calls_that_share_an_answer_and_one_from_the_cache() -> None:
    client = ApiClient(Timed(), cache_ttl=60)
    async with client:
        with record(client) as recording:
            await asyncio.gather(client.call(api("a")), client.call(api("a")))
            await client.call(api("a"))
    timeline = recording.timeline()
    first, shared, cached = timeline.calls
    assert told(first, timeline) == [("ok", 0, 100)]
    assert told(shared, timeline) == [("shared", 0, 100)]
    assert (cached.cached, cached.attempts, cached.segments) == (True, 0, ())


@virtual_time
async def test_hedges_stand_in_the_row_of_the_call_that_was_late() -> None:
    client = ApiClient(Timed({"slow": in_turn(Hold(), {})}))
    async with client:
        with record(client) as recording:
            call = client.observe(api("slow", timeout=None))({}).pipe(rxo.hedge(delay=0.25))
            await rxo.last_of(call)
    assert "x2 350 ms" in recording.waterfall().text(ascii=True)
    late, hedge = recording.timeline().calls
    assert (late.status, hedge.status, hedge.hedge) == ("cancelled", "ok", 1)


@virtual_time
async def test_a_skip_and_a_condition_that_raises_have_rows() -> None:
    def broken(data: Any) -> bool:
        raise LookupError("s3cret")

    flow = graph(api("a", condition=broken), api("b", condition=lambda data: False))
    picture = waterfall(await APIOrchestrator(flow, transport=FakeTransport()).execute())
    calls = by_name(picture.timeline)
    assert (calls["a"].status, calls["a"].note, calls["a"].attempts) == ("failed", "LookupError", 0)
    assert (calls["b"].status, calls["b"].note) == ("skipped", "its condition does not hold")
    assert "s3cret" not in picture.html()


@virtual_time
async def test_a_call_that_is_under_way_ends_now() -> None:
    client = ApiClient(Timed())
    async with client:
        with record(client) as recording:
            slow = asyncio.ensure_future(client.call(api("a")))
            await asyncio.sleep(0.05)
            await client.call(api("b"))
            await slow
            assert recording.timeline().calls[0].status == "ok"
            again = asyncio.ensure_future(client.call(api("a")))
            await asyncio.sleep(0.05)
            running = recording.timeline().calls[-1]
            await again
    assert (running.status, [str(part.kind) for part in running.segments]) == ("running", ["running"])


@virtual_time
async def test_the_newest_calls_are_kept_and_the_others_counted() -> None:
    orchestrator = APIOrchestrator(sequential(api("a"), api("b")), transport=FakeTransport())
    with record(orchestrator, limit=3) as recording:
        for _ in range(4):
            await orchestrator.execute()
    await orchestrator.execute()  # nobody listens
    timeline = recording.timeline()
    assert [call.endpoint for call in timeline.calls] == ["b", "a", "b"]
    assert timeline.left_out == 5
    assert len(recording.runs) == 3
    assert "5 earlier calls left out" in recording.waterfall().text()
    assert not orchestrator.events.active


@virtual_time
async def test_one_run_of_a_recording() -> None:
    orchestrator = APIOrchestrator(sequential(api("a"), api("b")), transport=Timed())
    with record(orchestrator) as recording:
        await orchestrator.execute()
        await orchestrator.execute()
    second = recording.timeline(recording.runs[1])
    assert (len(recording.timeline().calls), len(second.calls), second.runs) == (4, 2, 1)
    assert second.duration == pytest.approx(0.2)
    assert recording.timeline("unknown").calls == ()


def test_a_value_that_was_refused_is_a_failed_attempt() -> None:
    story = Story()
    story.tell(0, ev.CallStarted, "a", 1)
    story.attempt(0, "a", 1)
    story.waits(10, "a", 1, None)  # type: ignore[arg-type]
    story.attempt(20, "a", 1, 2)
    story.ends(30, "a", 1)
    timeline = waterfall(story.events).timeline
    assert told(timeline.calls[0], timeline) == [("failed", 0, 10), ("backoff", 10, 20), ("ok", 20, 30)]
    assert timeline.calls[0].segments[0].note == "refused"


def test_a_call_that_began_before_anybody_listened_is_there_as_a_whole() -> None:
    story = Story()
    story.ends(100, "a", 1, attempts=1, duration=0.1)
    story.attempt(50, "b", 2)  # of a call that nobody knows: no row
    timeline = waterfall(story.events).timeline
    assert told(timeline.calls[0], timeline) == [("ok", 0, 100)]
    assert len(timeline.calls) == 1


def test_of_two_races_at_the_same_time_each_has_its_own_hedges() -> None:
    story = Story(None)
    for number in (1, 2):
        story.tell(0, ev.CallStarted, "a", number)
        story.tell(100, ev.CallStarted, "a", number + 2, hedge=1, late=0.1)
        story.tell(200, ev.CallStarted, "a", number + 4, hedge=2, late=0.2)
        story.tell(100, ev.CallStarted, "b", number + 6, hedge=1, late=0.1)  # of a call that is not known
    shown = rows_of(waterfall(story.events).timeline).rows
    rows = [sorted(call.number for call in row.calls) for row in shown if isinstance(row, Row)]
    assert len(rows) == len(shown)
    assert sorted(rows) == [[1, 4, 6], [2, 3, 5], [7], [8]]


def test_what_ends_between_two_hops_of_a_redirect_is_one_attempt() -> None:
    story = Story()
    story.tell(0, ev.CallStarted, "a", 1)
    story.attempt(0, "a", 1)
    story.tell(5, ev.RateLimitWaiting, "a", 1, wait=0.01)
    story.ends(30, "a", 1)
    timeline = waterfall(story.events).timeline
    assert told(timeline.calls[0], timeline) == [("ok", 0, 30)]


def test_how_a_call_ends_says_how_its_attempt_ended() -> None:
    story = Story()
    for number, (status, error) in enumerate(
        [("cancelled", None), ("unknown", None), ("unknown", BUSY), ("failed", TimeoutError())], start=1
    ):
        story.tell(0, ev.CallStarted, "a", number)
        story.attempt(0, "a", number)
        story.ends(10, "a", number, status, error=error)
    kinds = [str(call.segments[0].kind) for call in waterfall(story.events).timeline.calls]
    assert kinds == ["cancelled", "cancelled", "failed", "timeout"]


async def test_runs_that_are_over_leave_nothing_behind_but_their_records() -> None:
    flow = graph(api("a"), api("b", condition=lambda data: 1 / 0), api("c", condition=lambda data: False))
    orchestrator = APIOrchestrator(flow, transport=FakeTransport())
    folder = Folder(limit=2)
    orchestrator.events.subscribe(folder.take)
    for _ in range(3):
        await orchestrator.execute()
    assert (folder._open, folder._steps, folder._called) == ({}, {}, set())
    assert (len(folder._records), len(folder._spans)) == (2, 2)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match=r"give a Recording.*not int"):
        waterfall(7)  # type: ignore[arg-type]
    with pytest.raises(ApiConfigurationError, match=r"not Recording; .* drawn by marbles\(\)"):
        waterfall(rxo.Recording())  # type: ignore[arg-type]
    with pytest.raises(ApiConfigurationError, match="not list"):
        waterfall([7])  # type: ignore[list-item]
    with pytest.raises(ApiConfigurationError, match="an EventBus, not int"):
        record(7)  # type: ignore[arg-type]
    with pytest.raises(ApiConfigurationError, match="limit: give a whole number of calls, 1 or more, not 0"):
        record(ev.EventBus(), limit=0)


async def test_a_result_without_events_says_how_to_get_them() -> None:
    orchestrator = APIOrchestrator(sequential(api("a")), transport=FakeTransport())
    async for run in orchestrator.stream([{}]):
        with pytest.raises(ApiConfigurationError, match=r"with record\(orchestrator\) as recording"):
            waterfall(run.result)


@virtual_time
async def test_what_is_left_out_of_one_run_is_told_of_that_run() -> None:
    orchestrator = APIOrchestrator(sequential(api("a"), api("b")), transport=FakeTransport())
    with record(orchestrator, limit=3) as recording:
        for _ in range(3):
            await orchestrator.execute()
    assert [recording.timeline(run).left_out for run in recording.runs] == [2, 1, 0]
    assert recording.timeline().left_out == 3
    with record(orchestrator, limit=1) as recording:
        for _ in range(3):
            await orchestrator.execute()
    assert (recording.timeline().left_out, recording.timeline(recording.runs[0]).left_out) == (5, 1)


def test_a_call_that_is_repeated_for_ever_stays_within_bounds() -> None:
    story = Story(None)
    story.tell(0, ev.CallStarted, "a", 1)
    for attempt in range(1, 2_001):
        story.attempt(10 * attempt, "a", 1, attempt)
        story.fails(10 * attempt + 5, "a", 1, BUSY, attempt)
        story.waits(10 * attempt + 5, "a", 1, BUSY)
    (call,) = waterfall(story.events).timeline.calls
    assert call.attempts == 2_000
    assert len(call.segments) <= 1_001
    assert call.segments[-2].end == pytest.approx(story.events[-1].at)


def test_a_kind_of_error_is_fit_to_be_shown() -> None:
    odd = type("\ufffe\u202eOdd", (Exception,), {})
    story = Story(None)
    story.tell(0, ev.CallStarted, "a", 1)
    story.attempt(0, "a", 1)
    story.ends(5, "a", 1, "failed", error=odd())
    picture = waterfall(story.events)
    assert picture.timeline.calls[0].note == "��Odd"
    ElementTree.fromstring(picture.svg())


@virtual_time
async def test_a_result_draws_itself() -> None:
    result = await APIOrchestrator(sequential(api("a")), transport=Timed()).execute()
    assert result.waterfall(title="trip").text() == waterfall(result, title="trip").text()
