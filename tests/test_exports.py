"""The public face: what the two packages export, how it is documented, and what importing it costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["rxorch", "rxorch_operators"]

NOT_BY_IMPORT = {
    "rxorch": [
        *(
            "aiohttp.web",
            "typer",
            "click",
            "rich",
            "uvloop",
            "orjson",
            "IPython",
            "sqlite3",
            "multiprocessing",
        ),
        *("unittest", "pytest", "rxorch.cli", "rxorch.demo", "rxorch.draw", "rxorch.notebook"),
    ],
    "rxorch_operators": ["rxorch", "aiohttp", "yarl", "pydantic", "sqlite3"],
}
"""Modules that cost time at import or that need an extra; who uses the part that needs them loads them."""


def exports(package: str) -> list[str]:
    names: list[str] = importlib.import_module(package).__all__
    return names


def public_names() -> list[tuple[str, str]]:
    return [(package, name) for package in PACKAGES for name in exports(package)]


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: the order that ruff keeps ``__all__`` in."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def undocumented(cls: type) -> Iterator[str]:
    """The public methods and properties that rxorch itself gives a class and that say nothing."""
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        ours = str(getattr(function, "__module__", "")).startswith("rxorch")
        if not name.startswith("_") and inspect.isfunction(function) and ours and not inspect.getdoc(member):
            yield name


@pytest.mark.parametrize("package", PACKAGES)
def test_exports_are_sorted_and_unique(package: str) -> None:
    assert exports(package) == sorted(set(exports(package)), key=order)


@pytest.mark.parametrize(("package", "name"), public_names())
def test_every_export_exists_and_is_documented(package: str, name: str) -> None:
    exported = getattr(importlib.import_module(package), name)
    if inspect.isclass(exported) or inspect.isroutine(exported) or inspect.ismodule(exported):
        assert inspect.getdoc(exported), f"{name} has no docstring"
    if inspect.isclass(exported):
        assert exported.__doc__, f"{name} has no docstring of its own"
        assert list(undocumented(exported)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_does_not_load_what_it_does_not_need(package: str) -> None:
    code = f"import sys, {package}; print(*sys.modules)"
    paths = [str(ROOT), str(ROOT / "operators")]
    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert package in loaded
    assert set(NOT_BY_IMPORT[package]) & set(loaded) == set()
