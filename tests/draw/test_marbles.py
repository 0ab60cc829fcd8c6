"""Marbles: what they show, in text and SVG; what no value can do to them; and that anything can be drawn."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from rxorch import ApiConfigurationError
from rxorch.draw import MarblePicture, marbles
from rxorch.draw.marble.look import PALETTE
from rxorch.draw.marble.placing import placed_on
from rxorch.draw.marble.scale import Scale
from rxorch.draw.marble.scene import Box, Mark, Row, Scene, scene_of
from rxorch.draw.marble.words import TIMES, in_full, in_short
from rxorch.draw.png import png_of
from rxorch.draw.theme import DARK, LIGHT
from rxorch.http.masking import without_secrets
from rxorch_operators import Failure, Recording, Success
from tests.draw.recordings import a_bit_of_everything, lane
from tests.draw.test_svg import SPACE, luminance

FORMS: dict[str, Callable[[MarblePicture], str]] = {"text": MarblePicture.text, "svg": MarblePicture.svg}


def scene(recording: Recording) -> Scene:
    return scene_of(recording, None, None)


def hues(recording: Recording) -> dict[str, list[int]]:
    return {row.label: [mark.hue for mark in row.marks] for row in scene(recording).rows}


def titles(picture: MarblePicture) -> list[str]:
    """What the tooltips of an SVG say."""
    return [each.text or "" for each in ElementTree.fromstring(picture.svg()).iter(f"{SPACE}title")]


# The text


def test_the_text_of_a_bit_of_everything() -> None:
    assert marbles(a_bit_of_everything(), title="words").text(width=60) == TEXT


TEXT = """\
words · 14 events
words           (tea milk)-----------------salt-----|
  room          ....................................
                [ flat_map_bounded(look_up, 2) ]
  look_up tea   ---------------------------3|
  look_up milk  ------------------------------------!
  look_up salt                             ---------#
found           ---------------------------3-------->
                0        1 s      2 s      3 s      4 s
