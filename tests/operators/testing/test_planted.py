"""A law book that cannot fail is no law book: every law finds the operators that break it."""

from __future__ import annotations

import random

import pytest
import reactivex

from rxorch_operators.testing import Case, LawBook, LawBroken, Subject, check_case, laws
from rxorch_operators.testing.dice import BYTES, case_of
from tests.operators.testing.planted import PLANTED, RIGHT

CASES = 1_000


@pytest.mark.parametrize(("law", "subject"), PLANTED, ids=lambda item: str(item))
def test_a_planted_bug_is_found(law: str, subject: Subject) -> None:
    with pytest.raises(LawBroken) as caught:
        LawBook(CASES).check(subject)
    assert f"  {law}: " in str(caught.value)
    assert str(caught.value).startswith(f"{subject.name} breaks a law:")


@pytest.mark.parametrize("subject", RIGHT, ids=str)
def test_nothing_is_found_where_nothing_is_wrong(subject: Subject) -> None:
    LawBook(CASES).check(subject)


def test_every_law_has_been_seen_to_fail() -> None:
    named = {
        line.split()[0] for line in (laws.__doc__ or "").splitlines() if line[:1].islower() and "  " in line
    }
    assert {law for law, _ in PLANTED} == named


def test_a_report_is_cut() -> None:
    subject = Subject(name="repeats", build=lambda lab: lambda _: reactivex.range(500), keeps="values")
    with pytest.raises(LawBroken, match=r"\.\.\. and 461 more") as caught:
        check_case(subject, Case())
    assert len(str(caught.value)) < 1_500


def test_half_of_the_cases_are_undisturbed() -> None:
    dice = random.Random(7)
    cases = [case_of(dice.randbytes(BYTES)) for _ in range(2_000)]
    assert 0.45 < sum(case.undisturbed for case in cases) / len(cases) < 0.62
    assert any(script.end == "never" for case in cases for script in case.inners)
    assert any(script.end == "cancelled" for case in cases for script in case.inners)
