"""Reading server-sent events as a client does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True)
class Event:
    kind: str
    data: Any
    number: int | None = None


class Events:
    """The events of one answer, as they come. `beats` counts the comments between them."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.text = ""
        self.beats = 0

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        async with asyncio.timeout(20):
            return await self._next()

    async def _next(self) -> Event:
        fields: dict[str, str] = {}
        while line := await self.line():
            if line == "\n" and "event" in fields:
                number = fields.get("id")
                return Event(
                    fields["event"], json.loads(fields["data"]), None if number is None else int(number)
                )
            if line.startswith(":"):
                self.beats += 1
            elif line != "\n":
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
        raise StopAsyncIteration

    async def line(self) -> str:
        line = (await self.response.content.readline()).decode()
        self.text += line
        return line

    async def until(self, kind: str) -> list[Event]:
        """All up to the first of a kind."""
        found: list[Event] = []
        async for event in self:
            found.append(event)
            if event.kind == kind:
                return found
        raise AssertionError(f"no {kind!r} came, but {[each.kind for each in found]}")

    async def all(self) -> list[Event]:
        return [event async for event in self]


@asynccontextmanager
async def listening(url: str, last: int | None = None, **headers: str) -> AsyncIterator[Events]:
    """The events at an url, behind that of the number `last`."""
    sent = headers if last is None else {**headers, "Last-Event-ID": str(last)}
    async with aiohttp.ClientSession() as session, session.get(url, headers=sent) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield Events(response)
