"""The picture: its forms, its rows, files, what a notebook gets, and what no name can do to it."""

from __future__ import annotations

import base64
import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

import rxorch.events as ev
from rxorch import ApiConfigurationError, ApiHttpError
from rxorch.draw import Waterfall, waterfall
from rxorch.draw.timeline.look import PALETTE
from rxorch.draw.timeline.rows import MOST_ROWS, GroupRow, Heading, Row, rows_of
from rxorch.draw.words import text_width
from tests.draw.test_svg import luminance
from tests.draw.timeline.happenings import BUSY, Story, many, trip

SPACE = "{http://www.w3.org/2000/svg}"

TRIP = """\
trip · 10 calls
12 requests · 5 failed attempts · 1 failed call · 5 waits · 724 ms
           0 ms                       500 ms
▸ geo     │████████                                │ ✓ 200 ×1 124 ms
  fx      │        xxxxxxx~~~~xxxxxx~~~~~~~~~██████│ ✓ 200 ×3 572 ms
▸ weather │        XXXXXXXXXXXXXXXXXXX~~~~█████████│ ✓ 200 ×2 576 ms
  rates   │        ◆                               │ ✓ cache 1 ms
  lounge  │                                        │ – skipped: its condition …
  flights │        xxxx≈≈≈≈≈≈≈≈██████████████      │ ✓ 200 ×2 456 ms
  hotels  │        --------███████                 │ ✓ 200 ×2 260 ms
  insure  │        ··············███████           │ ✓ 200 ×1 110 ms
  legal   │        :::::::::::::::::::::::::xxxx   │ ✗ 404 → fallback ×1 514 ms
  █ request   x failed   X timeout   - cancelled   ~ back-off   ≈ Retry-After
  : rate limit   · queued   ◆ cache   ▸ critical path"""  # noqa: RUF001


def trip_picture() -> Waterfall:
    return waterfall(trip(), title="trip")


def test_it_is_text_for_terminals() -> None:
    assert trip_picture().text(80) == TRIP
    plain = trip_picture().text(80, ascii=True)
    assert plain.isascii()
    assert "* weather |        XXXXXXXXXXXXXXXXXXX~~~~#########| + 200 x2 576 ms" in plain
    assert max(map(len, trip_picture().text().splitlines())) <= 110
    assert str(trip_picture()) == trip_picture().text()


@pytest.mark.parametrize("width", [60, 72, 200])
@pytest.mark.parametrize("number", [10, 100])
def test_no_line_is_wider_than_asked(width: int, number: int) -> None:
    names = ("a-name-that-is-longer-than-there-is-room-for", "b")
    picture = waterfall(many(number, names), title="t" * 300)
    assert max(map(len, picture.text(width).splitlines())) <= width
    with pytest.raises(ApiConfigurationError, match="width: give 60 columns or more"):
        picture.text(59)


def test_the_svg_is_a_named_image_that_needs_nothing_else() -> None:
    svg = trip_picture().svg()
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.findtext(f"{SPACE}title") == "trip · 10 calls"
    assert "prefers-color-scheme: dark" in svg
    used = set(re.findall(r"(?:url\(|href=|src=|@import|@font-face)[^;\"]*", svg))
    assert used == {"url(#backoff)", "url(#retry)"}
    ids = {element.get("id") for element in root.iter()}
    assert {"backoff", "retry"} <= ids
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {
        *("svg", "title", "style", "defs", "pattern", "path"),
        *("rect", "circle", "text", "tspan", "g"),
    }


def test_the_svg_shows_what_happened() -> None:
    root = ElementTree.fromstring(trip_picture().svg())
    words = " ".join(root.itertext())
    for wanted in (
        "fx",
        "503",
        "429",
        "timeout",
        "404 → fallback",
        "cache",
        "Retry-After",
        "hedge",
        "queued",
    ):
        assert wanted in words
    titles = [title.text or "" for title in root.iter(f"{SPACE}title")]
    assert any("retry after 148 ms" in title for title in titles)


