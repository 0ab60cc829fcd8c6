"""What the parts of one application share: its flows, and what it is doing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from rxorch.orchestrator import APIOrchestrator
from rxorch.saga import Saga
from rxorch.server.contracts import Contract
from rxorch.server.listeners import Listeners
from rxorch.server.problems import Problem
from rxorch.server.run_book import RunBook
from rxorch.server.run_events import FlowEvents
from rxorch.server.settings import ServerLimits
from rxorch.stream import RunStream

__all__ = ["STATE", "ServerState"]


@dataclass(slots=True, eq=False)
class ServerState:
    """One application.

    Attributes:
        flows: By name.
        sagas: By name.
        contracts: What each takes and gives.
        readable: Those that GET runs.
        limits: Of its clients.
        token: That clients must show; None: none.
        hosts: Names by which it may be called.
        origins: Of web pages that may call it, beside its own.
        is_open: Whether its flows can be run.
        is_draining: Whether it takes no more requests.
        tasks: Of the requests under way.
        streams: Under way.
        runs: Requests under way that run a flow, and runs in the background.
        answers: How many answers there were, by status.
        listeners: Who listens to events.
        book: The runs of flows.
        events: What happens in them, by flow.
    """

    flows: Mapping[str, APIOrchestrator]
    sagas: Mapping[str, Saga]
    contracts: Mapping[str, Contract]
    readable: frozenset[str]
    limits: ServerLimits
    token: str | None = field(repr=False)
    hosts: frozenset[str]
    origins: frozenset[str]
    is_open: bool = False
    is_draining: bool = False
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    streams: set[RunStream] = field(default_factory=set)
    runs: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: Listeners = field(init=False)
    book: RunBook = field(init=False)
    events: Mapping[str, FlowEvents] = field(init=False)

    def __post_init__(self) -> None:
        """Makes what depends on the limits."""
        limits = self.limits
        self.listeners = Listeners(limits.listeners)
        self.book = RunBook([*self.flows, *self.sagas], most=limits.kept_runs, most_bytes=limits.kept_bytes)
        self.events = {name: FlowEvents(flow.events) for name, flow in self.flows.items()}

    def found(self, name: str) -> APIOrchestrator | Saga:
        """A flow or a saga.

        Raises:
            Problem: There is none of that name.
        """
        found = self.flows.get(name) or self.sagas.get(name)
        if found is None:
            raise Problem(404, "there is no orchestration of this name")
        return found

    def flow(self, name: str) -> APIOrchestrator:
        """A flow.

        Raises:
            Problem: There is none of that name.
        """
        found = self.flows.get(name) or self.found(name)
        if isinstance(found, Saga):
            raise Problem(405, "a saga is run by POST, one input at a time", headers={"Allow": "POST"})
        return found

    def request(self) -> _Request:
        """A request, as long as the block runs."""
        return _Request(self)

    def enter(self, task: asyncio.Task[Any]) -> None:
        """A task begins for whose end the end of the server waits."""
        self.tasks.add(task)
        self.idle.clear()

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Such a task has ended."""
        self.tasks.discard(task)
        if not self.tasks:
            self.idle.set()

    def run(self) -> _Run:
        """A request that runs a flow, as long as the block runs.

        Raises:
            Problem: There are too many, when the block is entered.
        """
        return _Run(self)

    def take_run(self) -> None:
        """One more run; who takes it gives it back.

        Raises:
            Problem: There are too many.
        """
        if self.runs >= self.limits.runs:
            raise Problem(503, "too many runs at once", headers={"Retry-After": "1"})
        self.runs += 1

    def drain(self) -> None:
        """Takes no more requests; streams read no more inputs, and who listens to events is let go."""
        self.is_draining = True
        self.listeners.end()
        for stream in tuple(self.streams):
            stream.drain()

    async def until_idle(self, seconds: float) -> None:
        """Waits for the requests and runs under way; after `seconds` ends them."""
        if self.tasks:
            self.idle.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self.idle.wait()
            except TimeoutError:
                left = tuple(self.tasks)
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)


class _Block(AbstractContextManager[None]):
    """What requests enter: a class, since one made of a generator takes ten times as long."""

    __slots__ = ("_state",)

    def __init__(self, state: ServerState) -> None:
        self._state = state


class _Request(_Block):
    __slots__ = ("_task",)

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._state.enter(task)

    def __exit__(self, *_: object) -> None:
        self._state.leave(self._task)


class _Run(_Block):
    __slots__ = ()

    def __enter__(self) -> None:
        self._state.take_run()

    def __exit__(self, *_: object) -> None:
        self._state.runs -= 1


STATE = web.AppKey("rxorch.server", ServerState)
