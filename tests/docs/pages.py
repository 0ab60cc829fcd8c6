"""Running the examples of a page as a reader would: from top to bottom, in one namespace.

The conventions, for whoever writes a page:

- Every ```` ```python ```` block is run. ``await`` and ``async with`` may stand at its top level.
- A ```` ```text ```` block right below a python block is what that block prints. ``...`` stands for anything.
- ``expression  # -> repr`` is checked too, wherever an expression stands as a statement.
- The host ``https://api.example.com`` is a real server while a page runs; see ``api.py`` for what it answers.
- ``<!-- no-run: reason -->`` right above a block leaves it out. The tests bound how many there are.
- ``<!-- file: name -->`` right above a block, of any language, makes it that file. While a page runs, the
  current folder is an empty one.
- ``<!-- run -->`` right above a ```` ```console ```` block runs its ``$ command`` lines there. What each
  prints, errors too, stands below it; ``...`` stands for anything.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.docs.api import HOST

__all__ = ["Block", "Page", "blocks_of", "run_commands", "run_page", "steps_of"]

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(
    r"(?:<!--\s*(?P<mark>no-run|file|run)(?::\s*(?P<said>[^>]*?))?\s*-->\s*\n+)?"
    r"(?<=\n)(?P<indent>[ ]*)```(?P<language>\w+)[ ]*\n(?P<code>.*?)\n(?P=indent)```[ ]*(?=\n)"
    r"(?:\n+(?P=indent)```text[ ]*\n(?P<output>.*?)\n?(?P=indent)```[ ]*(?=\n))?",
    re.DOTALL,
)
_SHOWN = re.compile(r"#\s*->\s*(?P<wanted>.+?)\s*$")
_CHECKER = doctest.OutputChecker()
_LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    line: int
    code: str
    output: str | None
    reason: str | None
    """Why it is not run; None if it is."""
    language: str = "python"
    file: str | None = None
    """What it is called; None if it is no file."""


@dataclass
class Page:
    """What came of running a page."""

    ran: int = 0
    checked: int = 0
    failures: list[str] = field(default_factory=list)


def blocks_of(text: str) -> Iterator[Block]:
    """The python blocks of a Markdown text."""
    return (block for block in steps_of(text) if block.language == "python")


def steps_of(text: str) -> Iterator[Block]:
    """The python blocks of a Markdown text, its files, and the commands that are to be run."""
    text = f"\n{text}\n"
    for found in _FENCE.finditer(text):
        mark, said, language = found["mark"], found["said"], found["language"]
        if language != "python" and mark is None:
            continue
        indent = found["indent"]
        yield Block(
            line=text.count("\n", 0, found.start("code")),
            code=re.sub(rf"(?m)^{indent}", "", found["code"]),
            output=None if found["output"] is None else re.sub(rf"(?m)^{indent}", "", found["output"]),
            reason=said or "" if mark == "no-run" else None,
            language=language,
            file=said if mark == "file" else None,
        )


async def run_page(path: Path, url: str) -> Page:
    """Runs the blocks of a page, with ``url`` in the place of the host that readers see."""
    page, namespace = Page(), {"__name__": "page"}
    for block in steps_of(path.read_text(encoding="utf-8")):
        if block.reason is not None:
            continue
        if block.file is not None:
            Path(block.file).write_text(block.code.replace(HOST, url) + "\n")
        elif block.language == "console":
            run_commands(block, path, url, page)
        else:
            await run_block(block, path, url, namespace, page)
        if page.failures:
            break  # what comes below stands on it
    return page


def run_commands(block: Block, path: Path, url: str, page: Page) -> None:
    """Runs the commands of a console block, and compares what each prints with what stands below it."""
    for part in re.split(r"(?m)^\$ ", block.code)[1:]:
        command, _, wanted = part.partition("\n")
        while command.endswith("\\"):
            more, _, wanted = wanted.partition("\n")
            command = f"{command[:-1]} {more.removeprefix('>').strip()}"
        page.checked += 1
        _compare(f"{path.name}:{block.line}: {command}", wanted, _printed(command, url), page)


def _printed(command: str, url: str) -> str:
    """What a command prints, errors too."""
    with TemporaryDirectory() as folder:
        scripts = {
            "rxorch": f"#!{sys.executable}\nfrom rxorch.cli import main\n\nmain()\n",
            "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
        }
        for name, text in scripts.items():
            script = Path(folder) / name
            script.write_text(text)
            script.chmod(0o700)
        environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}",
            "COLUMNS": "100",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            command.replace(HOST, url),
            shell=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
    return done.stdout.replace(url, HOST)


async def run_block(block: Block, path: Path, url: str, namespace: dict[str, Any], page: Page) -> None:
    """Runs one block and compares what it shows with what the page says."""
    place = f"{path.name}:{block.line}"

    def shown(value: Any, wanted: str, line: int) -> None:
        page.checked += 1
        _compare(f"{path.name}:{block.line + line - 1}", wanted, repr(value).replace(url, HOST), page)

    namespace["_shown"] = shown
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            await execute(block.code.replace(HOST, url), place, namespace)
    except (Exception, asyncio.CancelledError) as error:
        page.failures.append(f"{place}: {type(error).__name__}: {error}")
        return
    page.ran += 1
    if block.output is not None:
        page.checked += 1
        _compare(place, block.output, printed.getvalue().replace(url, HOST), page)


async def execute(code: str, place: str, namespace: dict[str, Any]) -> None:
    """Runs code that may await at its top level."""
    tree = _Showing(code).visit(ast.parse(code))
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(ast.fix_missing_locations(tree), place, "exec", flags=flags, dont_inherit=True)
    result = eval(compiled, namespace)
    if inspect.isawaitable(result):
        await result


class _Showing(ast.NodeTransformer):
    """``expression  # -> wanted`` becomes ``_shown(expression, "wanted", line)``."""

    def __init__(self, code: str) -> None:
        self.lines = code.splitlines()

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        found = _SHOWN.search(self.lines[(node.end_lineno or node.lineno) - 1])
        if found is None:
            return node
        arguments = [node.value, ast.Constant(found["wanted"]), ast.Constant(node.lineno)]
        call = ast.Call(ast.Name("_shown", ast.Load()), arguments, [])
        return ast.copy_location(ast.Expr(ast.copy_location(call, node)), node)


def _compare(place: str, wanted: str, got: str, page: Page) -> None:
    if not _CHECKER.check_output(wanted.rstrip() + "\n", got.rstrip() + "\n", _LOOSELY):
        page.failures.append(f"{place}: expected\n{wanted}\ngot\n{got}")
