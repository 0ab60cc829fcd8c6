"""Lists by number or by time: bufferTimeout of Reactor and bufferTime of RxJS."""

from __future__ import annotations

from dataclasses import dataclass

from rxorch_operators.batch import batch
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import Boom, Time

REACTOR = "Reactor, FluxBufferTimeoutTest: "
RXJS = "RxJS, packages/rxjs/spec/operators/bufferTime-spec.ts: "


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchScenario(Scenario):
    """A source; the lists as (second, letters), then `|` or `#` for the end."""

    marbles: str
    size: int
    within: float | None
    dispose: float | None = None
    lists: tuple[tuple[float, str], ...]


SEVEN = "---a---b---c---d---e---f---g-----|"

SCENARIOS = (
    BatchScenario(
        name="Reactor closes a list that is full",
        source=REACTOR + "bufferWithTimeoutAccumulateOnSize",
        marbles="---a---b---c---d---e---f|",
        size=5,
        within=20.0,
        lists=((19, "abcde"), (24, "f"), (24, "|")),
    ),
    BatchScenario(
        name="Reactor closes a list when its time is over",
        source=REACTOR + "bufferWithTimeoutAccumulateOnTime",
        marbles="--a--b--c--d--e--f-----|",
        size=15,
        within=14.0,
        lists=((16, "abcde"), (23, "f"), (23, "|")),
    ),
    BatchScenario(
        name="Reactor drops what it holds when it is cancelled",
        source=REACTOR + "discardOnCancel",
        marbles="-a-b-c------",
        size=10,
        within=20.0,
        dispose=9,
        lists=(),
    ),
    BatchScenario(
        name="Reactor keeps lists apart whose time is short",
        source=REACTOR + "bufferWithTimeoutAvoidingNegativeRequests, one element per list",
        marbles="-a---b---c---|",
        size=5,
        within=2.0,
        lists=((3, "a"), (7, "b"), (11, "c"), (13, "|")),
    ),
    BatchScenario(
        name="RxJS closes a list when it is full and the rest at the end",
        source=RXJS + "should emit buffers at intervals or when the buffer is full",
        marbles=SEVEN,
        size=2,
        within=10.0,
        lists=((7, "ab"), (15, "cd"), (23, "ef"), (33, "g"), (33, "|")),
    ),
    BatchScenario(
        name="RxJS passes an error of a source without elements",
        source=RXJS + "should handle throw",
        marbles="--#",
        size=3,
        within=10.0,
        lists=((2, "#"),),
    ),
)

DIFFERS = (
    BatchScenario(
        name="RxJS cuts by a clock that runs from the start",
        source=RXJS + "should emit buffers at intervals, lists at 10, 20 and 30 and an empty one at the end",
        why="There an interval begins with the one before it. Ours begins with the first element of a list: "
        "none waits longer than it must, and there are no empty lists.",
        marbles=SEVEN,
        size=99,
        within=10.0,
        lists=((13, "abc"), (25, "def"), (33, "g"), (33, "|")),
    ),
    BatchScenario(
        name="RxJS emits an empty list for an empty source",
        source=RXJS + "should handle empty",
        why="A list stands for a request to be made; there is none to make.",
        marbles="---|",
        size=3,
        within=10.0,
        lists=((3, "|"),),
    ),
    BatchScenario(
        name="RxJS emits empty lists while nothing comes",
        source=RXJS + "should handle never",
        why="As above: no timer runs while there is nothing to send.",
        marbles="-",
        size=3,
        within=10.0,
        dispose=60,
        lists=(),
    ),
    BatchScenario(
        name="RxJS drops what it holds when the source fails",
        source=RXJS + "should handle errors",
        why="What had arrived before the error is good, and goes out before it.",
        marbles="---a---b---c---d-#",
        size=99,
        within=10.0,
        lists=((13, "abc"), (17, "d"), (17, "#")),
    ),
    BatchScenario(
        name="Reactor drops what it holds when the source fails",
        source=REACTOR + "discardOnError",
        why="As above.",
        marbles="-a-b-#",
        size=10,
        within=10.0,
        lists=((5, "ab"), (5, "#")),
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_batch(row: BatchScenario) -> None:
    time = Time()
    source = time.marbles(row.marbles)
    recorder = time.run(source.pipe(batch(row.size, row.within)), dispose=row.dispose)
    lists = [(at, "#" if isinstance(event, Boom) else "".join(event)) for at, event in recorder.events]
    assert lists == list(row.lists)
    assert source.active == 0 and time.idle
