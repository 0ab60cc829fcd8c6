"""Running the examples of a page as a reader would: from top to bottom, in one namespace.

The conventions, for whoever writes a page:

- Every ```` ```python ```` block is run. ``await`` and ``async with`` may stand at its top level.
- A ```` ```text ```` block right below a python block is what that block prints. ``...`` stands for anything.
- ``expression  # -> repr`` is checked too, wherever an expression stands as a statement.
- The host ``https://api.example.com`` is a real server while a page runs; see ``api.py`` for what it answers.
- ``<!-- no-run: reason -->`` right above a block leaves it out. The tests bound how many there are.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.api import HOST

__all__ = ["Block", "Page", "blocks_of", "run_page"]

_FENCE = re.compile(
    r"(?P<skip><!--\s*no-run:(?P<reason>[^>]*?)-->\s*\n+)?"
    r"(?<=\n)(?P<indent>[ ]*)```python[ ]*\n(?P<code>.*?)\n(?P=indent)```[ ]*(?=\n)"
    r"(?:\n+(?P=indent)```text[ ]*\n(?P<output>.*?)\n?(?P=indent)```[ ]*(?=\n))?",
    re.DOTALL,
)
_SHOWN = re.compile(r"#\s*->\s*(?P<wanted>.+?)\s*$")
_CHECKER = doctest.OutputChecker()
_LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One python block of a page."""

    line: int
    code: str
    output: str | None
    reason: str | None
    """Why it is not run; None if it is."""


@dataclass
class Page:
    """What came of running a page."""

    ran: int = 0
    checked: int = 0
    failures: list[str] = field(default_factory=list)


def blocks_of(text: str) -> Iterator[Block]:
    """The python blocks of a Markdown text."""
    text = f"\n{text}\n"
    for found in _FENCE.finditer(text):
        indent = found["indent"]
        code = re.sub(rf"(?m)^{indent}", "", found["code"])
        yield Block(
            line=text.count("\n", 0, found.start("code")),
            code=code,
            output=None if found["output"] is None else re.sub(rf"(?m)^{indent}", "", found["output"]),
            reason=None if found["skip"] is None else found["reason"].strip(),
        )


async def run_page(path: Path, url: str) -> Page:
    """Runs the blocks of a page, with ``url`` in the place of the host that readers see."""
    page, namespace = Page(), {"__name__": "page"}
    for block in blocks_of(path.read_text(encoding="utf-8")):
        if block.reason is not None:
            continue
        await run_block(block, path, url, namespace, page)
        if page.failures:
            break  # what comes below stands on it
    return page


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