def bars(svg: str, kind: str) -> list[tuple[float, float]]:
    """Left and right of the bars of a kind; that of the legend has no left."""
    found = re.findall(rf'<rect class="w-{kind}" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    return [(float(left), float(left) + float(width)) for left, width in found]


def test_bars_stand_to_scale_and_touch_their_waits() -> None:
    svg = trip_picture().svg()
    ((left, right),) = bars(svg, "timeout")
    late, end = max(bars(svg, "ok"), key=lambda bar: bar[1])
    scale = (right - left) / (497 - 146)
    assert (late - left) / scale == pytest.approx(578 - 146, abs=1)
    assert (end - late) / scale == pytest.approx(722 - 578, abs=1)


def test_the_critical_path_runs_below_its_bars() -> None:
    svg = trip_picture().svg()
    (path,) = re.findall(
        r'<path class="w-path" d="([^"]+)" stroke-width="2"/>', svg.rpartition("M0 -4H14")[0]
    )
    heights = re.findall(r"M[\d.]+ ([\d.]+)H", path)
    assert len(set(heights)) == 2  # geo and weather


@pytest.mark.parametrize("form", ["svg", "text", "html"])
def test_the_same_records_give_the_same_bytes(form: str) -> None:
    one, two = trip_picture(), waterfall(iter(trip()), title="trip")
    assert getattr(one, form)() == getattr(two, form)()


def test_one_scheme_alone() -> None:
    light, dark = trip_picture().svg(scheme="light"), trip_picture().svg(scheme="dark")
    assert "prefers-color-scheme" not in light + dark
    assert PALETTE.light["timeout"] in light and PALETTE.dark["timeout"] in dark
    assert PALETTE.dark["timeout"] not in light


@pytest.mark.parametrize("theme", [PALETTE.light, PALETTE.dark])
@pytest.mark.parametrize("kind", ["ok", "failed", "timeout", "cancelled", "running"])
def test_notes_can_be_read_on_their_bars(theme: dict[str, str], kind: str) -> None:
    one, two = sorted((luminance(theme[kind]), luminance(theme[f"{kind}-ink"])), reverse=True)
    assert (one + 0.05) / (two + 0.05) >= (3.0 if kind == "ok" else 4.5)  # no note stands on a request


HOSTILE = '"]><script>alert(1)</script>&\x1b[31m\u202e'
SECRET = "https://me:hunter2@api.example.com/x?api_key=k-123456"


def hostile() -> Waterfall:
    story = Story()
    story.tell(0, ev.RunStarted, "")
    for number, name in enumerate((HOSTILE, SECRET), start=1):
        story.step(0, name, number)
        story.attempt(0, name, number)
        story.fails(50, name, number, ApiHttpError(500, "hunter2"))
        story.ends(60, name, number, "failed", error=ApiHttpError(500, "hunter2"))
    story.tell(60, ev.StepSkipped, "skipped", reason=HOSTILE)
    return waterfall(story.events, title=HOSTILE)


def test_no_name_breaks_out_and_no_secret_is_shown() -> None:
    picture = hostile()
    root = ElementTree.fromstring(picture.svg())
    assert not any(element.tag.endswith("script") for element in root.iter())
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    bundle = picture._repr_mimebundle_()
    assert "<script" not in picture.html() and "<script" not in bundle["text/html"]
    assert all(line.isprintable() for line in picture.text().splitlines())
    shown = picture.svg() + picture.text(200) + picture.html() + str(bundle)
    assert "hunter2" not in shown and "k-123456" not in shown
    assert "api_key=***" in picture.svg()


def test_up_to_forty_calls_each_has_a_row() -> None:
    rows = rows_of(waterfall(many(MOST_ROWS)).timeline)
    assert not rows.grouped and len(rows.rows) == MOST_ROWS


def test_more_calls_share_rows_by_endpoint() -> None:
    timeline = waterfall(many(2000)).timeline
    rows = rows_of(timeline)
    groups = [row for row in rows.rows if isinstance(row, GroupRow)]
    assert rows.grouped
    assert {group.name for group in groups} == {"users", "orders", "prices"}
    assert sum(len(group.calls) for group in groups) == 2000
    assert sum(group.lost for group in groups) == sum(call.status == "failed" for call in timeline.calls)
    alone = [row.winner for row in rows.rows if isinstance(row, Row)]
    slowest = [call for call in alone if call.status == "ok"]
    fastest = sorted(call.duration for call in timeline.calls if call.status == "ok")[:-6]
    assert len(slowest) == 6 and min(call.duration for call in slowest) >= max(fastest)
    assert all(call.status == "failed" for call in alone[6:])
    assert len(alone) == 16
    (heading,) = [row.text for row in rows.rows if isinstance(row, Heading) and row.text != "slowest"]
    more = sum(call.status == "failed" for call in timeline.calls) - 10
    assert heading == (f"failed ({more} more are not shown)" if more else "failed")


def test_percentiles_are_of_calls_that_were_made() -> None:
    story = Story(None)
    for number in range(1, 101):
        story.tell(0, ev.CallStarted, "a", number)
        story.ends(number * 1000, "a", number)
    story.tell(0, ev.StepSkipped, "a", reason="no")
    (group,) = [row for row in rows_of(waterfall(story.events).timeline).rows if isinstance(row, GroupRow)]
    assert group.facts == "p50 50 s · p95 1 min 35 s"
    assert (group.count, group.more) == ("100 calls", "p50 50 s · p95 1 min 35 s · 1 skipped")


def test_a_group_that_was_skipped_says_so() -> None:
    story = Story(None)
    for number in range(60):
        story.tell(0, ev.CallStarted, "a", number)
        story.ends(10, "a", number)
        story.tell(0, ev.StepSkipped, "b", reason="no")
    picture = waterfall(story.events)
    rows = rows_of(picture.timeline).rows
    group = next(row for row in rows if isinstance(row, GroupRow) and row.name == "b")
    assert (group.count, group.facts, group.more) == ("60 skipped", "", "")
    assert ">60 skipped<" in picture.svg() and "60 skipped" in picture.text()


def test_very_many_endpoints_have_one_row_together() -> None:
    names = tuple(f"endpoint-{number}" for number in range(300))
    rows = rows_of(waterfall(many(1000, names)).timeline).rows
    groups = [row for row in rows if isinstance(row, GroupRow)]
    assert len(groups) == 20 and groups[-1].name.endswith(" others")
    assert sum(len(group.calls) for group in groups) == 1000
    assert len(rows) <= MOST_ROWS


@pytest.mark.parametrize("number", [41, 2000])
def test_a_grouped_picture_is_small_and_well_formed(number: int) -> None:
    picture = waterfall(many(number))
    svg = picture.svg()
    ElementTree.fromstring(svg)
    assert len(svg) < 100_000
    assert "p95" in svg and "p95" in picture.text() and "slowest" in picture.text()


def test_an_idle_stretch_is_broken_visibly() -> None:
    story = Story(None)
    for number, at in enumerate((0, 60_000), start=1):
        story.tell(at, ev.CallStarted, "a", number)
        story.attempt(at, "a", number)
        story.ends(at + 100, "a", number)
    picture = waterfall(story.events)
    assert "59.9 s idle" in picture.svg() and "// 59.9 s idle" in picture.text()
    assert "//" in picture.text().splitlines()[3]


def test_nothing_is_a_picture_too() -> None:
    picture = waterfall([])
    ElementTree.fromstring(picture.svg())
    assert "0 requests" in picture.text() and "0 calls" in repr(picture)


@pytest.mark.parametrize("suffix", [".svg", ".txt", ".html", ".SVG"])
def test_the_suffix_says_the_form(tmp_path: Path, suffix: str) -> None:
    picture = trip_picture()
    forms = {".svg": picture.svg(), ".txt": f"{picture.text()}\n", ".html": picture.html()}
    path = picture.save(str(tmp_path / f"trip{suffix}"))
    assert path.read_text(encoding="utf-8") == forms[suffix.lower()]


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ApiConfigurationError, match=r"'\.gif' .* there are \.svg, \.png, \.html, \.txt"):
        trip_picture().save(tmp_path / "trip.gif")
    assert list(tmp_path.iterdir()) == []


