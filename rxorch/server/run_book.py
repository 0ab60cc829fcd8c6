"""RunBook: the runs of flows that this process has begun, in bounded memory."""

from __future__ import annotations

import asyncio
import secrets
import time
from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

from rxorch.server.run_events import KeptEvents

__all__ = ["FlowState", "KeptRun", "RunBook", "Tally"]

_RECENT: Final = 256
"""Durations of which the percentiles are made."""


class FlowState(StrEnum):
    """Where a run of a flow stands. `PARTIAL`: some endpoints gave a value, others failed."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


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
        self._recent = array("d")

    def count(self, seconds: float, *, ok: bool, failed: bool) -> None:
        """A run has ended."""
        recent = self._recent
        if len(recent) < _RECENT:
            recent.append(seconds)
        else:
            recent[self.ended % _RECENT] = seconds
        self.ended += 1
        self.ok += ok
        self.failed += failed

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

    __slots__ = (
        "_started", "answer", "began", "duration", "events", "flow", "id", "news", "number", "problem",
        "state", "task",
    )  # fmt: skip

    def __init__(self, number: int, run_id: str, flow: str) -> None:
        self.number = number
        self.id = run_id
        self.flow = flow
        self.state = FlowState.RUNNING
        self.began = time.time()
        self._started = time.monotonic()
        self.duration: float | None = None
        self.answer: bytes | None = None
        self.problem: bytes | None = None
        self.events: KeptEvents | None = None
        self.task: asyncio.Task[Any] | None = None
        self.news: asyncio.Event | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.duration is not None

    @property
    def size(self) -> int:
        """Bytes that are kept of it, beside some numbers."""
        kept = 0 if self.events is None else self.events.size
        return kept + len(self.answer or b"") + len(self.problem or b"")

    def close(self, state: FlowState, answer: bytes | None, problem: bytes | None) -> None:
        """It has ended."""
        self.state, self.answer, self.problem = state, answer, problem
        self.duration = time.monotonic() - self._started
        self.task = None
        self.tell()

    def forget(self) -> None:
        """Keeps no more than its summary."""
        self.answer = self.problem = self.events = None

    def tell(self) -> None:
        """Wakes who waits for it."""
        news, self.news = self.news, None
        if news is not None:
            news.set()

    async def changed(self) -> None:
        """Waits until something has happened in it, or it has ended."""
        if self.news is None:
            self.news = asyncio.Event()
        await self.news.wait()


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
        self._prefix = secrets.token_hex(8)

    def begin(self, flow: str) -> KeptRun:
        """A run begins."""
        self._count = number = self._count + 1
        run = KeptRun(number, f"{self._prefix}{number:08x}", flow)
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
        is_lost = state is FlowState.PARTIAL or state is FlowState.FAILED
        tally.count(run.duration, ok=state is FlowState.COMPLETED, failed=is_lost)
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
