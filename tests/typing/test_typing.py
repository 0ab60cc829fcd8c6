"""Types pass through `pipe` and around calls, in mypy and in pyright (as basedpyright), both strict."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
RIGHT = [PROGRAMS / name for name in ("calls.py", "pipelines.py", "requests.py")]
MISTAKES = PROGRAMS / "mistakes.py"


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def mypy(*files: Path) -> set[tuple[str, int, str]]:
    """What mypy says: file, line and text of each error."""
    options = ["--strict", "--no-error-summary", "--config-file", str(ROOT / "pyproject.toml")]
    done = run(sys.executable, "-m", "mypy", *options, *map(str, files), folder=ROOT)
    found = re.findall(r"(?m)^(.+?):(\d+): error: (.*)$", done.stdout)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return {(Path(file).name, int(line), text) for file, line, text in found}


def pyright(tmp_path: Path, *files: Path) -> set[tuple[str, int, str]]:
    """The same for pyright, in its own strict mode."""
    config = {
        "include": [str(file) for file in files],
        "extraPaths": [str(ROOT), str(ROOT / "operators")],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    options = ["--outputjson", "-p", str(tmp_path), "--pythonpath", sys.executable]
    done = run(sys.executable, "-m", "basedpyright", *options, folder=tmp_path)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(files), done.stdout
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"])
        for one in report["generalDiagnostics"]
        if one["severity"] == "error"
    }


def lines_that_are_wrong() -> set[int]:
    lines = MISTAKES.read_text().splitlines()
    return {number + 2 for number, line in enumerate(lines) if line.strip() == "# wrong"}


def test_mypy_knows_the_types() -> None:
    assert mypy(*RIGHT) == set()


def test_pyright_knows_the_types(tmp_path: Path) -> None:
    assert pyright(tmp_path, *RIGHT) == set()


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_mistakes_are_refused_and_nothing_else(tmp_path: Path, checker: str) -> None:
    found = mypy(MISTAKES) if checker == "mypy" else pyright(tmp_path, MISTAKES)
    assert {line for _, line, _ in found} == lines_that_are_wrong(), found
