"""The main job: a stream of orders through the shop, and the books of both sides compared."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from rxorch import APIOrchestrator, MetricsSnapshot, OutcomeStatus, Run
from rxorch.demo.order_flow import SERVICE_OF, order_flow, orders
from rxorch.demo.page import page_about
from rxorch.demo.progress import Progress
from rxorch.demo.report import DECLINED, PUT_OFF, SHIPPED, OrdersReport
from rxorch.demo.shop import Faults, Outage, Shop
from rxorch.draw.error_words import error_word
from rxorch.http import AioHttpTransport
from rxorch.terminal.boards import Board, shown

__all__ = ["Ledger", "fate_of", "faults_for", "stream_orders"]

_LOST = (OutcomeStatus.FAILED, OutcomeStatus.UNKNOWN, OutcomeStatus.CANCELLED)


def faults_for(number: int) -> Faults:
    """The shop's usual faults, and an outage of the message service at the middle of the stream."""
    return Faults(outage=Outage(service="notification", first=number // 2, last=number // 2 + number // 25))


@dataclass(slots=True)
class Ledger:
    """What the client side knows of each order.

    Attributes:
        fates: how the orders ended: kind -> how many.
        shipped: the orders that were shipped.
        runs: how many runs each order had; must be one.
    """

    fates: Counter[str] = field(default_factory=Counter)
    shipped: set[str] = field(default_factory=set)
    runs: Counter[str] = field(default_factory=Counter)

    def enter(self, run: Run) -> None:
        """Write one run down."""
        order, fate = run.input["order"], fate_of(run)
        self.fates[fate] += 1
        self.runs[order] += 1
        if fate in (SHIPPED, PUT_OFF):
            self.shipped.add(order)


async def stream_orders(
    progress: Progress, seed: int, board: Board, page: Path | None = None
) -> OrdersReport:
    """Send ``progress.total`` orders through a fresh shop, at most ``progress.cap`` at a time.

    Args:
        progress: is kept up to date meanwhile.
        seed: of the orders and of the faults.
        board: shows how far it is.
        page: file for a page about it.
    """
    number, ledger = progress.total, Ledger()
    async with Shop(seed, faults_for(number)) as shop, aclosing(AioHttpTransport()) as transport:
        orchestrator = APIOrchestrator(order_flow(shop.urls), transport=transport)
        orchestrator.events.subscribe(progress.on_event)
        progress.start()
        with page_about(orchestrator, page, f"{number:,} orders"):
            async with (
                orchestrator,
                shown(progress, board),
                orchestrator.stream(orders(number, seed), max_concurrent=progress.cap) as runs,
            ):
                async for run in runs:
                    progress.on_run(run.ok, run.duration)
                    ledger.enter(run)
        seconds = progress.seconds
        stats = await shop.stats()
    metrics = orchestrator.get_metrics()
    return OrdersReport(
        number=number,
        cap=progress.cap,
        seconds=seconds,
        fates=dict(ledger.fates.most_common()),
        single_runs=sum(runs == 1 for runs in ledger.runs.values()),
        shipped=len(ledger.shipped),
        shipped_and_charged_once=sum(stats.charged.get(order) == 1 for order in ledger.shipped),
        attempt_failures=dict(progress.attempt_failures.most_common()),
        retries=metrics.retries,
        calls=metrics.calls,
        breaker_changes=tuple(
            (change.at - progress.began, change.endpoint, change.old, change.new)
            for change in progress.breaker_changes
        ),
        order_p50=progress.durations.percentile(0.5),
        order_p95=progress.durations.percentile(0.95),
        call_p50=metrics.p50 / 1000,
        call_p95=metrics.p95 / 1000,
        sent=sent_by_service(metrics),
        transport_sends=transport.sends,
        stats=stats,
    )


def sent_by_service(metrics: MetricsSnapshot) -> dict[str, int]:
    """The requests that the client says it sent, by service."""
    sent = dict.fromkeys(SERVICE_OF.values(), 0)
    for name, endpoint in metrics.endpoints.items():
        sent[SERVICE_OF[name]] += endpoint.total_requests
    return sent


def fate_of(run: Run) -> str:
    """How an order ended, in a few words; for a failure: the step, and what was wrong with it."""
    for name, outcome in run.outcomes.items():
        if outcome.status in _LOST:
            word = "unknown" if outcome.status is OutcomeStatus.UNKNOWN else "failed"
            return f"{word}: {name} {error_word(outcome.error)}"
    if run.error is not None:
        return f"failed: {error_word(run.error)}"
    if run.outcomes["payment"].status is OutcomeStatus.SKIPPED:
        return DECLINED
    return PUT_OFF if run.outcomes["notification"].degraded else SHIPPED
