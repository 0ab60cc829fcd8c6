"""Where times stand in a picture: to scale, but for long idle stretches, which are cut short."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rxorch.draw.timeline.records import ATTEMPTS, CallRecord, Timeline
from rxorch_operators._seconds import seconds_words

__all__ = ["Axis", "Break"]

_QUIET: Final = 0.15
"""Share of the whole from which on a stretch is cut in which nothing happens at all."""
_WAITING: Final = 0.5
"""The same for a stretch in which calls do nothing but wait."""
_STEPS: Final = (1.0, 2.0, 5.0)
_LONG_STEPS: Final = (10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)
_DAY: Final = 86400.0
_SECONDS: Final = 2.0
"""Seconds up to which an axis counts milliseconds; and those from which on it counts minutes."""
_MINUTES: Final = 120.0


_LEAST: Final = 1e-12
"""Seconds below which all is one instant."""


@dataclass(frozen=True, slots=True)
class Break:
    """An idle stretch that is cut short.

    Attributes:
        start: Seconds since the beginning.
        end: The same.
        left: Where it begins in the picture.
        right: Where it ends.
    """

    start: float
    end: float
    left: float
    right: float


class Axis:
    """The places of times.

    Args:
        timeline: What is shown.
        length: Of the axis, in pixels or columns.
        cut: How long a stretch that is cut short is in the picture; 0: none is.

    Attributes:
        breaks: What is cut short, from left to right.
    """

    def __init__(self, timeline: Timeline, length: float, cut: float = 0.0) -> None:
        self.start = timeline.start
        self.duration = timeline.duration
        self.length = length
        idle = _idle(timeline) if 0 < cut * 4 < length else []
        shown = self.duration - sum(end - start for start, end in idle)
        if shown <= self.duration * 1e-9:  # calls that took no time: what is between them is all there is
            idle, shown = [], self.duration
        self.scale = (length - cut * len(idle)) / shown if shown > _LEAST else 0.0
        self._times, self._places = [0.0], [0.0]
        self.breaks = tuple(self._cut(idle, cut))

    def _cut(self, idle: Sequence[tuple[float, float]], cut: float) -> Iterator[Break]:
        for start, end in idle:
            left = self._places[-1] + (start - self._times[-1]) * self.scale
            self._times += [start, end]
            self._places += [left, left + cut]
            yield Break(start, end, left, left + cut)

    def at(self, seconds: float) -> float:
        """The place of a time of the clock."""
        since = seconds - self.start
        if not self.breaks:  # nearly always, and asked for each end of each bar
            place = since * self.scale
            return place if 0.0 <= place <= self.length else 0.0 if place < 0.0 else self.length
        since = min(max(since, 0.0), self.duration)
        at = bisect_right(self._times, since) - 1
        if at % 2:  # within a break
            share = (since - self._times[at]) / (self._times[at + 1] - self._times[at])
            return self._places[at] + share * (self._places[at + 1] - self._places[at])
        return min(self._places[at] + (since - self._times[at]) * self.scale, self.length)

    def ticks(self, room: float) -> list[tuple[float, str]]:
        """Round times with their places, at least `room` from each other and outside of breaks."""
        if self.scale <= 0:
            return [(0.0, "0 ms")]
        step = _step(room / self.scale)
        ticks: list[tuple[float, str]] = []
        for number in self._outside_of_breaks(step):
            place, words = self.at(self.start + number * step), self._tick(number * step, step)
            hidden = any(abs(place - (each.left + each.right) / 2) < room for each in self.breaks)
            if not hidden and (not ticks or (place - ticks[-1][0] >= room * 0.9 and words != ticks[-1][1])):
                ticks.append((place, words))
        return ticks

    def _outside_of_breaks(self, step: float) -> Iterator[int]:
        """Numbers of round times: a break may be a day long where a step is a millisecond."""
        for start, end in zip(self._times[::2], [*self._times[1::2], self.duration], strict=True):
            yield from range(math.ceil(start / step - 1e-9), math.floor(end / step + 1e-9) + 1)

    def _tick(self, seconds: float, step: float) -> str:
        if step < 1 and self.duration <= _SECONDS:
            return f"{round(seconds * 1000, 3):g} ms"
        if self.duration < _MINUTES:
            return f"{round(seconds, 6):g} s"  # one unit for all of an axis
        return seconds_words(seconds) if seconds else "0 min"


def _step(least: float) -> float:
    if least > _STEPS[-1]:
        for step in _LONG_STEPS:
            if step >= least:
                return step
        return _DAY * math.ceil(least / _DAY)
    power = 10.0 ** math.floor(math.log10(least))
    return next((step * power for step in _STEPS if step * power >= least), 10 * power)


def _idle(timeline: Timeline) -> list[tuple[float, float]]:
    """Stretches that are cut short, in seconds since the beginning."""
    found: list[tuple[float, float]] = []
    origin, whole = timeline.start, timeline.duration
    for busy, share in ((_attempts(timeline.calls), _WAITING), (_anything(timeline.calls), _QUIET)):
        for start, end in _between(busy, timeline.end):
            if end - start > share * whole:
                found.append((start - origin, end - origin))
    return _merged(found)


def _attempts(calls: Iterable[CallRecord]) -> list[tuple[float, float]]:
    return sorted((part.start, part.end) for call in calls for part in call.segments if part.kind in ATTEMPTS)


def _anything(calls: Iterable[CallRecord]) -> list[tuple[float, float]]:
    return sorted((call.start, call.end) for call in calls if call.status != "skipped")


def _between(busy: Sequence[tuple[float, float]], end: float) -> Iterator[tuple[float, float]]:
    """What lies between these stretches."""
    if not busy:
        return
    until = busy[0][0]
    for start, stop in busy:
        if start > until:
            yield until, start
        until = max(until, stop)
    if end > until:
        yield until, end


def _merged(stretches: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
