"""The inputs of a command: a file, a folder, standard input, or one value on the command line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from rxorch.endpoint.extracting import extractor
from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.sources import csv, jsonl, lines

__all__ = ["Form", "counter_of", "form_of", "inputs_of", "key_of", "one_input"]

Form: TypeAlias = Literal["jsonl", "csv", "lines"]

_FORMS: dict[str, Form] = {".csv": "csv", ".txt": "lines"}


def form_of(path: str) -> Form:
    """The form of a file by its name; JSON lines where it says nothing."""
    return _FORMS.get(Path(path.removesuffix(".gz")).suffix.lower(), "jsonl")


def inputs_of(path: str, form: Form | None, *, follow: bool) -> AsyncIterable[Any]:
    """The inputs in a file.

    Raises:
        ApiConfigurationError: There is no such file, or it cannot be read as told.
    """
    if path != "-" and not Path(path).exists():
        raise ApiConfigurationError(f"--input: there is no file {path!r}")
    read = {"jsonl": jsonl, "csv": csv, "lines": lines}[form or form_of(path)]
    return read(path, follow=follow)


def one_input(text: str) -> Iterable[Any]:
    """A value that was written on the command line.

    Raises:
        ApiConfigurationError: It is no JSON.
    """
    try:
        return [json.loads(text, parse_constant=_no_constant)]
    except ValueError as error:
        raise ApiConfigurationError(f"--data: it is no JSON ({error})") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"there is no {name} in JSON")


def key_of(expression: str | None) -> Callable[[Any], Hashable] | None:
    """A JMESPath expression as the key of inputs."""
    if expression is None:
        return None
    try:
        find = extractor(expression, endpoint="", label="key")
    except ApiConfigurationError as error:
        raise ApiConfigurationError(f"--key: {error.message}") from None

    def key(value: Any) -> Hashable:
        try:
            return cast("Hashable", find(value))
        except ApiValidationError:  # it speaks of an answer
            raise ApiValidationError(f"key: {expression!r} finds nothing in the input") from None

    return key


def counter_of(path: str, form: Form | None, *, follow: bool) -> Callable[[], int] | None:
    """What counts the inputs of a file, quickly; None where they cannot be counted without reading them."""
    plain = path != "-" and not follow and not path.endswith(".gz") and Path(path).is_file()
    if not plain:
        return None
    header = (form or form_of(path)) == "csv"
    return lambda: max(0, _lines(Path(path)) - header)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
