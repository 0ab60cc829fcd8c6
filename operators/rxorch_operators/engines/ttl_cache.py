"""A bounded memory with expiry: the engine of response caching.

Entries leave when their time is up, when they are the least recently used and there is no room, or by hand.
Pure: the time is passed in as monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from ..errors import invalid, is_count

__all__ = ["TtlCache", "TtlCacheStatistics"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class TtlCacheStatistics:
    """What a cache has seen.

    Args:
        entries: Entries held, those included that expired unnoticed.
        bytes: Sum of their sizes, as given to `put`.
        hits: Reads that found a fresh value.
        misses: Reads that did not.
        evictions: Fresh entries that left for want of room.
        expirations: Entries that left because their time was up.
    """

    entries: int
    bytes: int
    hits: int
    misses: int
    evictions: int
    expirations: int


class _Entry(Generic[V]):
    __slots__ = ("expires", "size", "tag", "value")

    def __init__(self, value: V, expires: float, size: int, tag: str | None) -> None:
        self.value = value
        self.expires = expires
        self.size = size
        self.tag = tag


class TtlCache(Generic[K, V]):
    """Keeps values for a time; when there is no room, the least recently used leaves.

    Args:
        max_entries: Most entries held, 1 or more.
        max_bytes: Most bytes held, 1 or more, by the sizes given to `put`; None for no bound.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> cache: TtlCache[str, int] = TtlCache(max_entries=2)
        >>> cache.put("a", 1, now=0.0, ttl=10.0)
        True
        >>> cache.get("a", now=9.0), cache.get("a", now=10.0), cache.get("a", now=11.0, default="gone")
        (1, None, 'gone')
    """

    __slots__ = (
        "_bytes",
        "_entries",
        "_evictions",
        "_expirations",
        "_hits",
        "_misses",
        "max_bytes",
        "max_entries",
    )

    def __init__(self, max_entries: int = 1024, max_bytes: int | None = None) -> None:
        if not is_count(max_entries):
            raise invalid("max_entries", max_entries, "give a whole number, 1 or more")
        if max_bytes is not None and not is_count(max_bytes):
            raise invalid("max_bytes", max_bytes, "give a whole number, 1 or more, or None for no bound")
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()  # least recently used first
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._expirations = 0

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def get(self, key: K, now: float) -> V | None: ...

    @overload
    def get(self, key: K, now: float, default: D) -> V | D: ...

    def get(self, key: K, now: float, default: D | None = None) -> V | D | None:
        """The value, if it is there and fresh; reading makes it the most recently used.

        Args:
            key: What it was put under.
            now: Monotonic seconds; at `put`'s time + `ttl` the value has expired.
            default: Returned otherwise. Where None may be a value, give a marker of your own.
        """
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return default
        if entry.expires <= now:
            self._remove(key)
            self._expirations += 1
            self._misses += 1
            return default
        self._entries.move_to_end(key)
        self._hits += 1
        return entry.value

    def put(self, key: K, value: V, now: float, ttl: float, *, size: int = 0, tag: str | None = None) -> bool:
        """Keeps a value in place of an earlier one; tells whether it was kept.

        It is not kept if `ttl` is 0, or if it alone is larger than `max_bytes`; an earlier value leaves
        nevertheless, since it is out of date.

        Args:
            key: What to find it by.
            value: Any value.
            now: Monotonic seconds.
            ttl: Seconds that it stays fresh; `math.inf` for as long as there is room.
            size: Its size in bytes.
            tag: A name under which `clear` finds it, such as that of an endpoint.

        Raises:
            ValueError: `ttl` or `size` is negative.
        """
        if not ttl >= 0.0:
            raise invalid("ttl", ttl, "give seconds, 0 (keep nothing) or more")
        if size < 0:
            raise invalid("size", size, "give bytes, 0 or more")
        self.discard(key)
        if ttl == 0.0 or self._too_heavy(size):
            return False
        self._entries[key] = _Entry(value, now + ttl, size, tag)
        self._bytes += size
        self._make_room(now)
        return True

    def discard(self, key: K) -> bool:
        """Removes one entry; tells whether there was one.

        Args:
            key: What it was put under.
        """
        if key not in self._entries:
            return False
        self._remove(key)
        return True

    def clear(self, tag: str | None = None, *, where: Callable[[K], bool] | None = None) -> int:
        """Removes all entries, or those that meet every condition given; returns how many.

        Args:
            tag: Only those with this tag.
            where: Only those whose key makes this true.
        """
        doomed = [
            key
            for key, entry in list(self._entries.items())
            if (tag is None or entry.tag == tag) and (where is None or where(key))
        ]
        return sum(self.discard(key) for key in doomed)

    def purge(self, now: float) -> int:
        """Removes what has expired; returns how many. Reads do so one by one, so this only frees memory.

        Args:
            now: Monotonic seconds.
        """
        doomed = [key for key, entry in self._entries.items() if entry.expires <= now]
        for key in doomed:
            self._remove(key)
        self._expirations += len(doomed)
        return len(doomed)

    def statistics(self) -> TtlCacheStatistics:
        """A snapshot."""
        return TtlCacheStatistics(
            entries=len(self._entries),
            bytes=self._bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
            expirations=self._expirations,
        )

    def _make_room(self, now: float) -> None:
        entries = self._entries
        while len(entries) > self.max_entries or self._too_heavy(self._bytes):
            oldest = next(iter(entries))
            if entries[oldest].expires <= now:
                self._expirations += 1
            else:
                self._evictions += 1
            self._remove(oldest)

    def _too_heavy(self, size: int) -> bool:
        return self.max_bytes is not None and size > self.max_bytes

    def _remove(self, key: K) -> None:
        self._bytes -= self._entries.pop(key).size
