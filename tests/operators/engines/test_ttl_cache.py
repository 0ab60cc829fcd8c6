"""The bounded memory with expiry: what is fresh, what is stale, what is refused, what leaves."""

from __future__ import annotations

import math
import weakref
from typing import Any

import pytest

from rxorch_operators.engines import ttl_cache
from rxorch_operators.engines.ttl_cache import TtlCache, TtlCacheStatistics

Cache = TtlCache[Any, Any]

GONE = object()


def test_a_value_is_there_until_its_time_is_up() -> None:
    cache: Cache = TtlCache()
    assert cache.put("a", 1, now=5.0, ttl=10.0)
    assert [cache.get("a", now) for now in (5.0, 14.9, 15.0, 14.0)] == [1, 1, None, None]


def test_none_is_a_value_and_a_miss_gives_the_default() -> None:
    cache: Cache = TtlCache()
    cache.put("a", None, now=0.0, ttl=10.0)
    assert cache.get("a", 0.0, GONE) is None
    assert cache.get("b", 0.0, GONE) is GONE


def test_reading_does_not_lengthen_the_time() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=10.0)
    cache.get("a", 9.0)
    assert cache.get("a", 10.0) is None


def test_putting_anew_does() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=10.0)
    cache.put("a", 2, now=9.0, ttl=10.0)
    assert cache.get("a", 18.0) == 2
    assert len(cache) == 1


def test_the_least_recently_used_leaves_first() -> None:
    cache: Cache = TtlCache(max_entries=2)
    cache.put("a", 1, now=0.0, ttl=99.0)
    cache.put("b", 2, now=0.0, ttl=99.0)
    cache.get("a", 1.0)
    cache.put("c", 3, now=2.0, ttl=99.0)
    assert [cache.get(key, 2.0) for key in "abc"] == [1, None, 3]
    assert cache.statistics().evictions == 1


def test_what_had_expired_and_leaves_for_room_is_no_eviction() -> None:
    cache: Cache = TtlCache(max_entries=1)
    cache.put("a", 1, now=0.0, ttl=1.0)
    cache.put("b", 2, now=5.0, ttl=1.0)
    assert (cache.statistics().evictions, cache.statistics().expirations) == (0, 1)


def test_bytes_are_bounded() -> None:
    cache: Cache = TtlCache(max_bytes=100)
    for key in "abc":
        cache.put(key, key, now=0.0, ttl=9.0, size=40)
    assert [cache.get(key, 0.0) for key in "abc"] == [None, "b", "c"]
    assert cache.statistics().bytes == 80
    cache.put("d", "d", now=0.0, ttl=9.0, size=100)
    assert (len(cache), cache.get("d", 0.0)) == (1, "d")


def test_what_is_too_large_alone_is_not_kept_and_the_old_value_is_out_of_date() -> None:
    cache: Cache = TtlCache(max_bytes=100)
    cache.put("a", 1, now=0.0, ttl=9.0, size=10)
    cache.put("b", 2, now=0.0, ttl=9.0, size=10)
    assert not cache.put("a", 3, now=0.0, ttl=9.0, size=101)
    assert (cache.get("a", 0.0), cache.get("b", 0.0)) == (None, 2)


def test_a_ttl_of_nothing_keeps_nothing() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=9.0)
    assert not cache.put("a", 2, now=0.0, ttl=0.0)
    assert cache.get("a", 0.0) is None


def test_a_ttl_without_end() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=math.inf)
    assert cache.get("a", 1e300) == 1


def test_discard() -> None:
    cache: Cache = TtlCache()
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
def test_clear(how: dict[str, Any], left: list[str]) -> None:
    cache: Cache = TtlCache()
    keys = ["user/1", "user/2", "post/1", "post/2"]
    for key in keys:
        cache.put(key, key, now=0.0, ttl=9.0, size=1, tag=key.split("/")[0])
    assert cache.clear(**how) == 4 - len(left)
    assert [key for key in keys if cache.get(key, 0.0)] == left
    assert cache.statistics().bytes == len(left)


def test_a_condition_of_clear_may_use_the_cache() -> None:
    cache: Cache = TtlCache()
    for key in "abc":
        cache.put(key, key, now=0.0, ttl=9.0)
    assert cache.clear(where=lambda key: cache.discard("b") or key == "c") == 2
    assert [cache.get(key, 0.0) for key in "abc"] == [None, None, None]


def test_a_condition_of_clear_may_remove_what_it_has_agreed_to() -> None:
    cache: Cache = TtlCache()
    for key in "ab":
        cache.put(key, key, now=0.0, ttl=9.0, size=1)
    assert cache.clear(where=lambda key: key == "a" or cache.discard("a")) == 1
    assert (len(cache), cache.statistics().bytes) == (0, 0)


def test_purge_removes_what_has_expired() -> None:
    cache: Cache = TtlCache()
    for ttl in (1.0, 2.0, 3.0):
        cache.put(ttl, ttl, now=0.0, ttl=ttl, size=1)
    assert cache.purge(2.0) == 2
    assert (len(cache), cache.statistics().bytes, cache.statistics().expirations) == (1, 1, 2)


