"""A flow drawn after it ran: what became of each endpoint, in every form."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import rxorch.events as ev
from rxorch import ApiConfigurationError, APIOrchestrator, conditional, graph
from rxorch.draw import CallRecord, Timeline, flow_picture, record
from rxorch.draw.aftermath import share_words
from rxorch.draw.results import FATES, MARKS
from rxorch.draw.theme import DARK, LIGHT
from rxorch.flow import OrchestrationResult
from rxorch.stream import Runs
from rxorch.testing import MockTransport
from rxorch_operators.testing import run_virtual
from tests.draw.scenes import is_premium
from tests.draw.test_svg import luminance
from tests.draw.timeline.happenings import many, trip
from tests.support.fake_transport import api, apis

SPACE = "{http://www.w3.org/2000/svg}"
NAMES = "geo fx weather flights hotels legal rates lounge insure never"


def lines_of(told: str) -> dict[str, str]:
    """The lines of a text by the names in them, without branches."""
    found = (line.lstrip("├└│─ ") for line in told.splitlines()[1:])
    return {line.split()[1]: line for line in found}


def test_a_run_with_everything_in_it() -> None:
    told = lines_of(flow_picture(graph(*apis(NAMES)), after=trip()).text())
    ends = {name: (line[0], line.rpartition("   ")[2]) for name, line in told.items()}
    assert ends == {
        "geo": ("✓", "124 ms"),
        "fx": ("✓", "3 tries · 572 ms"),
        "weather": ("✓", "2 tries · 576 ms"),
        "flights": ("✓", "2 tries · 456 ms"),
        "hotels": ("✓", "2 tries · hedged · 260 ms"),
        "legal": ("◆", "404 → fallback · 514 ms"),
        "rates": ("●", "from the cache · 1 ms"),
        "lounge": ("–", "skipped · its condition does not hold"),  # noqa: RUF001
        "insure": ("✓", "110 ms"),
        "never": ("–", "not reached"),  # noqa: RUF001
    }


def test_what_was_not_taken_is_faded() -> None:
    flow = conditional(is_premium, then=api("gold"), otherwise=api("tin"))
    orchestrator = APIOrchestrator(flow, transport=MockTransport(lambda request: {}))
    picture = flow_picture(orchestrator, after=run_virtual(orchestrator.execute({})))
    root = ElementTree.fromstring(picture.svg())
    wires = [wire for wire in root.iter(f"{SPACE}path") if wire.get("class") == "wire"]
    assert [wire.get("opacity") for wire in wires].count("0.45") == 1 and len(wires) == 4
    cards = {card.findtext(f"{SPACE}title", "").partition(":")[0]: card for card in root.iter(f"{SPACE}g")}
    assert (cards["gold"].get("opacity"), cards["tin"].get("opacity")) == (None, "0.55")
    assert 'n1 -.->|"no"| n3' in picture.mermaid() and 'n1 -->|"yes"| n2' in picture.mermaid()
    assert ":::ok" in picture.mermaid() and "classDef skipped" in picture.mermaid()
    assert 'n1 -> n3 [label="no", style=dashed' in picture.dot()


@pytest.mark.parametrize("number", [1, 40])
def test_of_a_stream_there_are_numbers(number: int) -> None:
    asked = 0

    def answer(request: object) -> object:
        nonlocal asked
        asked += 1
        return 404 if asked % 4 == 0 else {}

    orchestrator = APIOrchestrator(
        api("user"), transport=MockTransport(answer), circuit_breaker_threshold=None
    )

    async def stream() -> Runs:
        async with orchestrator.stream([{}] * number) as runs:
            return Runs([run async for run in runs])

    with record(orchestrator, limit=2) as recording:
        runs = run_virtual(stream())
    told = flow_picture(orchestrator, after=recording).text()
    if number == 1:
        assert "ok · 1 request ·" in told and "✓ user" in told
        assert flow_picture(orchestrator, after=runs[0]).text().partition(" · 1 request")[0] in told
        return
    assert "40 runs · 10 failed · 40 requests" in told
    assert "✗ user" in told and "40 calls · 25 % failed · p50 0 ms · p95 0 ms" in told
    svg = flow_picture(orchestrator, after=recording).svg()
    bars = [rect for rect in ElementTree.fromstring(svg).iter(f"{SPACE}rect") if rect.get("height") == "4"]
    assert [(bar.get("class"), bar.get("width")) for bar in bars] == [("r-ok", "93"), ("r-failed", "31")]


def test_outcomes_without_events_say_the_same() -> None:
    orchestrator = APIOrchestrator(graph(api("a"), api("b")), transport=MockTransport(lambda request: {}))
    result = run_virtual(orchestrator.execute({}))
    bare = OrchestrationResult(result.outcomes, duration=result.duration)
    assert flow_picture(orchestrator, after=bare).text() == flow_picture(orchestrator, after=result).text()


def test_calls_of_a_client_are_no_run() -> None:
    timeline = Timeline((CallRecord(1, "a", None, 0.0, 0.0, 0.2, "unknown", "reset", 1, ()),), 0.0, 0.2)
    assert "1 request · 200 ms\n" in (told := flow_picture(api("a"), after=timeline).text())
    assert "? a" in told and "reset · 200 ms" in told
    told = flow_picture(api("a"), after=many(30, ("b",))).text()
    assert "not reached" in told


@pytest.mark.parametrize("form", ["text", "svg", "mermaid", "dot"])
def test_no_reason_breaks_out(form: str) -> None:
    evil = '"]-->x; <script>\x1b[2J'
    skipped = ev.StepSkipped(1.0, "run", "a", reason=evil)
    told = getattr(flow_picture(graph(api("a")), after=[skipped]), form)()
    assert "\x1b" not in told and "script" in told
    assert ("<script>" in told) == (form in ("text", "dot"))
    assert '"]' not in told or form == "text" or '\\"]' in told or (form == "mermaid" and '"]-->' not in told)
    if form == "svg":
        ElementTree.fromstring(told)


def test_ascii_has_marks_of_its_own() -> None:
    told = flow_picture(graph(*apis(NAMES)), after=trip()).text(ascii=True, width=70)
    assert told.isascii() and "? geo" not in told
    assert "+ geo" in told and "! legal" in told and "404 -> fallback" in told
    assert max(map(len, told.splitlines())) <= 70
    assert len({plain for _, plain in MARKS.values()}) == len(MARKS)


def test_shares_are_never_rounded_away() -> None:
    assert [share_words(*each) for each in [(0, 9), (1, 3), (9, 9), (0, 0), (1, 9999)]] == [
        "0 %", "33.3 %", "100 %", "0 %", "< 0.1 %",
    ]  # fmt: skip


def test_marks_can_be_told_from_the_page() -> None:
    for colours, theme in zip(zip(*FATES.values(), strict=True), (LIGHT, DARK), strict=True):
        for colour in colours:
            light, dark = sorted((luminance(colour), luminance(theme["card"])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3


def test_what_tells_nothing_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="give a Recording"):
        flow_picture(api("a"), after=7)  # type: ignore[arg-type]
