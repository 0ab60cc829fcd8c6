"""The law book: thousands of generated cases for a subject, and the smallest one that breaks a law."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .dice import BYTES, case_of
from .laws import Subject, check_case
from .script import Case

__all__ = ["LawBook", "cases"]


def cases() -> st.SearchStrategy[Case]:
    """Generated cases: anything may happen at any time, and most of the time little does.

    >>> cases().map(lambda case: case.kind)
    binary(min_size=64, max_size=64).map(case_of).map(lambda case: case.kind)
    """
    return st.binary(min_size=BYTES, max_size=BYTES).map(case_of)


@dataclass(slots=True)
class LawBook:
    """Checks subjects in so many generated cases each.

    Args:
        size: Cases for each subject.
        derandomize: The same cases in every run; else others each time.

    Attributes:
        checked: Cases played so far, by subject.

    >>> from reactivex import operators as ops
    >>> book = LawBook(size=50)
    >>> book.check(Subject(name="map", build=lambda lab: ops.map(lab.callback(lambda n: n)), tells=False))
    >>> book.checked["map"] >= 50
    True
    """

    size: int = 2_000
    derandomize: bool = True
    checked: dict[str, int] = field(default_factory=dict)

    def check(self, subject: Subject) -> None:
        """Plays the cases.

        Args:
            subject: The operator.

        Raises:
            LawBroken: A law was broken; the case in the message is a small one.
        """

        @settings(
            max_examples=self.size,
            derandomize=self.derandomize,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
            print_blob=not self.derandomize,
        )
        @given(cases())
        def every_case(case: Case) -> None:
            self.checked[subject.name] = self.checked.get(subject.name, 0) + 1
            check_case(subject, case)

        every_case()
