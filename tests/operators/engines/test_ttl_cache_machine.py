"""The bounded memory with expiry, through random histories, against a dict and a list of keys by last use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from rxorch_operators.engines.ttl_cache import TtlCache, TtlCacheStatistics

GONE = object()


@dataclass
class Kept:
    """What the model knows of one entry."""

    value: int
    expires: float
    leaves: float
    size: int
    tag: str | None


class TtlCacheMachine(RuleBasedStateMachine):
    """All times are whole seconds, so that the model and the cache agree to the instant.

    A call that begins is a number: how many times something had been found wrong by then.
    """

    keys = st.sampled_from("abcd")
    tags = st.sampled_from([None, "x", "y"])
    calls = Bundle("calls")

    @initialize(max_entries=st.integers(1, 3), max_bytes=st.none() | st.integers(9, 20))
    def start(self, max_entries: int, max_bytes: int | None) -> None:
        self.cache: TtlCache[str, Any] = TtlCache(max_entries, max_bytes)
        self.most, self.heaviest = max_entries, max_bytes or math.inf
        self.entries: dict[str, Kept] = {}
        self.used: list[str] = []  # the least recently used first
        self.wrong: list[tuple[str, str | None]] = []  # what was removed: "key", "tag" or "all", and which
        self.epochs: dict[int, int] = {}  # the cache's epoch by the number of a call
        self.now = self.value = 0
        self.counts = dict.fromkeys(
            ("hits", "misses", "stale_hits", "evictions", "expirations", "outdated"), 0
        )

    def weight(self) -> int:
        return sum(entry.size for entry in self.entries.values())

    def take_out(self, key: str) -> None:
        if key in self.entries:
            del self.entries[key]
            self.used.remove(key)

    def use(self, key: str) -> None:
        self.used.remove(key)
        self.used.append(key)

    def refused(self, key: str, tag: str | None, call: int) -> bool:
        later = self.wrong[call:]
        return ("all", None) in later or ("key", key) in later or (tag is not None and ("tag", tag) in later)

    @rule(seconds=st.integers(0, 3))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule(target=calls)
    def begin_call(self) -> int:
        self.epochs[len(self.wrong)] = self.cache.epoch
        return len(self.wrong)

    @rule(
        key=keys,
        ttl=st.integers(0, 4),
        keep=st.integers(0, 4),
        size=st.integers(0, 9),
        tag=tags,
        call=st.none() | calls,
    )
    def put(self, key: str, ttl: int, keep: int, size: int, tag: str | None, call: int | None) -> None:
        self.value += 1
        epoch = None if call is None else self.epochs[call]
        kept = self.cache.put(
            key, self.value, self.now, float(ttl), size=size, tag=tag, keep=float(keep), epoch=epoch
        )
        if call is not None and self.refused(key, tag, call):
            assert not kept
            self.counts["outdated"] += 1
            return
        self.take_out(key)
        assert kept is (ttl + keep > 0 and size <= self.heaviest)
        if kept:
            expires = self.now + ttl
            self.entries[key] = Kept(self.value, expires, expires + keep, size, tag)
            self.used.append(key)
        while len(self.entries) > self.most or self.weight() > self.heaviest:
            oldest = self.used[0]
            over = self.entries[oldest].leaves <= self.now
            self.counts["expirations" if over else "evictions"] += 1
            self.take_out(oldest)

    @rule(key=keys)
    def get(self, key: str) -> None:
        found = self.entries.get(key)
        value = self.cache.get(key, self.now, GONE)
        if found is not None and self.now < found.expires:
            assert value == found.value
            self.counts["hits"] += 1
            self.use(key)
            return
        assert value is GONE
        self.counts["misses"] += 1
        if found is not None and found.leaves <= self.now:
            self.counts["expirations"] += 1
            self.take_out(key)

    @rule(key=keys, within=st.integers(0, 5))
    def get_stale(self, key: str, within: int) -> None:
        found = self.entries.get(key)
        value = self.cache.get_stale(key, self.now, float(within), GONE)
        if found is not None and self.now < min(found.leaves, found.expires + within):
            assert value == found.value
            self.counts["hits" if self.now < found.expires else "stale_hits"] += 1
            self.use(key)
        else:
            assert value is GONE

    @rule(key=keys)
    def discard(self, key: str) -> None:
        assert self.cache.discard(key) is (key in self.entries)
        self.take_out(key)
        self.wrong.append(("key", key))

    @rule(tag=tags, below=st.none() | keys)
    def clear(self, tag: str | None, below: str | None) -> None:
        where: Callable[[str], bool] | None = None if below is None else below.__gt__
        doomed = [
            key
            for key, entry in self.entries.items()
            if (tag is None or entry.tag == tag) and (below is None or key < below)
        ]
        assert self.cache.clear(tag, where=where) == len(doomed)
        for key in doomed:
            self.take_out(key)
        self.wrong.append(("all", None) if tag is None else ("tag", tag))

    @rule()
    def purge(self) -> None:
        over = [key for key, entry in self.entries.items() if entry.leaves <= self.now]
        assert self.cache.purge(self.now) == len(over)
        self.counts["expirations"] += len(over)
        for key in over:
            self.take_out(key)

    @invariant()
    def they_agree(self) -> None:
        nobody = {"refreshing": 0, "refreshes": 0, "refresh_errors": 0}
        assert self.cache.statistics() == TtlCacheStatistics(
            entries=len(self.entries), bytes=self.weight(), **self.counts, **nobody
        )
        assert list(self.cache._entries) == self.used
        assert len(self.cache) <= self.most
        assert self.weight() <= self.heaviest


TestTtlCacheMachine = TtlCacheMachine.TestCase
TestTtlCacheMachine.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True
)
