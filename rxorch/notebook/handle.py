"""RunHandle: what runs, to be awaited, iterated, watched and ended; and `live`, which shows it meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from rxorch.errors import ApiConfigurationError
from rxorch.interrupts import RunInterrupted, interruptible, was_interrupted
from rxorch.notebook.figures import Figures
from rxorch.notebook.panel import Panel
from rxorch.notebook.sources import Watchable, source_of
from rxorch.notebook.status import HandleState, Status
from rxorch.showing import Shown
from rxorch_operators._seconds import seconds_words

__all__ = ["KEPT", "RunHandle", "live"]

_LOG: Final = logging.getLogger("rxorch")

KEPT: Final = 10_000
"""Items that a handle keeps, the newest ones."""


class RunHandle(AsyncIterator[Any], Shown):
    """Something that runs, in one hand: `await` it, iterate it with `async for`, end it with `aclose()`.

    Made by `live` and `background`. A notebook shows how it stands, and goes on to while it runs.

    `await handle` runs it to its end and gives `value`; whoever is cancelled while awaiting ends it, unless
    it is in the background. `async for` runs it as fast as the loop body takes its items. What it gave so far
    is in `results`, also after an interrupt or an error. An error is kept in `error`, shown, and raised to
    who awaits or iterates.

    >>> import asyncio
    >>> from rxorch import APIOrchestrationConfig, APIOrchestrator
    >>> from rxorch.notebook import background
    >>> async def main():
    ...     async with APIOrchestrator(APIOrchestrationConfig()) as orchestrator:
    ...         handle = background("users", orchestrator.stream([{"id": 7}, {"id": 8}]), show=False)
    ...         return await handle
    >>> asyncio.run(main())
    <Runs: 2>
    """

    _cards: ClassVar[str] = "rxorch.notebook.cards"

    def __init__(
        self, what: Watchable, *, name: str | None = None, keep: int = KEPT, show: bool = True
    ) -> None:
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ApiConfigurationError(f"keep: give 1 or more items, not {keep!r}")
        self._source = source_of(what)
        figures = Figures(self._source.stream, self._source.total)
        self.status = Status(self._source.label if name is None else name, figures)
        self._panel = Panel(self.status) if show else None
        self._kept: deque[Any] = deque(maxlen=keep)
        self._taken = 0
        self._read = 0
        self._news: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._in_background = False
        self._ending: HandleState | None = None

    # -- what is known ---------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What it is called."""
        return self.status.name

    @property
    def state(self) -> HandleState:
        """Where it stands."""
        return self.status.state

    @property
    def error(self) -> BaseException | None:
        """What ended it; None: nothing did."""
        return self.status.error

    @property
    def results(self) -> list[Any]:
        """What it gave so far, the newest `keep`: `Runs` of a stream, else a list."""
        return self._source.kept(self._kept)

    @property
    def value(self) -> Any:
        """What that comes to: `Runs` of a stream, the `OrchestrationResult` of a run that is observed (a
        partial one before its end), what an awaitable returned, or the list of all items.
        """
        return self._source.value(tuple(self._kept))

    @property
    def dropped(self) -> int:
        """Items that are not kept any more."""
        return self._taken - len(self._kept)

    # -- running it ------------------------------------------------------------------------------------

    def start(self, *, after: RunHandle | None = None) -> Self:
        """Runs it in a task of its own, once another handle is closed. Who awaits it may then be cancelled.

        Raises:
            RuntimeError: no event loop runs.
        """
        self._in_background = True
        if after is not None and after.state is HandleState.WAITING:
            after._over(HandleState.CLOSED)  # while the cell runs: later, nobody may look at its panel
        self._begin_task(after)
        if self._panel is not None:
            self._panel.place()
        return self

    def __await__(self) -> Generator[Any, None, Any]:
        return interruptible(self._awaited(), self._interrupted).__await__()

    async def _awaited(self) -> Any:
        task = self._begin_task()
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if not self._in_background:
                await self._cut_off()
            raise
        if self.error is not None:
            raise self.error
        return self.value

    def _begin_task(self, after: RunHandle | None = None) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(after), name=f"rxorch {self.name}")
            # A task that is cancelled before its first step does not run at all.
            self._task.add_done_callback(lambda _: self._over(HandleState.CLOSED))
        return self._task

    async def _run(self, after: RunHandle | None) -> None:
        try:
            if after is not None:
                await after.aclose()
            while not self.state.is_over:
                await self._step()
        except StopAsyncIteration:
            pass
        except Exception as error:
            if self._in_background and (self._panel is None or not self._panel.is_seen):
                _LOG.error("background run %r failed", self.name, exc_info=error)

    async def _step(self) -> Any:
        """One item; the end of it all is written down."""
        self._begin()
        try:
            item = await anext(self._source.items)
        except StopAsyncIteration:
            self._over(HandleState.DONE)
            raise
        except asyncio.CancelledError as error:
            if self._source.is_one and isinstance(error, RunInterrupted):
                self._keep(error.result)
            await self._source.aclose()
            ours = self._task is None and was_interrupted()  # not who ends a task that a cell began before
            self._over(HandleState.INTERRUPTED if ours else HandleState.CLOSED)
            raise
        except Exception as error:
            self._over(HandleState.FAILED, error)
            raise
        self._keep(item)
        self.status.figures.take(item)
        return item

    def _keep(self, item: Any) -> None:
        self._kept.append(item)
        self._taken += 1
        self._tell()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._task is None:
            if self.state.is_over:
                raise StopAsyncIteration
            return await interruptible(self._step(), self._interrupted)
        return await interruptible(self._next_taken(), self._interrupted)

    async def _next_taken(self) -> Any:
        """The next item of a run that goes on by itself."""
        while self._read >= self._taken:
            if self.state.is_over:
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        self._read = max(self._read, self.dropped)
        item = self._kept[self._read - self.dropped]
        self._read += 1
        return item

    # -- ending it -------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Begins to end it; `aclose` also waits until it has ended."""
        if self._task is None:
            self._begin_task()
        assert self._task is not None
        if not self.state.is_over:
            self._task.cancel()

    async def aclose(self) -> None:
        """Ends it and waits until every call in flight is gone. What it gave is kept."""
        if self._task is not None:
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])
        elif not self.state.is_over:
            self._over(HandleState.CLOSED)
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _cut_off(self) -> None:
        """Ends it from the outside: runs in flight give their records, with what is known of them."""
        interrupted = was_interrupted()
        self._ending = HandleState.INTERRUPTED if interrupted else HandleState.CLOSED
        assert self._task is not None
        stream = self._source.stream
        if stream is None or self.state is HandleState.WAITING:
            self._task.cancel()
        else:
            stream.abort(f"{self._ending} while this run was under way")
        await asyncio.wait([self._task])

    def _begin(self) -> None:
        if self.state is HandleState.WAITING:
            self.status.state = HandleState.RUNNING
            self.status.figures.begin()
            if self._panel is not None:
                self._panel.begin(in_background=self._in_background)

    def _over(self, state: HandleState, error: BaseException | None = None) -> None:
        if self.state.is_over:
            return
        status = self.status
        status.state = state if self._ending is None else self._ending
        status.error = error if self._ending is None else None
        status.figures.end()
        if self._panel is not None:
            self._panel.end()
        self._tell()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    def _interrupted(self) -> RunInterrupted:
        figures, value = self.status.figures, self.value
        if not self.state.is_over:
            return RunInterrupted(f"interrupted: {self.name!r} goes on in the background", value)
        said = f"{figures.ok:,} ok, {figures.failed:,} failed, {figures.cancelled:,} cut off"
        return RunInterrupted(
            f"interrupted after {seconds_words(figures.elapsed)}: {said}; kept in .results",
            value,
        )

    # -- showing it ------------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        (Panel(self.status) if self._panel is None else self._panel).place()

    def __repr__(self) -> str:
        return f"<RunHandle {self.name!r}: {self.state}, {self.status.figures.done:,} done>"

    def __del__(self) -> None:
        status: Status | None = getattr(self, "status", None)
        if status is not None and status.state is HandleState.RUNNING and self._task is None:
            self._over(HandleState.CLOSED)  # `break` has left it, and nobody holds it


