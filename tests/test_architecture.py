"""The floors, and house rules that a linter has no word for; every rule is also shown to be able to fail."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOOR_0 = ROOT / "operators" / "rxorch_operators"
SOURCES = [*sorted(FLOOR_0.rglob("*.py")), *sorted((ROOT / "rxorch").rglob("*.py"))]
PROGRAMS = {"__main__.py", "cli", "demo"}
"""The parts of rxorch that use it as everybody does: through its front door, with the time of the day."""

MOST_LINES = 400
ENGINES = sorted((FLOOR_0 / "engines").glob("*.py"))
"""Floor 0 modules that are pure: the time and the chance come in as arguments."""

WALL_CLOCK = [
    ROOT / "rxorch" / name
    for name in (
        "endpoint/http_caching.py",
        "endpoint/reading.py",
        "ledger/ledger.py",
        "saga/memory_journal.py",
        "saga/settings.py",
        "saga/sqlite_journal.py",
        "server/run_book.py",
    )
]
"""Retry-After may be a date, and only the time of the day tells how far off it is; ledger and server tell
people; processes that share a journal share no other clock."""

Rule = Callable[[ast.Module], Iterator[str]]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of our pyproject.toml on the packages in a folder."""
    code = "import sys; sys.path[:0] = sys.argv[1:3]; sys.argv[1:] = sys.argv[3:]\n"
    code += "from importlinter.cli import lint_imports_command; lint_imports_command()"
    options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--no-logo"]
    return subprocess.run(
        [sys.executable, "-c", code, str(folder), str(folder / "operators"), *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def named_floors(contract: int = 0) -> set[str]:
    """The modules that the layers of a contract in pyproject.toml name; of the first: those of rxorch."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][contract]["layers"]
    return {name.strip(" ()") for layer in layers for name in layer.replace("|", ":").split(":")}


def named_rooms() -> set[str]:
    """The parts of floor 0 that the last contract names."""
    return named_floors(-1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Both packages with an empty package for each floor, to plant an import in."""
    rooms = [f"operators/{room.replace('.', '/')}" for room in named_rooms()]
    floors = [f"rxorch/{name}" for name in named_floors()]
    for package in ("operators/rxorch_operators", "rxorch", *rooms, *floors):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    return tmp_path


def test_the_floors_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("rxorch/http/planted.py", "import rxorch.endpoint"),
        ("rxorch/endpoint/planted.py", "def late():\n    from rxorch import client"),
        ("rxorch/config/__init__.py", "import rxorch.cli"),
        ("rxorch/planted.py", "'''A module that no floor names.'''"),
        ("operators/rxorch_operators/planted.py", "import rxorch.errors"),
        ("operators/rxorch_operators/planted.py", "import aiohttp"),
        ("operators/rxorch_operators/engines/planted.py", "import rxorch_operators.core"),
        ("operators/rxorch_operators/core/planted.py", "import rxorch_operators.testing"),
    ],
)
def test_a_step_upwards_is_noticed(model: Path, module: str, planted: str) -> None:
    assert lint_imports(model).returncode == 0
    (model / module).write_text(planted)
    assert lint_imports(model).returncode == 1


def test_every_floor_that_is_named_exists() -> None:
    there = {path.stem for path in (ROOT / "rxorch").iterdir()}
    assert named_floors() - there == set(), "pyproject.toml names floors that do not exist"


def test_files_stay_small() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def impure(tree: ast.Module) -> Iterator[str]:
    """Imports by which an engine would get at Rx, an event loop or a clock."""
    forbidden = {"reactivex", "asyncio", "time", "datetime", "threading"}
    return (name for name in imported(tree) if name.partition(".")[0] in forbidden)


def by_the_front_door(tree: ast.Module) -> Iterator[str]:
    """``from rxorch import X``, which imports every floor, where ``X`` is not a module."""
    modules = {path.stem for path in (ROOT / "rxorch").iterdir()}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "rxorch" and node.level == 0:
            yield from (alias.name for alias in node.names if alias.name not in modules)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name == "rxorch")


def wall_clock_or_dice(tree: ast.Module) -> Iterator[str]:
    """Use of the time of the day, or of the random generator that everybody shares."""
    injected = {id(inner) for node in ast.walk(tree) if takes_random(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            dice = node.value.id == "random" and node.attr[0].islower() and id(node) not in injected
            if dice or name in {"time.time", "time.time_ns", "time.sleep"}:
                yield name


def takes_random(node: ast.AST) -> bool:
    """Whether this is a function that is handed its own ``random``."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return False
    return "random" in {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}


def without_postponed_annotations(tree: ast.Module) -> Iterator[str]:
    """A module that defines something and lacks the future import."""
    defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AnnAssign) for node in ast.walk(tree))
    if defines and "__future__" not in imported(tree):
        yield "from __future__ import annotations"


def is_program(path: Path) -> bool:
    inside = path.relative_to(ROOT).parts
    return inside[0] == "rxorch" and inside[1] in PROGRAMS


def offenders(rule: Rule, paths: list[Path]) -> dict[str, list[str]]:
    found = {path.relative_to(ROOT).as_posix(): list(rule(ast.parse(path.read_text()))) for path in paths}
    return {name: names for name, names in found.items() if names}


LIBRARY = [path for path in SOURCES if not is_program(path)]
INNER = [path for path in LIBRARY if path != ROOT / "rxorch" / "__init__.py"]


def test_engines_are_pure() -> None:
    assert offenders(impure, ENGINES) == {}


def test_the_inside_does_not_use_the_front_door() -> None:
    assert offenders(by_the_front_door, INNER) == {}


def test_time_is_monotonic_and_chance_is_injected() -> None:
    assert offenders(wall_clock_or_dice, [path for path in LIBRARY if path not in WALL_CLOCK]) == {}


def test_annotations_are_postponed() -> None:
    assert offenders(without_postponed_annotations, SOURCES) == {}


@pytest.mark.parametrize(
    ("rule", "source", "found"),
    [
        (impure, "def late():\n    import asyncio.events", ["asyncio.events"]),
        (impure, "import math\nimport random", []),
        (by_the_front_door, "from rxorch import ApiClient, errors", ["ApiClient"]),
        (by_the_front_door, "import rxorch", ["rxorch"]),
        (by_the_front_door, "from rxorch.http import Request", []),
        (wall_clock_or_dice, "import time\ntime.time()\ntime.monotonic()", ["time.time"]),
        (wall_clock_or_dice, "import random\nrandom.uniform(0, 1)", ["random.uniform"]),
        (wall_clock_or_dice, "import random\ndef f(random: random.Random): random.uniform(0, 1)", []),
        (without_postponed_annotations, "x: int = 1", ["from __future__ import annotations"]),
        (without_postponed_annotations, "'''Doc.'''\nx = 1", []),
    ],
)
def test_the_rules_find_what_they_look_for(rule: Rule, source: str, found: list[str]) -> None:
    assert list(rule(ast.parse(source))) == found
