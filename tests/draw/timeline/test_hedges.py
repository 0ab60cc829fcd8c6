"""Which calls raced: the same as by looking at all of them, for each hedge anew."""

from __future__ import annotations

import random

import pytest

from rxorch.draw import CallRecord
from rxorch.draw.timeline.hedges import _free, races


def call(number: int, began: float, hedge: int = 0, late: float = 0.0) -> CallRecord:
    return CallRecord(
        number, "a", None, began, began, began + 1.0, "ok", "", 1, (), hedge=hedge, late=late
    )  # fmt: skip


def slowly(calls: list[CallRecord]) -> dict[int, int]:
    found: dict[int, int] = {}
    taken = set()
    for hedge in (each for each in calls if each.hedge):
        fit = [
            first
            for first in calls
            if not first.hedge
            and abs(hedge.began - hedge.late - first.began) <= 0.01
            and (first.began, first.number) <= (hedge.began, hedge.number)
            and (first.number, hedge.hedge) not in taken
        ]
        if fit:
            first = max(fit, key=lambda each: (each.began, each.number))
            taken.add((first.number, hedge.hedge))
            found[hedge.number] = first.number
    return found


@pytest.mark.parametrize("seed", range(20))
def test_each_hedge_has_the_last_that_is_free(seed: int) -> None:
    chance = random.Random(seed)
    calls = [call(number, 0.03 * chance.randrange(60)) for number in range(1, 60)]
    for number in range(60, 160):
        late = 0.03 * chance.randrange(1, 30)
        calls.append(call(number, 0.03 * chance.randrange(90), chance.randint(1, 2), late))
    calls.sort(key=lambda each: (each.start, each.number))
    assert {number: first.number for number, first in races(calls).items()} == slowly(calls) != {}


class Counted(dict[int, int]):
    looks = 0

    def __getitem__(self, at: int) -> int:
        self.looks += 1
        return super().__getitem__(at)


def test_what_is_taken_is_not_passed_again_and_again() -> None:
    taken = Counted()
    for _ in range(2_000):
        at = _free(taken, 1_999)
        taken[at] = at - 1
    assert _free(taken, 1_999) == -1
    assert taken.looks < 10_000
