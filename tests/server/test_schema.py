"""Schemathesis against a real server: it does what `/openapi.json` says, and nothing breaks it.

A longer run, with other examples each time:

    python3 dev.py test -m soak tests/server/test_schema.py
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from rxorch import APIEndpoint, parallel
from rxorch.saga import MemoryJournal, Saga, Step
from rxorch.server import Served, ServerLimits
from tests.conftest import ServeLoopback
from tests.server.conftest import TOKEN, Serve

PROGRAM = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")


class Who(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: int = Field(ge=1, le=1000)
    tags: list[str] = Field(default_factory=list, max_length=3)
    deep: bool = False
    kind: Literal["new", "old"] | None = None


class Item(BaseModel):
    model_config = ConfigDict(strict=True)

    sku: str = Field(min_length=1, max_length=20)
    count: int = Field(default=1, ge=1, le=99)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    customer: int = Field(ge=1)
    day: date | None = None
    items: list[Item] = Field(min_length=1, max_length=3)
    notes: dict[str, str] = {}


class Person(BaseModel):
    name: str


class Profile(BaseModel):
    again: Person
    users: Person | None = None


@pytest.fixture
async def flows(loopback: ServeLoopback) -> dict[str, Any]:
    """Flows and a saga of each kind; the upstream gives back what it is sent."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), content_type="application/json")

    async def user(request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        return web.Response(status=500) if number % 10 == 3 else web.json_response({"name": "Ada"})

    server = await loopback({"GET /users/{id}": user, "POST /orders": echo, "DELETE /orders": echo})
    users = APIEndpoint(name="users", url=f"{server.url}/users/{{id}}", retry_count=0, circuit_breaker=False)
    twice = users.model_copy(update={"name": "again", "url": f"{server.url}/users/1"})
    orders = APIEndpoint(name="orders", method="POST", url=f"{server.url}/orders", retry_count=0)
    undo = APIEndpoint(name="undo", method="DELETE", url=f"{server.url}/orders", retry_count=0)
    saga = Saga("purchase", [Step(orders, compensation=undo)], journal=MemoryJournal())
    return {
        "profile": Served(parallel(users, twice), input=Who, output=Profile, readable=True),
        "anything": orders,
        "purchase": Served(saga, input=Order),
    }


async def explored(serve: Serve, flows: dict[str, Any], *options: str) -> None:
    """Runs schemathesis with all its checks; its report is the message of a failure."""
    server = await serve(flows, token=TOKEN, limits=ServerLimits(listeners=2))
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "--config-file", CONFIG, "run", f"{server.url}/openapi.json",
        "--header", f"Authorization: Bearer {TOKEN}", "--no-color",
        "--exclude-path", "/live",  # which has no end
        *options,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, out.decode()


async def test_the_server_does_what_its_description_says(serve: Serve, flows: dict[str, Any]) -> None:
    await explored(serve, flows, "--generation-deterministic", "--max-examples", "5")


@pytest.mark.soak
async def test_for_long(serve: Serve, flows: dict[str, Any]) -> None:
    await explored(serve, flows, "--max-examples", "500", "--max-time", "600")
