"""Environment: what `${...}` in a flow file stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from rxorch.errors import ApiConfigurationError

__all__ = ["Environment", "Kind"]

_REFERENCE: Final = re.compile(r"\$(?:\$|\{([^{}]*)\})")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::(-|\?)(.*))?", re.DOTALL)
_LARGEST: Final = 64 * 1024
_FORMS: Final = (
    "${...} names a variable: ${NAME}, ${NAME:-default}, ${NAME:?message}, or ${file:path}, without braces "
    "in it; $$ is a dollar sign"
)

Kind: TypeAlias = Literal["literal", "reference", "mixed"]
"""A text without references, one that is nothing but a reference, or one that has some."""


class Environment:
    """Replaces references in texts.

    `${NAME}` is a variable, `${NAME:-text}` has a default for where it is missing or empty, `${NAME:?text}`
    says what is wrong then; `${file:/run/secrets/token}` is what a file has, without the line end behind it;
    `$$` is a dollar sign.

    Args:
        variables: By name.
        folder: Where relative paths of files begin.

    >>> Environment({"HOST": "api.example.com"}).expand("https://${HOST}/${VERSION:-v1}?price=$$5")
    ('https://api.example.com/v1?price=$5', 'mixed')
    """

    def __init__(self, variables: Mapping[str, str], folder: Path = Path()) -> None:
        self._variables = variables
        self._folder = folder

    def expand(self, text: str) -> tuple[str, Kind]:
        """The text with its references replaced, and what it was before.

        Raises:
            ApiConfigurationError: A variable or file that is not there, or a reference that is none.
        """
        if "${" in _REFERENCE.sub("", text):
            raise ApiConfigurationError(_FORMS)
        references = [found[0] for found in _REFERENCE.finditer(text) if found[1] is not None]
        kind: Kind = "literal" if not references else "reference" if references == [text] else "mixed"
        return _REFERENCE.sub(self._replaced, text), kind

    def _replaced(self, match: re.Match[str]) -> str:
        reference = match[1]
        if reference is None:
            return "$"
        if reference.startswith("file:"):
            return self._content(reference.removeprefix("file:"))
        parts = _NAME.fullmatch(reference)
        if parts is None:
            raise ApiConfigurationError(_FORMS)
        name, kind, rest = parts.groups()
        value = self._variables.get(name)
        if value or (value is not None and kind is None):
            return value
        if kind == "-":
            return rest
        said = f": {rest}" if rest else f"; set it, or give a default: ${{{name}:-...}}"
        raise ApiConfigurationError(f"the variable {name} is not set{said}")

    def _content(self, name: str) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                content = file.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            raise ApiConfigurationError(
                f"the file {name!r} cannot be read: {getattr(error, 'strerror', None) or 'no path'}"
            ) from None
        if len(content) > _LARGEST:
            raise ApiConfigurationError(f"the file {name!r} is larger than {_LARGEST // 1024} KiB")
        try:
            return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ApiConfigurationError(f"the file {name!r} is no UTF-8 text") from None
