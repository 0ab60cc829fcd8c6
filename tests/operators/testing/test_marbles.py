"""Marbles are read and printed, and what was printed can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch_operators.testing import Event, MarbleError, as_list, read_marbles, write_marbles


def plain(text: str) -> list[tuple[float, str, object]]:
    return [(event.at, event.kind, event.value) for event in read_marbles(text)]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", []),
        ("---", []),
        ("a", [(0.0, "next", "a")]),
        ("-a-b|", [(1.0, "next", "a"), (3.0, "next", "b"), (4.0, "completed", None)]),
        ("-(ab)-c", [(1.0, "next", "a"), (1.0, "next", "b"), (6.0, "next", "c")]),
        ("(a|)", [(0.0, "next", "a"), (0.0, "completed", None)]),
        ("- a - |", [(1.0, "next", "a"), (3.0, "completed", None)]),
        ("1-2", [(0.0, "next", "1"), (2.0, "next", "2")]),
    ],
)
def test_a_column_is_a_unit_of_time(text: str, seen: list[tuple[float, str, object]]) -> None:
    assert plain(text) == seen


def test_letters_errors_and_units_can_be_given() -> None:
    boom = KeyError("boom")
    assert read_marbles("-a#", {"a": 7}, error=boom, unit=0.5) == [
        Event(0.5, "next", 7),
        Event(1.0, "error", boom),
    ]
    assert isinstance(read_marbles("#")[0].value, MarbleError)


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("a|b", 2, "nothing may follow the end"),
        ("#|", 1, "nothing may follow the end"),
        ("(ab", 3, "not closed"),
        ("ab)", 2, "in pairs"),
        ("((a))", 1, "do not nest"),
        ("(a-b)", 2, "no time passes inside"),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, column: int, what: str) -> None:
    with pytest.raises(ValueError, match=f"column {column}: .*{what}"):
        read_marbles(text)


letters = st.sampled_from("abc")
steps = st.lists(st.tuples(st.integers(0, 3), st.lists(letters, min_size=1, max_size=3)), max_size=5)


@given(steps, st.sampled_from(["", "|", "#"]), st.integers(0, 2))
def test_what_was_printed_is_read_back(steps: list[tuple[int, list[str]]], end: str, wait: int) -> None:
    text = "".join(
        "-" * gap + (group[0] if len(group) == 1 else f"({''.join(group)})") for gap, group in steps
    )
    text += "-" * wait + end
    read = read_marbles(text)
    again = read_marbles(write_marbles(read))
    assert [(one.at, one.kind) for one in again] == [(one.at, one.kind) for one in read]
    assert [one.value for one in again if one.kind == "next"] == [
        one.value for one in read if one.kind == "next"
    ]


def test_what_does_not_fit_is_listed_with_its_times() -> None:
    crowded = [Event(0.0, "next", "a"), Event(0.0, "next", "b"), Event(1.0, "completed")]
    assert write_marbles(crowded) == "0 a, 0 b, 1 |"
    assert write_marbles([Event(1e6, "next", "a")]) == "1000000 a"
    assert write_marbles([Event(0.5, "next", 7)]) == "0.5 7"


def test_other_values_get_letters_and_a_legend() -> None:
    events = [Event(0.0, "next", 1), Event(1.0, "next", True), Event(2.0, "next", [1]), Event(3.0, "next", 1)]
    assert write_marbles(events) == "abca   a=1 b=True c=[1]"
    assert write_marbles(events[:1], names={1: "x"}) == "x"
    many = [Event(float(number), "next", number) for number in range(60)]
    assert write_marbles(many) == as_list(many)


def test_a_letter_in_use_is_given_to_nothing_else() -> None:
    assert write_marbles([Event(0.0, "next", 10), Event(1.0, "next", "a")]) == "ba   b=10"
    named = [Event(0.0, "next", 10), Event(1.0, "next", "a")]
    assert write_marbles(named, names={10: "a"}) == "ab   b='a'"
    assert write_marbles([Event(0.0, "next", float("nan"))]) == "a   a=nan"


def test_a_sign_of_the_alphabet_is_no_letter() -> None:
    assert write_marbles([Event(0.0, "next", "-"), Event(1.0, "next", "|")]) == "ab   a='-' b='|'"


def test_another_unit_is_another_scale() -> None:
    assert write_marbles([Event(0.5, "next", "a"), Event(1.0, "completed")], unit=0.5) == "-a|"