def test_statistics() -> None:
    cache: Cache = TtlCache(max_entries=2)
    for key in "abc":
        cache.put(key, key, now=0.0, ttl=9.0, size=7)
    for key, now in (("a", 0.0), ("b", 0.0), ("c", 0.0), ("b", 9.0)):
        cache.get(key, now)
    assert cache.statistics() == TtlCacheStatistics(
        entries=1,
        bytes=7,
        hits=2,
        misses=2,
        stale_hits=0,
        evictions=1,
        expirations=1,
        outdated=0,
        refreshing=0,
        refreshes=0,
        refresh_errors=0,
    )


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"max_entries": 0}, "max_entries=0"),
        ({"max_bytes": 0}, "max_bytes=0"),
        ({"max_bytes": 1.5}, "max_bytes=1.5"),
    ],
)
def test_a_cache_that_cannot_work_is_refused(setting: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TtlCache(**setting)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"ttl": -1.0}, "ttl=-1.0"),
        ({"ttl": math.nan}, "ttl=nan"),
        ({"size": -1}, "size=-1"),
        ({"keep": -1.0}, "keep=-1.0"),
        ({"keep": math.nan}, "keep=nan"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_and_changes_nothing(how: dict[str, Any], text: str) -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=9.0)
    with pytest.raises(ValueError, match=text):
        cache.put("a", 2, **{"now": 0.0, "ttl": 1.0, **how})
    assert cache.get("a", 0.0) == 1


def test_a_stale_value_is_there_for_who_asks_for_it_until_its_window_ends() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=10.0, keep=5.0)
    assert [cache.get("a", now) for now in (9.0, 10.0, 14.0)] == [1, None, None]
    assert [cache.get_stale("a", 14.0, within) for within in (5.0, 4.5, 4.0)] == [1, 1, None]
    assert cache.get_stale("a", 15.0, 99.0, GONE) is GONE
    assert cache.get_stale("b", 0.0, 99.0, GONE) is GONE
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.stale_hits) == (1, 2, 2)


def test_who_asks_for_a_stale_value_may_find_a_fresh_one() -> None:
    cache: Cache = TtlCache()
    cache.put("a", None, now=0.0, ttl=10.0)
    assert cache.get_stale("a", 9.0, 0.0, GONE) is None
    assert (cache.statistics().hits, cache.statistics().stale_hits) == (1, 0)
    assert cache.get_stale("a", 10.0, 5.0, GONE) is GONE, "nobody asked to keep it"


def test_stale_from_the_start() -> None:
    cache: Cache = TtlCache()
    assert cache.put("a", 1, now=0.0, ttl=0.0, keep=5.0)
    assert (cache.get("a", 0.0), cache.get_stale("a", 4.0, 5.0)) == (None, 1)


def test_what_is_stale_leaves_when_its_window_has_ended_and_not_before() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=10.0, keep=5.0, size=7)
    cache.get("a", 14.0)
    assert (cache.purge(14.0), cache.statistics().bytes) == (0, 7)
    cache.get("a", 15.0)
    assert (len(cache), cache.statistics().bytes, cache.statistics().expirations) == (0, 0, 1)


def test_the_bounds_hold_for_stale_values_and_reading_one_is_use() -> None:
    cache: Cache = TtlCache(max_entries=2)
    for key in "ab":
        cache.put(key, key, now=0.0, ttl=1.0, keep=99.0)
    assert cache.get("a", 5.0) is None, "which is no use of it"
    assert cache.get_stale("a", 5.0, 99.0) == "a"
    cache.put("c", "c", now=5.0, ttl=1.0)
    assert [cache.get_stale(key, 5.0, 99.0) for key in "abc"] == ["a", None, "c"]
    assert (cache.statistics().evictions, cache.statistics().expirations) == (1, 0)


def test_what_a_call_brings_that_began_before_a_discard_is_refused() -> None:
    cache: Cache = TtlCache()
    epoch = cache.epoch
    assert cache.discard("a") is False, "it was not there yet, and must not come either"
    assert not cache.put("a", "old", now=0.0, ttl=9.0, epoch=epoch)
    assert cache.put("b", "other", now=0.0, ttl=9.0, epoch=epoch)
    assert cache.put("a", "new", now=0.0, ttl=9.0, epoch=cache.epoch)
    assert not cache.put("a", "old", now=0.0, ttl=9.0, epoch=epoch)
    assert (cache.get("a", 0.0), cache.get("b", 0.0)) == ("new", "other")
    assert cache.statistics().outdated == 2


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({}, [False, False, False]),
        ({"tag": "x"}, [False, True, True]),
        ({"where": lambda key: False}, [False, False, False]),  # it is not asked about calls
        ({"tag": "x", "where": lambda key: False}, [False, True, True]),
    ],
)
def test_what_a_call_brings_that_began_before_a_clear_is_refused(
    how: dict[str, Any], kept: list[bool]
) -> None:
    cache: Cache = TtlCache()
    epoch = cache.epoch
    cache.clear(**how)
    tags = ["x", "y", None]
    assert [cache.put(tag, 1, now=0.0, ttl=9.0, tag=tag, epoch=epoch) for tag in tags] == kept
    assert all(cache.put(tag, 1, now=0.0, ttl=9.0, tag=tag, epoch=cache.epoch) for tag in tags)


