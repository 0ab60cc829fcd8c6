"""`create_app`: an aiohttp application that runs flows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.flow import Flow
from rxorch.orchestrator import APIOrchestrator
from rxorch.saga import Saga
from rxorch.server.describing import SAFE_METHODS
from rxorch.server.guarding import guard
from rxorch.server.pages import add_pages
from rxorch.server.routes import Routes
from rxorch.server.saga_desk import SagaDesk
from rxorch.server.served import Served, contracts_of, served
from rxorch.server.settings import LOOPBACK_HOSTS, ServerLimits, check_hosts, check_origins, check_token
from rxorch.server.state import STATE, ServerState

__all__ = ["create_app"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_DESK: Final = web.AppKey("rxorch.server.sagas", SagaDesk)
_LINGERING: Final = 1.0
"""Seconds in which the rest of a refused body is read and thrown away, so that its sender sees the answer."""


def create_app(
    flows: Mapping[str, APIOrchestrator | APIOrchestrationConfig | Flow | APIEndpoint | Saga | Served],
    *,
    token: str | None = None,
    hosts: Collection[str] = LOOPBACK_HOSTS,
    origins: Collection[str] = (),
    readable: Collection[str] = (),
    limits: ServerLimits | None = None,
) -> web.Application:
    """An application with routes for each flow and saga. Use `Serving` to listen for it, or mount it in one's
    own.

    Their HTTP sessions and journals are open as long as the application runs. Runs of sagas that nobody
    drives are gone on with, at the beginning and regularly; at the end those under way are let go, and can be
    resumed.

    Args:
        flows: By the name that is part of the path: letters, digits, `_`, `-`, `.`. A `Served` says the
            types of input and result too. Each saga has a journal object of its own; several may have the
            same file.
        token: Bearer token that clients must show, 16 characters or more; None: nobody has to. `/healthz`
            and `/readyz` ask for none.
        hosts: Names by which the server may be called (`Host`), without ports; `*` is any.
        origins: Of web pages that may call it (CORS), such as `https://app.example.com`. Pages of the server
            itself may.
        readable: Names of flows that `GET` runs too, with the query parameters as input. Only flows that
            change nothing can be: all their endpoints are GET, HEAD or OPTIONS.
        limits: See `ServerLimits`.

    Raises:
        ApiConfigurationError: One of these cannot be used; says which. No message has the token.
    """
    offers = {_checked(name): served(flow) for name, flow in flows.items()}
    sagas = {name: offer.flow for name, offer in offers.items() if isinstance(offer.flow, Saga)}
    _check_sagas(sagas, offers)
    orchestrators = {
        name: _orchestrator(name, offer.flow) for name, offer in offers.items() if name not in sagas
    }
    read = _check_readable(readable, offers, orchestrators)
    state = ServerState(
        flows=orchestrators,
        sagas=sagas,
        contracts=contracts_of(offers, readable=read),
        readable=read,
        limits=limits if limits is not None else ServerLimits(),
        token=check_token(token),
        hosts=check_hosts(hosts),
        origins=check_origins(origins),
    )
    app = web.Application(
        middlewares=[guard(state)],
        handler_args={
            "handler_cancellation": True,
            "keepalive_timeout": state.limits.idle_seconds,
            "lingering_time": _LINGERING,
        },
    )
    app[STATE] = state
    app[_DESK] = desk = SagaDesk(sagas, state.book.tallies, state.limits.sagas)
    Routes(state, desk).add_to(app)
    add_pages(app)
    app.cleanup_ctx.append(_open)
    app.on_shutdown.append(_drain)
    return app


async def _open(app: web.Application) -> AsyncIterator[None]:
    state = app[STATE]
    async with AsyncExitStack() as stack:
        for orchestrator in state.flows.values():
            await stack.enter_async_context(orchestrator)
        for name, saga in state.sagas.items():
            if saga.client is not None:
                await stack.enter_async_context(saga.client)
            await stack.enter_async_context(app[_DESK].opened(name))
        state.is_open = True
        yield
        state.is_open = False
        await _end_runs(state)


async def _end_runs(state: ServerState) -> None:
    """Ends the runs in the background: `Serving` has waited for them, another server has not."""
    tasks = [run.task for run in state.book.newest(None, None, None) if run.task is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _drain(app: web.Application) -> None:
    app[STATE].drain()


def _check_sagas(sagas: Mapping[str, Saga], offers: Mapping[str, Served]) -> None:
    seen: dict[int, str] = {}
    named: dict[str, str] = {}
    for name, saga in sagas.items():
        if offers[name].output is not None:
            raise ApiConfigurationError(
                f"flows: {name!r}: output: the result of a saga is what its journal has; leave it out"
            )
        other = seen.setdefault(id(saga.journal), name)
        if other != name:
            raise ApiConfigurationError(
                f"flows: sagas {other!r} and {name!r} have one journal object, which closes with the first; "
                "give each its own: two SqliteJournals may have the same file"
            )
        other = named.setdefault(saga.name, name)
        if other != name:
            raise ApiConfigurationError(
                f"flows: sagas {other!r} and {name!r} are both Saga({saga.name!r}), and runs in a "
                "journal are known by that; give each a name of its own"
            )


def _checked(name: str) -> str:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ApiConfigurationError(
            "flows: a name has letters, digits, _, - and ., at most 100, and does not begin with a dot"
        )
    return name


def _orchestrator(
    name: str, flow: APIOrchestrator | APIOrchestrationConfig | Flow | APIEndpoint
) -> APIOrchestrator:
    if isinstance(flow, APIOrchestrator):
        return flow
    if isinstance(flow, APIOrchestrationConfig | Flow | APIEndpoint):
        return APIOrchestrator(flow)
    raise ApiConfigurationError(
        f"flows: {name!r} is a {type(flow).__name__}; give an orchestrator, a configuration, a flow, an "
        "endpoint or a saga"
    )


def _check_readable(
    given: Collection[str], offers: Mapping[str, Served], flows: Mapping[str, APIOrchestrator]
) -> frozenset[str]:
    if isinstance(given, str):
        raise ApiConfigurationError("readable: give a list of names")
    names = frozenset(given).union(name for name, offer in offers.items() if offer.readable)
    for name in names:
        if name not in flows:
            raise ApiConfigurationError(f"readable: there is no flow {name!r}")
        for endpoint in flows[name].flow.endpoints():
            if endpoint.method not in SAFE_METHODS:
                raise ApiConfigurationError(
                    f"readable: {name!r} has endpoint {endpoint.name!r}, which is {endpoint.method}; only "
                    "GET, HEAD and OPTIONS change nothing"
                )
    return names
