"""HttpCache against a server that knows what each caller may see, for how long, and what has changed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from rxorch.errors import ApiNetworkError, ApiProtocolError
from rxorch.http import Request, Response
from rxorch.http.http_cache import HttpCache, Lookup, LookupOutcome

NOW = 1_767_225_600.0
MUST_ASK = {"no-cache", "no-store"}


@dataclass(frozen=True)
class Ask:
    """A request: who asks for what, and with which wishes."""

    caller: int
    by_header: bool
    page: int
    language: str
    wishes: str
    method: str

    @property
    def request(self) -> Request:
        headers = {"Accept-Language": self.language, "Cache-Control": self.wishes}
        if self.by_header:
            headers["Authorization"] = f"Bearer {self.caller}"
        return Request(self.method, URL(f"https://api.example.com/{self.page}"), headers)

    @property
    def identity(self) -> str:
        return "" if self.by_header else str(self.caller)

    @property
    def who(self) -> str:
        return f"{self.caller} {self.by_header} {self.page} {self.language}"


@dataclass
class Server:
    """Answers, and remembers when each version came up."""

    versions: Counter[int] = field(default_factory=Counter)

    def answer(self, ask: Ask, sent: Request, now: float, directives: dict[str, int | None]) -> Response:
        version = self.versions[ask.page]
        tag = f'"{ask.who} {version}"'
        control = ", ".join(name if n is None else f"{name}={n}" for name, n in directives.items())
        headers = {"Cache-Control": control, "ETag": tag, "Vary": "Accept-Language"}
        # What a 304 changes is written into a header, since the body stays.
        facts = {"who": ask.who, "version": version, "made": now, "directives": directives}
        headers["X-Facts"] = json.dumps(facts)
        if sent.headers.get("If-None-Match") == tag:
            return Response(304, b"", headers)
        return Response(200, ask.who.encode(), headers)


asks = st.builds(
    Ask,
    caller=st.integers(0, 2),
    by_header=st.booleans(),
    page=st.integers(0, 1),
    language=st.sampled_from(["de", "en"]),
    wishes=st.sampled_from(["", "", "", "no-cache", "max-age=3", "min-fresh=2", "max-stale=4", "no-store"]),
    method=st.sampled_from(["GET", "GET", "GET", "GET", "HEAD", "PUT"]),
)
directive_sets = st.fixed_dictionaries(
    {},
    optional={
        "max-age": st.integers(0, 9),
        "s-maxage": st.integers(0, 9),
        "stale-while-revalidate": st.integers(0, 9),
        "stale-if-error": st.integers(0, 9),
        "no-cache": st.none(),
        "no-store": st.none(),
        "must-revalidate": st.none(),
        "public": st.none(),
        "private": st.none(),
    },
)
steps = st.tuples(
    asks,
    directive_sets,
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]),  # seconds before it
    st.sampled_from(["at once", "at once", "at once", "later", "never", "fails"]),
)


def check(
    ask: Ask, shown: Response, now: float, server: Server, outcome: LookupOutcome, shared: bool
) -> None:
    """What came from memory is for this caller, as of the last change, and no staler than allowed."""
    facts: dict[str, Any] = json.loads(shown.headers["X-Facts"])
    said = facts["directives"]
    assert facts["who"] == ask.who
    assert shown.content == (b"" if ask.method == "HEAD" else ask.who.encode())
    assert facts["version"] == server.versions[ask.page]
    assert not MUST_ASK & set(said)
    assert ask.wishes not in MUST_ASK
    age = now - facts["made"]
    assert int(shown.headers["Age"]) == int(age)
    lifetime = said.get("s-maxage", said.get("max-age", 0)) if shared else said.get("max-age", 0)
    late = age - lifetime
    if outcome is LookupOutcome.HIT:
        assert late < 0
        assert ask.wishes != "max-age=3" or age < 3
        assert ask.wishes != "min-fresh=2" or late + 2 < 0
        return
    assert "must-revalidate" not in said
    allowed = said.get("stale-while-revalidate", 0)
    assert late < allowed or (ask.wishes == "max-stale=4" and late <= 4)


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=30), st.booleans())
def test_nothing_stale_without_permission_and_nothing_across_callers(
    performance: list[tuple[Ask, dict[str, int | None], float, str]], shared: bool
) -> None:
    cache, server, now = HttpCache(shared=shared, max_entries=6), Server(), NOW
    late: list[tuple[Lookup, Response]] = []
    for ask, directives, pause, arrival in performance:
        now += pause
        lookup = cache.lookup(ask.request, now, identity=ask.identity)
        if lookup.response is not None:
            check(ask, lookup.response, now, server, lookup.outcome, shared)
        if lookup.request is not None and arrival != "never":
            if arrival == "fails":
                stand_in = cache.failed(lookup, ApiNetworkError("gone"), now)
                if stand_in is not None:
                    said = json.loads(stand_in.headers["X-Facts"])
                    assert said["who"] == ask.who
                    assert "must-revalidate" not in said["directives"]
                    lifetime = now - said["made"] - said["directives"]["stale-if-error"]
                    assert lifetime < said["directives"].get("s-maxage" if shared else "max-age", 0) or (
                        shared and lifetime < said["directives"].get("max-age", 0)
                    )
                continue
            if ask.method == "PUT":
                server.versions[ask.page] += 1
                cache.received(lookup, Response(204), now)
                continue
            answer = server.answer(ask, lookup.request, now, directives)
            if arrival == "later":
                late.append((lookup, answer))
                continue
            shown = cache.received(lookup, answer, now)
            assert isinstance(shown, Response)
            assert shown.status in (200, 304)
            assert json.loads(shown.headers["X-Facts"])["who"] == ask.who
        if late and arrival == "never":
            earlier, answer = late.pop(0)
            cache.received(earlier, answer, now)
    figures = cache.statistics()
    assert figures.entries <= 6
    assert (figures.bytes == 0) is (figures.entries == 0)


texts = st.text(st.sampled_from('max-ge=0123456789, "\\stoirvpublic\x00é'), max_size=40)


@settings(max_examples=300, deadline=None)
@given(texts, texts, texts, texts, texts, st.sampled_from([200, 304, 404, 503]), st.floats(0, 1e6))
def test_whatever_a_server_sends_nothing_but_our_own_error_is_raised(
    control: str, vary: str, age: str, date: str, expires: str, status: int, pause: float
) -> None:
    cache = HttpCache()
    request = Request("GET", URL("https://api.example.com/1"), {"Cache-Control": age})
    headers = {
        "Cache-Control": control,
        "Vary": vary,
        "Age": age,
        "Date": date,
        "Expires": expires,
        "ETag": date,
    }
    for now in (NOW, NOW + pause):
        lookup = cache.lookup(request, now)
        if lookup.request is None:
            continue
        try:
            cache.received(lookup, Response(status, b"x", headers), now)
        except ApiProtocolError:
            assert status == 304
