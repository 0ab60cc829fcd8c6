"""Types around calls: a guarded function takes and gives what the function did."""

from __future__ import annotations

from typing import assert_type

from rxorch import operators as rxo

careful = rxo.guard(rxo.timeout(1.0), rxo.retry_backoff(max_attempts=3))


@careful
async def price(item: str, *, size: int = 1) -> float:
    """A guarded function."""
    return len(item) * size


class Shop:
    """With a guarded method."""

    @rxo.guard(rxo.policy(retry=3))
    async def stock(self, item: str) -> int:
        """A guarded method."""
        return len(item)


async def plain(item: str, times: int) -> str:
    """A function that is not guarded."""
    return item * times


async def main() -> None:
    """Every way to call."""
    assert_type(await price("tea", size=2), float)
    assert_type(await Shop().stock("tea"), int)
    assert_type(await careful.call(plain, "tea", 2), str)
    assert_type(await careful(plain)("tea", 2), str)
    assert_type(await rxo.CircuitBreaker().call(plain, "tea", 2), str)
    assert_type(await rxo.Bulkhead().call(plain, "tea", times=2), str)
    assert_type(await rxo.AdaptiveBulkhead().call(plain, "tea", 2), str)
    await rxo.RateLimiter(5).acquire()
