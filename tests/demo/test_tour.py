"""The tour of the modes, on the real shop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from rxorch import OrchestrationMode
from rxorch.demo import tour as tour_module
from rxorch.demo.shop import SERVICES, Faults
from rxorch.demo.summary import tour_lines
from rxorch.demo.tour import TourReport, stops, take_tour
from rxorch.terminal.ink import Ink

URLS = dict.fromkeys(SERVICES, "http://127.0.0.1:1")


def outcomes(report: TourReport) -> dict[str, list[tuple[str, str]]]:
    return {visit.mode: [(row.name, row.outcome) for row in visit.rows] for visit in report.visits}


def test_each_mode_once() -> None:
    assert [stop.mode for stop in stops(URLS)] == list(OrchestrationMode)


async def test_what_each_mode_does_in_fair_weather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour_module, "FAULTS", Faults.none())
    monkeypatch.setattr(tour_module, "_ATTEMPT_TIMEOUT", 60.0)
    report = await take_tour(7)
    assert {
        mode: [pair for pair in pairs if pair[1] != "ok"] for mode, pairs in outcomes(report).items()
    } == {
        "SEQUENTIAL": [],
        "PARALLEL": [("retired", "failed")],
        "FANOUT": [],
        "PIPELINE": [],
        "CONDITIONAL": [("express", "skipped")],
        "HYBRID": [],
    }
    assert [visit.sent for visit in report.visits] == [3, 5, 3, 3, 3, 8]
    assert all(each.holds for each in report.invariants)
    notes = {row.name: row.note for visit in report.visits for row in visit.rows if row.note}
    assert notes == {"retired": "404", "express": "condition is false"}


async def test_both_sides_count_the_same_in_foul_weather() -> None:
    report = await take_tour(2)
    assert [each for each in report.invariants if not each.holds] == []
    rows = [row for visit in report.visits for row in visit.rows]
    assert sum(row.attempts for row in rows) == sum(visit.sent for visit in report.visits)
    repeated = [row for row in rows if row.attempts > 1 and row.outcome == "ok"]
    assert repeated
    assert all(row.note.count(",") == row.attempts - 2 for row in repeated)
    assert {part.kind for row in rows for call in row.calls for part in call.segments} >= {
        "ok",
        "failed",
        "backoff",
    }


@pytest.fixture(scope="module")
def report() -> TourReport:
    with ThreadPoolExecutor(1) as thread:  # the event loops of this one belong to the tests
        return thread.submit(asyncio.run, take_tour(7)).result()


@pytest.mark.parametrize("width", [80, 120, 300])
def test_lanes_line_up_and_fit(report: TourReport, width: int) -> None:
    lines = list(tour_lines(report, Ink(), width))
    lanes = [line for line in lines if line.count("│") == 2]
    assert len(lanes) == sum(len(visit.rows) for visit in report.visits)
    assert len({(line.index("│"), line.rindex("│")) for line in lanes}) == 1
    assert max(map(len, lines)) <= width
    for visit in report.visits:
        assert any(
            line.startswith(visit.mode) and line.endswith(f"{visit.sent} = {visit.counted} requests ✓")
            for line in lines
        )


def test_a_long_note_is_cut_where_there_is_no_room(report: TourReport) -> None:
    row = replace(report.visits[0].rows[0], note="503, timeout, reset, timeout")
    long = TourReport((replace(report.visits[0], rows=(row,)),))
    assert any(line.endswith("503, timeout, res...") for line in tour_lines(long, Ink(), 80))
    assert any(line.endswith("503, timeout, reset, timeout") for line in tour_lines(long, Ink(), 120))
