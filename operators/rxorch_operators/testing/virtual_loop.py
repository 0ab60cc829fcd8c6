"""Virtual time for Rx and asyncio at once: a loop on which time passes only when nothing else is left to do.

Nothing is mocked: timers, tasks and futures are those of asyncio, in their usual order, and the loop's Rx
scheduler is `reactivex`'s own `AsyncIOScheduler` with the loop's clock. A minute takes no time, and a test
that waits for something that can never happen fails at once instead of hanging.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from reactivex.scheduler.eventloop import AsyncIOScheduler

__all__ = ["VirtualLoop", "VirtualScheduler", "run_virtual", "virtual_time"]

T = TypeVar("T")
P = ParamSpec("P")

_RESOLUTION = 1e-9
_TURNS = 25
"""Turns of the loop in which cancelled tasks may finish."""


class _Waiting:
    """Stands where asyncio has its selector: there is nothing to wait for but the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Called when the loop would wait for so long; None: for ever."""
        if timeout is None or timeout > 0.0:
            self._loop._idle(timeout)
        return []


class VirtualScheduler(AsyncIOScheduler):
    """The Rx scheduler of a virtual loop; stock RxPY would ask the clock on the wall what time it is."""

    @property
    def now(self) -> datetime:
        """The time of the loop."""
        return self.to_datetime(self._loop.time())


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop of asyncio with a clock of its own, and without sockets, files or threads.

    It takes no time, so it may also run inside of another loop, in a notebook for one.

    Args:
        start: What the clock says at first, in seconds.

    >>> loop = VirtualLoop()
    >>> loop.run_until_complete(asyncio.sleep(3600.0, "an hour later")), loop.time()
    ('an hour later', 3600.0)
    >>> loop.close()
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._stepping = False
        self._selector = _Waiting(self)
        self._move_to(start)
        self.scheduler = VirtualScheduler(self)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def _move_to(self, now: float) -> None:
        self._now = now
        # The loop runs what is due within its resolution: far from 0, less than that is no difference at all.
        self._clock_resolution = max(_RESOLUTION, 2.0 * math.ulp(now))

    def _idle(self, timeout: float | None) -> None:
        if self._stepping:
            self.stop()
        elif timeout is None:
            raise RuntimeError("nothing can happen any more: the test waits in vain")
        else:
            self._move_to(self._now + timeout)

    def run_instant(self) -> None:
        """Runs everything that can happen without any time passing."""
        self._stepping = True
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self.run_forever()
        finally:
            asyncio._set_running_loop(outer)
            self._stepping = False

    def advance(self) -> bool:
        """Lets the time pass to the next timer, and runs that instant; False if there is no timer."""
        timers = self.timers()
        if not timers:
            return False
        self._move_to(max(self._now, min(timer.when() for timer in timers)))
        self.run_instant()
        return True

    def timers(self) -> list[asyncio.TimerHandle]:
        """The timers that have not fired and were not cancelled."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return [timer for timer in scheduled if not timer.cancelled()]

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """`call_soon_threadsafe` need not wake a loop that never sleeps."""


def run_virtual(main: Awaitable[T], *, start: float = 0.0) -> T:
    """Runs something on a fresh virtual loop and returns its result; fails if it leaves anything behind.

    Args:
        main: An awaitable.
        start: What the clock says at first, in seconds.

    Raises:
        AssertionError: A task, a timer or an error that nobody took was left.

    >>> run_virtual(asyncio.sleep(60.0, "done"))
    'done'
    """
    loop = VirtualLoop(start)
    lost: list[str] = []
    loop.set_exception_handler(lambda _, context: lost.append(_describe(context)))

    async def checked() -> T:
        result = await main
        ours = {asyncio.current_task()}
        for _ in range(_TURNS):
            if asyncio.all_tasks() == ours and not loop.timers():
                break
            await asyncio.sleep(0)
        left = [f"task {task!r}" for task in asyncio.all_tasks() - ours]
        left += [f"timer {timer!r}" for timer in loop.timers()]
        left += lost
        assert not left, "left behind:\n  " + "\n  ".join(left)
        return result

    with _apart(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(checked())
    gc.collect()  # what was never awaited warns now, in the test that made it
    return result


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Hides a loop that is running already, a notebook's for one: a virtual loop takes no time of it."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)


def _describe(context: dict[str, Any]) -> str:
    return f"error {context.get('message')}: {context.get('exception')!r}"


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Makes an async test run on a virtual loop of its own.

    Args:
        test: The async test function.

    >>> @virtual_time
    ... async def test_a_minute_passes():
    ...     await asyncio.sleep(60.0)
    >>> test_a_minute_passes()
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(test(*args, **kwargs))

    return run


@contextlib.contextmanager
def stepped_loop() -> Iterator[VirtualLoop]:
    """A virtual loop to step through by hand; what is left on it is thrown away."""
    loop = VirtualLoop()
    try:
        yield loop
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_instant()
        loop.close()
