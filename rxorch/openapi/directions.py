"""Whether a schema means something else when it is sent than when it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rxorch.openapi.document import Document, children

__all__ = ["Direction", "Directions"]

Direction = Literal["request", "response"]


class Directions:
    """Tells which schemas have ``readOnly``, ``writeOnly`` or ``additionalProperties: false`` in them,
    however deep.

    What differs: a request leaves out what is read-only and forbids unknown fields where the schema does; a
        response
    may lack what is write-only, and may have more fields than were described.

    Args:
        document: the description.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known: dict[str, bool] = {}

    def differs(self, reference: str) -> bool:
        """Return whether the schema that a reference leads to needs one type for each direction."""
        if reference in self._known:
            return self._known[reference]
        # One walk over all that the schema can reach, not a recursion: components form circles.
        seen: set[str] = {reference}
        visited: set[int] = set()
        waiting: list[tuple[Any, bool]] = [(self._document.at(reference), False)]
        found = False
        while waiting and not found:
            part, by_name = waiting.pop()
            if id(part) in visited:
                continue
            visited.add(id(part))
            if isinstance(part, list):
                waiting.extend((each, False) for each in part)
            elif isinstance(part, Mapping):
                found = not by_name and _is_directed(part)
                target = None if by_name else part.get("$ref")
                if isinstance(target, str) and target not in seen:
                    seen.add(target)
                    found = found or self._known.get(target, False)
                    waiting.append((self._document.at(target), False))
                waiting.extend(children(part, by_name))
        self._known[reference] = found
        if not found:
            self._known.update(dict.fromkeys(seen, False))
        return found


def _is_directed(part: Mapping[str, Any]) -> bool:
    return (
        part.get("readOnly") is True
        or part.get("writeOnly") is True
        or part.get("additionalProperties") is False
    )
