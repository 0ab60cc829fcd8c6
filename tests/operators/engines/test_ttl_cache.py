"""The bounded memory with expiry, against a plain list."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rxorch_operators.engines.ttl_cache import TtlCache, TtlCacheStatistics

GONE = object()


def test_a_value_is_there_until_its_time_is_up():
    cache = TtlCache()
    assert cache.put("a", 1, now=5.0, ttl=10.0)
    assert [cache.get("a", now) for now in (5.0, 14.9, 15.0, 14.0)] == [1, 1, None, None]


def test_none_is_a_value_and_a_miss_gives_the_default():
    cache = TtlCache()
    cache.put("a", None, now=0.0, ttl=10.0)
    assert cache.get("a", 0.0, GONE) is None
    assert cache.get("b", 0.0, GONE) is GONE


def test_reading_does_not_lengthen_the_time():
    cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=10.0)
    cache.get("a", 9.0)
    assert cache.get("a", 10.0) is None


def test_putting_anew_does():
    cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=10.0)
    cache.put("a", 2, now=9.0, ttl=10.0)
    assert cache.get("a", 18.0) == 2
    assert len(cache) == 1


def test_the_least_recently_used_leaves_first():
    cache = TtlCache(max_entries=2)
    cache.put("a", 1, now=0.0, ttl=99.0)
    cache.put("b", 2, now=0.0, ttl=99.0)
    cache.get("a", 1.0)
    cache.put("c", 3, now=2.0, ttl=99.0)
    assert [cache.get(key, 2.0) for key in "abc"] == [1, None, 3]
    assert cache.statistics().evictions == 1


def test_what_had_expired_and_leaves_for_room_is_no_eviction():
    cache = TtlCache(max_entries=1)
    cache.put("a", 1, now=0.0, ttl=1.0)
    cache.put("b", 2, now=5.0, ttl=1.0)
    assert (cache.statistics().evictions, cache.statistics().expirations) == (0, 1)


def test_bytes_are_bounded():
    cache = TtlCache(max_bytes=100)
    for key in "abc":
        cache.put(key, key, now=0.0, ttl=9.0, size=40)
    assert [cache.get(key, 0.0) for key in "abc"] == [None, "b", "c"]
    assert cache.statistics().bytes == 80
    cache.put("d", "d", now=0.0, ttl=9.0, size=100)
    assert (len(cache), cache.get("d", 0.0)) == (1, "d")


def test_what_is_too_large_alone_is_not_kept_and_the_old_value_is_out_of_date():
    cache = TtlCache(max_bytes=100)
    cache.put("a", 1, now=0.0, ttl=9.0, size=10)
    cache.put("b", 2, now=0.0, ttl=9.0, size=10)
    assert not cache.put("a", 3, now=0.0, ttl=9.0, size=101)
    assert (cache.get("a", 0.0), cache.get("b", 0.0)) == (None, 2)


def test_a_ttl_of_nothing_keeps_nothing():
    cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=9.0)
    assert not cache.put("a", 2, now=0.0, ttl=0.0)
    assert cache.get("a", 0.0) is None


def test_a_ttl_without_end():
    cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=math.inf)
    assert cache.get("a", 1e300) == 1


def test_discard():
    cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=9.0, size=5)
    assert (cache.discard("a"), cache.discard("a")) == (True, False)
    assert cache.statistics().bytes == 0


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ({}, []),
        ({"tag": "user"}, ["post/1", "post/2"]),
        ({"where": lambda key: key.endswith("1")}, ["user/2", "post/2"]),
        ({"tag": "user", "where": lambda key: key.endswith("1")}, ["user/2", "post/1", "post/2"]),
        ({"tag": "nobody"}, ["user/1", "user/2", "post/1", "post/2"]),
    ],
)
def test_clear(how, left):
    cache = TtlCache()
    keys = ["user/1", "user/2", "post/1", "post/2"]
    for key in keys:
        cache.put(key, key, now=0.0, ttl=9.0, size=1, tag=key.split("/")[0])
    assert cache.clear(**how) == 4 - len(left)
    assert [key for key in keys if cache.get(key, 0.0)] == left
    assert cache.statistics().bytes == len(left)


def test_a_condition_of_clear_may_use_the_cache():
    cache = TtlCache()
    for key in "abc":
        cache.put(key, key, now=0.0, ttl=9.0)
    assert cache.clear(where=lambda key: cache.discard("b") or key == "c") == 2
    assert [cache.get(key, 0.0) for key in "abc"] == [None, None, None]


def test_purge_removes_what_has_expired():
    cache = TtlCache()
    for ttl in (1.0, 2.0, 3.0):
        cache.put(ttl, ttl, now=0.0, ttl=ttl, size=1)
    assert cache.purge(2.0) == 2
    assert (len(cache), cache.statistics().bytes, cache.statistics().expirations) == (1, 1, 2)


def test_statistics():
    cache = TtlCache(max_entries=2)
    for key in "abc":
        cache.put(key, key, now=0.0, ttl=9.0, size=7)
    for key, now in (("a", 0.0), ("b", 0.0), ("c", 0.0), ("b", 9.0)):
        cache.get(key, now)
    assert cache.statistics() == TtlCacheStatistics(
        entries=1, bytes=7, hits=2, misses=2, evictions=1, expirations=1
    )


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"max_entries": 0}, "max_entries=0"),
        ({"max_bytes": 0}, "max_bytes=0"),
        ({"max_bytes": 1.5}, "max_bytes=1.5"),
    ],
)
def test_a_cache_that_cannot_work_is_refused(setting, text):
    with pytest.raises(ValueError, match=text):
        TtlCache(**setting)


@pytest.mark.parametrize(
    ("how", "text"), [({"ttl": -1.0}, "ttl=-1.0"), ({"ttl": math.nan}, "ttl=nan"), ({"size": -1}, "size=-1")]
)
def test_an_entry_that_makes_no_sense_is_refused_and_changes_nothing(how, text):
    cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=9.0)
    with pytest.raises(ValueError, match=text):
        cache.put("a", 2, **{"now": 0.0, "ttl": 1.0, **how})
    assert cache.get("a", 0.0) == 1


class TtlCacheMachine(RuleBasedStateMachine):
    """Against a list of (key, value, expires, size, tag), the least recently used first."""

    keys = st.sampled_from("abcd")

    @initialize(max_entries=st.integers(1, 3), max_bytes=st.none() | st.integers(9, 20))
    def start(self, max_entries, max_bytes):
        self.cache = TtlCache(max_entries, max_bytes)
        self.most, self.heaviest = max_entries, max_bytes or math.inf
        self.entries = []
        self.now, self.value, self.hits, self.misses, self.evictions, self.expirations = 0.0, 0, 0, 0, 0, 0

    def weight(self):
        return sum(entry[3] for entry in self.entries)

    def take_out(self, key):
        self.entries = [entry for entry in self.entries if entry[0] != key]

    @rule(seconds=st.integers(0, 2))
    def pass_time(self, seconds):
        self.now += seconds

    @rule(key=keys, ttl=st.integers(0, 4), size=st.integers(0, 9), tag=st.sampled_from([None, "x", "y"]))
    def put(self, key, ttl, size, tag):
        self.value += 1
        kept = ttl > 0 and size <= self.heaviest
        assert self.cache.put(key, self.value, self.now, float(ttl), size=size, tag=tag) is kept
        self.take_out(key)
        if kept:
            self.entries.append((key, self.value, self.now + ttl, size, tag))
        while len(self.entries) > self.most or self.weight() > self.heaviest:
            if self.entries.pop(0)[2] <= self.now:
                self.expirations += 1
            else:
                self.evictions += 1

    @rule(key=keys)
    def get(self, key):
        found = next((entry for entry in self.entries if entry[0] == key), None)
        fresh = found is not None and found[2] > self.now
        assert self.cache.get(key, self.now, GONE) == (found[1] if fresh else GONE)
        self.take_out(key)
        self.hits += fresh
        self.misses += not fresh
        self.expirations += found is not None and not fresh
        if fresh:
            self.entries.append(found)

    @rule(key=keys)
    def discard(self, key):
        assert self.cache.discard(key) is any(entry[0] == key for entry in self.entries)
        self.take_out(key)

    @rule(tag=st.sampled_from(["x", "y"]), below=st.none() | keys)
    def clear(self, tag, below):
        where = None if below is None else lambda key: key < below
        doomed = [e for e in self.entries if e[4] == tag and (below is None or e[0] < below)]
        assert self.cache.clear(tag, where=where) == len(doomed)
        self.entries = [entry for entry in self.entries if entry not in doomed]

    @rule()
    def purge(self):
        expired = [entry for entry in self.entries if entry[2] <= self.now]
        assert self.cache.purge(self.now) == len(expired)
        self.expirations += len(expired)
        self.entries = [entry for entry in self.entries if entry[2] > self.now]

    @invariant()
    def they_agree(self):
        assert self.cache.statistics() == TtlCacheStatistics(
            entries=len(self.entries),
            bytes=self.weight(),
            hits=self.hits,
            misses=self.misses,
            evictions=self.evictions,
            expirations=self.expirations,
        )
        assert len(self.cache) <= self.most
        assert self.weight() <= self.heaviest


TestTtlCacheMachine = TtlCacheMachine.TestCase
TestTtlCacheMachine.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True
)
