"""The critical path: what the end of the run had to wait for, from its beginning on."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rxorch.draw.timeline.hedges import races
from rxorch.draw.timeline.records import CallRecord, SegmentKind, Timeline
from rxorch.quick import quick

__all__ = ["PathPart", "critical_path"]

_Key: TypeAlias = tuple[float, bool, int]


@quick
@dataclass(frozen=True, slots=True)
class PathPart:
    """A stretch of the critical path.

    Attributes:
        start: Seconds of the clock.
        end: The same.
        call: Whose it is; None where no call was under way that mattered.
        kind: What the call did; None without one.
    """

    start: float
    end: float
    call: CallRecord | None
    kind: SegmentKind | None


def critical_path(timeline: Timeline) -> tuple[PathPart, ...]:
    """What determined when it all ended, as stretches without a gap from the beginning to the end.

    It is found backwards. It ends with the call that ended last; one that was cancelled ends it only if no
    other did at that time. Before a call stands

    1. for a hedge, the call that was late;
    2. if it had to wait for a place, the call of its run that ended last before it began, for that gave it
       the place;
    3. else the last to end of the steps that it had to wait for;
    4. where none is known, the call of its run that ended last before it began, or of any run if its own had
       none.

    Attempts and waits of these calls are the path. What lies between the end of one and the beginning of the
    next belongs to no call. So a shorter attempt or wait on it would have ended the whole earlier, as long as
    nothing else took as long.
    """
    return tuple(reversed(list(_Search(timeline).parts())))


def _key(call: CallRecord) -> _Key:
    return call.end, call.status != "cancelled", call.number


class _Ended:
    """Calls by their end."""

    def __init__(self, calls: Sequence[CallRecord]) -> None:
        self.calls = calls
        self.keys = [_key(call) for call in calls]

    def before(self, call: CallRecord) -> CallRecord | None:
        """The one that ended last before a call began."""
        ended = bisect_right(self.keys, (call.began, True, sys.maxsize))
        at = min(ended, bisect_left(self.keys, _key(call))) - 1
        return self.calls[at] if at >= 0 else None


class _Search:
    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        called = sorted((call for call in timeline.calls if call.status != "skipped"), key=_key)
        self.all = _Ended(called)
        self.by_run: dict[str | None, list[CallRecord]] = {}
        for call in called:
            self.by_run.setdefault(call.run, []).append(call)
        has_steps = any(call.after for call in called)
        self.by_step = {(call.run, call.endpoint): call for call in called} if has_steps else {}
        self.firsts = races(timeline.calls)
        self._ended: dict[str | None, _Ended] = {}  # of the runs that the path comes by

    def _of_run(self, run: str | None) -> _Ended:
        ended = self._ended.get(run)
        if ended is None:
            ended = self._ended[run] = _Ended(self.by_run[run])
        return ended

    def parts(self) -> Iterator[PathPart]:
        """The path, from its end to its beginning."""
        until = self.timeline.end
        call = self.all.calls[-1] if self.all.calls else None
        while call is not None:
            if call.end < until:
                yield PathPart(call.end, until, None, None)
            until = min(until, call.end)
            yield from _of_call(call, until)
            until = min(until, call.began)
            call = self._before(call)
        if self.timeline.start < until:
            yield PathPart(self.timeline.start, until, None, None)

    def _before(self, call: CallRecord) -> CallRecord | None:
        first = self.firsts.get(call.number)
        if first is not None:
            return first
        same_run = self._of_run(call.run).before(call)
        if call.start < call.began and same_run is not None:
            return same_run
        steps = [self.by_step.get((call.run, name)) for name in call.after]
        known = [
            step for step in steps if step is not None and _key(step) < _key(call) and step.end <= call.began
        ]
        if known:
            return max(known, key=_key)
        if call.run is not None and same_run is not None:
            return same_run
        return self.all.before(call)


def _of_call(call: CallRecord, until: float) -> Iterator[PathPart]:
    """What a call did before `until`, from its end to its beginning."""
    for segment in reversed(call.segments):
        end, start = min(segment.end, until), max(segment.start, call.began)
        if start >= end:
            continue
        if end < until:
            yield PathPart(end, until, call, SegmentKind.WORK)
        yield PathPart(start, end, call, segment.kind)
        until = start
    if call.began < until:
        yield PathPart(call.began, until, call, SegmentKind.WORK)