| completed   # error   ! disposed   > goes on   ^ room
  . none"""


def test_ascii_is_ascii_and_says_the_same() -> None:
    recording = Recording()
    lane(recording, "a", *((i / 100, "é…") for i in range(300)), end=3.0)
    text = marbles(recording).text(ascii=True)
    assert text.isascii() and re.search(r"x\d+", text)


@pytest.mark.parametrize("width", [40, 57, 100, 200])
def test_no_line_is_wider(width: int) -> None:
    lines = marbles(a_bit_of_everything(), title="a long title " * 9).text(width).splitlines()
    assert max(map(len, lines)) <= width


def test_too_few_columns_are_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="width: give 40 columns or more"):
        marbles(Recording()).text(39)


@pytest.mark.parametrize(
    ("marks", "line"),
    [
        ([(0, "a"), (5, "b"), (5, "c"), (10, "d")], "a----(bc)-d|"),
        ([(0, "aa"), (1, "bb"), (10, "d")], "aa-bb-----d|"),
        ([(i / 10, "a") for i in range(50)], TIMES),
        ([], "----------|"),
    ],
)
def test_marks_in_a_line_of_eleven_columns(marks: list[tuple[float, str]], line: str) -> None:
    recording = Recording()
    lane(recording, "here", *marks, end=10)
    shown = marbles(recording).text(width=40).splitlines()[1]
    assert shown.startswith("here  ")
    if line == TIMES:
        told = shown.removeprefix("here  ")
        assert sum(map(int, re.findall(rf"{TIMES}(\d+)", told))) + told.count("a") == 50
    else:
        squeezed = re.sub(r"-+", "-", shown.removeprefix("here  "))
        assert squeezed == re.sub(r"-+", "-", line)


# The scene


def test_rows_and_boxes_from_top_to_bottom() -> None:
    parts = scene(a_bit_of_everything()).parts
    assert [part.text if isinstance(part, Box) else part.label for part in parts] == [
        "words",
        "flat_map_bounded(look_up, 2)",
        "look_up tea",
        "look_up milk",
        "look_up salt",
        "found",
    ]


def test_times_are_those_since_the_beginning() -> None:
    drawn = scene(a_bit_of_everything())
    assert drawn.duration == 4.0
    assert [(span.start, span.end, span.ending) for row in drawn.rows for span in row.spans] == [
        (0.0, 4.0, "completed"),
        (0.0, 3.0, "completed"),
        (0.0, 4.0, "disposed"),
        (3.0, 4.0, "error"),
        (0.0, 4.0, "open"),
    ]


def test_an_element_has_one_colour_and_what_is_made_for_it_the_same() -> None:
    assert hues(a_bit_of_everything()) == {
        "words": [0, 1, 2],
        "look_up tea": [0],
        "look_up milk": [],
        "look_up salt": [],
        "found": [0],
    }


def test_results_have_the_colour_of_their_input_and_batches_those_of_their_elements() -> None:
    recording = Recording()
    lane(recording, "in", (0, "a"), (1, "b"), end=2)
    lane(recording, "results", (0, Success(7, "a")), (1, Failure(OSError(), "b")), end=2)
    lane(recording, "batches", (1, ["a", "b"]), (2, ["a", "stranger"]), end=2)
    rows = {row.label: row for row in scene(recording).rows}
    assert [mark.hue for mark in rows["results"].marks] == [0, 1]
    assert rows["batches"].marks[0].parts == (("a", 0), ("b", 1))
    assert rows["batches"].marks[1].parts == ()


def test_things_that_are_equal_but_not_alike_differ_and_what_has_no_hash_is_itself() -> None:
    class Odd:
        def __hash__(self) -> int:
            raise OSError

        def __eq__(self, other: object) -> bool:
            raise OSError

    odd, record = Odd(), {"id": 7}
    recording = Recording()
    lane(recording, "in", (0, 1), (1, True), (2, 1.0), (3, record), (4, odd), (5, float("nan")), end=6)
    lane(recording, "out", (3, record), (4, odd), (4, {"id": 7}), end=6)
    found = hues(recording)
    assert len(set(found["in"])) == 6
    assert found["out"][:2] == found["in"][3:5] and found["out"][2] not in found["in"]


def test_subscriptions_one_after_another_share_a_row() -> None:
    recording = Recording()
    for start in range(4):
        lane(recording, "attempts", start=start, end=start + 0.5, how="error", error=OSError("reset"))
    (row,) = scene(recording).rows
    assert row.label == "attempts" and len(row.spans) == 4


def test_those_that_overlap_have_a_row_each_and_of_many_some_share_one() -> None:
    recording = Recording()
    for start in range(3):
        lane(recording, "few", start=start, end=start + 1.5)
    for start in range(30):
        lane(recording, "many", start=start, end=start + 1.5)
    for start in range(20):
        lane(recording, "crowd", start=start / 100, end=9)
    labels = [row.label for row in scene(recording).rows]
    assert labels[:3] == ["few 1", "few 2", "few 3"]
    assert labels[3:5] == ["many 1 … 29", "many 2 … 30"]
    assert labels[5:] == [*(f"crowd {n}" for n in range(1, 8)), "crowd 8 (+12)"]


def test_demand_is_shown_where_there_was_ever_none() -> None:
    recording = Recording()
    lane(recording, "free", end=4, credit=[(0, 2), (1, 1)])
    lane(recording, "tight", end=4, credit=[(0, 2), (1, 0), (2, -1), (3, 1), (3, 5)])
    rows = {row.label: row for row in scene(recording).rows}
    assert rows["free"].room == ()
    assert [(room.start, room.end, room.credit) for room in rows["tight"].room] == [
        (0, 1, 2),
        (1, 3, 0),
        (3, 4, 5),
    ]


def test_a_place_that_nobody_subscribed_is_an_empty_row() -> None:
    recording = Recording()
    lane(recording, "here", end=1)
    recording.place(recording.points[0].__class__("never"))
    assert scene(recording).rows[1] == Row("never", (), ())


def test_what_was_left_out_is_told() -> None:
    recording = Recording(max_events=3)
    lane(recording, "here", *((i, i) for i in range(10)), end=10)
    assert "8 events left out" in marbles(recording).text()
    assert "8 events left out" in marbles(recording).svg()


# The SVG


def test_it_is_a_named_image_that_needs_nothing_else() -> None:
    svg = marbles(a_bit_of_everything(), title="words").svg()
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.findtext(f"{SPACE}title") == "words"
    assert "prefers-color-scheme: dark" in svg
    assert re.findall(r"(?:url\(|href=|src=|@import|@font-face)", svg) == []


def test_tooltips_say_all_of_it() -> None:
    told = titles(marbles(a_bit_of_everything()))
    for wanted in (
        "'tea' at 0", "'salt' at 3 s", "completed at 4 s", "disposed at 4 s", "goes on",
        "LookupError: no salt today at 4 s", "subscribed at 3 s", "no room: the source waits, 0 to 4 s",
    ):  # fmt: skip
        assert wanted in told, wanted


def test_every_class_has_a_colour_and_every_colour_is_used() -> None:
    svg = marbles(a_bit_of_everything()).svg()
    rules = set(re.findall(r"^\.(\w+)\{", svg, re.MULTILINE))
    assert set(re.findall(r'class="(\w+)"', svg)) == rules


@pytest.mark.parametrize(("common", "own"), [(LIGHT, PALETTE.light), (DARK, PALETTE.dark)])
def test_letters_can_be_read(common: Any, own: Any) -> None:
    colours = {**common, **own}
    pairs = [("on-hue", name) for name in own if name.startswith("hue")]
    pairs += [
        ("on-hue", "many"),
        ("room-ink", "room"),
        ("wait-ink", "wait"),
        ("bad", "paper"),
        ("ink", "box"),
    ]
    for ink, ground in pairs:
        light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def mark(at: float, text: str = "a") -> Mark:
    return Mark(at, text, text, 0)


def test_marbles_at_one_instant_stand_above_each_other_and_too_many_are_one() -> None:
    scale = Scale(10.0, 720.0)
    few = placed_on([mark(5), mark(5), mark(5), mark(9)], scale.at)
    assert [(each.x, each.level) for each in few] == [(360.0, 0), (360.0, 1), (360.0, 2), (648.0, 0)]
    many = placed_on([mark(5)] * 12 + [mark(9)], scale.at)
    assert [(each.text, each.level) for each in many] == [(f"{TIMES}12", 0), ("a", 0)]


times = st.floats(0, 10, allow_nan=False)


@settings(deadline=None)
@given(st.lists(st.tuples(times, st.text(max_size=12)), max_size=80))
def test_no_marble_covers_another_and_none_is_lost(marks: list[tuple[float, str]]) -> None:
    placed = placed_on([mark(at, text) for at, text in marks], Scale(10.0, 720.0).at)
    assert sum(len(each.marks) for each in placed) == len(marks)
    for level in range(3):
        row = [each for each in placed if each.level == level]
        for a, b in pairwise(row):
            assert a.x + a.width / 2 <= b.x - b.width / 2
    assert all(-40 <= each.x <= 760 for each in placed)


# Secrets and hostile values


class User(BaseModel):
    """A model with a secret."""

    id: int
    password: str
    pin: SecretStr


@dataclass
class Login:
    """A record with a secret."""

    name: str
    api_key: str


SECRET = "s3cret-hunter2"


@pytest.mark.parametrize(
    "value",
    [
        {"id": 7, "password": SECRET},
        {"deep": [{"token": SECRET}]},
        User(id=7, password=SECRET, pin=SecretStr(SECRET)),
        Login("Ada", SECRET),
        f"https://api.example.com/x?api_key={SECRET}",
        f"call failed: token={SECRET}, again",
        f"Bearer {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"a: b: {{'token': '{SECRET}'}}",
        OSError(f"password: '{SECRET}' refused"),
    ],
)
def test_secrets_are_replaced_wherever_they_are(value: Any) -> None:
    recording = Recording()
    error = value if isinstance(value, Exception) else OSError(str(value))
    lane(recording, "here", (0, value), end=1, how="error", error=error)
    lane(recording, f"token={SECRET}", (0, [value]), end=1, of=value, inner=True)
    picture = marbles(recording)
    shown = picture.text() + picture.svg() + str(picture._repr_mimebundle_())
    assert SECRET not in shown and SECRET not in base64.b64decode(image_of(picture)).decode()


def image_of(picture: MarblePicture) -> str:
    found = re.search(r'base64,([^"]+)"', picture._repr_mimebundle_()["text/html"])
    assert found is not None
    return found[1]


def test_what_was_not_recorded_is_a_dot() -> None:
    recording = Recording()
    lane(recording, "here", (0, SECRET), end=1, values=False)
    assert "•" in marbles(recording).text() and SECRET not in marbles(recording).svg()


class Rude:
    """Its representation raises."""

    def __repr__(self) -> str:
        raise OSError


HOSTILE = ['"]<script>alert(1)</script>&', "\x1b[31m\u202e\x00\n", "]]>", "a" * 10_000, Rude(), object()]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_no_value_breaks_out(value: Any) -> None:
    recording, text = Recording(), value if isinstance(value, str) else "name"
    lane(recording, text, (0, value), end=1, how="error", error=OSError(value), by=text)
    lane(recording, "inner", (0, value), end=1, of=value, inner=True, by=text)
    picture = marbles(recording, title=text, caption=text)
    root = ElementTree.fromstring(picture.svg())
    tags = {element.tag.removeprefix(SPACE) for element in root.iter()}
    assert tags <= {"svg", "title", "style", "defs", "rect", "text", "g", "line", "path", "circle"}
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    assert all(line.isprintable() for line in picture.text().splitlines())
    shown = picture._repr_mimebundle_()["text/html"]
    assert "<script" not in shown
    assert set(re.findall(r"<(\w+)", shown)) <= {
        "div",
        "img",
        "details",
        "summary",
        "pre",
        "table",
        "tr",
        "th",
        "td",
    }
    assert len(picture.svg()) < 60_000


@pytest.mark.parametrize(
    ("value", "short", "full"),
    [
        ("tea", "tea", "'tea'"),
        ("", "''", "''"),
        (7, "7", "7"),
        (1 / 3, "0.3333", "0.3333333333333333"),
        (None, "None", "None"),
        ([1, 2], "[2]", "[1, 2]"),
        ({"id": 7, "name": "Ada"}, "7", "{'id': 7, 'name': 'Ada'}"),
        ({"b", "a"}, "[2]", "{'a', 'b'}"),
        (b"abc", "bytes", "3 bytes"),
        (Login("Ada", "x"), "Ada", "Login(name='Ada', api_key=***)"),
        (ConnectionResetError("gone"), "Connect…", "ConnectionResetError: gone"),
        (Success(3, "tea"), "3", "Success(value=3, input='tea')"),
        (Failure(OSError("x"), 1), "✗ OSErr…", "Failure(error=OSError: x, input=1)"),
        (Rude(), "Rude", "<Rude>"),
        (list(range(20)), "[20]", "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
        (set(range(500)), "[500]", "set of 500"),
        ([[[[1]]]], "[1]", "[[[…]]]"),
    ],
)
def test_what_is_said_of_a_value(value: Any, short: str, full: str) -> None:
    assert (in_short(value), in_full(value)) == (short, full)


def test_what_is_no_secret_stays() -> None:
    for text in ("the key to success", "user=7, id: 12", "https://api.example.com/users/7?page=2"):
        assert without_secrets(text) == text


# The picture


@pytest.mark.parametrize("form", FORMS)
def test_the_same_recording_gives_the_same_picture(form: str) -> None:
    assert FORMS[form](marbles(a_bit_of_everything())) == FORMS[form](marbles(a_bit_of_everything()))


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_recording_is_a_picture_too(form: str) -> None:
    assert "0 events" in FORMS[form](marbles(Recording()))


@pytest.mark.parametrize("suffix", [".svg", ".txt"])
def test_the_suffix_says_the_form(tmp_path: Path, suffix: str) -> None:
    picture = marbles(a_bit_of_everything())
    forms = {".svg": picture.svg(), ".txt": f"{picture.text()}\n"}
    assert picture.save(tmp_path / f"words{suffix}").read_text(encoding="utf-8") == forms[suffix]


def test_one_scheme_and_a_png_of_the_light_one(tmp_path: Path) -> None:
    picture = marbles(a_bit_of_everything())
    dark = picture.svg(scheme="dark")
    assert "@media" not in dark and PALETTE.dark["hue0"] in dark and PALETTE.light["hue0"] not in dark
    saved = picture.save(tmp_path / "words.png").read_bytes()
    assert saved == png_of(picture.svg(scheme="light")) != png_of(dark)


def test_another_suffix_and_another_thing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ApiConfigurationError, match=r"'\.mmd' .* there are \.svg, \.png, \.html, \.txt"):
        marbles(Recording()).save(tmp_path / "words.mmd")
    with pytest.raises(
        ApiConfigurationError, match=r"give one that the operator record\(\) has filled, not builtins.list"
    ):
        marbles([])  # type: ignore[arg-type]


def test_a_notebook_gets_an_image_that_needs_no_trust_and_a_table() -> None:
    picture = marbles(a_bit_of_everything())
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "text/html", "image/svg+xml"]
    assert base64.b64decode(image_of(picture)).decode() == picture.svg()
    assert (
        "<tr><td>4 s</td><td>look_up salt</td><td>error: LookupError: no salt today</td></tr>"
        in bundle["text/html"]
    )
    assert list(picture._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]


def test_a_table_has_an_end() -> None:
    recording = Recording()
    lane(recording, "here", *((i, i) for i in range(300)), end=300)
    shown = marbles(recording)._repr_mimebundle_()["text/html"]
    assert shown.count("<tr>") == 202 and "and 101 more" in shown


def test_str_is_the_text_and_repr_is_short() -> None:
    picture = marbles(a_bit_of_everything(), title="words")
    assert str(picture) == picture.text()
    assert repr(picture) == "<MarblePicture of words · 14 events>"


# Anything can be drawn

lanes = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a", "b", "c"]),
        "start": times,
        "marks": st.lists(st.tuples(times, st.one_of(st.text(max_size=9), st.integers())), max_size=12),
        "lasts": st.one_of(st.none(), times),
        "how": st.sampled_from(["completed", "error", "disposed"]),
        "inner": st.booleans(),
        "credit": st.lists(st.integers(-2, 5), max_size=4),
    }
)


@settings(deadline=None, max_examples=60)
@given(st.lists(lanes, max_size=10), st.integers(40, 130))
def test_any_recording_is_drawn_within_its_bounds(drawn: list[dict[str, Any]], width: int) -> None:
    recording = Recording()
    for each in drawn:
        start = each["start"]
        marks = sorted(((start + at, value) for at, value in each["marks"]), key=lambda pair: pair[0])
        last = marks[-1][0] if marks else start
        lane(
            recording, each["name"], *marks, start=start, how=each["how"], inner=each["inner"],
            of=each["name"], end=None if each["lasts"] is None else last + each["lasts"],
            error=OSError("reset") if each["how"] == "error" else None,
            by="operator" if each["inner"] else None,
            credit=[(start + i, room) for i, room in enumerate(each["credit"])],
        )  # fmt: skip
    picture = marbles(recording)
    assert all(len(line) <= width for line in picture.text(width).splitlines())
    root = ElementTree.fromstring(picture.svg())
    wide, high = float(root.get("width", "")), float(root.get("height", ""))
    places = {"x": wide, "x1": wide, "x2": wide, "cx": wide, "y": high, "y1": high, "y2": high, "cy": high}
    for element in root.iter():
        for name, most in places.items():
            assert -40 <= float(element.get(name, "0")) <= most, (element.tag, element.attrib)
