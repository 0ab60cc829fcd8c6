"""Whether a schema means something else when it is sent than when it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rxorch.openapi.document import Document

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
        waiting: list[Any] = [self._document.at(reference)]
        found = False
        while waiting and not found:
            part = waiting.pop()
            if isinstance(part, list):
                waiting.extend(part)
            elif isinstance(part, Mapping):
                found = _is_directed(part)
                target = part.get("$ref")
                if isinstance(target, str) and target not in seen:
                    seen.add(target)
                    found = found or self._known.get(target, False)
                    waiting.append(self._document.at(target))
                waiting.extend(part.values())
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
