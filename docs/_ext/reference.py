"""The entries of a module's public names, where a page says ``<!-- public names: rxorch.client -->``."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from types import ModuleType
from typing import Any

from public_names import home_of, kind_of
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

__all__ = ["setup"]

HEADINGS = {"class": "Classes", "function": "Functions", "exception": "Errors", "data": "Values and types"}

_MARK = re.compile(r"<!-- public names: (?P<module>[\w.]+) -->")
_QUALIFIER = re.compile(r"\b(?:typing|collections\.abc|rxorch\w*(?:\.\w+)*)\.")


def expand(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the entries in the place of the mark."""
    source[0] = _MARK.sub(lambda found: described(importlib.import_module(found["module"])), source[0])


def described(module: ModuleType) -> str:
    """The Markdown that describes a module."""
    here, elsewhere = defaultdict(list), defaultdict(list)
    for name in module.__all__:
        value = getattr(module, name)
        kind = kind_of(value)
        if kind == "module":
            continue
        home = home_of(name, value)
        if home == module.__name__:
            here[kind].append(name)
        else:
            elsewhere[home].append(name)
    parts = [_block([f".. py:module:: {module.__name__}"])]
    for kind, heading in HEADINGS.items():
        if here[kind]:
            entries = (line for name in here[kind] for line in _entry(module, name, kind))
            parts += [f"### {heading}", _block(entries)]
    if elsewhere:
        parts += ["### Described elsewhere", _block(_pointers(elsewhere))]
    return "\n\n".join(parts)


def _block(lines: Iterator[str] | list[str]) -> str:
    return "\n".join(["```{eval-rst}", *lines, "```"])


def _pointers(elsewhere: dict[str, list[str]]) -> Iterator[str]:
    for home, names in elsewhere.items():
        yield f"Of :py:mod:`{home}`: {', '.join(f':py:obj:`{name} <{home}.{name}>`' for name in names)}."
        yield ""


def _entry(module: ModuleType, name: str, kind: str) -> Iterator[str]:
    value = getattr(module, name)
    if kind == "data":
        yield from _value(name, value)
        return
    yield f".. auto{kind}:: {module.__name__}.{name}"
    if inspect.isclass(value):
        yield "   :members:"
        is_enum = issubclass(value, Enum)
        yield "   :undoc-members:" if is_enum else "   :inherited-members: BaseModel, object"
    yield ""


def _value(name: str, value: Any) -> Iterator[str]:
    """A constant or an alias of a type, and the text below the assignment that made it."""
    shown = repr(value) if isinstance(value, str) else _QUALIFIER.sub("", str(value))
    yield from (f".. py:data:: {name}", f"   :value: {shown}", "")
    yield from (f"   {line}" for line in _text_below(name, value))
    yield ""


def _text_below(name: str, value: Any) -> list[str]:
    for module in list(sys.modules.values()):
        if module.__name__.startswith("rxorch") and vars(module).get(name) is value:
            found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs().get(("", name))
            if found:
                return found
    return []


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", expand)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
