"""What a comparison shows."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from rxorch.lab import Policy, Tape, TapedAttempt, TapedCall, whatif
from tests.draw.checked import Checked
from tests.lab.recorded import config, recorded


def test_the_table() -> None:
    given = config(retry_count=0, timeout=5.0)
    events = recorded(given, lambda _, number: (0.25, 503 if number == 2 else 200), calls=4)
    found = whatif(events, {"again": Policy(retry_count=1, retry_delay=0.5, retry_jitter="none")}, flow=given)

    lines = found.text().splitlines()

    assert lines[0] == "4 calls of user"
    assert [line.split()[:4] for line in lines[3:5]] == [
        ["recorded", "75.0%", "4", "1.00"],
        ["as", "it", "was", "75.0%"],
    ]
    assert lines[5].split()[2:4] == ["5", "1.25"]
    assert lines[5].endswith("2 requests, 65 s")  # two attempts of 5 s, and the wait that a 503 may ask for


def test_it_is_shown_in_a_notebook_and_fit_for_json() -> None:
    given = config()
    found = whatif(recorded(given, lambda _, __: (0.1, 200)), {'<b>"': Policy(retry_count=0)}, flow=given)

    bundle = found._repr_mimebundle_()
    root = ElementTree.fromstring(found.svg())

    assert bundle["text/plain"] == str(found) == found.text()
    shown = Checked(bundle["text/html"])
    assert (shown.wrong, shown.open) == ([], [])
    assert bundle["text/html"].index("<table") < bundle["text/html"].index("<details")  # at a glance
    assert shown.text.split("as text")[0].split().count("100.0%") == 3 and '<b>"' in shown.text
    assert "<b>" not in bundle["text/html"]
    assert any(each.text == '<b>": 100.0%' for each in root.iter("{http://www.w3.org/2000/svg}text"))
    assert json.loads(json.dumps(found.as_dict()))["recorded"]["ok"] == 40
    assert [side.name for side in found] == ["recorded", "as it was", '<b>"'] and len(found) == 3
    assert repr(found) == '<Comparison of 40 calls: recorded 100.0%, as it was 100.0%, <b>" 100.0%>'


def test_nothing_but_failures_is_a_picture_too() -> None:
    lost = TapedAttempt(0.0, 0.1, "network", sent=False)
    found = whatif(Tape((TapedCall("user", 0.0, 0.1, False, (lost,)),)), Policy(retry_count=0))

    ElementTree.fromstring(found.svg())
    assert found.as_dict()["recorded"]["p50"] is None
    assert "0.0%" in found.text()


def test_many_endpoints_and_odd_names_stay_readable() -> None:
    answered = TapedAttempt(0.0, 0.1, "ok", 200)
    calls = [TapedCall(f"e{number % 50}", 0.0, 0.1, True, (answered,)) for number in range(101)]
    found = whatif(Tape(tuple(calls)), {"a\x1b[31m\u202e": Policy(), "x" * 900: Policy(retry_count=0)})

    text = found.text()
    assert text.startswith("101 calls of e0, e1, e2") and "e19, 30 more\n" in text
    assert len(text.splitlines()) < 200 and max(map(len, text.splitlines())) < 300
    assert "a�[31m�" in text and "\x1b" not in text + found.svg() + repr(found)
    ElementTree.fromstring(found.svg())
    assert found["x" * 900].figures.calls == 101
