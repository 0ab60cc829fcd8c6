"""HttpCache: the cases of RFC 9111 and RFC 5861, each row with its section."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from yarl import URL

from rxorch.errors import (
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiConfigurationError,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiProtocolError,
    ApiRateLimitError,
    ApiTimeoutError,
    ApiValidationError,
)
from rxorch.http import Request, Response
from rxorch.http.http_cache import HttpCache, Lookup, LookupOutcome
from rxorch.http.streamed import StreamedResponse

NOW = 1_767_225_600.0
"""Thu, 01 Jan 2026 00:00:00 GMT"""
URL_7 = "https://api.example.com/users/7"
DATE = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
TAG = {"ETag": '"v1"'}
CHANGED = {"Last-Modified": "Wed, 31 Dec 2025 00:00:00 GMT"}

HIT, STALE, VALIDATE, MISS, BYPASS, REFUSED = (
    LookupOutcome.HIT,
    LookupOutcome.STALE,
    LookupOutcome.VALIDATE,
    LookupOutcome.MISS,
    LookupOutcome.BYPASS,
    LookupOutcome.REFUSED,
)


def ask(method: str = "GET", headers: dict[str, str] | None = None, url: str = URL_7) -> Request:
    return Request(method, URL(url, encoded=True), headers or {})


def cc(text: str, **others: str) -> dict[str, str]:
    return {"Cache-Control": text, **{name.replace("_", "-"): value for name, value in others.items()}}


def answer(headers: dict[str, str], status: int = 200, content: bytes = b"one") -> Response:
    return Response(status, content, headers)


def store(
    cache: HttpCache, headers: dict[str, str], *, request: Request | None = None, at: float = NOW, **more: Any
) -> Response | StreamedResponse:
    """Have a request answered by a server, whatever is stored."""
    return cache.received(cache.lookup(request or ask(), at), answer(headers, **more), at)


def found(
    headers: dict[str, str],
    *,
    after: float,
    status: int = 200,
    asked: dict[str, str] | None = None,
    again: dict[str, str] | None = None,
    shared: bool = False,
) -> Lookup:
    """What a second request finds, so many seconds after a first one was answered."""
    cache = HttpCache(shared=shared)
    store(cache, headers, request=ask(headers=asked), status=status)
    return cache.lookup(ask(headers=again if again is not None else asked), NOW + after)


FRESHNESS = [
    ("4.2.1 max-age, before", cc("max-age=60"), 59, HIT),
    ("4.2.1 max-age, at its end", cc("max-age=60"), 60, VALIDATE),
    ("4.2.1 max-age 0", cc("max-age=0", **TAG), 0, VALIDATE),
    ("5.2 a quoted argument", cc('max-age="60"'), 59, HIT),
    ("5.2 names in capitals", cc("MAX-AGE=60"), 59, HIT),
    ("4.2.1 an invalid max-age is stale", cc("max-age=soon", **TAG, **CHANGED), 0, VALIDATE),
    ("4.2.1 a negative max-age is stale", cc("max-age=-1", **TAG, **CHANGED), 0, VALIDATE),
    ("4.2.1 contradictory max-ages are stale", cc("max-age=60, max-age=90", **TAG), 0, VALIDATE),
    ("4.2.1 the same max-age twice", cc("max-age=60, max-age=60"), 59, HIT),
    ("4.2.1 s-maxage is for shared caches", cc("s-maxage=600, max-age=60", **TAG), 60, VALIDATE),
    ("4.2.1 Expires - Date", {**DATE, "Expires": "Thu, 01 Jan 2026 00:01:00 GMT"}, 59, HIT),
    ("4.2.1 Expires has passed", {**DATE, **TAG, "Expires": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60, VALIDATE),
    ("4.2.1 Expires without Date", {"Expires": "Thu, 01 Jan 2026 00:01:00 GMT"}, 59, HIT),
    ("5.3 an invalid Expires is in the past", {**DATE, **TAG, **CHANGED, "Expires": "0"}, 0, VALIDATE),
    (
        "5.3 max-age overrides Expires",
        {**cc("max-age=5", **TAG), **DATE, "Expires": "Fri, 02 Jan 2026 00:00:00 GMT"},
        6,
        VALIDATE,
    ),
    ("4.2.2 a tenth of the time since the change", {**DATE, **CHANGED}, 8_639, HIT),
    ("4.2.2 and no more", {**DATE, **CHANGED}, 8_640, VALIDATE),
    ("4.2.2 a day at most", {**DATE, "Last-Modified": "Sun, 01 Jan 2006 00:00:00 GMT"}, 86_400, VALIDATE),
    ("4.2.2 a change in the future", {**DATE, "Last-Modified": "Sun, 01 Jan 2034 00:00:00 GMT"}, 0, VALIDATE),
    ("4.2.2 nothing to guess from", {**DATE, **TAG}, 0, VALIDATE),
    ("4.2.3 the Age it came with", cc("max-age=60", Age="50"), 9, HIT),
    ("4.2.3 the Age it came with, later", cc("max-age=60", Age="50", **TAG), 10, VALIDATE),
    ("4.2.3 made a while ago", cc("max-age=60", Date="Wed, 31 Dec 2025 23:59:10 GMT", **TAG), 10, VALIDATE),
    ("4.2.3 a Date in the future", cc("max-age=60", Date="Thu, 01 Jan 2026 01:00:00 GMT"), 59, HIT),
    ("5.1 the first of two Ages", cc("max-age=60", Age="50, 1", **TAG), 10, VALIDATE),
    ("5.2.2.4 no-cache", cc("no-cache, max-age=60", **TAG), 0, VALIDATE),
    ("5.2.2.4 no-cache with field names", cc('no-cache="Set-Cookie", max-age=60', **TAG), 0, VALIDATE),
    ("5.2.2.5 no-store", cc("no-store, max-age=60", **TAG), 0, MISS),
    ("5.2.2.5 no-store with an argument", cc("no-store=1, max-age=60"), 0, MISS),
    ("5.2.2.7 private in a private cache", cc("private, max-age=60"), 59, HIT),
    ("5.2.2.2 must-revalidate, fresh", cc("must-revalidate, max-age=60"), 59, HIT),
    ("5.2.2.2 must-revalidate, stale", cc("must-revalidate, max-age=60", **TAG), 60, VALIDATE),
    ("5.2.2.8 proxy-revalidate is for shared caches", cc("proxy-revalidate, max-age=60"), 59, HIT),
    ("5.2.3 an unknown directive", cc("max-age=60, community=uci"), 59, HIT),
    ("5.2 a quoted no-store is none", cc('max-age=60, note="no-store"'), 59, HIT),
]


@pytest.mark.parametrize(
    ("section", "headers", "after", "outcome"), FRESHNESS, ids=[row[0] for row in FRESHNESS]
)
def test_freshness(section: str, headers: dict[str, str], after: float, outcome: LookupOutcome) -> None:
    lookup = found(headers, after=after)
    assert lookup.outcome is outcome
    assert (lookup.response is None) is (outcome is not HIT)
    assert (lookup.request is None) is (outcome is HIT)


SHARED = [
    ("4.2.1 s-maxage before max-age", cc("s-maxage=600, max-age=60"), {}, 599, HIT),
    ("4.2.1 s-maxage, at its end", cc("s-maxage=60, max-age=600", **TAG), {}, 60, VALIDATE),
    ("5.2.2.7 private", cc("private, max-age=60"), {}, 0, MISS),
    ("5.2.2.7 private with field names", cc('private="X-User", max-age=60'), {}, 0, MISS),
    ("3.5 Authorization", cc("max-age=60"), {"Authorization": "Bearer a"}, 0, MISS),
    ("3.5 Authorization and public", cc("public, max-age=60"), {"Authorization": "Bearer a"}, 0, HIT),
    ("3.5 Authorization and s-maxage", cc("s-maxage=60"), {"authorization": "Bearer a"}, 0, HIT),
    (
        "3.5 Authorization and must-revalidate",
        cc("must-revalidate, max-age=60"),
        {"Authorization": "b"},
        0,
        HIT,
    ),
]


@pytest.mark.parametrize(
    ("section", "headers", "asked", "after", "outcome"), SHARED, ids=[row[0] for row in SHARED]
)
def test_the_rules_for_shared_caches(
    section: str, headers: dict[str, str], asked: dict[str, str], after: float, outcome: LookupOutcome
) -> None:
    assert found(headers, after=after, asked=asked, shared=True).outcome is outcome


def test_section_3_5_a_private_cache_may_store_for_authorization() -> None:
    assert found(cc("max-age=60"), after=0, asked={"Authorization": "Bearer a"}).outcome is HIT


STATUSES = [
    ("3 200 without a word is kept for its validator", 200, TAG, VALIDATE),
    ("3 404 is heuristically cacheable", 404, TAG, VALIDATE),
    ("3 404 with a lifetime", 404, cc("max-age=60"), HIT),
    ("3 302 without a word", 302, TAG, MISS),
    ("3 302 with a lifetime", 302, cc("max-age=60"), HIT),
    ("3 500 without a word", 500, TAG, MISS),
    ("3 503 with a lifetime", 503, cc("max-age=60"), HIT),
    ("3.4 206 is not kept", 206, cc("max-age=60", Content_Range="bytes 0-2/9"), MISS),
    ("3 304 that nobody asked for", 304, cc("max-age=60", **TAG), MISS),
    ("3 of no use: no lifetime, no validator", 200, {}, MISS),
    ("RFC 6585, 4: 429", 429, cc("max-age=60"), MISS),
]


@pytest.mark.parametrize(
    ("section", "status", "headers", "outcome"), STATUSES, ids=[row[0] for row in STATUSES]
)
def test_which_statuses_are_stored(
    section: str, status: int, headers: dict[str, str], outcome: LookupOutcome
) -> None:
    assert found(headers, after=0, status=status).outcome is outcome


REQUESTS = [
    ("5.2.1.1 max-age", cc("max-age=10"), 9, HIT),
    ("5.2.1.1 max-age, older", cc("max-age=10"), 11, VALIDATE),
    ("5.2.1.1 max-age that is no number", cc("max-age=some"), 1, VALIDATE),
    ("5.2.1.3 min-fresh", cc("min-fresh=20"), 39, HIT),
    ("5.2.1.3 min-fresh, too near its end", cc("min-fresh=20"), 40, VALIDATE),
    ("5.2.1.3 min-fresh that is no number", cc("min-fresh=some"), 1, VALIDATE),
    ("5.2.1.2 max-stale", cc("max-stale=30"), 90, STALE),
    ("5.2.1.2 max-stale, staler", cc("max-stale=30"), 91, VALIDATE),
    ("5.2.1.2 any max-stale", cc("max-stale"), 9_999, STALE),
    ("5.2.1.4 no-cache", cc("no-cache"), 1, VALIDATE),
    ("5.4 Pragma: no-cache", {"Pragma": "no-cache"}, 1, VALIDATE),
    ("5.4 Pragma beside Cache-Control", {"Pragma": "no-cache", **cc("max-age=30")}, 1, HIT),
    ("5.2.1.5 no-store", cc("no-store"), 1, BYPASS),
    ("5.2.1.7 only-if-cached, fresh", cc("only-if-cached"), 1, HIT),
    ("5.2.1.7 only-if-cached, stale", cc("only-if-cached"), 61, REFUSED),
    ("5.2.1.7 only-if-cached, a part", {**cc("only-if-cached"), "Range": "bytes=0-1"}, 1, REFUSED),
    ("4.3.2 a condition of the caller's own", {"If-None-Match": '"v0"'}, 1, BYPASS),
    ("3.4 Range", {"Range": "bytes=0-1"}, 1, BYPASS),
]


@pytest.mark.parametrize(("section", "again", "after", "outcome"), REQUESTS, ids=[row[0] for row in REQUESTS])
def test_what_a_request_may_ask_for(
    section: str, again: dict[str, str], after: float, outcome: LookupOutcome
) -> None:
    assert found(cc("max-age=60", **TAG), after=after, again=again).outcome is outcome


def test_section_5_2_1_7_only_if_cached_is_answered_with_504() -> None:
    lookup = HttpCache().lookup(ask(headers=cc("only-if-cached")), NOW)
    assert lookup.request is None
    assert lookup.response is not None
    assert (lookup.response.status, lookup.response.url) == (504, URL_7)


@pytest.mark.parametrize("forbidden", ["no-cache", "must-revalidate", "s-maxage=9", "proxy-revalidate"])
def test_section_4_2_4_the_server_may_forbid_stale_answers(forbidden: str) -> None:
    headers = cc(f"max-age=5, {forbidden}, stale-while-revalidate=99, stale-if-error=99", **TAG)
    cache = HttpCache(shared=True)
    store(cache, headers)
    lookup = cache.lookup(ask(headers=cc("max-stale")), NOW + 10)
    assert lookup.outcome is VALIDATE
    assert cache.failed(lookup, ApiNetworkError("gone"), NOW + 10) is None


def test_section_5_2_1_5_nothing_is_stored_for_a_request_with_no_store() -> None:
    assert found(cc("max-age=60"), after=0, asked=cc("no-store"), again={}).outcome is MISS


def test_section_4_an_answer_from_memory_has_its_age() -> None:
    lookup = found(cc("max-age=60", Age="7", X_Id="1"), after=10.9)
    assert lookup.response is not None
    assert lookup.response.headers.getall("Age") == ["17"]
    assert (lookup.response.content, lookup.response.headers["x-id"]) == (b"one", "1")
    assert lookup.response.url == URL_7


def test_section_4_2_3_the_time_on_the_way_counts() -> None:
    cache = HttpCache()
    lookup = cache.lookup(ask(), NOW)
    cache.received(lookup, answer(cc("max-age=60", Age="20")), NOW + 30)
    assert cache.lookup(ask(), NOW + 39.5).outcome is HIT
    assert cache.lookup(ask(), NOW + 40).outcome is VALIDATE


def test_a_clock_that_was_set_back_makes_nothing_fresh() -> None:
    assert found(cc("max-age=60", **TAG), after=-3_600).outcome is VALIDATE


VARY = [
    ("4.1 the same value", "Accept", {"Accept": "a/b"}, {"accept": "a/b"}, HIT),
    ("4.1 another value", "Accept", {"Accept": "a/b"}, {"Accept": "a/c"}, MISS),
    ("4.1 missing now", "Accept", {"Accept": "a/b"}, {}, MISS),
    ("4.1 missing then", "Accept", {}, {"Accept": "a/b"}, MISS),
    ("4.1 missing both times", "Accept", {}, {}, HIT),
    ("4.1 white space does not count", "accept", {"Accept": "a/b, c/d"}, {"Accept": "a/b,c/d"}, HIT),
    ("4.1 another of two", "Accept, X-B", {"X-B": "1"}, {"X-B": "2"}, MISS),
    ("4.1 a header that is not named", "Accept", {"Accept-Language": "a"}, {"Accept-Language": "b"}, HIT),
    ("4.1 *", "*", {}, {}, MISS),
    ("4.1 * among others", "Accept, *", {}, {}, MISS),
]


@pytest.mark.parametrize(("section", "vary", "asked", "again", "outcome"), VARY, ids=[row[0] for row in VARY])
def test_vary(
    section: str, vary: str, asked: dict[str, str], again: dict[str, str], outcome: LookupOutcome
) -> None:
    assert found(cc("max-age=60", Vary=vary), after=1, asked=asked, again=again).outcome is outcome


def test_section_4_1_each_selection_has_its_answer() -> None:
    cache = HttpCache()
    for language in ("de", "en"):
        request = ask(headers={"Accept-Language": language})
        store(cache, cc("max-age=60", Vary="Accept-Language"), request=request, content=language.encode())
    for language in ("de", "en"):
        lookup = cache.lookup(ask(headers={"Accept-Language": language}), NOW)
        assert lookup.response is not None
        assert lookup.response.content == language.encode()


def test_section_3_1_what_belongs_to_the_connection_is_not_stored() -> None:
    headers = cc("max-age=60", Connection="keep-alive, X-Hop", X_Hop="1", Keep_Alive="timeout=5", X_Id="1")
    lookup = found(headers, after=0)
    assert lookup.response is not None
    assert set(lookup.response.headers) == {"cache-control", "x-id", "Age"}


def test_section_4_3_1_a_stale_answer_is_asked_about() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **TAG, **CHANGED))
    request = ask(headers={"Accept": "a/b"})
    lookup = cache.lookup(request, NOW + 60)
    assert lookup.request is not None
    assert lookup.request.headers == {
        "Accept": "a/b",
        "If-None-Match": '"v1"',
        "If-Modified-Since": CHANGED["Last-Modified"],
    }
    assert request.headers == {"Accept": "a/b"}


def revalidate(
    cache: HttpCache, told: dict[str, str], *, status: int = 304, after: float = 60
) -> Response | StreamedResponse:
    lookup = cache.lookup(ask(), NOW + after)
    assert lookup.outcome is VALIDATE
    return cache.received(lookup, Response(status, b"" if status == 304 else b"two", told), NOW + after)


def test_section_4_3_1_an_answer_without_a_validator_is_asked_for_anew() -> None:
    lookup = found(cc("max-age=60"), after=60)
    assert lookup.outcome is VALIDATE
    assert lookup.request is not None
    assert lookup.request.headers == {}


def test_section_4_3_4_a_304_freshens_what_is_stored() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", Age="5", Content_Type="text/plain", X_Id="1", **TAG, **DATE))
    told = cc("max-age=30", Content_Type="text/html", Content_Length="0", X_Id="2", **TAG)
    response = revalidate(cache, told)
    assert isinstance(response, Response)
    assert (response.status, response.content, response.url) == (200, b"one", URL_7)
    assert (response.headers["Content-Type"], response.headers["X-Id"]) == ("text/plain", "2")
    assert "Content-Length" not in response.headers
    assert "Age" not in response.headers
    again = cache.lookup(ask(), NOW + 89)
    assert again.response is not None
    assert again.response.headers["Age"] == "29"
    assert cache.lookup(ask(), NOW + 90).outcome is VALIDATE
    assert cache.statistics().revalidated == 1


def test_section_4_3_3_a_whole_answer_takes_the_place_of_what_is_stored() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **TAG))
    response = revalidate(cache, cc("max-age=60", ETag='"v2"'), status=200)
    assert isinstance(response, Response)
    assert response.content == b"two"
    again = cache.lookup(ask(), NOW + 61)
    assert again.response is not None
    assert again.response.content == b"two"
    assert cache.statistics().entries == 1


@pytest.mark.parametrize(
    ("status", "kept"), [(200, False), (403, False), (404, False), (410, False), (429, True), (500, True)]
)
def test_section_4_3_3_an_answer_that_is_not_stored_drops_the_old_one(status: int, kept: bool) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **TAG))
    revalidate(cache, cc("no-store"), status=status)
    assert cache.statistics().entries == kept


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (TAG, {"ETag": '"v9"'}),
        ({"ETag": 'W/"v1"'}, {"ETag": 'W/"v9"'}),
        (CHANGED, {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    ],
)
def test_section_4_3_4_a_304_about_another_version_is_refused(
    held: dict[str, str], told: dict[str, str]
) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **held))
    with pytest.raises(ApiProtocolError, match="304 for another version"):
        revalidate(cache, told)
    assert cache.lookup(ask(), NOW).outcome is MISS


@pytest.mark.parametrize(
    "told", [{}, TAG, {"ETag": 'W/"v1"'}, CHANGED], ids=["none", "strong", "weak", "changed"]
)
def test_section_4_3_4_a_304_about_this_version(told: dict[str, str]) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **TAG, **CHANGED))
    response = revalidate(cache, told)
    assert isinstance(response, Response)
    assert response.content == b"one"


def test_section_4_3_4_a_304_may_say_that_it_is_not_to_be_stored_any_more() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **TAG))
    response = revalidate(cache, cc("no-store"))
    assert isinstance(response, Response)
    assert response.content == b"one"
    assert cache.statistics().entries == 0


def test_section_4_3_2_a_304_that_the_caller_asked_for_is_given_to_it() -> None:
    cache = HttpCache()
    lookup = cache.lookup(ask(headers={"If-None-Match": '"v0"'}), NOW)
    response = cache.received(lookup, Response(304), NOW)
    assert response.status == 304


def test_section_4_head_is_answered_by_a_stored_get() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", Content_Length="3"))
    lookup = cache.lookup(ask("HEAD"), NOW + 1)
    assert lookup.response is not None
    assert (lookup.response.content, lookup.response.headers["Content-Length"]) == (b"", "3")


def test_section_4_the_answer_to_a_head_is_not_one_to_a_get() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60"), request=ask("HEAD"), content=b"")
    assert cache.lookup(ask(), NOW).outcome is MISS


@pytest.mark.parametrize(("tag", "kept"), [('"v1"', True), ('"v2"', False)])
def test_section_4_3_5_a_head_that_tells_of_another_version(tag: str, kept: bool) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **TAG))
    store(cache, {"ETag": tag}, request=ask("HEAD"), content=b"", at=NOW + 60)
    assert cache.statistics().entries == kept


INVALIDATION = [
    ("4.4 PUT", "PUT", 200, True),
    ("4.4 POST", "POST", 201, True),
    ("4.4 PATCH", "PATCH", 204, True),
    ("4.4 DELETE", "DELETE", 204, True),
    ("4.4 an unknown method", "PURGE", 200, True),
    ("4.4 a redirect", "POST", 303, True),
    ("4.4 refused", "PUT", 403, False),
    ("4.4 nobody knows what was done", "PUT", 504, True),
    ("4.4 OPTIONS is safe", "OPTIONS", 200, False),
]


@pytest.mark.parametrize(
    ("section", "method", "status", "gone"), INVALIDATION, ids=[row[0] for row in INVALIDATION]
)
def test_invalidation(section: str, method: str, status: int, gone: bool) -> None:
    cache = HttpCache()
    for caller in ("a", "b"):  # the resource has changed for everybody
        asked = ask(headers={"Authorization": caller})
        store(cache, cc("max-age=60", Vary="Accept"), request=asked)
    store(cache, cc("max-age=60"), request=ask(url=f"{URL_7}/posts"))
    lookup = cache.lookup(ask(method, {"Authorization": "a"}), NOW)
    assert (lookup.outcome, lookup.response) == (BYPASS, None)
    cache.received(lookup, Response(status), NOW)
    assert cache.statistics().entries == (1 if gone else 3)
    assert cache.statistics().invalidated == (2 if gone else 0)
    assert cache.lookup(ask(url=f"{URL_7}/posts"), NOW).outcome is HIT


@pytest.mark.parametrize(
    ("location", "gone"),
    [
        ("/users/7", True),
        (URL_7, True),
        ("7#top", True),
        ("https://other.example.com/users/7", False),
        ("http://api.example.com/users/7", False),
        ("https://[::", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("header", ["Location", "Content-Location"])
def test_section_4_4_what_the_answer_names_on_its_own_origin(header: str, location: str, gone: bool) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60"))
    lookup = cache.lookup(ask("POST", url="https://api.example.com/users/"), NOW)
    cache.received(lookup, Response(201, headers={header: location}), NOW)
    assert cache.statistics().entries == (not gone)


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (ApiTimeoutError(limit=1.0), True),
        (ApiNetworkError("reset", sent=True), True),
        (ApiNetworkError("refused", sent=False), False),
        (ApiHttpError(409), False),
        (ApiHttpError(503), True),
        (ApiHttpError(302), True),
        (ApiRateLimitError(name="ours"), False),
        (ApiCircuitOpenError(), False),
        (ApiBulkheadFullError(limit=1), False),
    ],
)
def test_an_unsafe_request_without_an_answer_may_have_changed_something(error: ApiError, gone: bool) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60"))
    assert cache.failed(cache.lookup(ask("PUT"), NOW), error, NOW) is None
    assert cache.statistics().entries == (not gone)


def test_an_answer_to_a_request_from_before_the_change_is_not_stored() -> None:
    cache = HttpCache()
    reading = cache.lookup(ask(), NOW)
    cache.received(cache.lookup(ask("PUT"), NOW), Response(204), NOW)
    cache.received(reading, answer(cc("max-age=60")), NOW)
    assert cache.lookup(ask(), NOW).outcome is MISS


def test_the_answer_to_an_earlier_request_does_not_take_the_place_of_a_later_one() -> None:
    cache = HttpCache()
    first, second = cache.lookup(ask(), NOW), cache.lookup(ask(), NOW)
    cache.received(second, answer(cc("max-age=60"), content=b"new"), NOW)
    cache.received(first, answer(cc("max-age=60"), content=b"old"), NOW)
    lookup = cache.lookup(ask(), NOW)
    assert lookup.response is not None
    assert lookup.response.content == b"new"


def test_after_a_clear_the_answers_under_way_are_not_stored() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60"))
    reading = cache.lookup(ask(url=f"{URL_7}/posts"), NOW)
    cache.clear()
    cache.received(reading, answer(cc("max-age=60")), NOW)
    assert (cache.statistics().entries, cache.statistics().bytes) == (0, 0)


OUTAGES = [
    ("5861, 4: 500", answer({}, 500), True),
    ("5861, 4: 502", answer({}, 502), True),
    ("5861, 4: 503", answer({}, 503), True),
    ("5861, 4: 504", answer({}, 504), True),
    ("5861, 4: 501 is none", answer({}, 501), False),
    ("5861, 4: 404 is none", answer({}, 404), False),
    ("5861, 4: no answer", ApiNetworkError("gone"), True),
    ("5861, 4: no answer in time", ApiTimeoutError(limit=1.0), True),
    ("5861, 4: an error with its status", ApiHttpError(503), True),
    ("5861, 4: another status", ApiHttpError(403), False),
    ("5861, 4: a fault of ours", ApiValidationError("bad"), False),
]


@pytest.mark.parametrize(("section", "what", "stands_in"), OUTAGES, ids=[row[0] for row in OUTAGES])
def test_stale_if_error(section: str, what: Response | ApiError, stands_in: bool) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60, stale-if-error=30", **TAG))
    lookup = cache.lookup(ask(), NOW + 89)
    given: Response | StreamedResponse | None
    if isinstance(what, Response):
        given = cache.received(lookup, what, NOW + 89)
        assert (given is what) is not stands_in
    else:
        given = cache.failed(lookup, what, NOW + 89)
        assert (given is None) is not stands_in
    if stands_in:
        assert isinstance(given, Response)
        assert (given.status, given.content, given.headers["Age"]) == (200, b"one", "89")


STANDING_IN = [
    ("5861, 4: too late", {}, 90, False),
    ("5861, 4: the request allows more", cc("stale-if-error=90"), 149, True),
    ("5861, 4: and no more", cc("stale-if-error=90"), 150, False),
    ("5.2.1.4 the request wants it validated", cc("no-cache"), 61, False),
    ("5.2.1.1 the request wants it fresh", cc("max-age=20"), 61, False),
]


@pytest.mark.parametrize(
    ("section", "again", "after", "stands_in"), STANDING_IN, ids=[row[0] for row in STANDING_IN]
)
def test_how_long_a_stale_answer_stands_in(
    section: str, again: dict[str, str], after: float, stands_in: bool
) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60, stale-if-error=30", **TAG))
    lookup = cache.lookup(ask(headers=again), NOW + after)
    given = cache.failed(lookup, ApiNetworkError("gone"), NOW + after)
    assert (given is not None) is stands_in


def test_an_error_where_nothing_is_stored_is_the_callers() -> None:
    cache = HttpCache()
    assert cache.failed(cache.lookup(ask(), NOW), ApiNetworkError("gone"), NOW) is None


def test_rfc_5861_section_3_one_refresh_in_the_background() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60, stale-while-revalidate=30", **TAG))
    first, second = cache.lookup(ask(), NOW + 70), cache.lookup(ask(), NOW + 70)
    for lookup in (first, second):
        assert lookup.outcome is STALE
        assert lookup.response is not None
        assert (lookup.response.content, lookup.response.headers["Age"]) == (b"one", "70")
    assert second.request is None
    assert first.request is not None
    assert first.request.headers == {"If-None-Match": '"v1"'}
    cache.received(first, Response(304, headers=TAG), NOW + 70)
    assert cache.lookup(ask(), NOW + 129).outcome is HIT
    assert cache.statistics().stale == 2


def test_rfc_5861_section_3_a_refresh_that_failed_is_tried_again() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60, stale-while-revalidate=900, stale-if-error=900", **TAG))
    first = cache.lookup(ask(), NOW + 70)
    assert cache.failed(first, ApiNetworkError("gone"), NOW + 71) is None
    assert cache.lookup(ask(), NOW + 72).request is not None
    assert cache.lookup(ask(), NOW + 131).request is None
    assert cache.lookup(ask(), NOW + 133).request is not None, "nobody reported how the last one ended"


def test_rfc_5861_section_3_a_head_refreshes_by_a_get() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60, stale-while-revalidate=30"))
    lookup = cache.lookup(ask("HEAD"), NOW + 70)
    assert lookup.request is not None
    assert lookup.request.method == "GET"
    cache.received(lookup, answer(cc("max-age=60"), content=b"two"), NOW + 70)
    again = cache.lookup(ask(), NOW + 71)
    assert again.response is not None
    assert again.response.content == b"two"


def test_rfc_5861_section_3_not_for_a_request_that_wants_it_fresh() -> None:
    again = cc("min-fresh=1")
    assert found(cc("max-age=60, stale-while-revalidate=30"), after=70, again=again).outcome is VALIDATE
    assert found(cc("max-age=60, stale-while-revalidate=30"), after=90).outcome is VALIDATE


OTHERS = ["X-Key", "X-App-Key", "DD-APPLICATION-KEY", "X-Pass", "X-Tenant", "X-User", "From", "X-Anything"]


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "X-API-Key", "proxy-authorization", *OTHERS])
def test_callers_with_other_credentials_share_nothing(name: str) -> None:
    headers = cc("public, max-age=60, immutable")
    assert found(headers, after=0, asked={name: "a"}, again={name: "b"}).outcome is MISS
    assert found(headers, after=0, asked={name: "a"}, again={}).outcome is MISS
    assert found(headers, after=0, asked={name: "a"}, again={name.lower(): "a"}).outcome is HIT


@pytest.mark.parametrize(
    "name", ["Accept", "Accept-Language", "User-Agent", "traceparent", "X-Request-ID", "Idempotency-Key"]
)
def test_what_says_nothing_about_the_caller_is_no_part_of_the_place(name: str) -> None:
    assert found(cc("max-age=60"), after=0, asked={name: "a"}, again={name.lower(): "b"}).outcome is HIT


def test_callers_with_another_identity_share_nothing() -> None:
    cache = HttpCache()
    lookup = cache.lookup(ask(), NOW, identity=("tenant", "a"))
    cache.received(lookup, answer(cc("public, max-age=60")), NOW)
    assert cache.lookup(ask(), NOW, identity=("tenant", "a")).outcome is HIT
    assert cache.lookup(ask(), NOW, identity=("tenant", "b")).outcome is MISS
    assert cache.lookup(ask(), NOW, identity=("tenanta",)).outcome is MISS
    assert cache.lookup(ask(), NOW).outcome is MISS


def test_credentials_that_are_put_on_after_the_lookup_leave_nothing_behind() -> None:
    cache = HttpCache()
    lookup = cache.lookup(ask(), NOW)
    assert lookup.request is not None
    lookup.request.headers["Authorization"] = "Bearer a"
    cache.received(lookup, answer(cc("max-age=60")), NOW)
    assert cache.statistics().entries == 0


CHANGES = [
    ("method", ask("HEAD")),
    ("url", ask(url=f"{URL_7}/posts")),
    ("caller", ask(headers={"X-Tenant": "b"})),
    ("body", replace(ask(), body=b"{}")),
    ("no-store", ask(headers=cc("no-store"))),
    ("a part", ask(headers={"Range": "bytes=0-1"})),
]


@pytest.mark.parametrize(("what", "sent"), CHANGES, ids=[row[0] for row in CHANGES])
def test_the_answer_to_another_request_than_the_one_looked_up_is_not_stored(what: str, sent: Request) -> None:
    cache = HttpCache()
    lookup = cache.rewritten(cache.lookup(ask(), NOW, tentative=True), sent)
    assert lookup.request is sent
    cache.received(lookup, answer(cc("max-age=60")), NOW)
    assert cache.statistics().entries == 0


def test_a_request_that_was_changed_asks_about_nothing_stored() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60, stale-if-error=60", **TAG))
    lookup = cache.lookup(ask(), NOW + 60, tentative=True)
    assert lookup.request is not None
    same = cache.rewritten(lookup, replace(lookup.request))
    assert same.request is not None and same.request.headers == {"If-None-Match": '"v1"'}
    lookup = cache.rewritten(lookup, replace(lookup.request, url=URL(f"{URL_7}/posts")))
    assert lookup.request is not None and lookup.request.headers == {}
    for response in (Response(304), Response(503), Response(404)):
        assert cache.received(lookup, response, NOW + 60) is response
    assert cache.failed(lookup, ApiNetworkError("gone"), NOW + 60) is None
    assert cache.statistics().entries == 1


def test_a_condition_that_a_hook_puts_on_is_its_own() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", **TAG))
    lookup = cache.rewritten(cache.lookup(ask(), NOW + 60), ask(headers={"If-None-Match": '"v0"'}))
    response = Response(304, headers={"ETag": '"v0"'})
    assert cache.received(lookup, response, NOW + 60) is response


def test_section_4_1_what_was_sent_decides_which_request_an_answer_is_for() -> None:
    cache = HttpCache()
    headers = cc("max-age=60, stale-if-error=60", Vary="Accept-Language", **TAG)
    lookup = cache.rewritten(cache.lookup(ask(), NOW, tentative=True), ask(headers={"Accept-Language": "de"}))
    cache.received(lookup, answer(headers), NOW)
    assert cache.lookup(ask(), NOW).outcome is MISS
    assert cache.lookup(ask(headers={"Accept-Language": "de"}), NOW).outcome is HIT
    # Nobody knows what hooks will make of it: the server is asked, and nothing stands in for its error.
    tentative = cache.lookup(ask(headers={"Accept-Language": "de"}), NOW, tentative=True)
    assert tentative.outcome is VALIDATE
    assert cache.failed(tentative, ApiNetworkError("gone"), NOW) is None
    settled = cache.rewritten(tentative, ask(headers={"Accept-Language": "de"}))
    assert cache.failed(settled, ApiNetworkError("gone"), NOW) is not None
    other = cache.rewritten(tentative, ask(headers={"Accept-Language": "fr"}))
    assert cache.failed(other, ApiNetworkError("gone"), NOW) is None


@pytest.mark.parametrize("vary", ["Accept-Encoding", "Authorization", "Cookie, accept-encoding"])
def test_what_no_hook_changes_needs_no_confirmation(vary: str) -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60", Vary=vary))
    assert cache.lookup(ask(), NOW, tentative=True).outcome is HIT


def test_an_unsafe_request_that_was_changed_invalidates_both_urls() -> None:
    cache = HttpCache()
    there = ask("PUT", url=f"{URL_7}/posts")
    for request in (ask(), replace(there, method="GET")):
        store(cache, cc("max-age=60"), request=request)
    cache.received(cache.rewritten(cache.lookup(ask("PUT"), NOW), there), Response(204), NOW)
    assert cache.statistics().entries == 0


def test_a_get_that_a_hook_made_a_post_invalidates() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60, no-cache"))
    cache.received(cache.rewritten(cache.lookup(ask(), NOW), ask("POST")), Response(204), NOW)
    assert cache.statistics().entries == 0


def test_what_cannot_be_read_is_forgotten() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60"))
    cache.forget(cache.lookup(ask("HEAD"), NOW))
    assert cache.statistics().entries == 1
    cache.forget(cache.lookup(ask(), NOW))
    assert cache.statistics().entries == 0


def test_a_fragment_is_no_part_of_the_key_and_a_query_is() -> None:
    cache = HttpCache()
    store(cache, cc("max-age=60"))
    assert cache.lookup(ask(url=f"{URL_7}#top"), NOW).outcome is HIT
    assert cache.lookup(ask(url=f"{URL_7}?page=2"), NOW).outcome is MISS


def test_a_request_with_a_body_passes_by() -> None:
    lookup = HttpCache().lookup(replace(ask(), body=b"{}"), NOW)
    assert lookup.outcome is BYPASS


def test_a_body_that_is_read_piece_by_piece_is_not_stored() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"

    cache = HttpCache()
    response = StreamedResponse(200, pieces(), cc("max-age=60"))
    assert cache.received(cache.lookup(ask(), NOW), response, NOW) is response
    assert cache.lookup(ask(), NOW).outcome is MISS


def test_an_answer_is_the_receivers_own() -> None:
    cache = HttpCache()
    response = store(cache, cc("max-age=60"))
    assert isinstance(response, Response)
    response.content = b"changed"
    first = cache.lookup(ask(), NOW).response
    assert first is not None
    first.status = 500
    second = cache.lookup(ask(), NOW).response
    assert second is not None
    assert (second.status, second.content) == (200, b"one")


def test_the_least_recently_used_leaves() -> None:
    cache = HttpCache(max_entries=2)
    one, two, three = (ask(url=f"{URL_7}?n={n}") for n in range(3))
    store(cache, cc("max-age=60"), request=one)
    store(cache, cc("max-age=60"), request=two)
    cache.lookup(one, NOW)
    store(cache, cc("max-age=60"), request=three)
    assert [cache.lookup(request, NOW).outcome for request in (one, two, three)] == [HIT, MISS, HIT]
    assert cache.statistics().evicted == 1


def test_there_is_room_for_so_many_bytes() -> None:
    cache = HttpCache(max_bytes=10_000)
    for n in range(5):
        store(cache, cc("max-age=60"), request=ask(url=f"{URL_7}?n={n}"), content=bytes(3_000))
    assert cache.statistics().entries == 2
    assert cache.statistics().bytes <= 10_000
    store(cache, cc("max-age=60"), content=bytes(10_000))
    assert cache.lookup(ask(), NOW).outcome is MISS
    assert cache.statistics().entries == 2, "what is too large drives nothing out"


def test_more_invalidations_than_are_remembered_one_by_one() -> None:
    cache = HttpCache()
    reading = cache.lookup(ask(), NOW)
    cache.received(cache.lookup(ask("PUT"), NOW), Response(204), NOW)
    for n in range(3_000):
        cache.received(cache.lookup(ask("PUT", url=f"{URL_7}?n={n}"), NOW), Response(204), NOW)
    cache.received(reading, answer(cc("max-age=60")), NOW)
    assert cache.lookup(ask(), NOW).outcome is MISS


def test_nothing_shows_a_secret() -> None:
    cache = HttpCache()
    request = ask(headers={"Authorization": "hunter2"}, url=f"{URL_7}?token=hunter2")
    lookup = cache.lookup(request, NOW, identity="hunter2")
    cache.received(lookup, answer(cc("max-age=60", Vary="Authorization"), content=b"hunter2"), NOW)
    hit = cache.lookup(request, NOW, identity="hunter2")
    shown = f"{cache!r} {lookup!r} {hit!r} {cache.statistics()!r} {hit.response!r}"
    assert hit.outcome is HIT
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "options",
    [{"max_entries": 0}, {"max_entries": True}, {"max_bytes": 1.5}, {"heuristic": 2}, {"heuristic": -0.1}],
)
def test_a_setting_out_of_its_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ApiConfigurationError, match=next(iter(options))):
        HttpCache(**options)


def test_nothing_is_guessed_where_that_is_not_wanted() -> None:
    cache = HttpCache(heuristic=0)
    store(cache, {**DATE, **CHANGED})
    assert cache.lookup(ask(), NOW).outcome is VALIDATE


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hishel", None)
    monkeypatch.delitem(sys.modules, "rxorch.http._cache_verdicts", raising=False)
    monkeypatch.delattr("rxorch.http._cache_verdicts", raising=False)
    with pytest.raises(ApiConfigurationError, match=r'pip install "rxorch\[http-cache\]"'):
        HttpCache()


def test_importing_the_module_does_not_import_hishel() -> None:
    code = "import sys; import rxorch.http.http_cache; print('hishel' in sys.modules)"
    path = f"import sys; sys.path[:0] = {sys.path!r}\n"
    shown = subprocess.run(
        [sys.executable, "-c", path + code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.strip() == "False"
