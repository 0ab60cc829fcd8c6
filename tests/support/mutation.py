"""Mutation testing of the engines: what `python3 dev.py mutate [ENGINE ...] [--max-children N]` runs.

mutmut makes one small change in an engine (`<` to `<=`, `+ 1` to `- 1`, a text in capitals), runs the tests
that reach it, and goes on to the next. A change that no test notices is a promise that no test holds. mutmut
needs an operating system that can fork.

mutmut knows a package only at the top of a project or in its `src`. So it works in `build/mutation`, where
`src` stands for `operators`; `[tool.mutmut]` in pyproject.toml speaks of that folder. Each run makes it anew,
since the verdicts of an earlier one do not know of tests that have changed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
STAGE = ROOT / "build" / "mutation"
ENGINES = Path("src", "rxorch_operators", "engines")
LEAST = 0.85
"""Share of the changes that must be noticed, in each engine."""

STANDS_FOR = {"src": "operators", "tests": "tests", "pyproject.toml": "pyproject.toml"}
MUTMUT = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()"]
FAILED = {1, 3}
TIMED_OUT = {24, -24, 36, 152, 255}
"""mutmut's exit codes for a test that failed or that did not end, as an endless loop does not."""


def main(arguments: Sequence[str]) -> int:
    """Run mutmut and report; 1 if too much went unnoticed in an engine."""
    parser = argparse.ArgumentParser(prog="dev.py mutate", description="Mutation testing of the engines.")
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help="only these; else all")
    parser.add_argument("--max-children", type=int, help="workers; one for each processor if not given")
    chosen = parser.parse_args(arguments)
    there = sorted(path.stem for path in (ROOT / "operators" / ENGINES.relative_to("src")).glob("[!_]*.py"))
    if unknown := set(chosen.engines) - set(there):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    stage()
    workers = [] if chosen.max_children is None else ["--max-children", str(chosen.max_children)]
    code = run([*workers, *(f"rxorch_operators.engines.{name}.*" for name in chosen.engines)])
    return code or report(chosen.engines or there)


def stage() -> None:
    """Make the folder that mutmut works in."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    for name, original in STANDS_FOR.items():
        (STAGE / name).symlink_to(ROOT / original)


def run(arguments: Sequence[str]) -> int:
    """Run mutmut; what it shows is for a terminal, and goes to a file if there is none."""
    command = [*MUTMUT, "run", *arguments]
    if sys.stdout.isatty():
        return subprocess.run(command, cwd=STAGE, check=False).returncode
    log = STAGE / "mutmut.log"
    print(f"mutmut is at work, see {log.relative_to(ROOT)}", flush=True)
    with log.open("wb") as file:
        code = subprocess.run(command, cwd=STAGE, stdout=file, stderr=file, check=False).returncode
    if code:
        print(log.read_text(errors="replace")[-5_000:])
    return code


def report(engines: Sequence[str]) -> int:
    """Print for each engine how many changes were noticed, and name those that were not."""
    verdicts = {engine: verdicts_on(engine) for engine in engines}
    unnoticed, poor = [], []
    print(f"{'engine':20} noticed changes  score")
    for engine, codes in verdicts.items():
        if not codes:
            continue  # it decides nothing: declarations alone
        missed = [name for name, code in codes.items() if code not in FAILED | TIMED_OUT]
        score = 1 - len(missed) / len(codes)
        print(f"{engine:20} {len(codes) - len(missed):7} {len(codes):7} {score:6.1%}")
        unnoticed += missed
        if score < LEAST:
            poor.append(engine)
    if unnoticed:
        print("\nNo test noticed these. To see one: cd build/mutation && ../../.venv/bin/mutmut show NAME")
        print("\n".join(unnoticed))
    if poor:
        print(f"\nbelow {LEAST:.0%}: {', '.join(poor)}", file=sys.stderr)
    return 1 if poor or not any(verdicts.values()) else 0


def verdicts_on(engine: str) -> dict[str, int | None]:
    """The exit code of the tests for each change in an engine."""
    path = STAGE / "mutants" / ENGINES / f"{engine}.py.meta"
    codes: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
    return codes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
