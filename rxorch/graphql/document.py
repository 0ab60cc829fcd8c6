"""What a GraphQL document holds, as far as calling it needs to know: its operations and their variables.

This is a scanner and no parser. It knows strings, block strings, comments and brackets, so that no word
inside of one is taken for an operation; whether the document is valid the server says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rxorch.errors import ApiConfigurationError

__all__ = ["Operation", "operation_of", "operations"]

_TOKEN: Final = re.compile(
    r"""
    (?P<ignored>[\s,\ufeff]+|\#[^\n\r]*)
    |(?P<string>\"{3}(?:\\\"{3}|(?!\"{3}).)*+\"{3}|"(?!"")(?:[^"\\\n\r]|\\.)*+")
    |(?P<name>[_A-Za-z]\w*)
    |(?P<other>-?[0-9][\w.+-]*|\.\.\.|[!$&():=@\[\]{|}])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_KINDS: Final = ("query", "mutation", "subscription")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document.

    Attributes:
        kind: ``"query"``, ``"mutation"`` or ``"subscription"``.
        name: None if it has none.
        variables: names of the variables that it declares.
    """

    kind: str
    name: str | None = None
    variables: frozenset[str] = frozenset()


class _UnclearError(Exception):
    """The text is not understood."""


def operations(text: str) -> tuple[Operation, ...] | None:
    """Return the operations of a document in their order; None if it is not understood.

    Example:
        >>> operations("query User($id: ID!) { user(id: $id) { name } }")
        (Operation(kind='query', name='User', variables=frozenset({'id'})),)
        >>> operations("{ user") is None
        True
    """
    try:
        return tuple(_Scanner(text).operations())
    except _UnclearError:
        return None


def operation_of(text: str, name: str | None = None) -> Operation | None:
    """Return the operation that a request with this document asks for; None if the text is not understood.

    Args:
        text: the document.
        name: which of its operations; needed where it has several.

    Raises:
        ApiConfigurationError: it has none, none of this name, or several and no name was given.
    """
    found = operations(text)
    if found is None:
        return None
    if name is None:
        if len(found) == 1:
            return found[0]
        problem = "has several operations; say which by operation_name" if found else "has no operation"
        raise ApiConfigurationError(f"query: the document {problem}")
    chosen = next((each for each in found if each.name == name), None)
    if chosen is None:
        raise ApiConfigurationError("operation_name: the document has no operation of this name")
    return chosen


class _Scanner:
    """Goes through the tokens of a document once."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def operations(self) -> list[Operation]:
        found = []
        while self._at < len(self._tokens):
            kind, word = self._tokens[self._at]
            if kind == "string":  # a description
                self._at += 1
            elif word == "{":
                self._skip_group()
                found.append(Operation("query"))
            elif word in _KINDS:
                found.append(self._operation(word))
            elif word == "fragment":
                self._skip_to_selection()
            else:
                raise _UnclearError
        return found

    def _operation(self, kind: str) -> Operation:
        self._at += 1
        name = None
        if self._peek()[0] == "name":
            name = self._peek()[1]
            self._at += 1
        declared: set[str] = set()
        if self._peek()[1] == "(":
            start = self._at
            self._skip_group()
            declared = self._declared(start, self._at)
        self._skip_to_selection()
        return Operation(kind, name, frozenset(declared))

    def _declared(self, start: int, end: int) -> set[str]:
        words = [word for _, word in self._tokens[start:end]]
        return {words[place + 1] for place, word in enumerate(words) if word == "$"}

    def _peek(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise _UnclearError
        return self._tokens[self._at]

    def _skip_to_selection(self) -> None:
        """Go past names, types and directives, and past the selection behind them."""
        while self._peek()[1] != "{":
            kind, word = self._peek()
            if word == "(":
                self._skip_group()
            elif kind == "name" or word == "@":
                self._at += 1
            else:
                raise _UnclearError
        self._skip_group()

    def _skip_group(self) -> None:
        """Go past an opening bracket, what it holds, and the closing one."""
        expected: list[str] = []
        while True:
            word = self._peek()[1]
            self._at += 1
            if word in _CLOSING:
                expected.append(_CLOSING[word])
            elif word in ")]}" and word != expected.pop():
                raise _UnclearError
            if not expected:
                return


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _UnclearError
        kind = found.lastgroup or ""
        if kind != "ignored":
            tokens.append((kind, '""' if kind == "string" else found.group()))
        place = found.end()
    return tokens
