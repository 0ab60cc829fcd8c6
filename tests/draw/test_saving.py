"""Every picture can be saved as SVG, PNG, a page and text."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rxorch import APIEndpoint
from rxorch import operators as rxo
from rxorch.draw import flow_picture, marbles, waterfall
from rxorch.draw.png import png_of
from rxorch.errors import ApiConfigurationError
from rxorch.lab import Policy, Tape, TapedAttempt, TapedCall, whatif
from rxorch.saga import RunPicture, RunRecord, SagaState

CALL = TapedCall("user", 0.0, 0.1, True, (TapedAttempt(0.0, 0.1, "ok", 200),))
RUN = RunRecord("r<1>", "order", "f", SagaState.COMPLETED, b"{}", None, None, "", 5, 6, 1, None, 0)

PICTURES: dict[str, Any] = {
    "flow": flow_picture(APIEndpoint(name="user", url="https://api.example.com/users/{id}")),
    "waterfall": waterfall([], title="<trip>"),
    "marbles": marbles(rxo.Recording()),
    "whatif": whatif(Tape((CALL,)), Policy(retry_count=0)),
    "saga": RunPicture(RUN, ()),
}


@pytest.mark.parametrize("name", PICTURES)
def test_each_form(name: str, tmp_path: Path) -> None:
    picture = PICTURES[name]

    saved = {suffix: picture.save(tmp_path / f"x{suffix}") for suffix in (".svg", ".png", ".html", ".txt")}

    assert saved[".svg"].read_text(encoding="utf-8") == picture.svg()
    assert saved[".png"].read_bytes().startswith(b"\x89PNG\r\n")
    assert saved[".txt"].read_text(encoding="utf-8") == f"{picture.text()}\n"
    page = saved[".html"].read_text(encoding="utf-8")
    assert picture.svg() in page
    assert "<script" not in page and "<title><" not in page
    width = float(ElementTree.fromstring(picture.svg()).attrib["width"])
    assert f"min-width:{round(width * 0.8)}px" in page and f"<div>{picture.svg()}</div>" in page
    ElementTree.fromstring(picture.svg())


@pytest.mark.parametrize("name", PICTURES)
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ApiConfigurationError, match=r"'\.gif' .* there are \.svg, \.png, \.html, \.txt"):
        PICTURES[name].save(tmp_path / "x.gif")


def test_a_png_has_the_light_colours() -> None:
    svg = PICTURES["waterfall"].svg()

    assert "@media" in svg
    assert png_of(svg) == png_of(PICTURES["waterfall"].svg(scheme="light"))
