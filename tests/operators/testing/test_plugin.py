"""The plugin as its users meet it: found by pytest, with an option, a fixture and a line at the end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rxorch_operators.testing.plugin import SIZES, size_of

A_TEST = """
from reactivex import operators as ops
from rxorch_operators.testing import Subject


def test_map(laws):
    laws.check(Subject(name="map", build=lambda lab: ops.map(lab.callback(abs)), tells=False))


def test_wrong(laws):
    laws.check(Subject(name="wrong", build=lambda lab: ops.map(lambda n: -n), keeps="values", tells=False))
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(A_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_an_operator_of_ones_own_is_held_to_the_laws(tmp_path: Path) -> None:
    done = run(tmp_path, "--laws=150")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "wrong breaks a law:" in done.stdout
    assert "transparency: elements were lost, changed or put in another order" in done.stdout
    assert "laws of operators: 2 operators" in done.stdout


CASES = re.compile(r"laws of operators: (.*) operators, (.*) generated cases, (.*) or more for each")


@pytest.mark.parametrize("options", [(), ("-p", "no:xdist"), ("-n", "2", "--dist", "each")])
def test_what_the_workers_checked_is_told_in_one_sum(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, "--laws=150", "-k", "map", *options)
    [(operators, cases, each)] = CASES.findall(done.stdout)
    workers = 2 if "each" in options else 1
    assert (operators, cases, each) == ("1", str(150 * workers), str(150 * workers))


def test_a_worker_that_dies_has_told_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_dies.py").write_text("import os\n\n\ndef test_it():\n    os._exit(3)\n")
    done = run(tmp_path, "--laws=150", "-k", "map or it", "-n", "2", "--max-worker-restart=0")
    assert done.returncode == 1
    assert "crashed while running 'test_dies.py::test_it'" in done.stdout
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_a_size_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    done = run(tmp_path, "--laws=many")
    assert done.returncode == 4
    assert "--laws=many: give short, long, or the number of cases" in done.stderr


def test_short_is_two_thousand_and_long_is_fifty_thousand() -> None:
    assert (size_of("short"), size_of("long"), size_of("7")) == (2_000, 50_000, 7)
    assert SIZES == {"short": 2_000, "long": 50_000}


@pytest.mark.parametrize("wanted", ["0", "-1", "", "1.5", "²", "Long"])
def test_what_else_is_given_is_refused(wanted: str) -> None:
    with pytest.raises(pytest.UsageError, match="--laws="):
        size_of(wanted)


WITHOUT_HYPOTHESIS = """
import sys


class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "hypothesis":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Missing())
import pytest

need_it = [part for name in ("hypothesispytest", "schemathesis") for part in ("-p", f"no:{name}")]
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *need_it, "test_mine.py"]))
"""


def test_it_does_no_harm_where_hypothesis_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "def test_one():\n    from rxorch_operators.testing import Recorder\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HYPOTHESIS],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
