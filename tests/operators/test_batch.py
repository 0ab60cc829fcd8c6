"""batch in virtual time: lists by number or by time, and the source waits for who takes them."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops

from rxorch_operators import flat_map_bounded, from_iterable, to_async_iterable
from rxorch_operators.batch import batch
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.from_async_iterable import from_async_iterable
from rxorch_operators.guard import guard
from tests.operators.support import (
    END,
    AtOnce,
    Boom,
    Counting,
    Manual,
    MarbleStage,
    Recorder,
    Time,
    Window,
    turns,
)


def lists(recorder: Recorder) -> list[Any]:
    """Times and lists as strings: ``(2.0, "ab")``."""
    return [(at, "".join(event) if isinstance(event, list) else event) for at, event in recorder.events]


def bounded(time: Time, source: Any, room: int) -> tuple[Window, Recorder]:
    """Subscribes a consumer that has room for so many lists."""
    recorder = Recorder(lambda: time.now)
    window = Window(recorder, room)
    window.connect(as_stage(source), DemandScheduler.of(time.scheduler).with_demand(window.demand))
    return window, recorder


# By number


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_the_documented_marbles(kind: str) -> None:
    time = Time()
    marbles = time.marbles("abc--d---------e|")
    source: Any = marbles if kind == "stock" else MarbleStage(marbles)
    assert lists(time.run(source.pipe(batch(3, 5.0)))) == [
        (2.0, "abc"),
        (10.0, "d"),
        (16.0, "e"),
        (16.0, END),
    ]
    assert time.idle


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abcd|", [(1.0, "ab"), (3.0, "cd"), (4.0, END)]),
        ("abc--|", [(1.0, "ab"), (5.0, "c"), (5.0, END)]),
        ("--|", [(2.0, END)]),
    ],
)
def test_full_lists_and_the_rest_before_the_end(text: str, expected: list[Any]) -> None:
    time = Time()
    assert lists(time.run(time.marbles(text).pipe(batch(2)))) == expected


def test_lists_of_one_need_no_time() -> None:
    time = Time()
    recorder, _ = time.record(time.marbles("a-b---").pipe(batch(1, 5.0)))
    time.advance(3)
    assert lists(recorder) == [(0.0, "a"), (2.0, "b")]
    assert time.idle


def test_elements_are_the_same_objects_and_the_list_is_the_receivers() -> None:
    first, second, third = object(), object(), object()
    recorder = Recorder()
    source = Manual()
    source.pipe(batch(2)).subscribe(recorder)
    source.send(first, second)
    (got,) = recorder.values
    assert got[0] is first and got[1] is second
    got.clear()  # what the receiver does with it touches no other list
    source.send(third)
    source.complete()
    assert recorder.values == [[], [third]]


# By time


def test_time_runs_from_the_first_element_of_a_list() -> None:
    time = Time()
    assert lists(time.run(time.marbles("--a-b-----c--|").pipe(batch(9, 3.0)))) == [
        (5.0, "ab"),
        (13.0, "c"),
        (13.0, END),
    ]


def test_a_full_list_stops_the_time_of_its_own() -> None:
    time = Time()
    assert lists(time.run(time.marbles("a-b-c------|").pipe(batch(2, 3.0)))) == [
        (2.0, "ab"),
        (7.0, "c"),
        (11.0, END),
    ]


def test_there_is_no_timer_while_there_is_nothing_to_send_and_one_otherwise() -> None:
    time, source = Time(), Manual()
    source.pipe(batch(3, 5.0)).subscribe(Recorder(), scheduler=time.scheduler)

    def timers() -> int:
        return sum(not item.is_cancelled() for item, _ in time.scheduler._queue.items)

    seen = [timers()]
    for _ in range(3):
        source.send("x")
        seen.append(timers())
    source.send("x", "x")
    seen.append(timers())
    time.advance(5)
    seen.append(timers())
    assert seen == [0, 1, 1, 0, 1, 0]


def test_nothing_to_wait_for_collects_what_comes_in_one_instant() -> None:
    time = Time()
    source = reactivex.merge(time.marbles("a-b|"), time.marbles("c-d|"))
    assert lists(time.run(source.pipe(batch(9, 0)))) == [(0.0, "ac"), (2.0, "bd"), (3.0, END)]


def test_endless_patience_needs_no_timer() -> None:
    time, source = Time(), Manual()
    recorder, _ = time.record(source.pipe(batch(3, float("inf"))))
    source.send("a", "b")
    assert time.idle and recorder.events == []
    source.send("c")
    assert recorder.values == [["a", "b", "c"]]


def test_its_own_scheduler_is_the_time() -> None:
    time, recorder, source = Time(), Recorder(), Manual()
    source.pipe(batch(3, 2.0, scheduler=time.scheduler)).subscribe(recorder)
    source.send("a")
    time.advance(2)
    assert recorder.values == [["a"]]


def test_without_a_loop_or_a_scheduler_the_wait_is_an_error_after_the_elements() -> None:
    recorder, source = Recorder(), Manual()
    source.pipe(batch(3, 2.0)).subscribe(recorder)
    source.send("a")
    source.send("b")
    assert recorder.values == [["a"]]
    assert isinstance(recorder.error, RuntimeError) and "no running event loop" in str(recorder.error)
    assert source.disposed == 1


# By weight


def test_a_list_never_weighs_more_than_size_unless_one_element_does() -> None:
    recorder = Recorder()
    words = ["aa", "bb", "ccc", "dddddddd", "e", "ffff", "g"]
    from_iterable(words).pipe(batch(5, weigh=len)).subscribe(recorder)
    assert recorder.values == [["aa", "bb"], ["ccc"], ["dddddddd"], ["e", "ffff"], ["g"]]
    assert recorder.completed


def test_weights_may_be_fractions_so_that_two_limits_become_one() -> None:
    recorder = Recorder()

    def share(word: str) -> float:  # at most 3 words and at most 8 letters
        return max(1 / 3, len(word) / 8)

    from_iterable(["a", "b", "c", "dddddddd", "eeee", "ffff", "g"]).pipe(batch(1, weigh=share)).subscribe(
        recorder
    )
    assert recorder.values == [["a", "b", "c"], ["dddddddd"], ["eeee", "ffff"], ["g"]]


def test_weighed_lists_go_by_time_too() -> None:
    time = Time()
    assert lists(time.run(time.marbles("a-b----cd-|").pipe(batch(3, 4.0, weigh=lambda _: 1.5)))) == [
        (2.0, "ab"),
        (8.0, "cd"),
        (10.0, END),
    ]
    time = Time()
    assert lists(time.run(time.marbles("a----b-|").pipe(batch(9, 4.0, weigh=lambda _: 0)))) == [
        (4.0, "a"),
        (7.0, "b"),
        (7.0, END),
    ]


def test_the_time_of_an_element_that_did_not_fit_begins_with_it() -> None:
    time = Time()
    weights = {"a": 2, "b": 2}
    recorder = time.run(time.marbles("a-b---------|").pipe(batch(3, 5.0, weigh=weights.__getitem__)))
    assert lists(recorder) == [(2.0, "a"), (7.0, "b"), (12.0, END)]


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_a_weight_below_nothing_is_an_error_after_the_elements_before_it(wrong: float) -> None:
    time, source = Time(), Manual()
    weights = iter([1, wrong, 1])
    recorder, _ = time.record(source.pipe(batch(5, 9.0, weigh=lambda _: next(weights))))
    source.send("a", "b", "c")
    source.fail(Boom())
    assert recorder.values == [["a"]]
    assert isinstance(recorder.error, ValueError) and "weigh=" in str(recorder.error)
    assert source.disposed == 1 and time.idle


def test_what_weigh_raises_is_the_error_also_while_the_source_starts() -> None:
    def weigh(value: str) -> float:
        if value == "b":
            raise Boom
        return 1

    recorder = Recorder()
    AtOnce("a", "b", "c").pipe(batch(5, weigh=weigh)).subscribe(recorder)
    assert recorder.values == [["a"]] and isinstance(recorder.error, Boom)


def test_the_error_of_weigh_waits_for_room_and_the_source_does_not() -> None:
    time, source = Time(), Manual()

    def weigh(value: str) -> float:
        if value == "b":
            raise Boom
        return 1

    window, recorder = bounded(time, source.pipe(batch(5, weigh=weigh)), room=0)
    source.send("a", "b", "c")
    assert source.disposed == 1 and recorder.events == []
    source.complete()
    window.open()
    assert recorder.values == [["a"]] and isinstance(recorder.error, Boom)


# Ends


def test_an_error_comes_after_the_elements_before_it() -> None:
    time, boom = Time(), Boom()
    recorder = time.run(time.marbles("abc-#", error=boom).pipe(batch(2, 9.0)))
    assert lists(recorder) == [(1.0, "ab"), (4.0, "c"), (4.0, boom)]
    assert time.idle


def test_a_cancelled_source_is_an_error_like_any_other() -> None:
    recorder, source = Recorder(), Manual()
    source.pipe(batch(3)).subscribe(recorder)
    source.send("a")
    source.fail(asyncio.CancelledError())
    assert recorder.values == [["a"]] and isinstance(recorder.error, asyncio.CancelledError)


@pytest.mark.parametrize("error", [None, Boom()])
def test_a_source_that_does_everything_while_it_is_being_attached(error: Exception | None) -> None:
    time = Time()
    recorder = time.run(AtOnce("a", "b", "c", error=error).pipe(batch(2, 5.0)))
    assert lists(recorder) == [(0.0, "ab"), (0.0, "c"), (0.0, error or END)]
    assert time.idle


@pytest.mark.parametrize("at", [1, 2, 3, 6])
def test_disposal_drops_what_is_at_hand(at: int) -> None:
    time = Time()
    marbles = time.marbles("a-b--c---|")
    recorder = time.run(marbles.pipe(batch(2, 3.0)), dispose=at)
    assert lists(recorder) == ([(2.0, "ab")] if at >= 2 else [])
    assert marbles.active == 0 and time.idle


def test_disposal_lets_go_of_the_elements() -> None:
    class Element:
        """Something that can be watched."""

    time, source, elements = Time(), Manual(), [Element() for _ in range(4)]
    watched = [weakref.ref(element) for element in elements]
    window, recorder = bounded(time, source.pipe(batch(3, 5.0)), room=0)
    source.send(*elements)  # a full list, and the beginning of another
    assert time.idle is False
    elements.clear()
    window.dispose()
    assert [element() for element in watched] == [None] * 4
    assert (time.idle, recorder.events) == (True, [])


@pytest.mark.parametrize("weigh", [None, lambda _: 1])
@pytest.mark.parametrize("end", [None, Boom()])
def test_what_comes_after_the_disposal_or_after_the_end_is_ignored(weigh: Any, end: Exception | None) -> None:
    for disposed in (True, False):
        time, source, recorder = Time(), Manual(), Recorder()
        link = as_stage(source.pipe(batch(2, 5.0, weigh=weigh))).attach(
            recorder, DemandScheduler.of(time.scheduler)
        )
        source.send("a")
        link.dispose() if disposed else source.complete()
        seen = list(recorder.events)
        source.send("b", "c")
        source.complete() if end is None else source.fail(end)
        link.dispose()
        assert recorder.events == seen
        assert source.disposed == 1 and time.idle


def test_disposal_from_inside_on_next() -> None:
    time = Time()
    recorder = time.run(AtOnce(*"abcdef").pipe(batch(2, 9.0), ops.take(2)))
    assert recorder.values == [["a", "b"], ["c", "d"]] and recorder.completed
    assert time.idle


def test_disposal_from_inside_the_last_list_keeps_the_end_back() -> None:
    time, recorder = Time(), Recorder()

    class OnlyOne(Window):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            self.dispose()

    window, source = OnlyOne(recorder, 5), Manual()
    window.connect(as_stage(source.pipe(batch(2))), DemandScheduler.of(time.scheduler))
    source.send("a")
    source.complete()
    assert recorder.events == [(0.0, ["a"])]


def test_a_consumer_that_raises_gets_its_error() -> None:
    source, errors = Manual(), list[Exception]()

    def fail(_: Any) -> None:
        raise Boom

    source.pipe(batch(1)).subscribe(fail, errors.append)
    source.send("a")
    assert isinstance(errors[0], Boom) and source.disposed == 1


def test_a_sink_that_makes_the_source_go_on_does_not_nest_or_reorder() -> None:
    recorder, source, depth = Recorder(), Manual(), [0]

    def more(taken: list[int]) -> None:
        depth[0] += 1
        assert depth[0] == 1
        if taken[-1] < 5000:
            source.send(taken[-1] + 1, taken[-1] + 2)
        elif taken[-1] == 5001:
            source.complete()
        depth[0] -= 1

    source.pipe(batch(2), ops.do_action(more)).subscribe(recorder)
    source.send(0, 1)
    assert recorder.values == [[n, n + 1] for n in range(0, 5001, 2)]
    assert recorder.completed


def test_two_subscriptions_have_lists_each() -> None:
    time = Time()
    stream = time.marbles("abc-|").pipe(batch(2, 9.0))
    first, _ = time.record(stream)
    time.advance(1)
    second, _ = time.record(stream)
    time.advance(9)
    assert lists(first) == [(1.0, "ab"), (4.0, "c"), (4.0, END)]
    assert lists(second) == [(at + 1, what) for at, what in lists(first)]


# Demand


@pytest.mark.parametrize("room", [0, 1, 3])
def test_the_source_is_read_one_list_ahead_of_the_consumer_and_no_further(room: int) -> None:
    time, numbers = Time(), Counting()
    window, recorder = bounded(time, from_iterable(numbers).pipe(ops.map(str), batch(5)), room)
    time.advance(1)
    for taken in range(room, 20):
        assert len(recorder.values) == taken
        assert numbers.read == (taken + 1) * 5
        window.open()
    window.dispose()
    assert numbers.closed and window.demand._listeners == []


def test_an_overfull_consumer_is_told_upstream() -> None:
    time, source = Time(), Manual()
    window, recorder = bounded(time, source.pipe(batch(2)), room=1)
    credits = [source.credit]
    for value in range(8):
        source.send(value)
        credits.append(source.credit)
    assert credits == [4, 3, 2, 1, 0, -1, -2, -3, -4]
    assert recorder.values == [[0, 1]]
    window.open(2)
    assert recorder.values == [[0, 1], [2, 3], [4, 5]]
    assert source.credit == 0
    window.open(2)
    assert len(recorder.values) == 4
    assert source.credit == 4
    window.room = -3
    assert source.credit == -4


def test_a_list_whose_time_is_over_waits_for_room_and_grows_meanwhile() -> None:
    time, source = Time(), Manual()
    window, recorder = bounded(time, source.pipe(batch(3, 2.0)), room=0)
    source.send("a")
    time.advance(5)
    source.send("b")
    assert recorder.events == [] and time.idle and source.credit == 1
    window.open()
    assert lists(recorder) == [(5.0, "ab")]
    source.send("c")
    time.advance(2)
    source.send("d", "e", "f")  # the list is full, and another one begins
    window.open()
    assert lists(recorder) == [(5.0, "ab"), (7.0, "cde")]
    time.advance(2)
    window.open()
    assert lists(recorder)[2:] == [(9.0, "f")]


@pytest.mark.parametrize("error", [None, Boom()])
def test_the_end_waits_for_room_for_the_last_list(error: Exception | None) -> None:
    time = Time()
    window, recorder = bounded(time, AtOnce("a", "b", "c", error=error).pipe(batch(2, 9.0)), room=1)
    assert lists(recorder) == [(0.0, "ab")]
    assert time.idle
    time.advance(1)
    window.open()
    assert lists(recorder) == [(0.0, "ab"), (1.0, "c"), (1.0, error or END)]
    assert window.demand._listeners == []


def test_the_end_does_not_wait_if_there_is_nothing_to_send() -> None:
    time = Time()
    _, recorder = bounded(time, AtOnce("a", "b").pipe(batch(2)), room=1)
    assert lists(recorder) == [(0.0, "ab"), (0.0, END)]


def test_room_that_opens_while_there_is_nothing_brings_nothing() -> None:
    time, source = Time(), Manual()
    window, recorder = bounded(time, source.pipe(batch(2)), room=0)
    window.open(5)
    source.send("a", "b")
    window.open(5)
    assert recorder.events == [(0.0, ["a", "b"])]


def test_room_that_opens_after_a_disposal_brings_nothing() -> None:
    time = Time()
    recorder = Recorder()
    window = Window(recorder, 0)
    scheduler = DemandScheduler.of(time.scheduler).with_demand(window.demand)
    window.demand.listen(lambda: link.dispose())  # heard first, while the other is still to be told
    link = as_stage(AtOnce("a").pipe(batch(2))).attach(window, scheduler)
    window.open()
    assert recorder.events == []


def test_a_weighed_list_asks_element_by_element() -> None:
    time, numbers = Time(), Counting()
    window, recorder = bounded(time, from_iterable(numbers).pipe(batch(10, weigh=lambda _: 4)), room=1)
    time.advance(1)
    assert recorder.values == [[0, 1]]
    assert numbers.read == 5  # the list taken, the one pending, and the one that did not fit into it
    window.open()
    assert recorder.values == [[0, 1], [2, 3]] and numbers.read == 7
    window.dispose()


# On the event loop


async def test_a_slow_consumer_on_the_loop_gets_full_lists() -> None:
    read = 0

    async def numbers() -> Any:
        nonlocal read
        for read in range(1, 8):
            yield read

    stream = to_async_iterable(from_async_iterable(numbers()).pipe(batch(3, 3600.0)), buffer=1)
    got = []
    async for taken in stream:
        await turns()
        got.append((taken, read))
    assert [taken for taken, _ in got] == [[1, 2, 3], [4, 5, 6], [7]]
    assert got[0][1] <= 3 * 3


async def test_what_arrives_in_one_turn_of_the_loop_becomes_one_call() -> None:
    calls: list[list[int]] = []

    async def store(rows: list[int]) -> int:
        calls.append(rows)
        return len(rows)

    source = Manual()
    recorder = Recorder()
    source.pipe(batch(100, 0), flat_map_bounded(store, max_concurrent=1)).subscribe(recorder)
    source.send(1, 2, 3)
    await turns()
    source.send(4)
    source.complete()
    await turns()
    assert calls == [[1, 2, 3], [4]] and recorder.values == [3, 1] and recorder.completed


async def test_around_a_call() -> None:
    async def answer(number: int) -> Any:
        return number

    assert await guard(batch(3, 5.0)).call(answer, 7) == [7]
    assert await guard(batch(1))(answer)(8) == [8]


# What cannot work


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size=0: give a whole number"),
        ({"size": 2.5}, "size=2.5: give a whole number"),
        ({"size": True}, "size=True: give a whole number"),
        ({"size": 0, "weigh": len}, "size=0: give units"),
        ({"size": float("inf"), "weigh": len}, "size=inf: give units"),
        ({"size": 2, "within": -1}, "within=-1: give seconds"),
        ({"size": 2, "within": float("nan")}, "within=nan: give seconds"),
    ],
)
def test_what_cannot_work_is_refused_when_the_operator_is_made(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        batch(**arguments)


# Whatever comes


@settings(deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.5]), max_size=30),
    size=st.integers(1, 4),
    within=st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0])),
    weights=st.one_of(st.none(), st.lists(st.integers(0, 5), min_size=30, max_size=30)),
    room=st.integers(0, 3),
    openings=st.lists(st.integers(0, 2), min_size=30, max_size=30),
    fails=st.booleans(),
)
def test_nothing_is_lost_or_late_or_too_much(
    gaps: list[float],
    size: int,
    within: float | None,
    weights: list[int] | None,
    room: int,
    openings: list[int],
    fails: bool,
) -> None:
    time, source = Time(), Manual()
    weigh: Any = None if weights is None else weights.__getitem__
    window, recorder = bounded(time, source.pipe(batch(size, within, weigh=weigh)), room)
    sent: list[float] = []
    for number, gap in enumerate(gaps):
        time.advance(gap)
        sent.append(time.now)
        source.send(number)
        window.open(openings[number])
        if window.room > 0:
            assert source.credit > 0, "the source would wait for ever"
    time.advance(0.1)
    source.fail(Boom()) if fails else source.complete()
    time.advance(10)
    window.open(1000)
    taken = recorder.values
    assert [number for one in taken for number in one] == list(range(len(gaps)))
    assert isinstance(recorder.error, Boom) if fails else recorder.completed
    assert time.idle
    for one in taken:
        assert one
        if weights is None:
            assert len(one) <= size
        else:
            assert len(one) == 1 or sum(weights[number] for number in one) <= size
    if within is not None and room >= len(gaps):
        for at, one in recorder.events[:-1]:
            assert at <= sent[one[0]] + within
