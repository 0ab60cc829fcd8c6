"""Link headers, as RFC 8288 writes them and as servers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.http.link_header import link_to


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ([], None),
        ([""], None),
        (['<https://a.test/?page=2>; rel="next"'], "https://a.test/?page=2"),
        (["</?page=2>;rel=next"], "/?page=2"),
        (['</1>; rel="prev", </3>; rel="next"'], "/3"),
        (['</1>; rel="prev"', '</3>; rel="next"'], "/3"),
        (['</3>; rel="last Next"'], "/3"),
        (['</3>; REL = "next"'], "/3"),
        (['</1>; rel="nextish"'], None),
        (['</1>; rel="prev"; rel="next"'], None),
        (['</1>; title="a, <b>; rel=\\"next\\""; rel="prev", </3>; rel="next"'], "/3"),
        (["</a,b;c>; rel=next"], "/a,b;c"),
        (['</1>; rel="next"; anchor="/other", </3>; rel="next"'], "/3"),
        (["</1>; x; ; rel=next"], "/1"),
        (["</1>"], None),
        (["/1; rel=next"], None),
        (["</1; rel=next"], None),
        (['</1>; rel="next'], None),
        ([' , </3> ; rel="next" ,'], "/3"),
    ],
)
def test_the_target_of_a_relation(headers: list[str], target: str | None) -> None:
    assert link_to(headers, "next") == target


@given(st.text(alphabet='<>;, ="\\relnxt/', max_size=80))
def test_whatever_a_server_sends_is_no_error(header: str) -> None:
    assert link_to([header], "next") is None or "<" in header


@pytest.mark.parametrize(
    "text", ["<" * 100_000, "</1>;" * 50_000, '</1>; a="' + '\\"' * 100_000, "</1>" + " " * 100_000]
)
def test_time_is_linear(text: str) -> None:
    link_to([text], "next")
