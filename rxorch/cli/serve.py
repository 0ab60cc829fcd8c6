"""``rxorch serve``: flows behind HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rxorch.blocking import run_blocking
from rxorch.cli.exits import INTERRUPTED, OK, usage_errors
from rxorch.cli.flows import look_here
from rxorch.cli.interrupts import signals
from rxorch.errors import ApiConfigurationError

if TYPE_CHECKING:
    from rxorch.cli.worker import Worker
    from rxorch.server import Serving

__all__ = ["serve"]

_TOKEN: Final = "RXORCH_TOKEN"
_MOST_TOKEN: Final = 4096


def serve(
    flows: Annotated[
        str,
        typer.Argument(
            metavar="FLOWS",
            help="What to serve: 'module:attribute', 'file.py:attribute' or a YAML file. The attribute is a "
            "mapping of names to flows and sagas, one of them, or a function that returns one of these.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that others can call needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the bearer token; else ${_TOKEN} has it.", show_default=False),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name by which clients call the server; * is any.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Origin of web pages that may call it (CORS).")
    ] = None,
    readable: Annotated[
        list[str] | None, typer.Option(help="Name of a flow that GET runs too; it must change nothing.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="File in which the runs of sagas are kept, and given to functions that take a journal.",
            show_default=False,
        ),
    ] = None,
    max_concurrent: Annotated[int, typer.Option(min=1, help="Requests that run a flow, at once.")] = 100,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="How long requests under way may go on at the end.")
    ] = 30.0,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the port (Linux and BSD).")
    ] = 1,
) -> None:
    """Serve flows over HTTP: POST /orchestrations/NAME, and what /openapi.json describes.

    The first Ctrl-C or SIGTERM lets requests under way end, the second stops them. Exits with 0, with 2 if
    the command, a flow or a file is wrong, with 130 after the second signal; with --workers, with 1 if one of
    them failed at the end, or had to be killed.
    """
    from rxorch.cli.served_flows import served_flows
    from rxorch.server import ServerLimits, Serving, create_app
    from rxorch.server.settings import LOOPBACK_HOSTS

    worker = None
    if workers > 1:
        from rxorch.cli.worker import Worker

        worker = Worker.of_environment()
        if worker is None:
            with usage_errors():
                raise typer.Exit(_supervise(host, port, workers, drain_seconds))
    look_here()
    with usage_errors():
        app = create_app(
            served_flows(flows, journal),
            token=_token(token_file),
            hosts=[*LOOPBACK_HOSTS, host, *(allow_host or ())],
            origins=allow_origin or (),
            readable=readable or (),
            limits=ServerLimits(runs=max_concurrent),
        )
        if worker is not None:
            worker.check(app)
            port = worker.port
        server = Serving(
            app, host=host, port=port, drain_seconds=drain_seconds, reuse_port=worker is not None
        )
        try:
            run_blocking(lambda: _until_stopped(server, worker))
        except asyncio.CancelledError:
            raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(OK)


async def _until_stopped(server: Serving, worker: Worker | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    stop = asyncio.Event()

    def on_signal(_: int) -> None:
        if stop.is_set():
            task.cancel()
            return
        if worker is None:
            typer.echo("stopping: requests under way end first; Ctrl-C again stops at once", err=True)
        stop.set()

    with signals(on_signal):
        async with server:
            if worker is None:
                typer.echo(f"serving on {server.url}; Ctrl-C ends it", err=True)
                await stop.wait()
            else:
                worker.ready()
                with worker.supervised(stop.set):
                    await stop.wait()


def _supervise(host: str, port: int, count: int, drain_seconds: float) -> int:
    """Runs this command several times, each with the same arguments; the port is the same for all."""
    from rxorch.cli.workers import Workers, reserved
    from rxorch.server.serving import url_of

    with reserved(host, port) as held:
        port = held.getsockname()[1]
        command = [sys.executable, "-m", "rxorch", *sys.argv[1:]]

        async def run() -> int:
            url = url_of(host, port)
            return await Workers(command, port=port, count=count, drain_seconds=drain_seconds, url=url).run()

        return run_blocking(run)


def _token(path: Path | None) -> str | None:
    """The token in a file, or in the environment. It cannot be an argument, which everybody sees in `ps`."""
    if path is None:
        return os.environ.get(_TOKEN)
    with path.open("rb") as file:
        text = file.read(_MOST_TOKEN + 1)
    if len(text) > _MOST_TOKEN or not text.isascii():
        raise ApiConfigurationError(f"--token-file: {str(path)!r} holds no token")
    return text.decode().strip()
