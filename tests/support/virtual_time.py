"""An event loop on which time passes only when nothing else is left to do, and then at once.

    @virtual_time
    async def test_a_minute_passes() -> None:
        await asyncio.sleep(60)                # takes no time, and ``loop.time()`` says 60 s more

Nothing is mocked: timers, tasks and futures are those of asyncio, in their usual order. A test that waits for
something that can never happen fails at once instead of hanging, and one that leaves something behind fails
as on the ordinary loop.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import selectors
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, ParamSpec

from tests.support.leaks import LeakCheck

__all__ = ["START", "VirtualLoop", "now", "run_virtual", "virtual_time", "waits"]

P = ParamSpec("P")

START = 1000.0
"""What the clock says when a virtual loop is made, in seconds."""


class _Selector(selectors.DefaultSelector):
    """Finds what is ready; instead of waiting for more it lets the time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.time = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing can happen any more: the test waits in vain")
        if not ready and timeout:
            self.time += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop of asyncio with a clock of its own. For tests without sockets."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual.time


def now() -> float:
    """Virtual seconds since the loop was made."""
    return asyncio.get_running_loop().time() - START


def run_virtual(main: Awaitable[Any]) -> Any:
    """Run something on a fresh virtual loop and return its result; fails if it leaves anything behind."""

    async def checked() -> Any:
        check = LeakCheck()
        result = await main
        left = await check.finish()
        assert not left, "left behind:\n  " + "\n  ".join(left)
        return result

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(checked())
    gc.collect()  # what was never awaited or closed warns now, in the test that made it
    return result


def virtual_time(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test on a virtual loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(test(*args, **kwargs))

    return run


def waits(times: Sequence[float]) -> list[float]:
    """The gaps between points in time, to the microsecond."""
    return [round(later - earlier, 6) for earlier, later in pairwise(times)]
