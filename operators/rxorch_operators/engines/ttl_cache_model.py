"""What a TtlCache tells about itself, and what it knows of those who work for it in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Background", "TtlCacheStatistics"]


@dataclass(frozen=True, slots=True)
class TtlCacheStatistics:
    """What a cache has seen.

    Args:
        entries: Entries held, those included that are past their time unnoticed.
        bytes: Sum of their sizes, as given to `put`.
        hits: Reads that found a fresh value.
        misses: Reads that did not.
        stale_hits: Stale values that were given out nevertheless; each after a miss.
        evictions: Entries that left for want of room before their time was up.
        expirations: Entries that left because their time was up.
        outdated: Values refused because their call began before a `discard` or `clear` that was for them, or
            before the call whose value is there.
        refreshing: Refreshes in the background under way.
        refreshes: Refreshes in the background started in all.
        refresh_errors: Those that failed.
    """

    entries: int
    bytes: int
    hits: int
    misses: int
    stale_hits: int
    evictions: int
    expirations: int
    outdated: int
    refreshing: int
    refreshes: int
    refresh_errors: int


class Background(Protocol):
    """Who refreshes the values of one store while nobody waits for it."""

    started: int
    failed: int

    @property
    def running(self) -> int:
        """Refreshes under way."""

    def close(self) -> None:
        """Ends them."""

    async def aclose(self) -> None:
        """Ends them, and waits until they have ended."""
