"""The critical path: its rule, and the law that it has no gap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rxorch.events as ev
from rxorch.draw import CallRecord, PathPart, Segment, SegmentKind, Timeline, critical_path, waterfall
from tests.draw.timeline.happenings import Story, trip


def names(path: tuple[PathPart, ...]) -> list[str | None]:
    """Whose the parts are, each call once in a row."""
    found: list[str | None] = []
    for part in path:
        name = None if part.call is None else part.call.endpoint
        if not found or found[-1] != name:
            found.append(name)
    return found


def record(
    number: int, name: str, start: float, end: float, *after: str, waited: float = 0.0, **facts: object
) -> CallRecord:
    began = start + waited
    segments = (Segment(SegmentKind.OK, began, end),)
    given = {"status": "ok", "note": "", "attempts": 1, "run": "r", **facts}
    return CallRecord(
        number, name, given["run"], start, began, end, given["status"], "", 1, segments, after=after,  # type: ignore[arg-type]
        hedge=facts.get("hedge", 0), late=facts.get("late", 0.0),  # type: ignore[arg-type]
    )  # fmt: skip


def path_of(*calls: CallRecord, end: float | None = None) -> tuple[PathPart, ...]:
    spans = {} if end is None else {"r": (0.0, end)}
    return critical_path(Timeline.of(calls, spans))


def test_the_path_of_a_whole_trip() -> None:
    path = waterfall(trip()).critical_path
    assert names(path) == [None, "geo", None, "weather", None]
    kinds = [part.kind for part in path if part.call is not None and part.call.endpoint == "weather"]
    assert kinds == [SegmentKind.TIMEOUT, SegmentKind.BACKOFF, SegmentKind.OK]


def test_a_step_follows_what_it_depends_on_and_not_what_happened_to_end_then() -> None:
    calls = record(1, "a", 0, 1), record(2, "b", 0, 1.05), record(3, "c", 1.1, 2, "a")
    assert names(path_of(*calls)) == ["a", None, "c"]


def test_of_several_dependencies_the_last_to_end_counts() -> None:
    calls = record(1, "a", 0, 1), record(2, "b", 0, 1.5), record(3, "c", 1.5, 2, "a", "b")
    assert names(path_of(*calls)) == ["b", "c"]


def test_who_waited_for_a_place_follows_the_one_that_gave_it() -> None:
    calls = record(1, "a", 0, 1), record(2, "b", 0, 3), record(3, "c", 1, 4, "a", waited=2)
    assert names(path_of(*calls)) == ["b", "c"]


def test_without_known_steps_the_last_of_the_run_counts_and_then_that_of_any_run() -> None:
    calls = (
        record(1, "a", 0, 1, run="one"),
        record(2, "b", 0, 1.2, run=None),
        record(3, "c", 1.3, 2, run="one"),
    )
    assert names(path_of(*calls)) == ["a", None, "c"]
    calls = (
        record(1, "a", 0, 1, run="one"),
        record(2, "b", 0, 1.2, run=None),
        record(3, "c", 1.3, 2, run="two"),
    )
    assert names(path_of(*calls)) == ["b", None, "c"]


def test_a_hedge_follows_the_call_that_was_late() -> None:
    late = record(1, "a", 0, 2, status="cancelled", run=None)
    hedge = record(2, "a", 1, 2, hedge=1, late=1.0, run=None)
    path = path_of(late, hedge)
    assert [(part.call, part.start, part.end) for part in path] == [(late, 0, 1), (hedge, 1, 2)]


def test_what_was_cancelled_at_the_end_did_not_determine_it() -> None:
    calls = record(1, "a", 0, 2), record(2, "b", 0, 2, status="cancelled")
    assert names(path_of(*calls)) == ["a"]
    calls = record(1, "a", 0, 1), record(2, "b", 0, 2, status="cancelled")
    assert names(path_of(*calls)) == ["b"]


def test_time_before_and_after_all_calls_is_nobodys() -> None:
    path = path_of(record(1, "a", 1, 2), end=3)
    assert [(part.start, part.end, part.kind) for part in path] == [
        (0, 1, None),
        (1, 2, SegmentKind.OK),
        (2, 3, None),
    ]


def test_what_a_call_does_between_its_attempts_is_on_the_path() -> None:
    story = Story(None)
    story.tell(0, ev.CallStarted, "a", 1)
    story.attempt(10, "a", 1)
    story.fails(20, "a", 1, ValueError())
    story.ends(30, "a", 1)
    kinds = [part.kind for part in waterfall(story.events).critical_path]
    assert kinds == [SegmentKind.WORK, SegmentKind.FAILED, SegmentKind.WORK]


def test_nothing_has_no_path() -> None:
    assert waterfall([]).critical_path == ()


def test_calls_that_take_no_time_do_not_go_round_in_circles() -> None:
    calls = [record(number, f"c{number}", 1, 1) for number in range(1, 5)]
    assert path_of(*calls) == ()
    assert names(path_of(*calls, record(9, "a", 1, 2))) == ["a"]


_TIMES = st.integers(0, 60).map(lambda tenth: tenth / 10)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    calls = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        start = draw(_TIMES)
        waited, length = draw(st.sampled_from([0.0, 0.0, 0.5])), draw(_TIMES)
        after = draw(st.lists(st.sampled_from("abcd"), max_size=2))
        run = draw(st.sampled_from(["one", "two", None]))
        hedge = draw(st.sampled_from([0, 0, 0, 1]))
        status = draw(st.sampled_from(["ok", "failed", "cancelled", "skipped"]))
        name = draw(st.sampled_from("abcd"))
        end = start + waited + length
        call = record(
            number,
            name,
            start,
            end,
            *after,
            waited=waited,
            run=run,
            hedge=hedge,
            late=draw(_TIMES),
            status=status,
        )
        calls.append(call)
    span = draw(st.one_of(st.none(), st.tuples(_TIMES, _TIMES)))
    spans = {} if span is None else {"one": (min(span), max(span))}
    return Timeline.of(calls, spans)


@given(timelines())
def test_it_has_no_gap_and_reaches_from_the_beginning_to_the_end(timeline: Timeline) -> None:
    path = critical_path(timeline)
    if timeline.duration == 0:
        return
    if any(call.status != "skipped" for call in timeline.calls):
        assert path[-1].end == timeline.end
    assert path[0].start == timeline.start
    assert all(one.end == two.start for one, two in pairwise(path))
    assert all(part.start < part.end for part in path)
    for part in path:
        if part.call is not None:
            assert part.call.began <= part.start and part.end <= part.call.end


@pytest.mark.parametrize("number", [1, 30])
def test_it_ends_with_a_call_that_ended_last(number: int) -> None:
    calls = [record(each, f"c{each}", 0, each) for each in range(1, number + 1)]
    assert names(path_of(*calls)) == [f"c{number}"]
