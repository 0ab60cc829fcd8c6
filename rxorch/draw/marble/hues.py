"""Colours of elements: one that is seen again, or comes out of another, has the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rxorch_operators import Failure, RecordedLane, Success

__all__ = ["COUNT", "NEUTRAL", "Hues"]

COUNT: Final = 8
"""Colours that there are; then they begin anew."""
NEUTRAL: Final = -1
"""That of what is nobody's: several elements together, or one that was not recorded."""


class Hues:
    """The colours of the elements of a recording, given in the order in which they were seen."""

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}
        self._given = 0
        self._kept: list[Any] = []

    def of(self, value: Any, lane: RecordedLane) -> int:
        """The colour of an element that passes in a lane: an inner lane has that of the element it is for."""
        if lane.point.inner:
            hue = self._known[self._key(value)] = self.made_for(lane)
            return hue
        if isinstance(value, Success | Failure):
            hue = self._known[self._key(value)] = self._of(value.input)
            return hue
        return self._of(value)

    def made_for(self, lane: RecordedLane) -> int:
        """The colour of an inner lane."""
        return self._of(lane.of)

    def parts(self, value: Any) -> Sequence[tuple[Any, int]]:
        """The elements of a list of them, with their colours; nothing for anything else."""
        if not isinstance(value, list | tuple) or not value:
            return ()
        found = [(each, self._known.get(self._key(each), NEUTRAL)) for each in value]
        return () if any(hue == NEUTRAL for _, hue in found) else found

    def _of(self, value: Any) -> int:
        key = self._key(value)
        hue = self._known.get(key)
        if hue is None:
            hue = self._known[key] = self._given % COUNT
            self._given += 1
        return hue

    def _key(self, value: Any) -> Any:
        """Equal things of one type are the same; what cannot be compared is the same as itself."""
        try:
            if hash(value) is not None and value == value:
                return type(value), value
        except Exception:  # the user's own
            pass
        self._kept.append(value)  # so that no other takes its place in memory
        return id(value)
