"""A bounded memory with expiry: the engine of response caching.

A value is fresh for a time, and may be kept for a time after that, stale. Entries leave when their time is
up, when they are the least recently used and there is no room, or by hand. What is removed by hand was wrong,
and so would be the answer of a call that began before: it is refused, as is the answer of a call that began
before the one whose answer is there.
Pure: the time is passed in as monotonic seconds, and what works in the background is handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Final, Generic, TypeVar, overload

from ..errors import invalid, is_count
from .ttl_cache_model import Background, TtlCacheStatistics

__all__ = ["TtlCache", "TtlCacheStatistics"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")

_MOST_MARKS: Final = 1024
"""Discarded keys and cleared tags that are remembered one by one."""


class _Entry(Generic[V]):
    __slots__ = ("began", "expires", "leaves", "size", "tag", "value")

    def __init__(
        self, value: V, expires: float, leaves: float, size: int, tag: str | None, began: float
    ) -> None:
        self.value = value
        self.expires = expires  # fresh before this
        self.leaves = leaves  # stale before this
        self.size = size
        self.tag = tag
        self.began = began


class TtlCache(Generic[K, V]):
    """Keeps values for a time; when there is no room, the least recently used leaves.

    Where `cache` refreshes values in the background, that work belongs to the store: `aclose`, or the end of
    `async with`, ends it and waits for it. Any other store need not be closed.

    Args:
        max_entries: Most entries held, 1 or more.
        max_bytes: Most bytes held, 1 or more, by the sizes given to `put`; None for no bound.

    Attributes:
        epoch: Rises with each `discard` and `clear`. Who makes a call reads it first and gives it to `put`.
        closed: Whether nothing may be refreshed in the background any more.
        background: Who refreshes values in the background, once somebody does.

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
        "_floor",
        "_hits",
        "_marks",
        "_misses",
        "_outdated",
        "_stale_hits",
        "background",
        "closed",
        "epoch",
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
        self._stale_hits = 0
        self._evictions = 0
        self._expirations = 0
        self._outdated = 0
        self.epoch = 0
        self._floor = 0  # what began before this epoch is out of date, whatever its key
        # The epoch of the last discard, by hash: a key that was discarded must not be kept alive here. Two
        # keys with one hash cost one call more at worst.
        self._marks: dict[int, int] = {}
        self.closed = False
        self.background: Background | None = None

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
            if entry.leaves <= now:
                self._remove(key)
                self._expirations += 1
            self._misses += 1
            return default
        self._entries.move_to_end(key)
        self._hits += 1
        return entry.value

    @overload
    def get_stale(self, key: K, now: float, within: float) -> V | None: ...

    @overload
    def get_stale(self, key: K, now: float, within: float, default: D) -> V | D: ...

    def get_stale(self, key: K, now: float, within: float, default: D | None = None) -> V | D | None:
        """The value, fresh or not, as long as it is kept; for whoever did not `get` a fresh one.

        Args:
            key: What it was put under.
            now: Monotonic seconds.
            within: Seconds after the end of its freshness; at that time the value is too old.
            default: Returned otherwise.
        """
        entry = self._entries.get(key)
        if entry is None or entry.leaves <= now or entry.expires + within <= now:
            return default
        self._entries.move_to_end(key)
        if entry.expires <= now:
            self._stale_hits += 1
        else:
            self._hits += 1
        return entry.value

    def put(
        self,
        key: K,
        value: V,
        now: float,
        ttl: float,
        *,
        size: int = 0,
        tag: str | None = None,
        keep: float = 0.0,
        epoch: int | None = None,
        began: float | None = None,
    ) -> bool:
        """Keeps a value in place of an earlier one; tells whether it was kept.

        It is not kept if `ttl` and `keep` are 0, or if it alone is larger than `max_bytes`; an earlier value
        leaves nevertheless, since it is out of date. It is refused, and nothing changes, if its key or its
        tag was discarded or cleared since `epoch`, or if what is there comes from a call that began later.

        Args:
            key: What to find it by.
            value: Any value.
            now: Monotonic seconds.
            ttl: Seconds that it stays fresh; `math.inf` for as long as there is room.
            size: Its size in bytes.
            tag: A name under which `clear` finds it, such as that of an endpoint.
            keep: Seconds that it is kept after that, for `get_stale`.
            epoch: What `epoch` was when the call for this value began; None: it is right whatever happened.
            began: Monotonic seconds at which that call began; None: it is right as of `now`.

        Raises:
            ValueError: `ttl`, `size` or `keep` is negative.
        """
        if not ttl >= 0.0:
            raise invalid("ttl", ttl, "give seconds, 0 (keep nothing) or more")
        if not keep >= 0.0:
            raise invalid("keep", keep, "give seconds, 0 (nothing stale) or more")
        if size < 0:
            raise invalid("size", size, "give bytes, 0 or more")
        if epoch is not None and epoch != self.epoch and self._is_outdated(key, tag, epoch):
            self._outdated += 1
            return False
        if began is None:
            began = now
        earlier = self._entries.get(key)
        if earlier is not None:
            if earlier.began > began:
                self._outdated += 1
                return False
            self._remove(key)
        if ttl + keep == 0.0 or (size and self._too_heavy(size)):
            return False
        expires = now + ttl
        self._entries[key] = _Entry(value, expires, expires + keep, size, tag, began)
        self._bytes += size
        self._make_room(now)
        return True

    def discard(self, key: K) -> bool:
        """Removes one entry; tells whether there was one. A call for it that is under way stores nothing.

        Args:
            key: What it was put under.
        """
        self._outdate(hash(key))
        if key not in self._entries:
            return False
        self._remove(key)
        return True

    def clear(self, tag: str | None = None, *, where: Callable[[K], bool] | None = None) -> int:
        """Removes all entries, or those that meet every condition given; returns how many.

        Calls that are under way store nothing: all of them, or those with this tag. `where` is not asked
        about them, so some may be made once more.

        Args:
            tag: Only those with this tag.
            where: Only those whose key makes this true.
        """
        doomed = [
            (key, entry)
            for key, entry in self._items()
            if (tag is None or entry.tag == tag) and (where is None or where(key))
        ]
        self._outdate(None if tag is None else _hash_of_tag(tag))
        return self._remove_all(doomed)

    def purge(self, now: float) -> int:
        """Removes what is past its time; returns how many. Reads do so one by one, so this only frees memory.

        Args:
            now: Monotonic seconds.
        """
        removed = self._remove_all([item for item in self._items() if item[1].leaves <= now])
        self._expirations += removed
        return removed

    def statistics(self) -> TtlCacheStatistics:
        """A snapshot."""
        background = self.background
        return TtlCacheStatistics(
            entries=len(self._entries),
            bytes=self._bytes,
            hits=self._hits,
            misses=self._misses,
            stale_hits=self._stale_hits,
            evictions=self._evictions,
            expirations=self._expirations,
            outdated=self._outdated,
            refreshing=0 if background is None else background.running,
            refreshes=0 if background is None else background.started,
            refresh_errors=0 if background is None else background.failed,
        )

    def close(self) -> None:
        """Ends what refreshes values in the background, and allows no more of it. Values stay."""
        self.closed = True
        if self.background is not None:
            self.background.close()

    async def aclose(self) -> None:
        """The same, and waits until it has ended."""
        self.closed = True
        if self.background is not None:
            await self.background.aclose()

    async def __aenter__(self) -> TtlCache[K, V]:
        self.closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _outdate(self, mark: int | None) -> None:
        """Notes that calls under way bring what is wrong: those of one key or tag, or all."""
        self.epoch += 1
        if mark is None or len(self._marks) >= _MOST_MARKS:  # who discards so much may ask once more
            self._marks.clear()
            self._floor = self.epoch
        else:
            self._marks[mark] = self.epoch

    def _is_outdated(self, key: K, tag: str | None, epoch: int) -> bool:
        marks = self._marks
        return (
            epoch < self._floor
            or epoch < marks.get(hash(key), 0)
            or (tag is not None and epoch < marks.get(_hash_of_tag(tag), 0))
        )

    def _make_room(self, now: float) -> None:
        entries = self._entries
        while len(entries) > self.max_entries or self._too_heavy(self._bytes):
            _, oldest = entries.popitem(last=False)  # which needs nothing of its key
            self._bytes -= oldest.size
            if oldest.leaves <= now:
                self._expirations += 1
            else:
                self._evictions += 1

    def _too_heavy(self, size: int) -> bool:
        return self.max_bytes is not None and size > self.max_bytes

    def _remove(self, key: K) -> None:
        self._bytes -= self._entries.pop(key).size

    def _items(self) -> list[tuple[K, _Entry[V]]]:
        # Not those of OrderedDict, which looks each key up: one whose hash has changed is not found.
        return list(dict.items(self._entries))

    def _remove_all(self, doomed: list[tuple[K, _Entry[V]]]) -> int:
        """Removes what is still there of some entries, whatever their keys are now; returns how many."""
        before = len(self._entries)
        hidden = set()
        for key, entry in doomed:
            try:
                if self._entries.get(key) is entry:
                    self._remove(key)
                else:  # `where` has removed it, or the hash of its key has changed
                    hidden.add(id(entry))
            except Exception:  # its key cannot be compared any more
                hidden.add(id(entry))
        if hidden and any(id(entry) in hidden for _, entry in self._items()):
            self._sift(hidden)
        return before - len(self._entries)

    def _sift(self, hidden: set[int]) -> None:
        """Puts all entries anew but the hidden ones; those go too whose keys do not let them."""
        entries, self._entries, self._bytes = self._entries, OrderedDict(), 0
        while entries:
            key, entry = entries.popitem(last=False)
            try:
                if id(entry) not in hidden and key not in self._entries:
                    self._entries[key] = entry
                    self._bytes += entry.size
            except Exception:
                continue


def _hash_of_tag(tag: str) -> int:
    return hash(("tag", tag))  # a key may be the same text
