"""Types as the Python source that makes them."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from rxorch.errors import ApiConfigurationError
from rxorch.openapi.choices import Choice, Later
from rxorch.openapi.folding import WIDTH, fold, split
from rxorch.openapi.names import Names
from rxorch.openapi.objects import ClosedModel, DescribedModel
from rxorch.openapi.scalars import Limits

__all__ = ["TypeSource", "literal", "prose"]

_STANDARD: Final[dict[Any, tuple[str, str]]] = {
    datetime: ("datetime", "_dt.datetime"),
    date: ("datetime", "_dt.date"),
    UUID: ("uuid", "UUID"),
    Any: ("typing", "Any"),
}
"""Types to module and name. ``datetime`` is imported as ``_dt``: fields are often called ``date``."""

_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NOT_IN_PROSE: Final = ("Cc", "Cf", "Cs")
_MOST_MODELS: Final = 20_000
_MOST_TEXT: Final = 4_000
"""Longest source of a type that a reference leads to; beyond, it is ``Any``. Types that use others twice,
which use others twice, would take gigabytes."""

_USED_IN_CLASSES: Final = frozenset(
    {"Annotated", "Any", "Field", "Literal", "UUID", "bool", "bytes", "dict", "float", "int", "list", "str"}
)


def literal(value: Any) -> str:
    """Return the source of a plain value, with double quotes as formatters have them."""
    if isinstance(value, str):
        return f'"{"".join(map(_character, value))}"'
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(each)}' for key, each in value.items())}}}"
    return repr(value)


def _character(one: str) -> str:
    """A character in a string of Python with double quotes."""
    if one in '\\"' or one in _ESCAPES:
        return _ESCAPES.get(one, f"\\{one}")
    if one.isprintable():
        return one
    number = ord(one)
    return (
        f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
    )


def prose(text: str) -> str:
    """Return a text for comments and docstrings: one line, without what no source may have.

    That is: control characters, lone surrogates, and what changes the direction of writing, by which source
    would look like other source.
    """
    one_line = " ".join(text.split())
    return "".join(
        each for each in one_line if unicodedata.category(each) not in _NOT_IN_PROSE or each == "\u200d"
    )


class TypeSource:
    """Writes types, and collects the models and imports that they need.

    A check that has no source (a fractional ``multipleOf``, an enum of objects) is left out, and a union with
    a discriminator is written as a plain one. A type that contains itself and is no model is ``Any`` inside
    itself.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.imports: set[tuple[str, str]] = set()
        self.models: dict[type[DescribedModel], str] = {}
        self._names = Names()
        self._classes: set[str] = set()
        for name in taken:
            self._names.free(name)
        self._waiting: list[type[DescribedModel]] = []
        self._under_way: list[Any] = []
        self._written: dict[int, tuple[Any, str]] = {}

    def text(self, kind: Any) -> str:
        """Return the source of a type."""
        if kind is None or kind is NoneType:
            return "None"
        if kind in _STANDARD:
            self.imports.add(_STANDARD[kind])
            return _STANDARD[kind][1]
        if isinstance(kind, type) and issubclass(kind, DescribedModel):
            return self._model(kind)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self._annotated(arguments[0], arguments[1:])
        if origin in (Union, UnionType):
            return self._union(arguments)
        if origin is Literal:
            self.imports.add(("typing", "Literal"))
            return f"Literal[{', '.join(map(literal, arguments))}]"
        if origin in (list, dict):
            return f"{origin.__name__}[{', '.join(map(self.text, arguments))}]"
        return str(getattr(kind, "__name__", "Any"))

    def _annotated(self, kind: Any, metadata: tuple[Any, ...]) -> str:
        for each in metadata:
            if isinstance(each, Later):
                return self._later(each)
            if isinstance(each, Choice):
                return self._union(each.kinds)
            if isinstance(each, Limits):
                self.imports |= {("typing", "Annotated"), ("pydantic", "Field")}
                limits = ", ".join(f"{name}={literal(value)}" for name, value in each.given)
                return f"Annotated[{self.text(kind)}, Field({limits})]"
        return self.text(kind)

    def _later(self, later: Later) -> str:
        kind = later.kind
        if isinstance(kind, type) and issubclass(kind, DescribedModel):
            return self._model(kind)
        if any(kind is each for each in self._under_way):
            return self.text(Any)
        if id(kind) not in self._written:  # with the type, so that nothing else is given its id
            self._under_way.append(kind)
            try:
                text = self.text(kind)
            finally:
                self._under_way.pop()
            self._written[id(kind)] = kind, text if len(text) <= _MOST_TEXT else self.text(Any)
        return self._written[id(kind)][1]

    def _union(self, kinds: Iterable[Any]) -> str:
        texts = list(dict.fromkeys(text for kind in kinds for text in self._options(kind)))
        if "Any" in texts:
            return self.text(Any)
        return " | ".join(texts) if texts != ["None"] else "None"

    def _options(self, kind: Any) -> list[str]:
        if get_origin(kind) in (Union, UnionType):
            return [text for each in get_args(kind) for text in self._options(each)]
        return split(self.text(kind), "|")

    def _model(self, kind: type[DescribedModel]) -> str:
        if len(self.models) >= _MOST_MODELS:
            raise ApiConfigurationError("the schemas make too many models for one module; use include")
        if kind not in self.models:
            self.models[kind] = self._names.free(kind.__name__)
            self._classes.add(self.models[kind])
            self._waiting.append(kind)
        return self.models[kind]

    def classes(self) -> Iterator[str]:
        """The source of all models that the types so far need, and of those that these need."""
        while self._waiting:  # first all names: a field may not be called as a type is
            for field in self._waiting.pop(0).written.values():
                self.text(field.kind)
        yield from map(self._class, list(self.models))

    def _class(self, kind: type[DescribedModel]) -> str:
        self.imports.add(("rxorch.openapi", "DescribedModel"))
        lines = [f"class {self.models[kind]}(DescribedModel):"]
        if kind.__doc__ and kind.__doc__ != DescribedModel.__doc__:
            lines += [*_docstring(kind.__doc__, "    "), ""]
        if issubclass(kind, ClosedModel):
            self.imports.add(("pydantic", "ConfigDict"))
            lines += ['    model_config = ConfigDict(extra="forbid")']
        names = self._fields(kind)
        nullable = sorted(names[each] for each in kind.nullable if not kind.written[each].required)
        if nullable:
            lines.append(fold(f"    nullable = frozenset({{{', '.join(map(literal, nullable))}}})"))
        for name, field in kind.written.items():
            text = self.text(field.kind)
            if not field.required:
                text = _or_none(text)
            name = names[name]
            details = [] if name == field.title else [f"alias={literal(field.title)}"]
            details += ["exclude=True"] if field.exclude else []
            value = "" if field.required else literal(field.default)
            if details:
                self.imports.add(("pydantic", "Field"))
                value = f"Field({', '.join([*([value] if value else []), *details])})"
            lines.append(fold(f"    {name}: {text}" + (f" = {value}" if value else "")))
        return "\n".join(lines)

    def _fields(self, kind: type[DescribedModel]) -> dict[str, str]:
        """The names of the fields of a model to those in the source, where none is called as a type is."""
        taken = set(kind.written)
        made: dict[str, str] = {}
        for name in kind.written:
            free = name
            while free in _USED_IN_CLASSES or free in self._classes or (free != name and free in taken):
                free = f"{free}_"
            taken.add(free)
            made[name] = free
        return made


def _or_none(text: str) -> str:
    return text if text == "Any" or text.endswith("| None") or text == "None" else f"{text} | None"


def _docstring(text: str, indent: str) -> list[str]:
    clean = prose(text).replace("\\", "\\\\").replace('"""', "'''")
    clean = f'{clean[:-1]}\\"' if clean.endswith('"') else clean
    lines = textwrap.wrap(clean, WIDTH - len(indent) - 6, break_on_hyphens=False, break_long_words=False)
    if not lines:
        return []
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    return [f'{indent}"""{lines[0]}', *(f"{indent}{line}" for line in lines[1:]), f'{indent}"""']
