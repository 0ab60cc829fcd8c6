"""dev.py against a stand-in for uv: no test needs the network, the real set-up is what runs this suite."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

DEV = Path(__file__).parents[1] / "dev.py"

# Notes its arguments, and can be told to kill its parent or to wait half-way.
FAKE_UV = """#!/bin/sh
echo "uv $*" >> "$CALLS/calls"
case "$1" in
venv)
    for last; do :; done
    mkdir -p "$last/bin"
    printf '%s\\n' '#!/bin/sh' 'echo "python $*" >> "$CALLS/calls"' 'echo "python $*"' \\
        'case "$*" in *"${FAIL:-nothing at all}"*) exit 7;; esac' > "$last/bin/python"
    chmod +x "$last/bin/python";;
pip)
    if [ -e "$CALLS/kill" ]; then rm "$CALLS/kill"; kill -9 $PPID; fi
    if [ -e "$CALLS/gate" ]; then read line < "$CALLS/gate"; fi;;
esac
"""


@dataclass(frozen=True, slots=True)
class Clone:
    """A copy of dev.py in a folder with a space in its name, and what the fake uv and python were asked."""

    root: Path
    calls: Path
    bin: Path

    def environment(self, **extra: str) -> dict[str, str]:
        return {"PATH": f"{self.bin}:/usr/bin:/bin", "CALLS": str(self.calls), **extra}

    def run(self, *arguments: str, cwd: Path | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.root / "dev.py"), *arguments],
            env=self.environment(**extra),
            cwd=cwd or self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.root / "dev.py"), *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def told(self, program: str) -> list[str]:
        lines = (self.calls / "calls").read_text().splitlines()
        return [line.removeprefix(program + " ") for line in lines if line.startswith(program + " ")]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "a clone", tmp_path / "calls", tmp_path / "bin")
    tests = made.root / "tests"
    for folder in (tests / "operators", tests / "docs", made.calls, made.bin):
        folder.mkdir(parents=True)
    (made.root / "dev.py").write_bytes(DEV.read_bytes())
    (made.root / "pyproject.toml").write_text("[project]\n")
    (tests / "test_x.py").touch()
    uv = made.bin / "uv"
    uv.write_text(FAKE_UV)
    uv.chmod(0o755)
    return made


@pytest.fixture
def dev(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The copy of dev.py as a module; its processes are recorded instead of run."""
    spec = importlib.util.spec_from_file_location("dev_under_test", clone.root / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(clone.root)
    monkeypatch.setattr(module, "_base_python", lambda: "python3.11")
    return module


def test_the_first_run_makes_the_environment_and_the_second_only_starts(clone: Clone) -> None:
    first = clone.run("test", "-q")
    second = clone.run("test", "-q")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "making .venv" in first.stdout
    assert second.stdout == "python -m pytest -q\n"
    assert [call.split()[0] for call in clone.told("uv")] == ["venv", "pip"]
    assert clone.told("uv")[1].endswith("--editable .[dev]")


@pytest.mark.parametrize("changed", ["pyproject.toml", "dev.py"])
def test_a_change_of_what_it_was_made_from_makes_it_again(clone: Clone, changed: str) -> None:
    clone.run("test", "-q")
    left_over = clone.root / ".venv" / "left over"
    left_over.touch()
    with (clone.root / changed).open("a") as file:
        file.write("\n# changed\n")
    assert "making .venv" in clone.run("test", "-q").stdout
    assert not left_over.exists()


def test_a_moved_clone_makes_it_again(clone: Clone) -> None:
    clone.run("test", "-q")
    moved = Clone(clone.root.rename(clone.root.parent / "elsewhere"), clone.calls, clone.bin)
    assert "making .venv" in moved.run("test", "-q").stdout


def test_a_killed_setup_is_done_again(clone: Clone) -> None:
    (clone.calls / "kill").touch()
    assert clone.run("test", "-q").returncode == -9
    assert (clone.root / ".venv").exists()
    again = clone.run("test", "-q")
    assert again.returncode == 0
    assert "making .venv" in again.stdout
    assert [call.split()[0] for call in clone.told("uv")] == ["venv", "pip", "venv", "pip"]


def test_two_at_once_make_it_once(clone: Clone) -> None:
    os.mkfifo(clone.calls / "gate")
    first = clone.start("test", "-q")
    assert first.stdout is not None
    assert "making .venv" in first.stdout.readline()
    second = clone.start("test", "-q")
    assert second.stdout is not None
    assert "another dev.py is making .venv" in second.stdout.readline()
    (clone.calls / "gate").write_text("go\n")
    assert [process.communicate() and process.returncode for process in (first, second)] == [0, 0]
    assert [call.split()[0] for call in clone.told("uv")] == ["venv", "pip"]


def test_an_environment_that_is_not_ours_is_left_alone(clone: Clone) -> None:
    (clone.root / ".venv").mkdir()
    (clone.root / ".venv" / "precious").touch()
    done = clone.run("test", "-q")
    assert done.returncode == 2
    assert "was not made by dev.py" in done.stderr
    assert (clone.root / ".venv" / "precious").exists()
    assert clone.run("test", "-q").returncode == 2


def test_it_works_from_anywhere_and_with_closed_streams(clone: Clone, tmp_path: Path) -> None:
    assert clone.run("test", "-q", cwd=tmp_path).stdout.endswith("python -m pytest -q\n")
    command = f'"{sys.executable}" "{clone.root}/dev.py" test -q <&- >&- 2>&-'
    assert subprocess.run(command, shell=True, env=clone.environment(), check=False).returncode == 0
    assert clone.told("python")[-1] == "-m pytest -q"


def test_test_runs_the_checks_and_ends_with_pytest(clone: Clone) -> None:
    done = clone.run("test")
    assert done.returncode == 0
    steps = [call.split()[1] for call in clone.told("python")]
    assert steps[:3] == ["ruff", "ruff", "mypy"]
    assert "import-linter: ok, " in done.stdout
    assert done.stdout.endswith(
        "dev.py: pytest\npython -m pytest -n auto --dist worksteal --max-worker-restart 0\n"
    )


def test_the_first_failing_check_stops_the_rest(clone: Clone) -> None:
    done = clone.run("test", FAIL="mypy")
    assert done.returncode == 7
    assert "dev.py: mypy --strict failed after " in done.stderr
    assert clone.told("python")[-1] == "-m mypy --strict"


def test_failing_tests_give_their_exit_code(clone: Clone) -> None:
    assert clone.run("test", FAIL="pytest").returncode == 7


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["test", "operators", "-k", "x"], "-m pytest tests/operators -k x"),
        (["test", "test_x.py", "operators"], "-m pytest tests/test_x.py tests/operators"),
        (["test", "-k", "operators"], "-m pytest -k operators"),
        (["test", "tests/operators"], "-m pytest tests/operators"),
        (["test", "-m", "soak"], "-m pytest -m soak"),
        (["demo", "--json", "--orders", "5"], "-m rxorch demo --json --orders 5"),
        (["bench", "-k", "x"], "-m pytest -m benchmark -s tests/benchmarks -k x"),
        (["notebooks", "03"], "notebooks/make.py 03"),
        (["docs", "-x"], "-m pytest tests/docs tests/test_docstrings.py -x"),
    ],
)
def test_arguments_are_passed_on(clone: Clone, arguments: list[str], asked: str) -> None:
    assert clone.run(*arguments).returncode == 0
    assert clone.told("python") == [asked]


