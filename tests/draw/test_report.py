"""The report: one page, complete, bounded, without secrets, inputs and values."""

from __future__ import annotations

import base64
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

import rxorch.events as ev
from rxorch import ApiConfigurationError, APIEndpoint, APIOrchestrationConfig, APIOrchestrator, graph
from rxorch.draw import record, report
from rxorch.errors import ApiHttpError
from rxorch.events import EventBus
from rxorch.flow import OrchestrationResult
from rxorch.http import Request
from rxorch.stream import Runs, StreamStatistics
from rxorch.testing import MockTransport
from rxorch_operators.testing import run_virtual
from tests.draw.checked import Checked
from tests.draw.timeline.happenings import trip
from tests.hardening.canary import DATA, FORMS, KEY, NAMED, SAFE, loaded
from tests.support.fake_transport import api, apis

NAMES = "geo fx weather flights hotels legal rates lounge insure"


class Page(HTMLParser):
    """What stands in a page, and whether its tags are closed as they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.used: set[str] = set()
        self.tags: set[str] = set()
        self.urls: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "img", "br", "wbr"):
            self._open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src"):
                self.urls.append(value or "")
            elif value and (name == "aria-labelledby" or value.startswith("url(#")):
                self.used.add(value.removeprefix("url(#").removesuffix(")"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "img", "br", "wbr"):
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.texts).split())


def with_pictures(card: str) -> str:
    """A card with its images as what they are."""
    return re.sub(r'base64,([^"]+)"', lambda found: base64.b64decode(found[1]).decode(), card)


def test_a_page_about_one_run() -> None:
    html = report(graph(*apis(NAMES)), trip(), title="trip").html()
    page = Page(html)
    assert page.tags.isdisjoint({"script", "link", "iframe", "form", "object"})
    assert all(url.startswith("data:image/") for url in page.urls)
    assert "default-src 'none'" in html and html.count("prefers-color-scheme") >= 2
    assert len(set(page.ids)) == len(page.ids) and page.used <= set(page.ids)
    for wanted in (
        "✓ it went well, 1 call answered by an error handler, in 724 ms",
        "12 requests 4 repeats",
        "9 endpoints ok · 12 requests",
        "What happened when run · 10 calls",
        "503 fx 2",
        "404 legal 1 1",
        "Worst case",
        "a run 27 12 1 min 30 s 724 ms",
        "not in it",
    ):
        assert wanted.replace(" ", "") in page.words.replace(" ", ""), wanted
    assert report(graph(*apis(NAMES)), trip(), title="trip").html() == html


def test_a_page_about_a_stream() -> None:
    asked = 0

    def answer(request: Request) -> object:
        nonlocal asked
        asked += 1
        return 404 if asked % 10 == 0 else 503 if 30 < asked < 50 else {}

    config = APIOrchestrationConfig(
        endpoints=[api("a", retry_count=0)], circuit_breaker_threshold=5, circuit_breaker_timeout=0.01
    )
    orchestrator = APIOrchestrator(config, transport=MockTransport(answer))

    async def stream() -> tuple[Runs, StreamStatistics]:
        async with orchestrator.stream([{}] * 120) as runs:
            return Runs([run async for run in runs]), runs.statistics()

    with record(orchestrator, limit=1) as recording:
        runs, figures = run_virtual(stream())
    failed = sum(not run.ok for run in runs)
    words = Page(report(orchestrator, recording, inputs=figures).html()).words
    assert f"✗ {failed} of 120 inputs failed" in words
    assert f"120 inputs {120 - failed} ok {failed} failed" in words
    assert "The first run that failed by each kind" in words and "The slowest runs" in words
    assert "closed → open" in words and "1 change (a 1)" in words
    assert "APIOrchestrator" in words and "breaker 5" in words
    assert "stopped before its end; ✗" not in words
    stopped = Page(report(orchestrator, recording, inputs=figures, interrupted=True).html()).words
    assert f"stopped before its end; {failed} of 120 inputs failed" in stopped


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((0, 0, 0, 0, 0, 0, 0), "– there was nothing to do"),  # noqa: RUF001 - a dash
        ((1, 0, 1, 0, 0, 0, 0), "✓ the input went well"),
        ((9, 0, 9, 0, 0, 0, 0), "✓ all 9 inputs went well"),
        ((9, 2, 6, 0, 1, 0, 0), "– 6 of 9 inputs went well, none failed"),  # noqa: RUF001 - a dash
        ((9, 0, 5, 1, 0, 3, 1), "✗ 1 of 6 inputs failed (16.7 %)"),
    ],
)
def test_the_verdict(inputs: tuple[int, ...], words: str) -> None:
    with record(EventBus()) as recording:
        page = Page(report(api("a"), recording, inputs=StreamStatistics(*inputs, 10)).html())
    assert words in page.words
    assert ("3 done before 1 repeated" in page.words) == (inputs[5] == 3)
    assert ("cut off" in page.words) == (inputs[4] == 1)


def test_nothing_at_all_and_single_calls() -> None:
    with record(EventBus()) as recording:
        assert "no call was made" in Page(report(api("a"), recording).html()).words
    failed = [ev.CallFinished(1.0, None, "a", "failed", 0.1, 1, 404, ApiHttpError(404), call=1)]
    assert "✗ 1 of 1 call failed" in Page(report(api("a"), failed).html()).words
    outcomes = run_virtual(
        APIOrchestrator(api("a"), transport=MockTransport({"a": 404})).execute({})
    ).outcomes
    words = Page(report(api("a"), OrchestrationResult(outcomes)).html()).words
    assert "✗ it failed: a 404" in words


def test_no_secret_no_input_and_no_value() -> None:
    def answer(request: Request) -> object:
        return {"value": "precious-value", "named": NAMED, "key": KEY}

    async def run() -> object:
        return await orchestrator.execute({**DATA, "customer": "precious-input"})

    endpoint = loaded("https://api.example.com")
    flow = graph(endpoint, APIEndpoint(name="broken", url="https://x.test/?token={named}", depends_on=["x"]))
    fails = MockTransport(lambda request: 500 if "x.test" in str(request.url) else answer(request))
    orchestrator = APIOrchestrator(flow, transport=fails)
    with record(orchestrator) as recording:
        result = run_virtual(run())
    assert isinstance(result, OrchestrationResult) and not result.ok
    for after in (recording, result):
        html = report(orchestrator, after, title=f"https://me:{SAFE}@x.test?api_key={KEY}").html()
        assert not any(form in html for form in FORMS)
        assert "precious" not in html
        shown = report(orchestrator, after, title=f"https://me:{SAFE}@x.test")._repr_mimebundle_()
        told = shown["text/plain"] + with_pictures(shown["text/html"])
        assert not any(form in told for form in FORMS) and "precious" not in told


def test_hostile_words_are_text() -> None:
    evil = '"><script>alert(1)</script> id="x'
    kind = type(evil, (Exception,), {})
    calls = [ev.CallFinished(1.0, None, evil, "failed", 0.1, 1, None, kind(), call=1)]
    calls.append(ev.BreakerChanged(1.0, None, evil, evil, evil))
    page = Page(report(api("a", "https://x.test/<script>"), calls, title=evil).html())
    assert "script" not in page.tags and "x" not in page.ids
    assert page.words.count("<script>alert(1)</script>") >= 5
    card = Checked(
        report(api("a", "https://x.test/<script>"), calls, title=evil)._repr_mimebundle_()["text/html"]
    )
    assert (card.wrong, card.open) == ([], []) and card.text.count("<script>alert(1)</script>") >= 5


def test_a_notebook_shows_it_as_a_card_that_needs_no_trust() -> None:
    page = report(graph(*apis(NAMES)), trip(), title="trip")
    forms = page._repr_mimebundle_()
    assert list(forms) == ["text/plain", "text/html"]
    card = Checked(forms["text/html"])
    assert (card.wrong, card.open) == ([], [])
    pictures = re.findall(r'alt="([^"]*)"[^>]*base64,([^"]+)"', forms["text/html"])
    assert [name for name, _ in pictures] == ["flow", "waterfall"]
    drawn = [base64.b64decode(picture).decode() for _, picture in pictures]
    assert "9 endpoints" in drawn[0] and "ok · 12 requests" in drawn[0] and "run · 10 calls" in drawn[1]
    words = "".join(card.text.split())
    for wanted in (
        "trip",
        "✓ it went well, 1 call answered by an error handler, in 724 ms",
        "12 requests 4 repeats",
        "503 fx 2",
        "404 legal 1 1",
        "a run 27 12 1 min 30 s 724 ms",
        "at most 10 at once",
        'as a page of its own: .save("report.html")',
    ):
        assert "".join(wanted.split()) in words, wanted
    assert forms["text/plain"] == page.text() == str(page)
    assert list(page._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]
    assert list(page._repr_mimebundle_(exclude=["text/plain"])) == ["text/html"]


def test_as_text_it_says_how_it_went_and_what_went_wrong() -> None:
    lines = report(graph(*apis(NAMES)), trip(), title="trip").text().splitlines()
    assert lines[:2] == ["trip", "✓ it went well, 1 call answered by an error handler, in 724 ms"]
    assert "12 requests · 4 repeats" in lines[2]
    assert "  404 · legal · 1 call, 1 attempt" in lines and "  503 · fx · 2 attempts" in lines
    assert any("▸ geo" in line for line in lines)
    with record(EventBus()) as recording:
        assert len(report(api("a"), recording).text().splitlines()) == 3


def test_the_card_of_a_stream_has_its_first_failed_runs() -> None:
    answers = iter([{}, 404, {}, 500, 500, 500, 401, {}])
    orchestrator = APIOrchestrator(
        api("a", retry_delay=0.01), transport=MockTransport(lambda request: next(answers))
    )

    async def stream() -> Runs:
        async with orchestrator.stream([{}] * 6, max_concurrent=1) as runs:
            return Runs([run async for run in runs])

    with record(orchestrator) as recording:
        run_virtual(stream())
    shown = report(orchestrator, recording)._repr_mimebundle_()["text/html"]
    card = Checked(shown)
    assert (card.wrong, card.open) == ([], [])
    assert "run 2 · failed" in card.text and "run 4 · failed" in card.text
    assert "run 5 · failed" not in card.text  # two are enough for a notebook
    assert "6 runs" in " ".join(card.text.split()) and shown.count("<img") == 4


@pytest.mark.parametrize(("seconds", "words"), [(0.001, "4,000/s"), (0.016, "250/s"), (3.0, "1.33/s")])
def test_how_many_runs_in_a_second(seconds: float, words: str) -> None:
    events: list[ev.Event] = []
    for number in range(4):
        events.append(ev.RunStarted(0.0, f"r{number}", "", mode="graph"))
        events.append(ev.RunFinished(seconds, f"r{number}", "", "ok", seconds, None))
    assert f"{words} runs" in report(api("a"), events).text()


def test_it_stays_small_and_quick() -> None:
    bus, names = EventBus(), [f"call-{number}" for number in range(12)]
    with record(bus, limit=1) as recording:
        for number in range(3000):
            run, at = f"r{number}", number / 100
            bus.emit(ev.RunStarted(at, run, "", mode="graph"))
            error = ApiHttpError(400 + number % 97) if number % 3 == 0 else None
            for place, name in enumerate(names):
                call, status = 12 * number + place + 1, "failed" if error else "ok"
                bus.emit(ev.CallStarted(at, run, name, call=call))
                bus.emit(ev.CallFinished(at + 0.1, run, name, status, 0.1, 1, None, error, call=call))
            bus.emit(ev.RunFinished(at + 0.1, run, "", "failed" if error else "ok", 0.1, error))
    began = time.process_time()
    html = report(graph(*apis(" ".join(names))), recording).html()
    assert time.process_time() - began < 5  # some 0.2 s; without bounds it would be minutes
    assert len(html) < 700_000
    assert len(report(graph(*apis(" ".join(names))), recording)._repr_mimebundle_()["text/html"]) < 400_000
    page = Page(html)
    assert "Drawn is one of 16 runs" in page.words and "1,000 of 3,000 runs failed (33.3 %)" in page.words
    assert re.search(r"… [\d,]+ more", page.words)


def test_a_large_flow_has_no_picture() -> None:
    with record(EventBus()) as recording:
        words = Page(report(graph(*(api(f"a{n}") for n in range(160))), recording).html()).words
    assert "160 endpoints are too many for a picture" in words


def test_files(tmp_path: Path) -> None:
    page = report(graph(*apis(NAMES)), trip())
    assert repr(page) == "<Report of Report>"
    assert page.save(tmp_path / "out.html").read_text(encoding="utf-8") == page.html()
    with pytest.raises(ApiConfigurationError, match=r"'\.pdf'"):
        page.save(tmp_path / "out.pdf")
