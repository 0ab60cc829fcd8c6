"""How an object that many subscriptions share, and that may be made outside any loop, finds its clock."""

from __future__ import annotations

from reactivex.scheduler import VirtualTimeScheduler

from .clock import Clock, LoopClock, SchedulerClock, base_scheduler, clock_of, running_loop

__all__ = ["ClockUser"]


class ClockUser:
    """Base of limiters and breakers.

    Args:
        clock: The clock to use always. Without it, that of whoever comes.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._fixed = clock
        self._clock = clock

    def clock(self, wanted: Clock | None = None) -> Clock:
        """The clock of a call that comes with one, or else of whoever asks here and now."""
        if self._fixed is not None:
            return self._fixed
        if wanted is None:
            wanted = self._clock_here()
        current = self._clock
        if current is not wanted:
            if current is not None:
                self._leave_clock(current, wanted)
            self._clock = wanted
        return wanted

    def clock_here(self) -> Clock:
        """`clock()`, quick where the loop of the last time is still running.

        It does not ask whether that is the loop of this task, which costs more than all the rest of a call:
        for who only reads the time, and waits for nothing.
        """
        clock = self._clock
        return clock if type(clock) is LoopClock and clock.loop.is_running() else self.clock()

    def _clock_here(self) -> Clock:
        current, loop = self._clock, running_loop()
        if loop is None:
            closed = isinstance(current, LoopClock) and current.loop.is_closed()
            return clock_of(base_scheduler(None)) if current is None or closed else current
        if isinstance(current, LoopClock):
            return current if current.loop is loop else LoopClock(loop)
        return current if self._is_waiting() and current is not None else LoopClock(loop)

    def _leave_clock(self, current: Clock, wanted: Clock) -> None:
        """Makes sure that calls that wait on the current clock are not forgotten."""
        if not self._is_waiting():
            return
        if isinstance(current, LoopClock) and current.loop.is_closed():
            self._abandon()  # the loop was closed under them: nobody waits any more
            return
        # Real time is one time, but not every clock has timers: where the line waits, it must go on waiting.
        if _origin(current) is not _origin(wanted):
            raise RuntimeError(
                f"{self!r} has calls waiting on another event loop: use one object per loop, "
                "and subscribe inside of a coroutine"
            )

    def _is_waiting(self) -> bool:
        """Whether calls wait on the current clock."""
        return False

    def _abandon(self) -> None:
        """Forgets the calls that wait."""


def _origin(clock: object) -> object:
    """What the clock's timers run on; None for an Rx scheduler in real time."""
    if isinstance(clock, LoopClock):
        return clock.loop
    if isinstance(clock, SchedulerClock) and isinstance(clock._scheduler, VirtualTimeScheduler):
        return clock._scheduler
    return None if isinstance(clock, SchedulerClock) else clock
