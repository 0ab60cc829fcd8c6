"""What a chain of six operators costs per element: ours against stock RxPY, in one process.

Run by `python3 dev.py bench`. Each side maps 10,000 elements to a chain of six operators around an asyncio
call, 100 in flight; the bare asyncio call is measured beside them. Rounds alternate.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time

import reactivex as rx
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxorch_operators import (
    Bulkhead,
    CircuitBreaker,
    RateLimiter,
    bulkhead,
    circuit_breaker,
    fallback,
    flat_map_bounded,
    from_async,
    from_iterable,
    last_of,
    rate_limit,
    retry_backoff,
    timeout,
)

ELEMENTS = 10_000
IN_FLIGHT = 100


async def call(value: int) -> int:
    """Stands for a request: one turn of the loop."""
    await asyncio.sleep(0)
    return value


async def bare() -> None:
    """Worker pool on plain asyncio: what the calls themselves cost."""
    values = iter(range(ELEMENTS))

    async def worker() -> None:
        for value in values:
            await asyncio.create_task(call(value))

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def ours() -> None:
    """Six of our operators, subscribed anew for each element."""
    breaker, limiter, permits = CircuitBreaker(), RateLimiter(10**9, 1.0), Bulkhead(IN_FLIGHT)
    chain = (
        timeout(30.0),
        bulkhead(permits),
        rate_limit(limiter),
        circuit_breaker(breaker),
        retry_backoff(max_attempts=3),
        fallback(lambda _: None),
    )

    def project(value: int) -> rx.Observable[int]:
        return from_async(call, value).pipe(*chain)

    await last_of(from_iterable(range(ELEMENTS)).pipe(flat_map_bounded(project, max_concurrent=IN_FLIGHT)))


async def stock() -> None:
    """Six stock operators, with `merge(max_concurrent=...)`."""
    loop = asyncio.get_running_loop()
    scheduler = AsyncIOScheduler(loop)
    done: asyncio.Future[None] = loop.create_future()

    def project(value: int) -> rx.Observable[int]:
        return rx.defer(lambda _: rx.from_future(loop.create_task(call(value)))).pipe(
            ops.timeout(30.0),
            ops.do_action(lambda _: None),
            ops.map(lambda x: x),
            ops.filter(lambda _: True),
            ops.retry(3),
            ops.catch(lambda _, __: rx.just(None)),
        )

    rx.from_iterable(range(ELEMENTS)).pipe(ops.map(project), ops.merge(max_concurrent=IN_FLIGHT)).subscribe(
        on_error=done.set_exception, on_completed=lambda: done.set_result(None), scheduler=scheduler
    )
    await done


def microseconds(side: object) -> float:
    """CPU time per element of one round."""
    gc.collect()
    started = time.process_time()
    asyncio.run(side())  # type: ignore[operator]
    return (time.process_time() - started) / ELEMENTS * 1e6


def main(rounds: int = 5) -> dict[str, float]:
    """Measures in alternation and returns medians in microseconds, and the ratio stock / ours."""
    sides = {"bare": bare, "ours": ours, "stock": stock}
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            figures[name].append(microseconds(side))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    medians["stock / ours"] = medians["stock"] / medians["ours"]
    return medians


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:>14}  {value:8.2f}")
