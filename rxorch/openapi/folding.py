"""Long expressions of Python folded at their brackets, as formatters write them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["fold", "split"]

WIDTH: Final = 100
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}


def fold(line: str, width: int = WIDTH) -> str:
    """Return a line of source, folded at its brackets where it is too long.

    Args:
        line: with its indentation; one line.
        width: most characters of a line.

    Example:
        >>> print(fold("pet = operation('pet', path('id', int))", 24))
        pet = operation(
            'pet',
            path('id', int),
        )
    """
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    if len(split(line, "|")) > 2:
        return _union(line.strip(), indent, width)
    start, end = _longest_group(line)
    items = split(line[start + 1 : end], ",") if start >= 0 else []
    if not any(items):
        return line
    inner = "\n".join(fold(f"{indent}    {item},", width) for item in items)
    return f"{line[: start + 1]}\n{inner}\n{indent}{line[end:]}"


def _union(text: str, indent: str, width: int) -> str:
    """Fold ``name: A | B | C = value`` or ``name=A | B | C,`` at its bars."""
    found = re.match(r"(\w+(?:: |=))?(.*)", text)
    assert found is not None
    before, rest = found[1] or "", found[2]
    equals = split(rest, "=")
    after = f" = {'='.join(equals[1:])}" if len(equals) > 1 else "," if rest.endswith(",") else ""
    parts = split(equals[0].rstrip(","), "|")
    inner = "\n".join(fold(f"{indent}    {'| ' if i else ''}{part}", width) for i, part in enumerate(parts))
    return f"{indent}{before}(\n{inner}\n{indent}){after}"


def _longest_group(line: str) -> tuple[int, int]:
    """The longest of the outermost brackets."""
    found, depth, start = (-1, -1), 0, -1
    for i, character in _code(line):
        if character in _OPEN:
            if depth == 0:
                start = i
            depth += 1
        elif character in _OPEN.values():
            depth -= 1
            if depth == 0 and i - start > max(1, found[1] - found[0]):
                found = (start, i)
    return found


def split(text: str, separator: str) -> list[str]:
    """Return what stands between separators that are in no brackets and no strings.

    Example:
        >>> split("int | Literal['a|b'] | None", "|")
        ['int', "Literal['a|b']", 'None']
    """
    items, depth, start = [], 0, 0
    for i, character in _code(text):
        if character in _OPEN:
            depth += 1
        elif character in _OPEN.values():
            depth -= 1
        elif character == separator and depth == 0:
            items.append(text[start:i].strip())
            start = i + 1
    rest = text[start:].strip()
    return [*items, rest] if rest else items


def _code(text: str) -> list[tuple[int, str]]:
    """The characters that do not stand in a string."""
    found, quote, i = [], "", 0
    while i < len(text):
        character = text[i]
        if quote:
            i += character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            found.append((i, character))
        i += 1
    return found
