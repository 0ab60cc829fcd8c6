"""How long pictures take, in seconds of the processor."""

from __future__ import annotations

import time

import pytest

from rxorch.draw import waterfall
from tests.draw.timeline.happenings import many

pytestmark = pytest.mark.benchmark


def test_a_waterfall_of_two_thousand_calls_takes_a_fifth_of_a_second() -> None:
    events = many(2000)
    took = []
    for _ in range(5):
        began = time.process_time()
        svg = waterfall(events).svg()
        took.append(time.process_time() - began)
    print(
        f"\n2,000 calls, {len(events):,} events: {min(took) * 1000:.0f} ms, {len(svg) / 1000:.0f} kB of SVG"
    )
    assert min(took) < 0.2
