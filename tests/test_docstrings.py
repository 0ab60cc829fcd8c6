"""The examples in the docstrings, executed: one test for each module that has any."""

from __future__ import annotations

import doctest
import importlib
import io
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import rxorch
import rxorch_operators

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules() -> Iterator[str]:
    for package in (rxorch, rxorch_operators):
        yield package.__name__
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield module.name


def run(name: str) -> tuple[int, str]:
    """The number of examples in a module, and the report of those that failed."""
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for example in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(example, out=report.write)
    return runner.tries, report.getvalue()


@pytest.mark.parametrize("name", list(modules()))
def test_examples_do_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    _, failures = run(name)
    assert not failures, failures


def test_a_wrong_example_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rxorch, "__doc__", "A package.\n\n>>> 1 + 1\n3\n")
    tries, failures = run("rxorch")
    assert tries >= 1
    assert "Expected:\n    3\nGot:\n    2" in failures
