"""The front door of a service: carries out what was planned for a request, and keeps its ticket."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler

from rxorch.demo.shop.protocol import CountingProtocol

if TYPE_CHECKING:
    from rxorch.demo.shop.tally import Ticket

__all__ = ["front_door"]

_NO_LINGER = struct.pack("ii", 1, 0)


@web.middleware
async def front_door(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let ``handler`` answer, unless the plan of this request wants a fault."""
    protocol = request.protocol
    assert isinstance(protocol, CountingProtocol)
    ticket = protocol.oldest()
    ending = "gone"
    try:
        response = await _serve(request, handler, ticket)
        ending = str(response.status)
        return response
    except web.HTTPException as answer:
        ending = str(answer.status)
        raise
    except Exception:
        ending = "500"
        raise
    finally:
        protocol.done(ticket, ending)


async def _serve(request: web.Request, handler: Handler, ticket: Ticket) -> web.StreamResponse:
    # The whole body first: an answer before its end would leave bytes that spoil the connection.
    await request.read()
    plan = ticket.plan
    await asyncio.sleep(plan.delay)
    if plan.fault in ("503", "outage"):
        return _refusal(503, "unavailable")
    if plan.fault == "429":
        return _refusal(429, "too many requests", {"Retry-After": str(ticket.tally.faults.retry_after)})
    if plan.fault in ("reset", "timeout"):
        await _no_answer(request, handler, ticket)
    return await handler(request)


async def _no_answer(request: web.Request, handler: Handler, ticket: Ticket) -> NoReturn:
    if ticket.plan.effect_first:
        await handler(request)
    if ticket.plan.fault == "timeout":
        await asyncio.sleep(ticket.tally.faults.hold)
    ticket.end("reset")
    transport = request.transport
    if transport is not None:
        _reset(transport)
    # The lost connection cancels this task. Any other way out would make aiohttp answer, or log an error.
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a future that nobody resolves")


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST instead of FIN, as a crashed server or an impatient proxy does."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": reason}, status=status, headers=headers)
