"""The aggregator by hand on aiohttp, server and client, on uvloop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

port, upstream = sys.argv[1:]
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def get(session: aiohttp.ClientSession, path: str) -> object:
    async with session.get(path) as response:
        return await response.json()


async def profile(request: web.Request) -> web.Response:
    session, number = request.app[SESSION], request.query["id"]
    user, orders = await asyncio.gather(get(session, f"/users/{number}"), get(session, f"/orders/{number}"))
    return web.json_response({"user": user, "orders": orders})


async def client(app: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=30.0)
    async with aiohttp.ClientSession(upstream, timeout=timeout, raise_for_status=True) as session:
        app[SESSION] = session
        yield


app = web.Application()
app.router.add_get("/profile", profile)
app.cleanup_ctx.append(client)
web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None, loop=uvloop.new_event_loop())
