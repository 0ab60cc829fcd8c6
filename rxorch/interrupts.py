"""Interrupts of a notebook: heard while a run is awaited, and told in one line."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final, TypeVar

__all__ = ["RunInterrupted", "in_kernel", "interruptible", "kernel_shell", "was_interrupted"]

T = TypeVar("T")

_BEAT: Final = 0.2
"""Seconds. A loop that waits for sockets alone looks at an interrupt when one of them stirs, not before."""


class RunInterrupted(asyncio.CancelledError):
    """The kernel of a notebook was interrupted while a run was awaited. A cancellation, told in one line.

    Args:
        message: What was done until then.
        result: The same as data: a partial `OrchestrationResult`, or the `Runs` so far; None: nothing.

    >>> RunInterrupted("interrupted: 3 of 5 endpoints were done")._render_traceback_()
    ['interrupted: 3 of 5 endpoints were done']
    """

    def __init__(self, message: str = "interrupted", result: Any = None) -> None:
        super().__init__(message)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in the place of a traceback."""
        return [str(self)]


def in_kernel() -> bool:
    """Whether this is the event loop of a notebook's kernel, which is the one that is interrupted.

    A loop inside of a cell is not: it has a clock of its own, or ends at an interrupt by itself.
    """
    shell = kernel_shell()
    if shell is None or threading.current_thread() is not threading.main_thread():
        return False
    kernels = getattr(getattr(shell.kernel, "io_loop", None), "asyncio_loop", None)
    return kernels is None or kernels is asyncio._get_running_loop()


def kernel_shell() -> Any:
    """The shell of the notebook that this process is the kernel of; None elsewhere."""
    if "ipykernel" not in sys.modules or "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


async def interruptible(awaited: Awaitable[T], told: Callable[[], RunInterrupted]) -> T:
    """Awaits something in a kernel; an interrupt becomes what `told` makes of it, when it is over.

    Elsewhere, and for any other cancellation, it awaits and no more.
    """
    if not in_kernel():
        return await awaited
    _WATCH.begin()
    try:
        return await awaited
    except asyncio.CancelledError as error:
        if not _WATCH.was_interrupted or isinstance(error, RunInterrupted):
            raise
        raise told() from None
    finally:
        _WATCH.end()


def was_interrupted() -> bool:
    """Whether the cell that awaits was interrupted, so that this is why it is cancelled."""
    return in_kernel() and _WATCH.was_interrupted


class _Watch:
    """Hears the interrupts of the cell that is running, and keeps its loop awake while a run is awaited.

    The kernel has a handler of its own while a cell awaits: it cancels the cell. Ours notes that it was an
    interrupt, and hands it on. At the end of the cell the kernel puts back what was there before.
    """

    def __init__(self) -> None:
        self.was_interrupted = False
        self._awaited = 0
        self._beating: asyncio.TimerHandle | None = None
        self._kernels: Callable[[int, FrameType | None], Any] = signal.default_int_handler

    def begin(self) -> None:
        """A run is awaited."""
        found = signal.getsignal(signal.SIGINT)
        if found != self._heard:
            self.was_interrupted = False  # it is another cell
            if callable(found) and found is not signal.default_int_handler:
                self._kernels = found
                signal.signal(signal.SIGINT, self._heard)
        self._awaited += 1
        if self._beating is None:
            self._beat()

    def end(self) -> None:
        """It is not awaited any more. Its loop is left without a timer: it may be a virtual one."""
        self._awaited -= 1
        if not self._awaited and self._beating is not None:
            self._beating.cancel()
            self._beating = None

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.was_interrupted = True
        self._kernels(number, frame)

    def _beat(self) -> None:
        self._beating = asyncio.get_running_loop().call_later(_BEAT, self._beat)


_WATCH: Final = _Watch()
