"""RunBook: the runs of flows that this process has begun, in bounded memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

from rxorch.flow.run_ids import new_run_id
from rxorch.server.run_events import KeptEvents

__all__ = ["NOW", "FlowState", "KeptRun", "RunBook", "Tally"]

NOW: Final[Callable[[], float]] = time.time
"""The time of the day: a run tells people when it began."""

_RECENT: Final = 256
"""Durations of which the percentiles are made."""


class FlowState(StrEnum):
    """Where a run of a flow stands. `PARTIAL`: some endpoints gave a value, others failed."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


_RUNNING: Final = FlowState.RUNNING  # to look a member up takes longer than all else that is done with it
_COMPLETED: Final = FlowState.COMPLETED
_LOST: Final = frozenset({FlowState.PARTIAL, FlowState.FAILED})


class Tally:
    """Counts of one orchestration since the application was made.

    Attributes:
        in_flight: Runs that have begun and not ended.
        ended: Those that have.
        ok: Those of them that are completed.
        failed: Those of them that lost something.
    """

    __slots__ = ("_recent", "ended", "failed", "in_flight", "ok")

    def __init__(self) -> None:
        self.in_flight = self.ended = self.ok = self.failed = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def count(self, seconds: float, ok: bool, failed: bool) -> None:
        """A run has ended."""
        self._recent.append(seconds)
        self.ended += 1
        if ok:
            self.ok += 1
        elif failed:
            self.failed += 1

    def percentiles(self, *shares: float) -> list[float | None]:
        """Seconds within which such shares of the recent runs ended; None: there was none."""
        found = sorted(self._recent)
        return [found[min(len(found) - 1, int(share * len(found)))] if found else None for share in shares]


class KeptRun:
    """What is known of one run of a flow.

    Attributes:
        number: Its place among all that this process has begun, from 1.
        id: Its name.
        flow: Name of the flow.
        state: Where it stands.
        began: Seconds since 1970.
        duration: Seconds; None: it has not ended.
        answer: Its result and outcomes as JSON, if they are kept.
        problem: The problem details of one that failed, as JSON.
        events: What happened in it, if it is written down.
        task: That of a run in the background.
    """

    # Of the class until they are something else: most runs never have more than an answer.
    state: FlowState = _RUNNING
    duration: float | None = None
    answer: bytes | None = None
    problem: bytes | None = None
    events: KeptEvents | None = None
    task: asyncio.Task[Any] | None = None
    _news: asyncio.Event | None = None

    def __init__(self, number: int, flow: str) -> None:
        self.number = number
        self.id = new_run_id()
        self.flow = flow
        self.began = NOW()
        self._started = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.duration is not None

    @property
    def size(self) -> int:
        """Bytes that are kept of it, beside some numbers."""
        size = 0 if self.answer is None else len(self.answer)
        if self.problem is not None:
            size += len(self.problem)
        return size if self.events is None else size + self.events.size

    def close(self, state: FlowState, answer: bytes | None, problem: bytes | None) -> None:
        """It has ended."""
        self.duration = time.monotonic() - self._started
        self.state = state
        self.answer = answer
        if problem is not None:
            self.problem = problem
        if self.task is not None:
            self.task = None
        if self._news is not None:
            self.tell()

    def forget(self) -> None:
        """Keeps no more than its summary."""
        self.answer = self.problem = self.events = None

    def tell(self) -> None:
        """Wakes who waits for it."""
        news, self._news = self._news, None
        if news is not None:
            news.set()

    async def changed(self) -> None:
        """Waits until something has happened in it, or it has ended."""
        if self._news is None:
            self._news = asyncio.Event()
        await self._news.wait()


class RunBook:
    """The runs of flows, the newest of those that have ended, and counts of all.

    Args:
        names: Of flows and sagas.
        most: Runs that are kept after their end.
        most_bytes: Of results, problems and events that are kept of those; the oldest are forgotten first.

    Attributes:
        tallies: By name.
        told: Called when a run begins or ends; None: nobody wants to know.
    """

    def __init__(self, names: Iterable[str], *, most: int, most_bytes: int) -> None:
        self.tallies = {name: Tally() for name in names}
        self.told: Callable[[KeptRun], None] | None = None
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._heavy: deque[KeptRun] = deque()  # those of which bytes are kept, in the order of their ends
        self._running: dict[str, KeptRun] = {}
        self._ended: dict[str, KeptRun] = {}
        self._count = 0

    def begin(self, flow: str) -> KeptRun:
        """A run begins."""
        self._count = number = self._count + 1
        run = KeptRun(number, flow)
        self._running[run.id] = run
        self.tallies[flow].in_flight += 1
        if self.told is not None:
            self.told(run)
        return run

    def end(
        self, run: KeptRun, state: FlowState, answer: bytes | None = None, problem: bytes | None = None
    ) -> None:
        """A run has ended; harmless if it had."""
        if self._running.pop(run.id, None) is None:
            return
        run.close(state, answer, problem)
        self._ended[run.id] = run
        self._keep(run)
        assert run.duration is not None
        tally = self.tallies[run.flow]
        tally.in_flight -= 1
        is_ok = state is _COMPLETED
        tally.count(run.duration, is_ok, not is_ok and state in _LOST)
        if self.told is not None:
            self.told(run)

    def find(self, run_id: str) -> KeptRun | None:
        """A run, None if there is none of that id, or no more."""
        return self._running.get(run_id) or self._ended.get(run_id)

    def newest(
        self, flow: str | None, states: Collection[str] | None, before: int | None
    ) -> Iterator[KeptRun]:
        """Runs from the one that began last on, those with numbers below `before`."""
        runs = sorted(
            (*self._running.values(), *self._ended.values()), key=lambda run: run.number, reverse=True
        )
        for run in runs:
            if before is not None and run.number >= before:
                continue
            if flow in (None, run.flow) and (states is None or run.state in states):
                yield run

    def _keep(self, run: KeptRun) -> None:
        """Makes room for it."""
        size = run.size
        if size:
            self._bytes += size
            self._heavy.append(run)
            while self._bytes > self._most_bytes:
                self._lighten()
        if len(self._ended) > self._most:
            oldest = self._ended.pop(next(iter(self._ended)))
            if self._heavy and self._heavy[0] is oldest:
                self._lighten()

    def _lighten(self) -> None:
        run = self._heavy.popleft()
        self._bytes -= run.size
        run.forget()
