"""Programs that are wrong: each line below a `# wrong` must be refused by both checkers."""

from __future__ import annotations

from rxorch import operators as rxo


async def price(item: str) -> float:
    """Takes a string."""
    return len(item)


guarded = rxo.guard(rxo.retry_backoff())(price)
letters = rxo.from_iterable("abc")


async def main() -> None:
    """Calls it wrongly."""
    # wrong
    await guarded(7)
    # wrong
    await guarded("tea", "milk")
    # wrong
    (await guarded("tea")).upper()
    # wrong
    await rxo.CircuitBreaker().call(price, 7)


# wrong
rxo.from_iterable([1, 2]).pipe(rxo.flat_map_bounded(price, max_concurrent=2))
# wrong
rxo.retry_backoff(max_attempt=3)
# wrong
rxo.with_overflow("drop_some", buffer=3)
# wrong
rxo.policy(circuit_breaker=5)
