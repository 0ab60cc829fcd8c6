"""The aggregator on FastAPI, with the client that the first argument names: httpx or aiohttp."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

Get = Callable[[str], Awaitable[Any]]
client, port, upstream = sys.argv[1:]


@asynccontextmanager
async def httpx_client() -> AsyncIterator[Get]:
    import httpx

    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=upstream, timeout=30.0, limits=limits) as session:

        async def get(path: str) -> Any:
            response = await session.get(path)
            return response.raise_for_status().json()

        yield get


@asynccontextmanager
async def aiohttp_client() -> AsyncIterator[Get]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=30.0)
    async with aiohttp.ClientSession(upstream, timeout=timeout, raise_for_status=True) as session:

        async def get(path: str) -> Any:
            async with session.get(path) as response:
                return await response.json()

        yield get


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with {"httpx": httpx_client, "aiohttp": aiohttp_client}[client]() as get:
        app.state.get = get
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/profile")
async def profile(id: int) -> dict[str, Any]:
    get = app.state.get
    user, orders = await asyncio.gather(get(f"/users/{id}"), get(f"/orders/{id}"))
    return {"user": user, "orders": orders}


uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(port),
    loop="uvloop",
    http="httptools",
    log_level="warning",
    access_log=False,
)
