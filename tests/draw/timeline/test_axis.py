"""The axis: to scale, with round ticks; long idle stretches are cut short."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.draw import CallRecord, Segment, SegmentKind, Timeline
from rxorch.draw.timeline.axis import Axis


def busy(*stretches: tuple[float, float], kind: SegmentKind = SegmentKind.OK) -> Timeline:
    calls = [
        CallRecord(number, "a", None, start, start, end, "ok", "", 1, (Segment(kind, start, end),))
        for number, (start, end) in enumerate(stretches, start=1)
    ]
    return Timeline.of(calls, {})


def test_times_stand_to_scale() -> None:
    axis = Axis(busy((100, 110)), 500)
    assert [axis.at(100), axis.at(105), axis.at(110)] == [0, 250, 500]
    assert [axis.at(99), axis.at(111)] == [0, 500]


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (0.7, ["0 ms", "100 ms", "200 ms", "300 ms", "400 ms", "500 ms", "600 ms", "700 ms"]),
        (0.004, ["0 ms", "0.5 ms", "1 ms", "1.5 ms", "2 ms", "2.5 ms", "3 ms", "3.5 ms", "4 ms"]),
        (3.0, ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s", "3 s"]),
        (40.0, ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s", "35 s", "40 s"]),
        (400.0, ["0 min", "1 min", "2 min", "3 min", "4 min", "5 min", "6 min"]),
        (86400.0 * 4, ["0 min", "12 h", "1 d", "1 d 12 h", "2 d", "2 d 12 h", "3 d", "3 d 12 h", "4 d"]),
        (
            86400.0 * 18,
            ["0 min", *(f"{days} d" for days in range(2, 19, 2))],
        ),
    ],
)
def test_ticks_are_round_and_have_room(seconds: float, ticks: list[str]) -> None:
    assert [words for _, words in Axis(busy((0, seconds)), 700).ticks(74)] == ticks


def test_an_idle_stretch_is_cut_short() -> None:
    axis = Axis(busy((0, 1), (31, 32)), 500, 20)
    (cut,) = axis.breaks
    assert (cut.start, cut.end) == (1, 31)
    assert cut.right - cut.left == 20
    assert (axis.at(1), axis.at(31), axis.at(32)) == (240, 260, 500)
    assert cut.left < axis.at(16) < cut.right
    assert Axis(busy((0, 1), (31, 32)), 500).breaks == ()


def test_a_short_one_is_not() -> None:
    assert Axis(busy((0, 1), (1.1, 2)), 500, 20).breaks == ()


def test_a_wait_is_cut_short_only_if_it_takes_more_than_half() -> None:
    waits = Segment(SegmentKind.RETRY_AFTER, 1, 31)
    parts = (Segment(SegmentKind.FAILED, 0, 1), waits, Segment(SegmentKind.OK, 31, 32))
    long = Timeline.of([CallRecord(1, "a", None, 0, 0, 32, "ok", "", 2, parts)], {})
    assert [(each.start, each.end) for each in Axis(long, 500, 20).breaks] == [(1, 31)]
    parts = (
        Segment(SegmentKind.FAILED, 0, 1),
        Segment(SegmentKind.BACKOFF, 1, 2),
        Segment(SegmentKind.OK, 2, 3),
    )
    short = Timeline.of([CallRecord(1, "a", None, 0, 0, 3, "ok", "", 2, parts)], {})
    assert Axis(short, 500, 20).breaks == ()


def test_no_tick_stands_where_a_break_has_its_words() -> None:
    axis = Axis(busy((0, 1), (31, 32)), 500, 20)
    assert [words for _, words in axis.ticks(74)] == ["0 s", "0.5 s", "31.5 s", "32 s"]


def test_nothing_has_an_axis_too() -> None:
    axis = Axis(Timeline.of([], {}), 500, 20)
    assert (axis.at(3), axis.ticks(74)) == (0, [(0, "0 ms")])


_STRETCHES = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 300)), min_size=1, max_size=8)


@given(_STRETCHES, st.lists(st.floats(-10, 1400), min_size=2))
def test_later_is_never_further_left_and_all_stays_within(
    stretches: list[tuple[float, float]], times: list[float]
) -> None:
    timeline = busy(*((start, start + length) for start, length in stretches))
    axis = Axis(timeline, 700, 26)
    places = [axis.at(time) for time in sorted(times)]
    assert all(one <= two + 1e-9 for one, two in pairwise(places))
    assert all(0 <= place <= 700 + 1e-6 for place in places)
    if timeline.duration > 1e-6:
        assert math.isclose(axis.at(timeline.end), 700, rel_tol=1e-6)
        ticks = [place for place, _ in axis.ticks(74)]
        assert all(two - one >= 74 * 0.9 - 1e-6 for one, two in pairwise(ticks))


def test_ticks_cost_no_more_for_a_day_that_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    axis = Axis(busy((0, 0.01), (90_000, 90_000.01)), 700, 26)
    asked: list[float] = []
    place_of = axis.at
    monkeypatch.setattr(axis, "at", lambda seconds: asked.append(seconds) or place_of(seconds))
    ticks = axis.ticks(74)
    assert len(asked) < 40
    words = [word for _, word in ticks]
    assert len(words) > 1 and len(set(words)) == len(words)


def test_all_at_one_instant_has_one_place() -> None:
    axis = Axis(busy((0.0, 2e-311)), 700, 26)
    assert [axis.at(seconds) for seconds in (-1.0, 0.0, 1.0)] == [0.0, 0.0, 0.0]
