#!/usr/bin/env python3
"""Everything a developer does, with nothing installed but Python 3.11, git and pip (or uv).

    python3 dev.py demo [--json] [--orders N] [--seed N]     the main job, on services it starts itself
    python3 dev.py demo --saga [--json] [--orders N]         orders that are done whole, or undone
    python3 dev.py test [FOLDER_OR_FILE | pytest arguments]  all checks; with arguments: these tests only
    python3 dev.py lint                                      ruff, mypy and the floors, no tests
    python3 dev.py bench [pytest arguments]                  the benchmarks
    python3 dev.py docs [pytest arguments]                   the examples of README and docs, executed
    python3 dev.py notebooks [01 ...]                        the notebooks, made anew from their sources
    python3 dev.py site [sphinx arguments]                   the site of docs/, in docs/_build/html
    python3 dev.py mutate [ENGINE ...]                       mutation testing of the engines, for an hour

The first run makes `.venv` beside this file and installs rxorch into it, editable, with all extras. It is
made again when pyproject.toml, this file or the Python version changes. Delete the folder to start afresh.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("dev.py: rxorch needs Python 3.11 or newer, this is " + sys.version.split()[0])

from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "rxorch-dev.stamp"
LOCK = ROOT / ".venv.lock"
UNFINISHED = "dev.py is making .venv\n"
WINDOWS = os.name == "nt"
BIN = VENV / ("Scripts" if WINDOWS else "bin")
PYTHON = BIN / ("python.exe" if WINDOWS else "python")

CHECKS: dict[str, list[str]] = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy --strict": ["-m", "mypy", "--strict"],
    "import-linter": ["-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-logo"],
}


PAGES = ROOT / "docs" / "_build"
SITE = ["-m", "sphinx", "--fail-on-warning", "--nitpicky", "--quiet", "-d", str(PAGES / "doctrees")]

# A process for each CPU; who is done takes tests from the others. One that dies or hangs ends the run.
IN_PARALLEL = ["-n", "auto", "--dist", "worksteal", "--max-worker-restart", "0"]


class SetupError(Exception):
    """`.venv` could not be made; the text says why and is all that the user sees."""


def main(arguments: Sequence[str]) -> int:
    """Carry out one command and return the exit code."""
    command, rest = _parse(arguments)
    _open_standard_streams()
    os.chdir(ROOT)
    try:
        prepare()
    except (SetupError, OSError) as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; the next run starts the set-up again", 130)
    try:
        return COMMANDS[command](rest)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _parse(arguments: Sequence[str]) -> tuple[str, list[str]]:
    parser = argparse.ArgumentParser(
        prog="dev.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s COMMAND ...",
    )
    parser.add_argument("command", choices=sorted(COMMANDS), metavar="COMMAND", help=", ".join(COMMANDS))
    if not arguments:
        parser.print_help()
        raise SystemExit(2)
    return parser.parse_args(arguments[:1]).command, list(arguments[1:])


# The commands


def demo(rest: list[str]) -> int:
    """Run the demo; its arguments are those of ``rxorch demo``."""
    return _become(["-m", "rxorch", "demo", *rest])


def test(rest: list[str]) -> int:
    """Run every check, all tests at once on all CPUs; or with arguments only the tests that they name."""
    if rest:
        return _become(["-m", "pytest", *_test_paths(rest)])
    code = lint([])
    if code == 0:
        _say("pytest")
        code = _become(["-m", "pytest", *IN_PARALLEL])
    return code


def lint(rest: list[str]) -> int:
    """Run the static checks until one of them fails."""
    for name, command in CHECKS.items():
        _say(name)
        began = time.monotonic()
        code = _run([str(PYTHON), *command, *rest])
        spent = time.monotonic() - began
        if code != 0:
            return _fail(f"{name} failed after {spent:.1f} s", code)
        _say(f"{name}: ok, {spent:.1f} s")
    return 0


def bench(rest: list[str]) -> int:
    """Run the benchmarks and show what they print."""
    return _become(["-m", "pytest", "-m", "benchmark", "-s", "tests/benchmarks", *rest])


def docs(rest: list[str]) -> int:
    """Execute the examples of README.md, docs/ and the docstrings."""
    _say("the examples of README.md, docs/ and the docstrings are run now; `dev.py site` makes the site")
    pages = [path for path in ("tests/docs", "tests/test_readme.py") if (ROOT / path).exists()]
    return _become(["-m", "pytest", *pages, "tests/test_docstrings.py", *rest])


def notebooks(rest: list[str]) -> int:
    """Run the sources in notebooks/ and write the notebooks with what they gave."""
    return _become(["notebooks/make.py", *rest])


def site(rest: list[str]) -> int:
    """Make the site of the documentation; a warning is an error."""
    code = _run([str(PYTHON), *SITE, *rest, "docs", str(PAGES / "html")])
    if code != 0:
        shutil.rmtree(PAGES, ignore_errors=True)  # what was read is not read again, and would warn no more
        return _fail("the site has faults, see above", code)
    _say(f"the site is in {PAGES / 'html' / 'index.html'}")
    return 0


def mutate(rest: list[str]) -> int:
    """Change the engines a little, thousands of times, and count what the tests notice."""
    return _become(["-m", "tests.support.mutation", *rest])


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "demo": demo,
    "test": test,
    "lint": lint,
    "bench": bench,
    "docs": docs,
    "notebooks": notebooks,
    "site": site,
    "mutate": mutate,
}


def _test_paths(rest: Sequence[str]) -> list[str]:
    """Let ``operators`` mean ``tests/operators`` up to the first option; the rest is for pytest as it is."""
    paths = list(itertools.takewhile(lambda argument: not argument.startswith("-"), rest))
    found = [f"tests/{path}" if (ROOT / "tests" / path).exists() else path for path in paths]
    return [*found, *rest[len(paths) :]]


# The set-up


def prepare() -> None:
    """Make ``.venv`` unless it is there, complete and up to date."""
    wanted = _stamp()
    if _is_current(wanted):
        return
    with _locked():
        if _is_current(wanted):  # another dev.py made it while this one waited
            return
        if VENV.exists() and not STAMP.exists() and LOCK.read_text(encoding="ascii") != UNFINISHED:
            raise SetupError(f"{VENV} exists and was not made by dev.py; move it away and try again")
        began = time.monotonic()
        _say("making .venv, this happens once and takes a minute")
        LOCK.write_text(UNFINISHED, encoding="ascii")  # what is there now may be thrown away by the next run
        _make()
        STAMP.write_text(wanted, encoding="ascii")
        LOCK.write_text("", encoding="ascii")
        _say(f".venv is ready, {time.monotonic() - began:.1f} s")


def _stamp() -> str:
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for name in ("pyproject.toml", "dev.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _is_current(wanted: str) -> bool:
    try:
        return STAMP.read_text(encoding="ascii") == wanted and PYTHON.exists()
    except OSError:
        return False


def _make() -> None:
    """Make ``.venv`` with uv if that is there and works, else with pip."""
    uv = shutil.which("uv")
    complaints = []
    if uv is not None:
        try:
            _make_with_uv(uv)
        except SetupError as error:
            complaints.append(str(error))
            _say("uv could not make .venv, trying pip")
        else:
            return
    try:
        _make_with_pip()
    except SetupError as error:
        raise SetupError("could not make .venv:\n" + "\n".join([*complaints, str(error)])) from None


def _make_with_uv(uv: str) -> None:
    _remove_venv()
    _quiet([uv, "venv", "--quiet", "--python", _base_python(), str(VENV)])
    _quiet([uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--editable", ".[dev]"])


def _make_with_pip() -> None:
    _remove_venv()
    if _has_module("ensurepip"):
        _quiet([_base_python(), "-m", "venv", str(VENV)])
        pip = [str(PYTHON), "-m", "pip"]
    elif _has_module("pip"):
        # Debian splits ensurepip off; its pip can work on another environment than its own.
        _quiet([_base_python(), "-m", "venv", "--without-pip", str(VENV)])
        pip = [_base_python(), "-m", "pip", "--python", str(PYTHON)]
    else:
        raise SetupError(
            "this Python has neither ensurepip nor pip (Debian, Ubuntu: apt install python3-pip)"
        )
    _quiet([*pip, *PIP_INSTALL])


PIP_INSTALL = ["install", "--quiet", "--no-input", "--disable-pip-version-check", "--editable", ".[dev]"]


def _base_python() -> str:
    # Inside another virtual environment sys.executable has that one's packages and goes when that one goes.
    return getattr(sys, "_base_executable", None) or sys.executable


def _has_module(name: str) -> bool:
    return _capture([_base_python(), "-c", f"import {name}"])[0] == 0


def _remove_venv() -> None:
    if VENV.is_symlink():
        raise SetupError(f"{VENV} is a symbolic link; remove it and try again")
    if VENV.exists():
        STAMP.unlink(missing_ok=True)  # first: a removal that is cut short must not look complete
        shutil.rmtree(VENV)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one dev.py at a time work on ``.venv``; the system frees the lock of a killed one.

    The set-up's processes inherit the lock: they outlive a killed dev.py, and must not meet the next one's.
    """
    with LOCK.open("a+") as file:
        os.set_inheritable(file.fileno(), True)
        if not _try_lock(file.fileno()):
            _say("another dev.py is making .venv, waiting for it")
            while not _try_lock(file.fileno()):
                time.sleep(0.2)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# Processes


