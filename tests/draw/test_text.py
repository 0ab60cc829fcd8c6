"""The tree of lines: what it says, and that it fits."""

from __future__ import annotations

import pytest

from rxorch import ApiConfigurationError, sequential
from rxorch.draw import flow_picture
from tests.draw.scenes import trip
from tests.support.fake_transport import api, apis


def test_the_tree_of_a_flow() -> None:
    lines = flow_picture(trip(), title="trip").text().splitlines()
    assert lines == [
        "trip · 12 endpoints · sequential · at most 10 at once · total timeout 300 s · breaker 5",
        "├─ geo  GET https://api.example.com/geo?city={city}&api_key=***   timeout 350 ms",
        "├─ parallel · at most 3 at once",
        "│  ├─ fx       GET  http://shop.test/fx   timeout 5 s · retry 3x",
        "│  ├─ weather  GET  http://shop.test/weather   cache 30 s",
        "│  ├─ flights  POST http://shop.test/flights   100/60s",
        "│  └─ hotels   GET  http://shop.test/hotels   if is_premium · no retry",
        "├─ choice: is_premium?",
        "│  ├─ yes: sequential",
        "│  │  ├─ lounge   GET http://shop.test/lounge",
        "│  │  └─ upgrade  PUT http://shop.test/upgrade",
        "│  └─ no: ad  GET http://shop.test/ad",
        "└─ graph",
        "   ├─ cart    GET http://shop.test/cart",
        "   ├─ prices  GET http://shop.test/prices   ← cart",
        "   ├─ stock   GET http://shop.test/stock   ← cart",
        "   └─ total   GET http://shop.test/total   ← prices, stock, cart",
    ]


@pytest.mark.parametrize("width", [40, 57, 80, 120])
@pytest.mark.parametrize("ascii", [False, True])
def test_no_line_is_longer_than_the_width(width: int, ascii: bool) -> None:
    text = flow_picture(trip(), title="a title that goes on and on and on and on").text(width, ascii=ascii)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii() or not ascii


def test_what_does_not_fit_goes_below() -> None:
    flow = sequential(
        api("a", timeout=5.0, retry_count=3, total_timeout=9.0, cache_ttl=0, rate_limit=5),
        api("b"),
    )
    assert flow_picture(flow).text(40).splitlines()[-4:] == [
        "├─ a  GET http://shop.test/a",
        "│     timeout 5 s · total 9 s · retry 3x",
        "│     5/60s · no cache",
        "└─ b  GET http://shop.test/b",
    ]


def test_an_unreadable_width_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="width: give 40 columns or more"):
        flow_picture(api("a")).text(39)


def test_ascii_has_other_branches() -> None:
    assert flow_picture(sequential(*apis("ab"))).text(ascii=True).splitlines()[1:] == [
        "+- a  GET http://shop.test/a",
        "`- b  GET http://shop.test/b",
    ]
