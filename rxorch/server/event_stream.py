"""Server-sent events: an answer that goes on until its source, its client or the server ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Final

from aiohttp import web

from rxorch.server.guarding import dress
from rxorch.server.listeners import Listener
from rxorch.server.problems import Problem, internal_problem
from rxorch.server.state import ServerState

__all__ = ["Frames", "frame", "last_event_id", "send_events"]

Frames = AsyncGenerator[bytes, None]
"""Events as they go over the wire, one or several at a time."""

HEARTBEAT: float = 15.0
"""Seconds of silence after which a comment is sent, so that nobody between takes the connection for dead."""

_BEAT: Final = b": still here\n\n"
_HELLO: Final = b"retry: 2000\n\n"
_NUMBER: Final = re.compile(r"\d{1,18}")


def frame(kind: str, data: bytes, number: int | None = None) -> bytes:
    """One event.

    Args:
        kind: Of the event.
        data: JSON in one line.
        number: By which a client that comes again says what it has seen.

    >>> frame("end", b"{}", 7)
    b'id: 7\\nevent: end\\ndata: {}\\n\\n'
    """
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: ".encode() + data + b"\n\n"


def last_event_id(request: web.Request) -> int:
    """The number of the last event that the client has seen; 0: none.

    Raises:
        Problem: It says something else.
    """
    given = request.headers.get("Last-Event-ID", "0")
    if _NUMBER.fullmatch(given) is None:
        raise Problem(422, "Last-Event-ID: give the number of an event")
    return int(given)


async def send_events(request: web.Request, state: ServerState, frames: Frames) -> web.StreamResponse:
    """Sends events until there are no more. Who does not take them for `idle_seconds` is let go.

    Raises:
        Problem: There are too many who listen.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    try:
        with state.listeners.add(request) as listener:
            dress(state, request, response)
            try:
                await response.prepare(request)
                await _write(response, listener, _HELLO, state.limits.idle_seconds)
                await _pump(response, listener, frames, state.limits.idle_seconds)
                await response.write_eof()
            except ConnectionError:  # the client is gone, or takes nothing
                if request.transport is not None:
                    request.transport.abort()
    finally:
        await frames.aclose()
    return response


async def _pump(
    response: web.StreamResponse, listener: Listener, frames: Frames, idle_seconds: float
) -> None:
    while True:
        upcoming = asyncio.ensure_future(anext(frames, b""))
        try:
            while not upcoming.done():
                waited: set[asyncio.Future[bytes] | asyncio.Future[None]] = {upcoming, listener.ended}
                done, _ = await asyncio.wait(waited, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                if listener.ended.done():
                    return
                if not done:
                    await _write(response, listener, _BEAT, idle_seconds)
        finally:
            if not upcoming.done():
                upcoming.cancel()
                await asyncio.wait([upcoming])
        try:
            sent = upcoming.result()
        except Exception as error:  # the client comes again, and goes on where it was
            internal_problem(error)
            return
        if not sent:
            return
        await _write(response, listener, sent, idle_seconds)


async def _write(response: web.StreamResponse, listener: Listener, data: bytes, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            with listener.writing():
                await response.write(data)
    except TimeoutError:
        raise ConnectionResetError("the client takes nothing") from None