@pytest.mark.parametrize(("began", "kept"), [(1.0, False), (2.0, True), (3.0, True), (None, True)])
def test_what_a_call_brings_that_began_before_that_of_the_stored_value_is_refused(
    began: float | None, kept: bool
) -> None:
    cache: Cache = TtlCache()
    assert cache.put("a", "later", now=4.0, ttl=10.0, began=2.0)
    assert cache.put("a", "other", now=9.0, ttl=10.0, began=began) is kept
    assert cache.get("a", 9.0) == ("other" if kept else "later")
    assert cache.get("a", 14.0) == ("other" if kept else None), "and its time is what it was"
    assert cache.statistics().outdated == (not kept)


def test_a_value_that_no_call_brought_is_right_as_of_its_time() -> None:
    cache: Cache = TtlCache()
    cache.put("a", "by hand", now=4.0, ttl=10.0)
    assert not cache.put("a", "of a call", now=5.0, ttl=10.0, began=3.0)
    assert cache.put("a", "of a later call", now=5.0, ttl=10.0, began=4.5)


def test_a_key_that_is_called_like_a_tag_is_another_thing() -> None:
    cache: Cache = TtlCache()
    epoch = cache.epoch
    cache.discard("x")
    assert cache.put("a", 1, now=0.0, ttl=9.0, tag="x", epoch=epoch)
    epoch = cache.epoch
    cache.clear("a")
    assert cache.put("a", 1, now=0.0, ttl=9.0, epoch=epoch)


def test_a_clear_that_fails_has_cleared_nothing() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=9.0)
    epoch = cache.epoch
    with pytest.raises(ZeroDivisionError):
        cache.clear(where=lambda key: key < 1 // 0)
    assert cache.put("b", 1, now=0.0, ttl=9.0, epoch=epoch) and len(cache) == 2


def test_leaving_by_itself_makes_nothing_out_of_date() -> None:
    cache: Cache = TtlCache(max_entries=1)
    epoch = cache.epoch
    cache.put("a", 1, now=0.0, ttl=1.0)
    cache.put("b", 1, now=0.0, ttl=1.0)
    cache.get("b", 2.0)
    cache.purge(2.0)
    assert cache.put("a", 1, now=2.0, ttl=1.0, epoch=epoch)


def test_discards_are_remembered_in_bounded_space_and_never_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ttl_cache, "_MOST_MARKS", 4)
    cache: Cache = TtlCache()
    epoch = cache.epoch
    for key in range(4):
        cache.discard(key)
    assert cache.put("other", 1, now=0.0, ttl=9.0, epoch=epoch)
    for key in range(4, 20):
        cache.discard(key)
        assert len(cache._marks) <= 4
    assert not any(cache.put(key, 1, now=0.0, ttl=9.0, epoch=epoch) for key in range(20))
    assert not cache.put("other", 1, now=0.0, ttl=9.0, epoch=epoch), "one call more, and nothing wrong"
    assert cache.put("other", 1, now=0.0, ttl=9.0, epoch=cache.epoch)


def test_a_discarded_key_is_not_kept_alive() -> None:
    class Key:
        """Something heavy, such as the arguments of a call."""

    cache: Cache = TtlCache()
    key = Key()
    cache.put(key, 1, now=0.0, ttl=9.0)
    held = weakref.ref(key)
    cache.discard(key)
    del key
    assert held() is None


class Work:
    """Stands in for the refreshes of a store."""

    def __init__(self) -> None:
        self.started, self.failed = 5, 2
        self.log: list[str] = []

    @property
    def running(self) -> int:
        return 1

    def close(self) -> None:
        self.log.append("closed")

    async def aclose(self) -> None:
        self.log.append("waited for")


async def test_who_works_in_the_background_ends_with_the_store() -> None:
    cache: Cache = TtlCache()
    cache.put("a", 1, now=0.0, ttl=9.0)
    closed = [cache.closed]
    cache.close()
    closed.append(cache.closed)
    assert cache.get("a", 0.0) == 1, "values stay"
    async with cache:
        closed.append(cache.closed)
        cache.background = work = Work()
    assert [*closed, cache.closed] == [False, True, False, True]
    assert work.log == ["waited for"]
    cache.close()
    await cache.aclose()
    assert work.log == ["waited for", "closed", "waited for"]
    statistics = cache.statistics()
    assert (statistics.refreshing, statistics.refreshes, statistics.refresh_errors) == (1, 5, 2)


async def test_a_store_without_anybody_in_the_background_closes_too() -> None:
    cache: Cache = TtlCache()
    await cache.aclose()
    assert cache.closed
