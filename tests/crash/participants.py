"""The services of a saga, as one server: effects are counted by idempotency keys, undos leave tombstones."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

from tests.support.loopback import Handler, reset_connection

__all__ = ["Participants", "Place"]

Place: TypeAlias = tuple[str, str]
"""A run and a service: what one step of one run does there."""


@dataclass
class Participants:
    """Any number of services, such as payment, inventory and shipping: ``POST /payment``, and
    ``POST /payment/undo``.

    A key that is known has no second effect and gets the answer of the first; a request without a key always
    has an effect. An undo names in its body what it undoes; one for an action that was never seen leaves a
    tombstone, and the action has no effect if it comes later.

    Attributes:
        refused: Which service refuses a run, with 409 and without an effect.
        unanswered: Which service breaks the connection after its effect for a run, the first time.
        busy: Share of the requests that get a 503, without an effect.
        latency: Seconds between effect and answer, by service.
        held: Services, or `service/undo`, that do not answer before `release`, but do have their effect.
        down: Services that answer 503 to whatever comes, undos not included.
        done: Effects of actions.
        undone: Effects of undos.
        tombs: What was undone before it was done.
        log: Of each run the effects in their order: service, and whether it is an undo.
        asked: The same of all requests, those without an effect too.
        repeats: Requests with a key that was known.
    """

    seed: int = 1
    refused: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)
    busy: float = 0.0
    latency: dict[str, float] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    done: Counter[Place] = field(default_factory=Counter)
    undone: Counter[Place] = field(default_factory=Counter)
    tombs: set[Place] = field(default_factory=set)
    log: dict[str, list[tuple[str, bool]]] = field(default_factory=lambda: defaultdict(list))
    asked: dict[str, list[tuple[str, bool]]] = field(default_factory=lambda: defaultdict(list))
    repeats: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self._changed = asyncio.Condition()
        self._there = 0

    @property
    def routes(self) -> dict[str, Handler]:
        """For a server on loopback."""
        return {
            "POST /{service}": self._act,
            "POST /{service}/undo": self._undo,
            "GET /together/{count}": self._together,
        }

    # -- what a test does ------------------------------------------------------------------------------

    async def until_effects(self, count: int) -> None:
        """Waits until so many effects were had, undos included."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.done.total() + self.undone.total() >= count)

    async def until_asked(self, service: str, count: int, *, undo: bool = False) -> None:
        """Waits until so many actions, or undos, were asked of a service."""

        def came() -> int:
            return sum(asked.count((service, undo)) for asked in self.asked.values())

        async with self._changed:
            await self._changed.wait_for(lambda: came() >= count)

    async def release(self) -> None:
        """Has all services answer."""
        self.held.clear()
        await self._tell()

    # -- what the services do --------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> web.StreamResponse:
        service = request.match_info["service"]
        run: str = (await request.json())["run"]
        place = (run, service)
        return await self._answer(request, place, self._done, undo=False)

    async def _undo(self, request: web.Request) -> web.StreamResponse:
        what = (await request.json())["saga"]
        run, service = what["run_id"], request.match_info["service"]
        assert what["key"] == f"{run}:{service}"  # that of the action
        return await self._answer(request, (run, service), self._taken_back, undo=True)

    async def _answer(
        self, request: web.Request, place: Place, effect: Any, *, undo: bool
    ) -> web.StreamResponse:
        run, service = place
        self.asked[run].append((service, undo))
        if service in self.down and not undo:
            return web.json_response({}, status=503)
        key = request.headers.get("Idempotency-Key")
        known = None if key is None else self._answers.get(key)
        if known is not None:
            self.repeats += 1
        elif self._random.random() < self.busy:
            await self._tell()
            return web.json_response({}, status=503)
        status, answer = known or effect(place)
        if key is not None:
            self._answers[key] = status, answer
        await self._tell()
        if not undo and self.unanswered.get(run) == service:
            del self.unanswered[run]
            await reset_connection(request)
        name = f"{service}/undo" if undo else service
        if name in self.held:
            async with self._changed:
                await self._changed.wait_for(lambda: name not in self.held)
        if service in self.latency:
            await asyncio.sleep(self.latency[service])  # that of a slow service
        return web.json_response(answer, status=status)

    def _done(self, place: Place) -> tuple[int, dict[str, Any]]:
        run, service = place
        if place in self.tombs:
            return 410, {"reason": "it was undone before"}
        if self.refused.get(run) == service:
            return 409, {"reason": "refused"}
        self.done[place] += 1
        self.log[run].append((service, False))
        return 200, {"id": f"{service}-{run}"}

    def _taken_back(self, place: Place) -> tuple[int, dict[str, Any]]:
        run, service = place
        if not self.done[place]:
            self.tombs.add(place)
            return 200, {"undone": False}
        self.undone[place] += 1
        self.log[run].append((service, True))
        return 200, {"undone": True}

    async def _together(self, request: web.Request) -> web.StreamResponse:
        """Answers when so many have asked."""
        self._there += 1
        await self._tell()
        async with self._changed:
            await self._changed.wait_for(lambda: self._there >= int(request.match_info["count"]))
        return web.json_response({})

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
