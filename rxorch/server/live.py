"""`/live`: what the server does, as events: a snapshot each second, and the runs as they begin and end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic_core import to_json

from rxorch.saga import RunRecord
from rxorch.server.event_stream import Frames, frame, send_events
from rxorch.server.problems import Problem
from rxorch.server.run_book import NOW, KeptRun, Tally
from rxorch.server.run_documents import flow_summary, saga_summary
from rxorch.server.saga_desk import SagaDesk
from rxorch.server.state import ServerState
from rxorch.storage import StorageError

__all__ = ["Live"]

SECOND: float = 1.0
"""Seconds from snapshot to snapshot."""

_MOST_LISTENERS: Final = 8
_MOST_RUNS: Final = 50
"""Runs that are told in a second; others are counted."""
_MOST_WAITING: Final = 200
"""Runs that wait for a listener who takes them slowly."""
_COUNTED_EVERY: Final = 5
"""Snapshots from one count of dead letters to the next."""


class _Inbox:
    """What one listener has not been sent yet: the newest snapshot, and runs."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.snapshot: dict[str, Any] | None = None
        self.runs: deque[bytes] = deque()
        self.skipped = 0

    def tell(self, run: bytes | None) -> None:
        """A run has begun or ended; None: there were too many to tell."""
        if run is None or len(self.runs) >= _MOST_WAITING:
            self.skipped += 1
            return
        self.runs.append(run)
        self.news.set()

    def take(self) -> bytes:
        """All of it as it is sent."""
        self.news.clear()
        sent = [*self.runs]
        self.runs.clear()
        if self.snapshot is not None:
            sent.append(frame("snapshot", to_json({**self.snapshot, "skipped": self.skipped})))
            self.snapshot, self.skipped = None, 0
        return b"".join(sent)


class Live:
    """What those who listen to `/live` are told. Without them nothing is done for it.

    Args:
        state: Of the application.
        desk: Its sagas.
    """

    def __init__(self, state: ServerState, desk: SagaDesk) -> None:
        self._state = state
        self._desk = desk
        self._inboxes: set[_Inbox] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._room = _MOST_RUNS
        self._ended: dict[str, int] = {}
        self._at = 0.0
        self._dead_letters = 0

    def add_to(self, app: web.Application) -> None:
        """Adds the route."""
        app.router.add_get("/live", self.live, allow_head=False)

    async def live(self, request: web.Request) -> web.StreamResponse:
        """What the server does, from now on."""
        if len(self._inboxes) >= _MOST_LISTENERS:
            raise Problem(503, "too many listen to what happens live", headers={"Retry-After": "5"})
        inbox = _Inbox()
        self._enter(inbox)
        try:
            return await send_events(request, self._state, _frames(inbox))
        finally:
            await self._leave(inbox)

    def _enter(self, inbox: _Inbox) -> None:
        if not self._inboxes:
            self._state.book.told = self._tell_flow
            self._desk.told = self._tell_saga
            self._count()
            self._ticking = asyncio.create_task(self._tick(), name="live")
        self._inboxes.add(inbox)
        for events in self._state.events.values():
            events.want()
            events.wants_every = True

    async def _leave(self, inbox: _Inbox) -> None:
        self._inboxes.discard(inbox)
        for events in self._state.events.values():
            events.leave()
            events.wants_every = bool(self._inboxes)
        if not self._inboxes and self._ticking is not None:
            self._state.book.told = self._desk.told = None
            ticking, self._ticking = self._ticking, None
            ticking.cancel()
            await asyncio.wait([ticking])

    def _tell_flow(self, run: KeptRun) -> None:
        self._tell(None if self._room <= 0 else flow_summary(run))

    def _tell_saga(self, name: str, run: RunRecord) -> None:
        self._tell(None if self._room <= 0 else saga_summary(name, run))

    def _tell(self, summary: dict[str, Any] | None) -> None:
        self._room -= 1
        sent = None if summary is None else frame("run", to_json(summary))
        for inbox in self._inboxes:
            inbox.tell(sent)

    async def _tick(self) -> None:
        tick = 0
        while True:
            if tick % _COUNTED_EVERY == 0:
                try:
                    self._dead_letters = await self._desk.dead_letters()
                except StorageError:  # those that were counted last
                    pass
            tick += 1
            snapshot = self._snapshot()
            self._room = _MOST_RUNS
            for inbox in self._inboxes:
                inbox.snapshot = snapshot
                inbox.news.set()
            await asyncio.sleep(SECOND)

    def _count(self) -> None:
        self._ended = {name: tally.ended for name, tally in self._state.book.tallies.items()}
        self._at = time.monotonic()

    def _snapshot(self) -> dict[str, Any]:
        state, before, now = self._state, self._ended, time.monotonic()
        seconds = max(now - self._at, 1e-3)
        tallies = state.book.tallies
        flows = {
            name: _figures(tally, (tally.ended - before[name]) / seconds, self._breakers(name))
            for name, tally in tallies.items()
        }
        for name, figures in flows.items():
            figures["kind"] = "saga" if name in state.sagas else "flow"
        self._count()
        return {
            "at": round(NOW(), 3),
            "runs_in_flight": sum(tally.in_flight for tally in tallies.values()),
            "flows": flows,
            "dead_letters": self._dead_letters,
        }

    def _breakers(self, name: str) -> Mapping[str, Any]:
        flow = self._state.flows.get(name)
        return flow.breakers if flow is not None else self._state.sagas[name].breakers


def _figures(tally: Tally, rate: float, breakers: Mapping[str, Any]) -> dict[str, Any]:
    p50, p95 = tally.percentiles(0.5, 0.95)
    return {
        "rate": round(rate, 3),
        "p50": None if p50 is None else round(p50 * 1000, 3),
        "p95": None if p95 is None else round(p95 * 1000, 3),
        "ok": tally.ok,
        "failed": tally.failed,
        "in_flight": tally.in_flight,
        "breakers": {name: _state_of(breaker) for name, breaker in breakers.items()},
    }


def _state_of(breaker: Any) -> str:
    state = breaker.state
    return str(getattr(state, "value", state)).lower()


async def _frames(inbox: _Inbox) -> Frames:
    while True:
        await inbox.news.wait()
        if sent := inbox.take():
            yield sent
