"""The law book: thousands of generated cases for a subject, and the smallest one that breaks a law."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .laws import Subject, check_case
from .script import Case, Consumer, Script

__all__ = ["LawBook", "cases"]

_KINDS = ["cold", "stage", "sync", "pull"]
_ENDS = ["completed", "completed", "completed", "error", "never", "cancelled"]
_gaps = st.integers(0, 3)
_scripts = st.builds(Script, st.lists(_gaps, max_size=5).map(tuple), st.sampled_from(_ENDS), _gaps)
_inner_scripts = st.builds(
    Script,
    st.lists(_gaps, max_size=2).map(tuple),
    st.sampled_from(["completed", "completed", "error"]),
    _gaps,
)
_pulled_scripts = st.builds(
    Script, st.integers(0, 12).map(lambda count: (0,) * count), st.sampled_from(_ENDS), st.just(0)
)
_rarely = st.one_of(st.none(), st.none(), st.integers(1, 4))


@st.composite
def cases(draw: Any) -> Case:
    """Generated cases: anything may happen at any time, and most of the time little does."""
    kind = draw(st.sampled_from(_KINDS))
    bounded = draw(st.booleans())
    consumer = Consumer(
        lean=draw(st.booleans()),
        room=draw(st.integers(0, 3)) if bounded else None,
        openings=tuple(draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), max_size=2)))
        if bounded
        else (),
        takes_more_inside=bounded and draw(st.booleans()),
        dispose_at=draw(st.one_of(st.none(), st.none(), st.integers(0, 9))),
        dispose_in=draw(_rarely),
        raises_in=draw(_rarely),
    )
    return Case(
        kind=kind,
        sources=tuple(
            draw(st.lists(_pulled_scripts if kind == "pull" else _scripts, min_size=1, max_size=3))
        ),
        inners=tuple(draw(st.lists(_inner_scripts, min_size=1, max_size=3))),
        consumer=consumer,
        fault=draw(_rarely),
        second=draw(_rarely),
        seed=draw(st.integers(0, 3)),
    )


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
