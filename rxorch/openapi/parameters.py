"""One parameter of an operation: where it goes, what it may be, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from pydantic import TypeAdapter
from pydantic_core import to_json

from rxorch.endpoint.values import MISSING, text_of
from rxorch.openapi.choices import adapter_of

__all__ = ["Parameter", "Place", "query_pairs", "simple_text", "style_of"]

Place = Literal["path", "query", "header", "cookie"]

_STYLES: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
"""The styles that each place knows, the default first."""

_SEPARATORS: Final = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass(frozen=True)
class Parameter:
    """A parameter as a call needs it.

    Attributes:
        key: under which the data of a call has it.
        name: on the wire.
        place: path, query, header or cookie.
        required: whether a call must give it.
        style: how it is written.
        explode: whether each item of a list or object stands for itself.
        as_json: whether it is written as JSON.
        placeholder: in the url or header.
        make: makes the type of its values.
        stand_in: what a required one is when a call lacks it; ``MISSING``: that is a fault.
    """

    key: str
    name: str
    place: Place
    required: bool
    style: str
    explode: bool
    as_json: bool
    placeholder: str
    make: Callable[[], Any]
    stand_in: Any = MISSING

    @cached_property
    def kind(self) -> Any:
        """The type of its values."""
        return self.make()

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The compiled type of its values."""
        return adapter_of(self.kind)

    def text(self, value: Any) -> str:
        """Write a valid value for a path, a header or a cookie.

        Raises:
            UnfitValueError: it has no text.
        """
        if self.as_json:
            return to_json(value).decode()
        return simple_text(value, "." if self.style == "label" and self.explode else ",", pairs=self.explode)

    def pairs(self, value: Any) -> list[tuple[str, Any]]:
        """Write a valid value for a query: names and single values, or lists of them.

        Raises:
            UnfitValueError: it has no text.
        """
        if self.as_json:
            return [(self.name, to_json(value).decode())]
        return query_pairs(self.name, value, self.style, explode=self.explode)


def style_of(place: Place, given: Any) -> str | None:
    """Return the style of a parameter; None if its place does not know it."""
    return _STYLES[place][0] if given is None else given if given in _STYLES[place] else None


def simple_text(value: Any, separator: str = ",", *, pairs: bool = False) -> str:
    """Write a value as a single text: lists and objects with separators.

    Example:
        >>> simple_text([1, True, "a"]), simple_text({"x": 1, "y": 2}), simple_text({"x": 1}, pairs=True)
        ('1,true,a', 'x,1,y,2', 'x=1')
    """
    if isinstance(value, Mapping):
        filled = {name: text_of(each) for name, each in value.items() if each is not None}
        return separator.join(f"{name}{'=' if pairs else separator}{text}" for name, text in filled.items())
    if isinstance(value, list | tuple | set):
        return separator.join(map(text_of, value))
    return text_of(value)


def query_pairs(name: str, value: Any, style: str = "form", *, explode: bool = True) -> list[tuple[str, Any]]:
    """Write a value as parts of a query or of a form.

    A ``deepObject`` may hold objects and lists at any depth (``a[b][0]=1``), though OpenAPI leaves open how.

    Example:
        >>> query_pairs("id", [1, 2]), query_pairs("id", [1, 2], explode=False)
        ([('id', [1, 2])], [('id', '1,2')])
        >>> query_pairs("f", {"name": "x", "tags": ["a"]}, "deepObject")
        [('f[name]', 'x'), ('f[tags][0]', 'a')]
    """
    if value is None:
        return []
    if style == "deepObject":
        return _deep(name, value)
    if isinstance(value, Mapping):
        if explode:
            return [(str(key), each) for key, each in value.items() if each is not None]
        return [(name, simple_text(value, _SEPARATORS[style]))]
    if isinstance(value, list | tuple | set):
        return [(name, list(value))] if explode else [(name, simple_text(list(value), _SEPARATORS[style]))]
    return [(name, value)]


def _deep(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, each in value.items() for pair in _deep(f"{name}[{key}]", each)]
    if isinstance(value, list | tuple):
        return [pair for i, each in enumerate(value) for pair in _deep(f"{name}[{i}]", each)]
    return [] if value is None else [(name, value)]
