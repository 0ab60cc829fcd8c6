"""Recordings to draw: made by hand, without any stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxorch_operators import RecordedPoint, Recording, StreamEvent

__all__ = ["a_bit_of_everything", "lane"]


def lane(
    recording: Recording,
    name: str,
    *marks: tuple[float, Any],
    start: float = 0.0,
    end: float | None = None,
    how: Any = "completed",
    error: BaseException | None = None,
    by: str | None = None,
    of: Any = None,
    inner: bool = False,
    values: bool = True,
    credit: Sequence[tuple[float, int]] = (),
) -> None:
    """Notes a subscription; without `end` it goes on."""
    place = recording.place(RecordedPoint(name, by, inner, values))
    number = next(place.numbers)
    place.note(StreamEvent("subscribed", start, number, 0, name=name), of)
    for at, room in credit:
        place.note_demand(number, at, room)
    for i, (at, value) in enumerate(marks):
        place.note(StreamEvent("next", at, number, i, value if values else None, name=name))
    if end is not None:
        place.note(StreamEvent(how, end, number, len(marks), error=error, name=name))


def a_bit_of_everything() -> Recording:
    """Inner streams, an error, a disposal, one that goes on, and demand; its clock begins at 100."""
    recording = Recording()
    lane(
        recording, "words", (100, "tea"), (100, "milk"), (103, "salt"), start=100, end=104,
        credit=[(100, 2), (100, 1), (100, 0), (103, 1), (103, 0), (104, 1)],
    )  # fmt: skip
    lane(recording, "look_up", (103, 3), start=100, end=103, of="tea", inner=True)
    lane(recording, "look_up", start=100, end=104, how="disposed", of="milk", inner=True)
    boom = LookupError("no salt today")
    lane(recording, "look_up", start=103, end=104, how="error", error=boom, of="salt", inner=True)
    lane(recording, "found", (103, 3), start=100, by="flat_map_bounded(look_up, 2)")
    return recording
