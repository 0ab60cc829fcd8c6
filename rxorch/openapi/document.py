"""``Document``: one description of an API, its version, and what its references lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final
from urllib.parse import unquote

from rxorch.errors import ApiConfigurationError

__all__ = ["Document", "Raw", "children", "not_too_deep"]

Raw = Mapping[str, Any]
"""A part of a description as it was written."""

_VALUES: Final = frozenset({"example", "examples", "default", "enum", "const"})
"""What holds values of the API and no parts of the description."""

_MOST_STEPS: Final = 50


@contextmanager
def not_too_deep(what: str = "the description") -> Iterator[None]:
    """Say of what is nested deeper than Python can follow that it is.

    Args:
        what: the part of the description, for the error.

    Raises:
        ApiConfigurationError: in the place of a RecursionError.
    """
    try:
        yield
    except RecursionError:
        raise ApiConfigurationError(f"{what} is nested too deeply") from None


class Document:
    """A description of OpenAPI 3.0 or 3.1.

    Args:
        raw: the whole description.

    Raises:
        ApiConfigurationError: another version, a reference to another file, or one that leads nowhere.

    Example:
        >>> document = Document({"openapi": "3.1.0", "components": {"schemas": {"Id": {"type": "integer"}}}})
        >>> document.is_3_0, document.at("#/components/schemas/Id")
        (False, {'type': 'integer'})
    """

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.is_3_0 = _version(raw) == "3.0"
        self._found: dict[str, Any] = {}
        for reference in sorted(_references(raw)):
            if not reference.startswith("#"):
                raise ApiConfigurationError(
                    f"the description refers to another file ({reference[:80]!r}); make one file of them "
                    "first, for example with `redocly bundle`"
                )
            self.at(reference)
        for reference in self._found:
            self.resolve({"$ref": reference})

    @property
    def kinds(self) -> ModuleType:
        """The models of ``openapi-pydantic`` for this version.

        Raises:
            ApiConfigurationError: it is not installed.
        """
        try:
            from openapi_pydantic.v3 import v3_0, v3_1
        except ModuleNotFoundError:
            raise ApiConfigurationError(
                'reading OpenAPI needs openapi-pydantic: pip install "rxorch[openapi]"'
            ) from None
        return v3_0 if self.is_3_0 else v3_1

    def at(self, reference: str) -> Any:
        """Return what a local reference such as ``#/components/schemas/Pet`` leads to."""
        if reference not in self._found:
            self._found[reference] = self._find(reference)
        return self._found[reference]

    def _find(self, reference: str) -> Any:
        current: Any = self.raw
        for key in reference.removeprefix("#").lstrip("/").split("/") if reference != "#" else ():
            child = _child(current, key.replace("~1", "/").replace("~0", "~"))
            if child is None:  # some tools percent-encode what stands in a reference, some do not
                child = _child(current, unquote(key).replace("~1", "/").replace("~0", "~"))
            if child is None:
                raise ApiConfigurationError(
                    f"the description refers to {reference[:120]!r}, which it does not have"
                )
            current = child
        return current

    def resolve(self, part: Any) -> Any:
        """Return a part, or what it refers to.

        Raises:
            ApiConfigurationError: references that lead in a circle.
        """
        for _ in range(_MOST_STEPS):
            if not isinstance(part, Mapping) or not isinstance(part.get("$ref"), str):
                return part
            part = self.at(part["$ref"])
        raise ApiConfigurationError("references of the description lead in a circle")

    def components(self, kind: str) -> Raw:
        """Return the components of a kind: ``schemas``, ``securitySchemes`` ..."""
        components = self.raw.get("components")
        found = components.get(kind) if isinstance(components, Mapping) else None
        return found if isinstance(found, Mapping) else {}


def _version(raw: Raw) -> str:
    if "swagger" in raw:
        raise ApiConfigurationError(
            "this is Swagger 2.0; only OpenAPI 3.0 and 3.1 are read. Convert it first, for example with "
            "`npx swagger2openapi`"
        )
    version = re.match(r"3\.[01](?=\.|$)", str(raw.get("openapi", "")))
    if version is None:
        raise ApiConfigurationError(
            "not an OpenAPI description of version 3.0 or 3.1: 'openapi' is missing or another"
        )
    return version.group()


def _child(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and key.isdecimal()
        and len(key) < 10  # Python reads no number of thousands of digits
        and int(key) < len(value)
    ):
        return value[int(key)]
    return None


def _references(raw: Raw) -> set[str]:
    """All references in a description; a loop and not a recursion, as schemas may be nested deeply."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(raw, False)]
    while waiting:
        part, by_name = waiting.pop()
        if isinstance(part, Mapping | list):
            if id(part) in seen:  # an alias of YAML
                continue
            seen.add(id(part))
        if isinstance(part, Mapping):
            reference = part.get("$ref")
            if isinstance(reference, str) and not by_name:
                found.add(reference)
            waiting.extend(children(part, by_name))
        elif isinstance(part, list):
            waiting.extend((each, False) for each in part)
    return found


def children(part: Raw, by_name: bool) -> Iterator[tuple[Any, bool]]:
    """The children of a mapping that are parts of the description: no values, no extensions.

    Args:
        part: the mapping.
        by_name: whether its keys are names that the author of the API chose.

    Yields:
        A child, and whether that is so for its keys.
    """
    for key, child in part.items():
        if by_name or (key not in _VALUES and not str(key).startswith("x-")):
            yield child, not by_name and key in ("properties", "patternProperties", "mapping")