def _environment() -> dict[str, str]:
    """The user's environment less what would leak other packages into ``.venv`` or send them elsewhere."""
    leaks = {
        "PYTHONPATH",
        "PYTHONHOME",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_REQUIRE_VIRTUALENV",
        "PIP_PYTHON",
    }
    environment = {name: value for name, value in os.environ.items() if name not in leaks}
    environment["VIRTUAL_ENV"] = str(VENV)
    environment["PATH"] = os.pathsep.join([str(BIN), environment.get("PATH", os.defpath)])
    return environment


def _become(arguments: Sequence[str]) -> int:
    """Go on as Python with these arguments, so that signals and the exit code are that program's own."""
    command = [str(PYTHON), *arguments]
    print(end="", flush=True)
    if not WINDOWS:
        os.execve(PYTHON, command, _environment())
    return _run(command)


def _run(command: Sequence[str]) -> int:
    process = subprocess.Popen(command, env=_environment())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the child has received it too and ends in its own time
            continue


def _quiet(command: Sequence[str]) -> None:
    """Run one step of the set-up; on failure raise with the end of what it printed."""
    code, output = _capture(command)
    if code != 0:
        told = "\n".join(f"    {line}" for line in output.strip().splitlines()[-15:])
        raise SetupError(f"`{' '.join(command)}` ended with exit code {code}\n{told}")


def _capture(command: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(
        command,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,  # see _locked
        check=False,
    )
    return done.returncode, done.stdout


def _open_standard_streams() -> None:
    """Give a closed standard stream a place to go, before a file of ours gets its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(descriptor, True)


def _say(text: str) -> None:
    print(f"dev.py: {text}", flush=True)


def _fail(text: str, code: int) -> int:
    print(f"dev.py: {text}", file=sys.stderr, flush=True)
    return code if code > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