def is_missing(name: str) -> bool:
    return importlib.util.find_spec(name) is None


def test_a_png_is_one_or_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trip.png"
    if not is_missing("resvg_py"):
        assert trip_picture().save(path).read_bytes().startswith(b"\x89PNG\r\n")
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ApiConfigurationError, match=r"pip install 'rxorch\[png\]'"):
        trip_picture().save(tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()


def test_a_notebook_gets_an_image_that_needs_no_trust_and_a_table() -> None:
    picture = trip_picture()
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "text/html", "image/svg+xml"]
    encoded = re.search(r"base64,([^\"]+)\"", bundle["text/html"])
    assert encoded is not None and base64.b64decode(encoded[1]).decode() == picture.svg()
    assert "<td>failed 503 136 ms, back-off 79 ms, failed 503 103 ms" in bundle["text/html"]
    assert "hedge after 150 ms: request 200 110 ms" in bundle["text/html"]
    assert list(picture._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]


def frame(**columns: Any) -> Any:
    return columns


def test_a_table_for_data_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(DataFrame=lambda columns: frame(**columns))
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", made)
    table = trip_picture().to_dataframe()
    assert list(table) == [
        *("run", "endpoint", "call", "kind", "start", "end", "duration", "note", "status", "critical"),
    ]
    assert len({len(column) for column in table.values()}) == 1
    weather = [at for at, name in enumerate(table["endpoint"]) if name == "weather"]
    assert [table["kind"][at] for at in weather] == ["timeout", "backoff", "ok"]
    assert [round(table["start"][at], 6) for at in weather] == [0.146, 0.497, 0.578]
    assert all(table["critical"][at] for at in weather)
    assert not any(table["critical"][at] for at, name in enumerate(table["endpoint"]) if name == "fx")
    with pytest.raises(ApiConfigurationError, match="pandas is not installed; pip install pandas"):
        trip_picture().to_dataframe("pandas")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ApiConfigurationError, match="neither pandas nor polars is installed"):
        trip_picture().to_dataframe()
    with pytest.raises(ApiConfigurationError, match="give 'pandas', 'polars' or None, not 'dask'"):
        trip_picture().to_dataframe("dask")  # type: ignore[arg-type]