def live(
    what: Watchable,
    *,
    name: str | None = None,
    total: int | None = None,
    keep: int = KEPT,
    show: bool = True,
) -> RunHandle:
    """A run or a stream that shows how far it is while it is awaited or iterated.

    In a notebook the panel is HTML that replaces itself four times a second, and at last says how it ended;
    on a terminal it is a bar; else a line a second on standard error.

    Args:
        what: What `orchestrator.stream(...)`, `observe(...)` or `execute(...)` returns; any Observable, async
            iterable or awaitable; or the events of a client or orchestrator (`orchestrator.events`).
        name: What it is called.
        total: How many items there will be; where a stream knows, that.
        keep: How many items `results` has, the newest.
        show: Whether it is shown.

    Returns:
        A `RunHandle`, not begun.

    Raises:
        TypeError: `what` is none of these.

    >>> import asyncio
    >>> from rxorch import APIOrchestrationConfig, APIOrchestrator
    >>> from rxorch.notebook import live
    >>> async def main():
    ...     async with APIOrchestrator(APIOrchestrationConfig()) as orchestrator:
    ...         return await live(orchestrator.stream([{"id": 7}, {"id": 8}]), show=False)
    >>> asyncio.run(main())
    <Runs: 2>
    """
    handle = RunHandle(what, name=name, keep=keep, show=show)
    if total is not None:
        handle.status.figures.total = total
    return handle
