"""What is kept of a stream however long it is."""

from __future__ import annotations

import sys
import tracemalloc

import pytest

import rxorch.events as ev
from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.draw.timeline.folding import Folder
from rxorch.draw.timeline.totals import OTHERS, Totals
from rxorch.errors import ApiHttpError
from tests.draw.timeline.happenings import trip

GONE = ApiHttpError(404)


def a_run(folder: Folder, number: int, *, took: float = 0.1, error: BaseException | None = None) -> None:
    """A run of two calls."""
    run, at = f"run-{number}", float(number)
    folder.take(ev.RunStarted(at, run, "", mode="graph"))
    for place, name in enumerate(("a", "b"), start=1):
        call = 2 * number + place
        fault = error if name == "b" else None
        folder.take(ev.CallStarted(at, run, name, call=call))
        folder.take(ev.AttemptStarted(at, run, name, call=call, attempt=1))
        status = "failed" if fault else "ok"
        folder.take(ev.CallFinished(at + took, run, name, status, took, 1, None, fault, call=call))
    folder.take(ev.RunFinished(at + took, run, "", "failed" if error else "ok", took, error))


def test_everything_is_in_the_sums_and_some_in_the_sample() -> None:
    chronicle = Chronicle(sample=100)
    folder = Folder(1, chronicle)
    for number in range(1000):
        a_run(folder, number, took=0.5 if number == 777 else 0.1, error=GONE if number in (3, 500) else None)
    assert (chronicle.begun, chronicle.statuses) == (1000, {"ok": 998, "failed": 2})
    assert (chronicle.totals["b"].lost, chronicle.totals["a"].lost, chronicle.totals.attempts) == (2, 0, 2000)
    assert [(word, run.number) for word, run in chronicle.failed.items()] == [("b 404", 4)]
    assert (chronicle.run_kinds, chronicle.slowest[0].number) == ({"b 404": 2}, 778)
    assert [call.endpoint for call in chronicle.slowest[0].timeline.calls] == ["a", "b"]
    timeline = chronicle.timeline()
    begins = [call.start for call in timeline.calls if call.endpoint == "a"]
    assert (timeline.stride, begins) == (32, [float(at) for at in range(0, 1000, 32)])
    assert (timeline.start, timeline.end, timeline.runs) == (0.0, pytest.approx(999.1), 1000)


def test_memory_does_not_grow() -> None:
    folder = Folder(1, Chronicle(sample=200))

    def grown(start: int, end: int) -> int:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(start, end):
            a_run(folder, number, error=ApiHttpError(400 + number % 150))
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        grown(0, 500)
        assert grown(500, 2500) < 60_000
    finally:
        tracemalloc.stop()


def test_names_and_kinds_are_bounded() -> None:
    folder = Folder(1, chronicle := Chronicle())
    for number in range(700):
        folder.take(ev.CallFinished(1.0, None, f"n{number}", "failed", 0.1, 1, None, GONE, call=number))
    assert len(chronicle.totals.endpoints) == 501 and chronicle.totals[OTHERS].lost == 200
    totals = Totals()
    for number in range(99):
        error = type(f"Kind{number}", (Exception,), {})()
        folder = Folder(sys.maxsize)
        folder.take(ev.CallFinished(1.0, None, "a", "failed", 0.1, 1, None, error, call=1))
        totals.add(folder.timeline().calls[0])
    assert len(totals["a"].lost_kinds) == 41 and totals["a"].lost_kinds[OTHERS] == 59


def test_a_run_under_way_is_in_the_timeline() -> None:
    folder = Folder(1, chronicle := Chronicle())
    for event in trip()[:-1]:
        folder.take(event)
    assert (chronicle.begun, chronicle.statuses.total()) == (1, 0)
    assert len(chronicle.timeline().calls) == 10
    assert chronicle.totals["hotels"].calls == 1  # the hedge won: the first is no call that was cancelled


def test_the_end_of_a_run_that_nobody_saw_begin() -> None:
    folder = Folder(1, chronicle := Chronicle())
    folder.take(ev.RunFinished(1.0, "run-1", "", "failed", 0.5, GONE))
    assert (chronicle.statuses["failed"], chronicle.durations.count, chronicle.failed) == (1, 0, {})


def test_changes_of_breakers() -> None:
    folder = Folder(1, chronicle := Chronicle())
    for number in range(80):
        folder.take(ev.BreakerChanged(float(number), None, "a", "closed", "open"))
    assert (chronicle.changed["a"], len(chronicle.changes), chronicle.changes[-1].at) == (80, 50, 79.0)
