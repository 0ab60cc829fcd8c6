"""Code in docstrings: `this` becomes ``this``, as reStructuredText wants it, or a link to its entry."""

from __future__ import annotations

import re
from typing import Any

from public_names import entry_of
from sphinx.application import Sphinx

__all__ = ["setup"]

_SPAN = re.compile(r"(?<![`:\\])`(?P<code>[^`]+)`(?![`_])(?P<after>\w?)")
_LITERAL = re.compile(r"(?P<indent>\s*)(?:>>> |.*::$)")


def _marked(found: re.Match[str]) -> str:
    code = " ".join(found["code"].split())
    entry = entry_of(code)
    text = f"``{code}``" if entry is None else f":py:obj:`{code} <{entry}>`"
    return f"{text}\\ {found['after']}" if found["after"] else text


def paragraphs(lines: list[str]) -> list[list[str]]:
    """The lines of a docstring, in pieces that end with an empty line."""
    found: list[list[str]] = [[]]
    for line in lines:
        found[-1].append(line)
        if not line.strip():
            found.append([])
    return found


def mark_code(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Put marks around code, in all paragraphs that are text."""
    marked: list[str] = []
    deeper_than = -1
    for paragraph in paragraphs(lines):
        text = next(iter(paragraph), "")
        indent = len(text) - len(text.lstrip())
        if indent <= deeper_than:
            deeper_than = -1
        if deeper_than >= 0 or text.lstrip().startswith(">>>"):
            marked += paragraph
            continue
        if any(line.endswith("::") for line in paragraph):
            deeper_than = indent
        marked += _SPAN.sub(_marked, "\n".join(paragraph)).split("\n") if paragraph else []
    lines[:] = marked


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", mark_code, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
