"""The tables themselves: there are many rows, each names its source, and each difference its reason."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import tests.operators.scenarios as package
from tests.operators.scenarios.scenario import Scenario

ANCHORS = (
    *(
        "AWS",
        "Envoy",
        "Failsafe",
        "Finagle",
        "Go, golang.org/x/sync",
        "Netflix Hystrix",
        "Pekko Streams",
        "Polly",
    ),
    *("RFC 5861", "RFC 9111", "Reactor", "RxJS", "aiolimiter", "gRPC proposal A6", "resilience4j"),
)


def tables() -> Iterator[tuple[str, tuple[Scenario, ...]]]:
    """Every table of every module, by its name."""
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, tuple) and value and all(isinstance(row, Scenario) for row in value):
                yield f"{module.name}.{name}", value


def test_there_are_many_rows_of_every_anchor() -> None:
    rows = [row for _, table in tables() for row in table]
    assert len(rows) >= 200
    assert {anchor for anchor in ANCHORS if not any(row.source.startswith(anchor) for row in rows)} == set()


def test_every_row_names_project_and_place() -> None:
    for name, table in tables():
        for row in table:
            assert row.source.startswith(ANCHORS), f"{name}: {row.name}"
            assert any(mark in row.source for mark in (",", ":")), f"{name}: {row.name}"


def test_every_difference_has_its_reason_and_nothing_else_has() -> None:
    for name, table in tables():
        differs = "DIFFER" in name
        assert [row.name for row in table if bool(row.why) is not differs] == [], name


def test_names_are_told_apart() -> None:
    for name, table in tables():
        names = [row.name for row in table]
        assert sorted(set(names)) == sorted(names), name
