"""The engines know no clock, no loop, no Rx; and their examples are true."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import rxorch_operators

ENGINES = [
    "_circuit_model",
    "_tally",
    "backoff",
    "budget",
    "circuit",
    "errors",
    "gcra",
    "permits",
    "ttl_cache",
    "window",
]
IMPURE = {"asyncio", "datetime", "reactivex", "threading", "time"}


def imports_of(name):
    tree = ast.parse((Path(rxorch_operators.__file__).parent / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f".{node.module}" if node.level else str(node.module)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_imports_no_clock_no_loop_and_no_rx(name):
    """Trap: wall clocks. An engine that cannot read a clock cannot be hurt by one that steps back."""
    for imported in imports_of(name):
        assert imported.split(".")[0] not in IMPURE
        assert not imported.startswith(".") or imported[1:] in ENGINES


@pytest.mark.parametrize("name", ENGINES)
def test_the_examples_of_an_engine_are_true(name):
    result = doctest.testmod(importlib.import_module(f"rxorch_operators.{name}"))
    assert result.failed == 0