def test_a_breaker_that_lets_nothing_through_is_marked() -> None:
    from rxorch import ApiCircuitOpenError

    story = Story(None)
    story.tell(0, ev.CallStarted, "a", 1)
    story.ends(1, "a", 1, "failed", error=ApiCircuitOpenError("open"))
    picture = waterfall(story.events)
    assert "✗ circuit open" in picture.text()
    assert picture.svg().count('class="w-breaker"') == 2  # in its row, and in the legend


def test_the_title_counts_calls_and_runs() -> None:
    assert waterfall(trip()).title == "run · 10 calls"
    assert waterfall(many(1)).title == "waterfall · 1 call"
    two = Story("a"), Story("b")
    for number, story in enumerate(two, start=1):
        story.tell(0, ev.CallStarted, "x", number)
        story.ends(1, "x", number, error=BUSY, status="failed")
    assert waterfall([*two[0].events, *two[1].events]).title == "2 runs · 2 calls"


def test_a_long_critical_path_is_no_large_picture() -> None:
    story = Story(None)
    for number in range(1, 3_001):
        story.tell(10 * number, ev.CallStarted, "a", number)
        story.attempt(10 * number, "a", number)
        story.ends(10 * number + 9, "a", number)
    picture = waterfall(story.events)
    assert len(picture.critical_path) > 3_000
    assert 1 <= picture.svg().count('class="w-path" d="M') < 10


@pytest.mark.parametrize("at", [0, 40, 99, 100, 101, 150, 199, 299, 300, 500])
@pytest.mark.parametrize("reason", ["its condition does not hold", "a reason of some length " * 5, "no"])
def test_no_line_goes_through_why_a_step_was_skipped(at: float, reason: str) -> None:
    story = Story()
    story.tell(0, ev.RunStarted, "", mode="hybrid")
    for call, (name, start, end) in enumerate([("geo", 0, 100), ("fx", 100, 200), ("weather", 200, 300)], 1):
        story.step(start, name, call)
        story.attempt(start, name, call)
        story.ends(end, name, call)
        story.tell(start + 0.1, ev.StepSkipped, f"lounge{call}", reason="no")
    story.tell(at, ev.StepSkipped, "lounge", reason=reason)
    root = ElementTree.fromstring(waterfall(story.events).svg(scheme="light"))
    links = next(e.get("d") or "" for e in root.iter(f"{SPACE}path") if e.get("stroke-dasharray") == "2 2")
    lines = [
        (float(x), *sorted((float(y), float(to_y))))
        for y, x, to_y in re.findall(r"M[\d.]+ ([\d.]+)H([\d.]+)V([\d.]+)", links)
    ]
    told = [
        e for e in root.iter(f"{SPACE}text") if e.get("class") == "m" and (e.text or "")[:4] == reason[:4]
    ]
    assert len(lines) in (2, 4) and told
    for each in told:
        x, y, wide = float(each.get("x", "")), float(each.get("y", "")), text_width(each.text or "", 10.5)
        left = x - wide if each.get("text-anchor") == "end" else x
        crossing = [line for line, top, bottom in lines if top < y < bottom]
        assert all(line < left - 3 or line > left + wide + 3 for line in crossing)


def test_of_many_calls_only_what_is_shown_is_made_into_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Row] = []

    def counted(*facts: Any) -> Row:
        made.append(Row(*facts))
        return made[-1]

    monkeypatch.setattr("rxorch.draw.timeline.rows.Row", counted)
    assert "slowest" in waterfall(many(2_000)).text()
    assert 0 < len(made) <= 16  # six slow ones, ten that failed
