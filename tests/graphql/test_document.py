"""The scanner of GraphQL documents: which operations there are, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch.errors import ApiConfigurationError
from rxorch.graphql.document import Operation, operation_of, operations


def op(kind: str, name: str | None = None, *variables: str) -> Operation:
    return Operation(kind, name, frozenset(variables))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("{ a }", [op("query")]),
        ("query { a }", [op("query")]),
        ("query Q{a}", [op("query", "Q")]),
        ("mutation M { a }", [op("mutation", "M")]),
        ("subscription { a }", [op("subscription")]),
        ("query query { query }", [op("query", "query")]),
        ("{ mutation }", [op("query")]),
        ("{ a { mutation { b } } }", [op("query")]),
        ("# mutation { a }\n{ a }", [op("query")]),
        ('#\n# """\n{ a } # }', [op("query")]),
        ('{ a(t: "} mutation {") }', [op("query")]),
        (r'{ a(t: "\"} mutation { a } {") }', [op("query")]),
        (r'{ a(t: "\\") }', [op("query")]),
        ('{ a(t: "") } mutation { b }', [op("query"), op("mutation")]),
        ('{ a(t: """ " } "" mutation { """) }', [op("query")]),
        (r'{ a(t: """ \""" } mutation { """) }', [op("query")]),
        ('{ a(t: """""") }', [op("query")]),
        ('"about it" query Q { a } """and\nthis""" mutation { a }', [op("query", "Q"), op("mutation")]),
        ("query ($id: ID!, $n: [Int!]! = [1, 2]) { a(id: $id, n: $n) }", [op("query", None, "id", "n")]),
        ('query Q($a: In = {b: [{c: "$x"}]}) { a }', [op("query", "Q", "a")]),
        ("query Q @live(on: true) { a }", [op("query", "Q")]),
        ("query Q($a: Int @deprecated) @live { a @include(if: $a) }", [op("query", "Q", "a")]),
        ("fragment mutation on User @x(y: 1) { name } { ...mutation }", [op("query")]),
        ("fragment F on Query { a }", []),
        ("\ufeffquery,Q,{ a(n: -1.5e+3) | }", [op("query", "Q")]),
    ],
)
def test_operations(text: str, found: list[Operation]) -> None:
    assert operations(text) == tuple(found)


@pytest.mark.parametrize(
    "text",
    [
        "{ a",
        "{ a )",
        "{ a(x: [1) }",
        "} a {",
        "query",
        "query Q",
        "query Q(",
        "query Q($a: Int)",
        "query Q 7 { a }",
        "fragment F on",
        "type User { id: ID }",
        "hello",
        '{ a(t: "open) }',
        '{ a(t: "a\nb") }',
        '{ a(t: """open) }',
        "{ a ; b }",
        "{ ä }",
    ],
)
def test_what_is_not_understood_is_told_from_what_has_no_operation(text: str) -> None:
    assert operations(text) is None


@given(st.text(alphabet='{}()[]"\\#$@:! \nquerymtaionab', max_size=60))
def test_any_text_is_looked_at_without_an_error(text: str) -> None:
    found = operations(text)
    assert found is None or all(isinstance(each, Operation) for each in found)


@pytest.mark.parametrize(
    "text", ["{" * 200_000, '"' * 200_001, '{ a(t: """' + '\\"""' * 100_000, "#" * 500_000]
)
def test_time_is_linear(text: str) -> None:
    assert operations(text) in (None, ())


def test_which_operation_is_asked_for() -> None:
    several = "query A { a } mutation B { b }"
    assert operation_of("{ a }") == op("query")
    assert operation_of(several, "B") == op("mutation", "B")
    assert operation_of("gibberish", "B") is None
    for text, name, words in [
        (several, None, "has several operations"),
        (several, "C", "no operation of this name"),
        ("{ a }", "C", "no operation of this name"),
        ("fragment F on Query { a }", None, "has no operation"),
    ]:
        with pytest.raises(ApiConfigurationError, match=words):
            operation_of(text, name)
