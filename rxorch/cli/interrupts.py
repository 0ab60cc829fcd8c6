"""Ctrl-C: once lets what is in flight end, twice ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rxorch.stream import RunStream

__all__ = ["Interrupts", "interrupts", "signals"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """How often somebody asked for an end.

    Attributes:
        signal: The number of the first signal, None while there was none.
    """

    def __init__(self, stream: RunStream, task: asyncio.Task[object]) -> None:
        self._stream = stream
        self._task = task
        self.signal: int | None = None

    def on_signal(self, number: int) -> None:
        """Drains the stream, and cancels the task the next time."""
        if self.signal is not None:
            self._task.cancel()
            return
        self.signal = number
        self._stream.drain()
        in_flight = self._stream.statistics().in_flight
        message = f"stopping: {in_flight} in flight end first; Ctrl-C again stops at once"
        print(message, file=sys.stderr, flush=True)


@contextmanager
def interrupts(stream: RunStream) -> Iterator[Interrupts]:
    """Watches for signals while the block runs, in the task that enters it."""
    task = asyncio.current_task()
    assert task is not None
    found = Interrupts(stream, task)
    with signals(found.on_signal):
        yield found


@contextmanager
def signals(handle: Callable[[int], object]) -> Iterator[None]:
    """Has Ctrl-C and SIGTERM call a function on the running loop, with their number, while the block runs."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, handle, number)
        except NotImplementedError:  # the loops of Windows
            signal.signal(number, lambda n, _: loop.call_soon_threadsafe(handle, n))
    try:
        yield
    finally:
        for number, handler in before.items():
            try:
                loop.remove_signal_handler(number)
            except NotImplementedError:
                pass
            signal.signal(number, handler)
