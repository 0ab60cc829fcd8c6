"""Writes the entries of a module's public names into the page that asks for them.

A page says ``<!-- public names: rxorch.client -->``. Each name has its full entry once: in the first module of
`MODULES` that exports it. Every other module that exports it has an entry that leads there.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any, get_type_hints

from docutils.nodes import Element
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.inspect import stringify_signature

__all__ = ["MODULES", "setup"]

MODULES = [
    "rxorch.operators",
    "rxorch",
    "rxorch.client",
    "rxorch.events",
    "rxorch.observe",
    "rxorch.stream",
    "rxorch.sources",
    "rxorch.sinks",
    "rxorch.ledger",
    "rxorch.brokers",
    "rxorch.saga",
    "rxorch.server",
    "rxorch.http",
    "rxorch.openapi",
    "rxorch.graphql",
    "rxorch.paging",
    "rxorch.flowfile",
    "rxorch.draw",
    "rxorch.worst_case",
    "rxorch.lab",
    "rxorch.testing",
    "rxorch_operators",
    "rxorch_operators.testing",
]
GROUPS = {"class": "Classes", "function": "Functions", "exception": "Errors", "data": "Values and types"}

_MARK = re.compile(r"<!-- public names: (?P<module>[\w.]+) -->")


@cache
def public_modules() -> list[ModuleType]:
    """The modules of `MODULES`."""
    return [importlib.import_module(name) for name in MODULES]


def kind_of(value: Any) -> str:
    """The kind of entry that Sphinx has for it."""
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else "data"


def home_of(name: str, value: Any) -> str:
    """The module that has the full entry of what ``name`` stands for."""
    for module in public_modules():
        if name in module.__all__ and getattr(module, name) is value:
            return module.__name__
    raise LookupError(name)


def entry_of(name: str) -> str | None:
    """The full entry of a public name; None if it has none."""
    for module in public_modules():
        if name in module.__all__ and not inspect.ismodule(getattr(module, name)):
            return f"{home_of(name, getattr(module, name))}.{name}"
    return None


def entries(module: ModuleType) -> Iterator[str]:
    """The Markdown that describes a module."""
    yield from ("```{eval-rst}", f".. py:module:: {module.__name__}", "```", "")
    names = {name: getattr(module, name) for name in module.__all__}
    elsewhere = {name: home_of(name, value) for name, value in names.items() if kind_of(value) != "module"}
    for kind, heading in GROUPS.items():
        here = [name for name, home in elsewhere.items() if home == module.__name__ and kind_of(names[name]) == kind]
        if here:
            yield from ("", f"### {heading}", "", "```{eval-rst}")
            for name in here:
                yield from (*_full(module, name, kind), "")
            yield from ("```", "")
    by_home: dict[str, list[str]] = {}
    for name, home in elsewhere.items():
        if home != module.__name__:
            by_home.setdefault(home, []).append(name)
    if by_home:
        yield from ("### Described elsewhere", "", "```{eval-rst}")
        for home, there in by_home.items():
            links = ", ".join(f":py:obj:`{name} <{home}.{name}>`" for name in there)
            yield from (f"Of :py:mod:`{home}`: {links}.", "")
        yield from ("```", "")


def _full(module: ModuleType, name: str, kind: str) -> list[str]:
    if kind == "data":
        return _value(module, name)
    lines = [f".. auto{kind}:: {module.__name__}.{name}"]
    if kind in ("class", "exception"):
        lines += ["   :members:", "   :inherited-members: BaseModel, object"]
    return lines


def _value(module: ModuleType, name: str) -> list[str]:
    """A constant or an alias of a type: its value, and the text below the assignment that made it."""
    value = getattr(module, name)
    return [
        f".. py:data:: {name}",
        f"   :value: {_shown(value)}",
        "",
        *(f"   {line}" for line in _text_below(name, value)),
    ]


def _shown(value: Any) -> str:
    return re.sub(r"\b(?:typing|collections\.abc|rxorch\w*(?:\.\w+)*)\.", "", str(value) if not isinstance(value, str) else repr(value))


def _text_below(name: str, value: Any) -> list[str]:
    for module in list(sys.modules.values()):
        if module.__name__.startswith("rxorch") and vars(module).get(name) is value:
            found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs().get(("", name))
            if found:
                return found
    return []


def expand(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the entries in the place of the mark."""
    source[0] = _MARK.sub(lambda found: "\n".join(entries(importlib.import_module(found["module"]))), source[0])


def leave_out(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class inherits from other packages, and what no reader calls by its name."""
    if name.startswith("_") or name in ("model_config", "model_post_init"):
        return True
    function = member.fget if isinstance(member, property) else inspect.unwrap(member) if callable(member) else member
    origin = getattr(function, "__module__", None)
    return True if isinstance(origin, str) and not origin.startswith("rxorch") else None


def add_aliases(app: Sphinx, env: BuildEnvironment) -> None:
    """Let the name in every module that exports something lead to its entry."""
    objects = env.get_domain("py").data["objects"]
    for module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            if kind_of(value) != "module" and (home := home_of(name, value)) != module.__name__:
                objects[f"{module.__name__}.{name}"] = objects[f"{home}.{name}"]._replace(aliased=True)


def leave_unlinked(app: Sphinx, env: BuildEnvironment, node: Element, inside: Element) -> Element | None:
    """Show the type of a parameter without a link where it is not public; a public one must have its entry."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("rxorch"):
        return None
    module, _, name = target.rpartition(".")
    value = vars(sys.modules[module]).get(name) if module in sys.modules else None
    is_public = any(getattr(public, name, None) is value for public in public_modules() if name in public.__all__)
    return None if is_public else inside


def plain_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, text: str | None, returns: str | None
) -> tuple[str, str] | None:
    """The fields of a pydantic model with their types, without what checks them."""
    if what != "class" or not issubclass(value, BaseModel):
        return None
    annotated = {field: info.annotation for field, info in value.model_fields.items()}
    types = get_type_hints(type(name, (), {"__annotations__": annotated}))  # takes `Annotated` off, at any depth
    known = inspect.signature(value)
    fields = [each.replace(annotation=types.get(each.name, Any)) for each in known.parameters.values()]
    return stringify_signature(known.replace(parameters=fields, return_annotation=known.empty), unqualified_typehints=True), ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    for listener in list(app.events.listeners["autodoc-skip-member"]):
        app.disconnect(listener.id)  # napoleon's looks at private members, and pydantic's cannot be looked at
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("source-read", expand)
    app.connect("env-updated", add_aliases)
    app.connect("missing-reference", leave_unlinked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
