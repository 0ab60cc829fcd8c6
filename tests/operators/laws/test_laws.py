"""The law book, for our operators and for stock ones: thousands of generated cases each.

2,000 cases for each operator, the same in every run; `--laws=long` plays 50,000 others.
"""

from __future__ import annotations

import inspect

import pytest

import rxorch_operators
from rxorch_operators.testing import LawBook, Subject
from tests.operators.laws.stock import STOCK
from tests.operators.laws.subjects import SUBJECTS

ALL = [*SUBJECTS, *STOCK]
NO_OPERATORS = {"guard", "last_of"}
"""Functions that end a stream in a coroutine; what they guarantee is in tests of their own."""


@pytest.mark.parametrize("subject", ALL, ids=str)
def test_it_keeps_the_laws(subject: Subject, laws: LawBook) -> None:
    laws.check(subject)
    assert laws.checked[subject.name] >= laws.size


def test_every_operator_is_held_to_the_laws() -> None:
    exported = {
        name for name in rxorch_operators.__all__ if inspect.isroutine(getattr(rxorch_operators, name))
    }
    held = {part for subject in SUBJECTS for part in subject.name.partition("(")[0].split(", ")}
    assert exported - NO_OPERATORS - held == set()


def test_ten_stock_operators_and_more_are_held_to_them() -> None:
    assert len({subject.name for subject in STOCK}) == len(STOCK) >= 10
