"""FlowPicture: its forms, files, what a notebook gets, and what no name can do to it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rxorch import (
    ApiConfigurationError,
    APIOrchestrationConfig,
    APIOrchestrator,
    conditional,
    parallel,
    sequential,
)
from rxorch.draw import FlowPicture, flow_picture
from tests.draw.scenes import is_premium, trip
from tests.support.fake_transport import api, apis

FORMS: dict[str, Callable[[FlowPicture], str]] = {
    "text": FlowPicture.text,
    "svg": FlowPicture.svg,
    "mermaid": FlowPicture.mermaid,
    "dot": FlowPicture.dot,
}
NAMES = [
    "geo",
    "fx",
    "weather",
    "flights",
    "hotels",
    "lounge",
    "upgrade",
    "ad",
    "cart",
    "prices",
    "stock",
    "total",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_all_of_it_and_no_secret(form: str) -> None:
    told = FORMS[form](flow_picture(trip()))
    wanted = [*NAMES, "timeout 350 ms", "retry 3x", "no retry", "cache 30 s", "100/60s", "is_premium", "PUT"]
    assert [each for each in wanted if each not in told] == []
    assert "k-123456" not in told


@pytest.mark.parametrize("form", FORMS)
def test_the_same_flow_gives_the_same_picture(form: str) -> None:
    assert FORMS[form](flow_picture(trip())) == FORMS[form](flow_picture(trip()))


HOSTILE = '"]<script>alert(1)</script>&\\N`;--> x\n%%{init}%% end\x1b[31m\u202e'


def hostile() -> FlowPicture:
    def ask(data: Any) -> bool:
        return True

    ask.__name__ = HOSTILE
    flow = sequential(
        api("a", 'https://api.example.com/"<script>/{id}?q="><script>', condition=ask),
        conditional(ask, then=api("b"), otherwise=api("c")),
    )
    return flow_picture(flow, title=HOSTILE)


def test_no_name_breaks_out_of_svg() -> None:
    root = ElementTree.fromstring(hostile().svg())
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {
        "svg",
        "title",
        "style",
        "defs",
        "marker",
        "path",
        "rect",
        "text",
        "tspan",
        "g",
        "polygon",
    }
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    assert "<script>alert(1)</script>" in (root.findtext("{http://www.w3.org/2000/svg}title") or "")


def test_no_name_breaks_out_of_html() -> None:
    shown = hostile()._repr_mimebundle_()["text/html"]
    assert "<script" not in shown
    assert re.findall(r"<(\w+)", shown) == ["div", "img", "details", "summary", "pre"]


def test_no_name_breaks_out_of_mermaid() -> None:
    told = hostile().mermaid()
    assert not re.search(r"script>|\\|`|%%|\x1b|\u202e", told)
    labels = re.findall(r'"([^"]*)"', told)
    assert all(line.count('"') in (0, 2) for line in told.splitlines())
    assert any("#60;script#62;" in label for label in labels)


def test_no_name_breaks_out_of_dot() -> None:
    told = hostile().dot()
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', told)
    assert "script" not in outside and outside.count('"') % 2 == 0
    assert (
        re.search(r"(?<!\\)(\\\\)*\\[^n\"\\]", told) is None
    )  # no escape but those that dot_of writes itself
    assert not re.search("\x1b|\u202e", told)


def test_no_name_writes_to_the_terminal() -> None:
    assert all(line.isprintable() for line in hostile().text().splitlines())


@pytest.mark.parametrize("suffix", [".svg", ".mmd", ".dot", ".txt", ".SVG"])
def test_the_suffix_says_the_form(tmp_path: Path, suffix: str) -> None:
    picture = flow_picture(api("a"))
    forms = {
        ".svg": picture.svg(),
        ".mmd": picture.mermaid(),
        ".dot": picture.dot(),
        ".txt": f"{picture.text()}\n",
    }
    path = picture.save(str(tmp_path / f"flow{suffix}"))
    assert path.read_text(encoding="utf-8") == forms[suffix.lower()]


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ApiConfigurationError, match=r"'\.gif' .* there are \.svg, \.png, \.html, .*\.mmd"):
        flow_picture(api("a")).save(tmp_path / "flow.gif")
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_gets_an_image_that_needs_no_trust() -> None:
    picture = flow_picture(trip())
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "text/html", "image/svg+xml"]
    encoded = re.search(r"base64,([^\"]+)\"", bundle["text/html"])
    assert encoded is not None and base64.b64decode(encoded[1]).decode() == picture.svg()
    assert list(picture._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]
    assert "image/svg+xml" not in picture._repr_mimebundle_(exclude=["image/svg+xml"])


@pytest.mark.parametrize("flow", [api("a"), sequential(*apis("abcdefghij"))], ids=["small", "wide"])
def test_a_picture_is_never_larger_than_it_is_nor_too_small_to_be_read(flow: Any) -> None:
    picture = flow_picture(flow)
    wide = re.search(r'<svg[^>]* width="([\d.]+)"', picture.svg())
    assert wide is not None
    shown = picture._repr_mimebundle_()["text/html"]
    box, style = re.findall(r'<div style="([^"]*)"><img [^>]*style="([^"]*)"', shown)[0]
    least = round(float(wide[1]) * 0.8)
    assert (box, style) == ("overflow-x:auto", f"max-width:100%;min-width:{least}px")
    assert not re.search(r'<img [^>]*(width|height)="', shown)


def test_str_is_the_text_and_repr_is_short() -> None:
    picture = flow_picture(sequential(*apis("ab")), title="pair")
    assert str(picture) == picture.text()
    assert repr(picture) == "<FlowPicture of pair · 2 endpoints>"


def test_whatever_holds_a_flow_can_be_drawn() -> None:
    config = APIOrchestrationConfig(endpoints=[api("a")])
    kinds = (api("a"), config, APIOrchestrator(config), sequential(api("a")))
    assert len({flow_picture(kind).text().splitlines()[-1] for kind in kinds}) == 1
    with pytest.raises(ApiConfigurationError, match="not int"):
        flow_picture(7)  # type: ignore[arg-type]


def test_settings_of_the_run_are_told() -> None:
    config = APIOrchestrationConfig(
        endpoints=apis("ab"),
        mode="fanout",
        max_concurrent=2,
        total_timeout=None,
        global_rate_limit=50,
        cache_ttl=0.5,
        circuit_breaker_threshold=None,
        fail_fast=True,
    )
    first = flow_picture(config).text().splitlines()[0]
    assert first == (
        "flow · 2 endpoints · fanout · at most 2 at once · no total timeout · 50/60s · cache 500 ms"
        " · fail fast"
    )


def test_an_empty_flow_is_a_picture_too() -> None:
    for form in FORMS.values():
        assert "0 endpoints" in form(flow_picture(APIOrchestrationConfig()))
        assert form(flow_picture(sequential(parallel(), api("a"))))


def test_a_condition_without_a_name_is_called_condition() -> None:
    assert "if condition" in flow_picture(api("a", condition=lambda data: True)).text()
    assert "if is_premium" in flow_picture(api("a", condition=is_premium)).text()


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_without_urls(form: str) -> None:
    flow = sequential(api("user"), parallel(api("posts"), api("mail")))
    bare = FORMS[form](flow_picture(flow, urls=False))
    assert "http" in FORMS[form](flow_picture(flow)).replace("http://www.w3.org", "")
    assert "http" not in bare.replace("http://www.w3.org", "")
    assert "posts" in bare
    assert "GET <" not in bare  # nothing is left of its place
