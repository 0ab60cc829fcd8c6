"""Orders as sagas through the shop, with a journal that outlives who drives them."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from rxorch import ApiClient
from rxorch.demo.order_saga import SERVICE_OF, order_saga, saga_orders
from rxorch.demo.page import page_about_runs
from rxorch.demo.saga_progress import SagaProgress
from rxorch.demo.saga_report import SagaReport, cause_of
from rxorch.demo.shop import Faults, Shop
from rxorch.events import AttemptFailed, AttemptStarted, Event
from rxorch.http import AioHttpTransport
from rxorch.saga import RunPicture, RunRecord, Saga, SagaRun, SagaState, SqliteJournal
from rxorch.terminal.boards import Board, shown

__all__ = ["run_orders"]

FAULTS: Final = Faults(unavailable=0.10, reset=0.08, timeout=0, slow=0, rate_limited=0)
_CANCELLED_EVERY: Final = 20
_WHY: Final = "the customer has thought better of it"
_PAGE: Final = 500


async def run_orders(progress: SagaProgress, seed: int, board: Board, page: Path | None = None) -> SagaReport:
    """Makes `progress.total` orders, at most `progress.cap` at a time. In the middle the saga is closed with
    runs under way, and another one goes on with them from the journal.

    Args:
        progress: is kept up to date meanwhile.
        seed: of the orders and of the faults.
        board: shows how far it is.
        page: of a page about the orders, which is written however they end.
    """
    number = progress.total
    with tempfile.TemporaryDirectory(prefix="rxorch-demo-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "orders.sqlite"
        journal = SqliteJournal(file)
        async with AsyncExitStack() as stack:
            shop = await stack.enter_async_context(Shop(seed, FAULTS))
            transport = await stack.enter_async_context(aclosing(AioHttpTransport()))
            sender = _Sender(saga_orders(number, seed), progress)
            title = f"rxorch demo --saga: {number:,} orders"
            stack.enter_context(page_about_runs(file, page, title, tuple(SERVICE_OF)))
            progress.start()
            async with shown(progress, board):
                async with _opened(shop, transport, journal, progress) as saga:
                    await sender.send(saga, until=number // 2)
                async with _opened(shop, transport, journal, progress) as saga:
                    resumed = await saga.resume()
                    await sender.send(saga)
                    seconds = progress.seconds
                    runs = await _runs(saga)
                    undone, picture = await _undone(saga, runs)
            stats = await shop.stats()
    return SagaReport(
        number=number,
        cap=progress.cap,
        seconds=seconds,
        cents={run.run_id: run.input["amount_cents"] for run in runs},
        states={run.run_id: run.state for run in runs},
        causes=dict(Counter(cause_of(run.error) for run in runs if run.error).most_common()),
        undone=undone,
        resumed=len(resumed),
        cancelled=sender.cancelled,
        attempt_failures=dict(progress.attempt_failures.most_common()),
        retries=progress.retries,
        p50=progress.durations.percentile(0.5),
        p95=progress.durations.percentile(0.95),
        picture=picture,
        stats=stats,
    )


@asynccontextmanager
async def _opened(
    shop: Shop, transport: AioHttpTransport, journal: SqliteJournal, progress: SagaProgress
) -> AsyncIterator[Saga]:
    """A saga with a client of its own, as if it were in a process of its own."""
    async with ApiClient(transport, retry_budget=False, breaker_threshold=None) as client:
        client.events.subscribe(lambda event: _count(event, progress))
        async with order_saga(shop.urls, journal, client) as saga:
            yield saga


def _count(event: Event, progress: SagaProgress) -> None:
    if isinstance(event, AttemptStarted | AttemptFailed):  # runs are counted where they are started
        progress.on_event(event)


class _Sender:
    """Starts orders, and waits for their ends, so many at a time."""

    def __init__(self, orders: Iterator[dict[str, Any]], progress: SagaProgress) -> None:
        self._orders = orders
        self._progress = progress
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: list[str] = []
        self.cancelled = 0

    async def send(self, saga: Saga, until: int | None = None) -> None:
        """Starts what is left of the orders, and waits for all that were ever started; or only until so many
        are over.
        """
        for run_id in self._open:
            self._wait_for(saga.run(run_id))
        try:
            for order in self._orders:
                await self._room(self._progress.cap - 1)
                run = await saga.start(order, run_id=order["order"])
                self._open.append(run.run_id)
                self._wait_for(run)
                if int(order["order"].rpartition("-")[2]) % _CANCELLED_EVERY == _CANCELLED_EVERY - 1:
                    self.cancelled += 1
                    await run.cancel(_WHY)
                if until is not None and self._progress.done >= until:
                    return
            await self._room(0)
        finally:
            await self._let_go()

    def _wait_for(self, run: SagaRun) -> None:
        self._tasks.add(asyncio.create_task(self._ended(run)))
        self._progress.in_flight = len(self._tasks)

    async def _ended(self, run: SagaRun) -> None:
        result = await run
        record = await run.status()
        self._open.remove(run.run_id)
        self._progress.on_end(result.state, record.changed - record.began)

    async def _room(self, most: int) -> None:
        while len(self._tasks) > most:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            self._progress.in_flight = len(self._tasks)
            errors = [task.exception() for task in done]  # each is asked for its own
            for error in filter(None, errors):
                raise error

    async def _let_go(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = set()
        self._progress.in_flight = 0


async def _runs(saga: Saga) -> list[RunRecord]:
    runs: list[RunRecord] = []
    while True:
        page = await saga.runs(limit=_PAGE, after=runs[-1].run_id if runs else None)
        runs += page
        if len(page) < _PAGE:
            return runs


async def _undone(saga: Saga, runs: list[RunRecord]) -> tuple[dict[str, int], RunPicture | None]:
    """How many steps of which name were undone, and the picture of the run with the most of them."""
    counts: Counter[str] = Counter()
    best, most = None, 0
    for run in runs:
        if run.state is SagaState.COMPLETED:
            continue
        steps = await saga.steps(run.run_id)
        undone = [step.step for step in steps if step.undo]
        counts.update(undone)
        if len(undone) > most:
            best, most = RunPicture(run, steps, tuple(saga.definition.steps)), len(undone)
    return dict(counts.most_common()), best
