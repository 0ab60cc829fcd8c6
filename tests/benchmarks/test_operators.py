"""Every operator against the nearest stock one, and against the libraries made for the same job.

The measurement is no part of the test suite: `python3 dev.py bench`. That all sides run is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.benchmarks import streams
from tests.benchmarks.operators.measure import Figures, Pair, measure
from tests.benchmarks.operators.table import TABLES, lines_of

PAIRS = [pair for pairs in TABLES.values() for pair in pairs]

Seen = dict[Pair, Figures]

SMALL = 1.0
"""Microseconds; a counterpart that adds less adds what can hardly be told from noise."""


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """What was measured, printed as tables at the end."""
    figures: Seen = {}
    yield figures
    print("\n")
    for title, pairs in TABLES.items():
        measured = [(pair, figures[pair]) for pair in pairs if pair in figures]
        if measured:
            print("\n".join(lines_of(title, measured, microseconds=True)))


@pytest.mark.benchmark
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_it_is_the_cheaper_one(pair: Pair, seen: Seen) -> None:
    figures = seen[pair] = measure(pair)
    if pair.goal:
        assert figures.whole <= 1.0
        if figures.their_part >= SMALL:
            assert figures.added <= 1.0


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_its_sides_run(pair: Pair) -> None:
    async def all_sides() -> None:
        for side in (pair.ours, pair.theirs, pair.ours_bare, pair.theirs_bare):
            await side(3)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(all_sides())


@pytest.mark.parametrize("name", streams.SIDES)
async def test_the_sides_of_the_streams_run(name: str) -> None:
    assert await streams.SIDES[name](60) == 60
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
