"""The shop as a process: ``python -m rxorch.demo.shop --seed 7``.

Prints one line of JSON with the ports when it is ready to serve, and ends when its standard input is closed.
Its parent holds the other end of that pipe, so the shop ends with it, however that came about.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from rxorch.demo.shop.faults import Faults
from rxorch.demo.shop.server import HOST, open_shop

__all__ = ["main"]

_WATCH_PARENT = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until standard input ends; returns the exit code."""
    options = _arguments().parse_args(argv)
    if not os.isatty(0):
        # Ctrl-C goes to a whole group of processes; whether the shop closes is for the parent to say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_serve(options.seed, options.faults))
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rxorch.demo.shop", description="A small shop of eight HTTP services."
    )
    parser.add_argument("--seed", type=int, default=7, help="random seed of the faults (default: 7)")
    parser.add_argument("--faults", type=_faults, default=Faults(), help="rates of the faults, as JSON")
    return parser


def _faults(text: str) -> Faults:
    try:
        return Faults.from_json(text)
    except (TypeError, ValueError, AttributeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def _serve(seed: int, faults: Faults) -> None:
    closed = asyncio.Event()
    async with open_shop(seed, faults) as ports:
        _watch_input(asyncio.get_running_loop(), closed)
        print(json.dumps({"ready": True, "host": HOST, "pid": os.getpid(), **asdict(ports)}), flush=True)
        await _closed_or_orphaned(closed)


def _watch_input(loop: asyncio.AbstractEventLoop, closed: asyncio.Event) -> None:
    def watch() -> None:
        # Not sys.stdin: a daemon thread inside its lock would abort the interpreter at exit.
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        with suppress(RuntimeError):  # the loop is closed already: the shop ends anyway
            loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=watch, name="watch-stdin", daemon=True).start()


async def _closed_or_orphaned(closed: asyncio.Event) -> None:
    """Return at the end of input, or when the parent is gone though a fork of it holds the pipe open."""
    parent = os.getppid()
    while os.getppid() == parent:
        try:
            async with asyncio.timeout(_WATCH_PARENT):
                await closed.wait()
                return
        except TimeoutError:
            continue


if __name__ == "__main__":
    sys.exit(main())
