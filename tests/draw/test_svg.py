"""The SVG: well-formed, self-contained, readable in both schemes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from rxorch.draw import flow_picture
from rxorch.draw.theme import DARK, LIGHT
from rxorch.draw.words import fitted, fitted_url, text_width
from tests.draw.scenes import trip
from tests.support.fake_transport import api

SPACE = "{http://www.w3.org/2000/svg}"


def test_it_is_a_named_image_that_needs_nothing_else() -> None:
    svg = flow_picture(trip(), title="trip").svg()
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.findtext(f"{SPACE}title") == "trip · 12 endpoints"
    assert "prefers-color-scheme: dark" in svg
    urls = re.findall(r"(?:url\(|href=|src=|@import|@font-face)[^;\"]*", svg)
    assert set(urls) == {"url(#a)"}


def test_a_node_tells_all_in_its_title() -> None:
    root = ElementTree.fromstring(flow_picture(api("a", f"http://shop.test/{'long/' * 20}")).svg())
    assert f"a: GET http://shop.test/{'long/' * 20}" in [title.text for title in root.iter(f"{SPACE}title")]
    shown = "".join(root.itertext())
    assert "/long/long/long/l" in shown and "…" in shown


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *[("ink", "paper"), ("muted", "paper"), ("ink", "card"), ("muted", "card"), ("muted", "frame")],
        *[("chip-ink", "chip"), ("if-ink", "if"), ("ink", "end")],
        *[("get", "card"), ("write", "card"), ("delete", "card")],
    ],
)
def test_texts_have_the_contrast_that_wcag_asks_for(theme: dict[str, str], ink: str, paper: str) -> None:
    light, dark = sorted((luminance(theme[ink]), luminance(theme[paper])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_words_are_cut_to_the_room_there_is() -> None:
    assert fitted("timeout", 100.0, 10.0) == "timeout"
    cut = fitted("a rather long condition", 60.0, 10.0)
    assert cut.endswith("…") and text_width(cut, 10.0) <= 60.0
    assert fitted_url("https://api.example.com/v1/users", 400.0, 10.0) == "api.example.com/v1/users"
    assert fitted_url("https://api.example.com/v1/users", 80.0, 10.0) == "/v1/users"