def test_lint_runs_no_tests(clone: Clone) -> None:
    assert clone.run("lint").returncode == 0
    assert not any("pytest" in call for call in clone.told("python"))


def test_the_site_is_made_with_warnings_as_errors_and_wholly_anew_after_one(clone: Clone) -> None:
    made = clone.root / "docs" / "_build"
    made.mkdir(parents=True)
    done = clone.run("site", "-j", "2")
    assert done.returncode == 0
    assert done.stdout.endswith(f"dev.py: the site is in {made}/html/index.html\n")
    assert clone.told("python")[-1].startswith("-m sphinx --fail-on-warning --nitpicky ")
    assert clone.told("python")[-1].endswith(f"-j 2 docs {made}/html")
    assert made.exists()
    assert clone.run("site", FAIL="sphinx").returncode == 7
    assert not made.exists()


def test_no_command_and_an_unknown_one_show_the_usage(clone: Clone) -> None:
    assert "python3 dev.py demo" in clone.run().stdout
    unknown = clone.run("dance")
    assert unknown.returncode == 2
    assert "invalid choice: 'dance'" in unknown.stderr
    assert not (clone.root / ".venv").exists()


def test_packages_of_the_caller_do_not_leak_in(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    environment: Mapping[str, str] = dev._environment()
    assert "elsewhere" not in environment.values()
    assert environment["PIP_INDEX_URL"] == "kept"
    assert environment["PATH"].startswith(str(dev.BIN))


def record_quiet(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, *, fail: str = "nothing at all"
) -> list[str]:
    asked: list[str] = []

    def quiet(command: list[str]) -> None:
        line = " ".join(command).replace(str(dev.ROOT), "ROOT")
        asked.append(line)
        if fail in line:
            raise dev.SetupError(f"no network for {command[0]}")

    monkeypatch.setattr(dev, "_quiet", quiet)
    return asked


def have(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, *, uv: bool, modules: set[str]) -> None:
    monkeypatch.setattr(dev.shutil, "which", lambda name: "/bin/uv" if uv else None)
    monkeypatch.setattr(dev, "_has_module", modules.__contains__)


def test_without_uv_the_environment_has_its_own_pip(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    have(dev, monkeypatch, uv=False, modules={"ensurepip", "pip"})
    asked = record_quiet(dev, monkeypatch)
    dev._make()
    assert asked[0] == "python3.11 -m venv ROOT/.venv"
    assert asked[1].startswith("ROOT/.venv/bin/python -m pip install ")


def test_without_ensurepip_the_pip_outside_is_used(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    have(dev, monkeypatch, uv=False, modules={"pip"})
    asked = record_quiet(dev, monkeypatch)
    dev._make()
    assert asked[0] == "python3.11 -m venv --without-pip ROOT/.venv"
    assert asked[1].startswith("python3.11 -m pip --python ROOT/.venv/bin/python install ")


def test_a_uv_that_fails_is_followed_by_pip(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    have(dev, monkeypatch, uv=True, modules={"ensurepip"})
    asked = record_quiet(dev, monkeypatch, fail="uv pip")
    dev._make()
    assert [line.split()[0] for line in asked] == [
        "/bin/uv",
        "/bin/uv",
        "python3.11",
        "ROOT/.venv/bin/python",
    ]


def test_every_failure_is_told(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    have(dev, monkeypatch, uv=True, modules={"ensurepip"})
    record_quiet(dev, monkeypatch, fail="install")
    with pytest.raises(dev.SetupError, match=r"(?s)could not make .venv.*for /bin/uv.*for .*/python"):
        dev._make()


def test_without_any_installer_it_says_what_to_install(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(dev, monkeypatch, uv=False, modules=set())
    with pytest.raises(dev.SetupError, match="apt install python3-pip"):
        dev._make()


def test_a_failed_step_shows_the_end_of_its_output(dev: ModuleType) -> None:
    with pytest.raises(dev.SetupError) as caught:
        dev._quiet(["/bin/sh", "-c", "echo first; seq 20; echo the reason >&2; exit 3"])
    assert "exit code 3" in str(caught.value)
    assert str(caught.value).endswith("the reason")
    assert "first\n" not in str(caught.value).split("exit code 3", 1)[1]
