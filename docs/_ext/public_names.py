"""Which names are public, and which module has the entry of each.

A name has its full entry once, in the first module of `MODULES` that exports it. In others it is an alias.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

__all__ = ["entry_of", "home_of", "is_public", "kind_of", "setup"]

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
    "rxorch.notebook",
    "rxorch.testing",
    "rxorch_operators",
    "rxorch_operators.testing",
]


@cache
def _modules() -> list[ModuleType]:
    return [importlib.import_module(name) for name in MODULES]


def kind_of(value: Any) -> str:
    """The kind of entry that Sphinx has for it."""
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else "data"


def home_of(name: str, value: Any) -> str:
    """The module that has the full entry of what a name stands for."""
    for module in _modules():
        if name in module.__all__ and getattr(module, name) is value:
            return module.__name__
    raise LookupError(name)


def entry_of(name: str) -> str | None:
    """The full entry of a public name; None if it is none."""
    for module in _modules():
        if name in module.__all__ and not inspect.ismodule(getattr(module, name)):
            return f"{home_of(name, getattr(module, name))}.{name}"
    return None


def is_public(name: str, value: Any) -> bool:
    """Whether one of the modules exports this value by this name."""
    return any(name in module.__all__ and getattr(module, name) is value for module in _modules())


def _aliases() -> Iterator[tuple[str, str]]:
    """Every further name of what has an entry, with the name of that."""
    for module in _modules():
        for name in module.__all__:
            value = getattr(module, name)
            if kind_of(value) != "module" and (home := home_of(name, value)) != module.__name__:
                yield f"{module.__name__}.{name}", f"{home}.{name}"


def add_aliases(app: Sphinx, env: BuildEnvironment) -> None:
    """Let all names of something lead to its entry."""
    objects = env.get_domain("py").data["objects"]
    for alias, entry in _aliases():
        objects[alias] = objects[entry]._replace(aliased=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("env-updated", add_aliases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
