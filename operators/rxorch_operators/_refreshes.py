"""Refreshes in the background: the calls of `cache` that belong to a store and to nobody's subscription."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from typing import Any, cast

from ._caching import CacheOptions, Remembering, Stale
from ._keyed import remove
from .core.async_call import NOBODY
from .core.clock import Clock, Handle, LoopClock, has_timers
from .core.demand import UNBOUNDED, DemandScheduler
from .core.inbox import settle
from .core.stage import DISPOSED, Stage
from .engines.ttl_cache import TtlCache
from .errors import TimeoutExceededError

__all__ = ["Refresh", "Refreshes"]


class Refresh(Remembering):
    """A call in nobody's subscription, which replaces a stale value. It has as long as that may serve."""

    __slots__ = ("_owner", "_scheduler", "_stale", "_timer", "overdue")

    def __init__(
        self,
        owner: Refreshes,
        options: CacheOptions,
        key: Hashable,
        clock: Clock,
        scheduler: DemandScheduler,
        stale: Stale,
    ) -> None:
        super().__init__(NOBODY, options, key, clock)
        self._owner = owner
        # Who found the stale value has gone on with it: neither its demand nor its end is for us.
        self._scheduler = DemandScheduler(
            scheduler.base, UNBOUNDED, scheduler.clock, owner.tasks, scheduler.context, scheduler.subject
        )
        self._stale = stale
        self._timer: Handle | None = None
        self.overdue = clock.now() + stale.while_revalidate

    def is_dead(self) -> bool:
        """Whether its event loop was closed under it: it will never end."""
        clock = self._scheduler.clock
        return isinstance(clock, LoopClock) and clock.loop.is_closed()

    def start(self, source: Stage[Any]) -> None:
        """Makes the call."""
        if self.upstream is DISPOSED:
            return  # the store was closed while the stale value was emitted
        self._epoch, self._began = self._options.store.epoch, self._clock.now()
        try:
            self.connect(source, self._scheduler)
        except Exception as error:
            if self.upstream is DISPOSED:  # after its end; who found the stale value must not hear of it
                self._fail(error)
            else:
                self.on_error(error)
            return
        window = self._stale.while_revalidate
        if self.upstream is not DISPOSED and window < math.inf and has_timers(self._clock):
            self._timer = self._clock.call_later(window, self._give_up)

    def _give_up(self) -> None:
        """Ends a call that hangs: nobody waits for it who would."""
        if self.upstream is not DISPOSED:
            self.dispose()
            self._owner.ended(self._key, self)
            self._fail(TimeoutExceededError(limit=self._stale.while_revalidate, kind="total"))

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        self._end()
        if isinstance(error, Exception):  # else: cancelled, as at the end of its event loop
            self._fail(error)

    def on_completed(self) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        try:
            self._store()
        except Exception as error:
            self._end()
            self._fail(error)
        else:
            self._end()

    def _fail(self, error: Exception) -> None:
        self._owner.failed += 1
        self._stale.refresh_failed(self._key, error)

    def _end(self) -> None:
        self.release()
        self._disarm()
        self._owner.ended(self._key, self)

    def dispose(self) -> None:
        super().dispose()
        self._disarm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Refreshes:
    """The refreshes of one store: one per key at most, and no more than the store may have entries.

    They end with their call, with their window or with the store.
    """

    __slots__ = ("_all", "_running", "failed", "started", "tasks")

    def __init__(self) -> None:
        self._running: dict[Hashable, Refresh] = {}
        self._all: set[Refresh] = set()  # the same, which no key can hide
        self.tasks: set[asyncio.Task[Any]] = set()
        self.started = 0
        self.failed = 0

    @classmethod
    def of(cls, store: TtlCache[Any, Any]) -> Refreshes:
        """Those of a store; made when first asked for."""
        background = store.background
        if background is None:
            background = store.background = cls()
        return cast("Refreshes", background)

    @property
    def running(self) -> int:
        """Refreshes under way."""
        return len(self._all)

    def open(
        self, options: CacheOptions, key: Hashable, clock: Clock, scheduler: DemandScheduler, stale: Stale
    ) -> Refresh | None:
        """A refresh to be started; None if there is one for this key, or no room for one.

        One that takes longer than its window is given up, also where no timer could end it: a call that hangs
        must not keep its key from being refreshed ever again.
        """
        running = self._running.get(key)
        if running is not None:
            if clock.now() < running.overdue and not running.is_dead():
                return None
            self.ended(key, running)
            self._drop(running)
        elif len(self._all) >= options.store.max_entries and not self._bury():
            return None
        refresh = self._running[key] = Refresh(self, options, key, clock, scheduler, stale)
        self._all.add(refresh)
        self.started += 1
        return refresh

    def ended(self, key: Hashable, refresh: Refresh) -> None:
        """A refresh has ended; another one may have taken its place already."""
        if refresh in self._all:
            self._all.discard(refresh)
            remove(self._running, key, refresh)

    def _bury(self) -> bool:
        """Drops those whose event loop was closed under them; tells whether there were any."""
        dead = [refresh for refresh in self._all if refresh.is_dead()]
        for refresh in dead:
            self.ended(refresh._key, refresh)
            self._drop(refresh)
        return bool(dead)

    def _drop(self, refresh: Refresh) -> None:
        if refresh.is_dead():  # the tasks of a closed loop cannot even be cancelled
            self.tasks.difference_update([task for task in self.tasks if task.get_loop().is_closed()])
        else:
            refresh.dispose()

    def close(self) -> None:
        """Ends them."""
        self._running.clear()
        while self._all:
            self._drop(self._all.pop())

    async def aclose(self) -> None:
        """Ends them, and waits until their tasks have ended."""
        self.close()
        loop = asyncio.get_running_loop()
        await settle({task for task in self.tasks if task.get_loop() is loop})
