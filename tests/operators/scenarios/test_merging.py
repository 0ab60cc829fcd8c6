"""A bounded flat_map: RxJS mergeMap with concurrency in marbles, and the ordered one of Reactor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from rxorch_operators import flat_map_bounded, from_iterable
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import Boom, Counting, Recorder, Time, Window

RXJS = "RxJS, spec/operators/mergeMap-spec.ts: "
REACTOR = "Reactor, FluxMergeSequentialTest: "

UNBOUNDED = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeScenario(Scenario):
    """A source whose letters become these inners; the elements as (second, sign), `|` and `#` for the end.

    An inner that is not given makes the mapping function fail. `started` and `released` are those of all
    inners.
    """

    marbles: str
    inners: dict[str, str]
    cap: int = UNBOUNDED
    ordered: bool = False
    on_error: Any = "fail_fast"
    dispose: float | None = None
    result: tuple[tuple[float, str], ...]
    started: tuple[float, ...]
    released: tuple[float, ...]


def seconds(text: str, start: float = 0.0) -> tuple[tuple[float, str], ...]:
    """The elements of a marble string, from a second on."""
    return tuple((start + at, sign) for at, sign in enumerate(text) if sign not in "- ")


THREE = {"a": "--x--y|", "b": "--v--w|", "c": "--p--q|"}

SCENARIOS = (
    MergeScenario(
        name="RxJS merges inners that overlap",
        source=RXJS + "should mergeMap many regular interval inners",
        marbles="a-b--------|",
        inners=THREE,
        result=((2, "x"), (4, "v"), (5, "y"), (7, "w"), (11, "|")),
        started=(0, 2),
        released=(6, 8),
    ),
    MergeScenario(
        name="RxJS with a concurrency of one runs them one after another",
        source=RXJS + "cold Observable, with parameter concurrency=1",
        marbles="-a-b-c|",
        inners=THREE,
        cap=1,
        result=(
            *((3, "x"), (6, "y"), (9, "v"), (12, "w"), (15, "p"), (18, "q")),
            (19, "|"),
        ),
        started=(1, 7, 13),
        released=(7, 13, 19),
    ),
    MergeScenario(
        name="RxJS with a concurrency of two starts the third when one has ended",
        source=RXJS + "cold Observable, with parameter concurrency=2",
        marbles="-a-b-c|",
        inners=THREE,
        cap=2,
        result=(
            *((3, "x"), (5, "v"), (6, "y"), (8, "w"), (9, "p"), (12, "q")),
            (13, "|"),
        ),
        started=(1, 3, 7),
        released=(7, 9, 13),
    ),
    MergeScenario(
        name="RxJS completes with the last inner",
        source=RXJS + "should mergeMap many outer values to many inner values",
        marbles="a|",
        inners={"a": "---x---|"},
        result=((3, "x"), (7, "|")),
        started=(0,),
        released=(7,),
    ),
    MergeScenario(
        name="RxJS completes with the source when the inners ended before",
        source=RXJS + "should mergeMap many outer to many inner, complete late",
        marbles="a--------|",
        inners={"a": "-x|"},
        result=((1, "x"), (9, "|")),
        started=(0,),
        released=(2,),
    ),
    MergeScenario(
        name="RxJS does not complete while the source goes on",
        source=RXJS + "should mergeMap many outer to many inner, outer never completes",
        marbles="a---",
        inners={"a": "-x|"},
        dispose=20,
        result=((1, "x"),),
        started=(0,),
        released=(2,),
    ),
    MergeScenario(
        name="RxJS does not complete while an inner goes on",
        source=RXJS + "should mergeMap many outer to many inner, inner never completes",
        marbles="a-b|",
        inners={"a": "-x--", "b": "-y|"},
        dispose=20,
        result=((1, "x"), (3, "y")),
        started=(0, 2),
        released=(4, 20),
    ),
    MergeScenario(
        name="RxJS passes the first error of an inner and lets go of all",
        source=RXJS + "should mergeMap many outer to many inner, and inner throws",
        marbles="a-b-----|",
        inners={"a": "-x---#", "b": "-yy---yy|"},
        result=((1, "x"), (3, "y"), (4, "y"), (5, "#")),
        started=(0, 2),
        released=(5, 5),
    ),
    MergeScenario(
        name="RxJS passes an error of the source and lets go of all",
        source=RXJS + "should mergeMap many outer to many inner, and outer throws",
        marbles="a-b--#",
        inners={"a": "-x-----x|", "b": "-y-----y|"},
        result=((1, "x"), (3, "y"), (5, "#")),
        started=(0, 2),
        released=(5, 5),
    ),
    MergeScenario(
        name="RxJS passes whichever error comes first",
        source=RXJS + "should mergeMap many outer to many inner, both inner and outer throw",
        marbles="a-----#",
        inners={"a": "-x-#"},
        result=((1, "x"), (3, "#")),
        started=(0,),
        released=(3,),
    ),
    MergeScenario(
        name="RxJS passes what the mapping function raises",
        source=RXJS + "should mergeMap many complex, all inners finite, project throws",
        marbles="a--z--a|",
        inners={"a": "-x---x|"},
        result=((1, "x"), (3, "#")),
        started=(0,),
        released=(3,),
    ),
    MergeScenario(
        name="RxJS unsubscribed lets go of the inners and starts none of those that wait",
        source=RXJS + "should mergeMap many complex, all inners finite, outer is unsubscribed",
        marbles="a-b-c-----|",
        inners=THREE,
        cap=1,
        dispose=4,
        result=((2, "x"),),
        started=(0,),
        released=(4,),
    ),
    MergeScenario(
        name="RxJS takes inners that emit at once",
        source=RXJS + "should mergeMap many outer to an array for each value",
        marbles="a--b|",
        inners={"a": "|", "b": "|"},
        result=((4, "|"),),
        started=(0, 3),
        released=(0, 3),
    ),
    MergeScenario(
        name="RxJS mixes inners of all lengths",
        source=RXJS + "should mergeMap many complex, where all inners are finite",
        marbles="-a--b---c-|",
        inners={"a": "-1--2------3|", "b": "|", "c": "---4|"},
        result=((2, "1"), (5, "2"), (11, "4"), (12, "3"), (13, "|")),
        started=(1, 4, 8),
        released=(4, 12, 13),
    ),
    MergeScenario(
        name="Reactor emits in the order of the source whatever ends first",
        source=REACTOR + "normal, testAsynchronousRun",
        marbles="ab|",
        inners={"a": "-----x|", "b": "-y|"},
        ordered=True,
        result=((5, "x"), (6, "y"), (6, "|")),
        started=(0, 1),
        released=(3, 6),
    ),
    MergeScenario(
        name="Reactor starts the inners eagerly",
        source=REACTOR + "testEagerness2 to testEagerness9",
        marbles="abc|",
        inners={"a": "------x|", "b": "-y|", "c": "-z|"},
        ordered=True,
        result=((6, "x"), (7, "y"), (7, "z"), (7, "|")),
        started=(0, 1, 2),
        released=(3, 4, 7),
    ),
    MergeScenario(
        name="Reactor passes an error of the source at once",
        source=REACTOR + "mainErrorsImmediate",
        marbles="ab-#",
        inners={"a": "-x------|", "b": "-y|"},
        ordered=True,
        result=((1, "x"), (3, "#")),
        started=(0, 1),
        released=(3, 3),
    ),
    MergeScenario(
        name="Reactor with delayed errors lets the inners end after an error of the source",
        source=REACTOR + "mainErrorsDelayEnd",
        marbles="ab-#",
        inners={"a": "-x---x|", "b": "-y-y|"},
        ordered=True,
        on_error="delay",
        result=((1, "x"), (5, "x"), (6, "y"), (6, "y"), (6, "#")),
        started=(0, 1),
        released=(5, 6),
    ),
    MergeScenario(
        name="Reactor with delayed errors changes nothing where nothing fails",
        source=REACTOR + "normalDelayEnd",
        marbles="ab|",
        inners={"a": "-x---x|", "b": "-y-y|"},
        ordered=True,
        on_error="delay",
        result=((1, "x"), (5, "x"), (6, "y"), (6, "y"), (6, "|")),
        started=(0, 1),
        released=(5, 6),
    ),
    MergeScenario(
        name="Reactor completes when all inners are empty",
        source=REACTOR + "testInnerEmpty",
        marbles="ab|",
        inners={"a": "|", "b": "|"},
        ordered=True,
        result=((2, "|"),),
        started=(0, 1),
        released=(0, 1),
    ),
    MergeScenario(
        name="Reactor passes what the mapping function raises",
        source=REACTOR + "testMapperThrows",
        marbles="-z--|",
        inners={},
        ordered=True,
        result=((1, "#"),),
        started=(),
        released=(),
    ),
)

DIFFERS = (
    MergeScenario(
        name="Reactor holds an inner's error back until its turn",
        source=REACTOR + "testInnerError, the elements of earlier inners come first",
        why="There the error takes its place in the order, after the inners before it. Ours fails fast: "
        "calls that are no longer wanted are not waited for.",
        marbles="ab|",
        inners={"a": "------x|", "b": "-#"},
        ordered=True,
        result=((2, "#"),),
        started=(0, 1),
        released=(2, 2),
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_merge(row: MergeScenario) -> None:
    time = Time()
    source = time.marbles(row.marbles)
    inners = {letter: time.marbles(text) for letter, text in row.inners.items()}

    def project(letter: str) -> Any:
        if letter not in inners:
            raise Boom
        return inners[letter]

    how = {"max_concurrent": row.cap, "ordered": row.ordered, "on_error": row.on_error}
    merged = source.pipe(flat_map_bounded(project, **how))
    recorder = time.run(merged, dispose=row.dispose)
    seen = [(at, "#" if isinstance(event, Boom) else event) for at, event in recorder.events]
    assert seen == list(row.result)
    assert sorted(at for inner in inners.values() for at in inner.subscribed) == list(row.started)
    assert sorted(at for inner in inners.values() for at in inner.released) == list(row.released)
    assert source.active == 0 and time.idle


def two_from(start: int) -> Any:
    """The observable of a number and the next one."""
    return from_iterable([start, start + 1])


def test_the_ordered_one_asks_its_first_inner_for_no_more_than_there_is_room_for() -> None:
    """Reactor, FluxMergeSequentialTest: normalBackpressured, three are asked for and then one more."""
    recorder, time = Recorder(), Time()
    window = Window(recorder, room=3)
    stage = as_stage(
        from_iterable([1, 2, 3, 4, 5]).pipe(flat_map_bounded(two_from, max_concurrent=5, ordered=True))
    )
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1)
    assert recorder.values == [1, 2, 2]
    window.open(1)
    time.advance(1)
    assert recorder.values == [1, 2, 2, 3]
    window.open(20)
    time.advance(1)
    assert recorder.values == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6] and recorder.completed


@pytest.mark.parametrize("ordered", [False, True])
def test_the_source_is_asked_for_as_many_as_there_are_slots(ordered: bool) -> None:
    """Reactor, FluxMergeSequentialTest: testMaxConcurrent5, five at first and then one for each that ends."""
    time, numbers = Time(), Counting()
    inners = [time.marbles("--|") for _ in range(5)] + [time.marbles("-") for _ in range(20)]
    merged = from_iterable(numbers).pipe(
        flat_map_bounded(inners.__getitem__, max_concurrent=5, ordered=ordered)
    )
    recorder, subscription = time.record(merged)
    time.advance(1)
    assert numbers.read == 5
    time.advance(2)
    assert numbers.read == 10
    subscription.dispose()
    assert numbers.closed and not recorder.events
