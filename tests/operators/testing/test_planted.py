"""A law book that cannot fail is no law book: every law finds the operators that break it."""

from __future__ import annotations

import pytest

from rxorch_operators.testing import LawBook, LawBroken, Subject, laws
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
