"""What stands above pictures: it was written by somebody, may come from anywhere, and has to find room."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from xml.etree import ElementTree

import pytest

from rxorch.draw import flow_picture, marbles
from rxorch.draw.timeline.picture import Waterfall
from rxorch.draw.timeline.records import Timeline
from rxorch.draw.words import BOLD, text_width
from rxorch.lab import Policy, Tape, TapedAttempt, TapedCall, whatif
from rxorch.saga import RunRecord, SagaState
from rxorch.saga.picture import RunPicture
from rxorch.saga.reporting import RunsReport, RunTold
from rxorch_operators import Recording
from tests.draw.scenes import trip

CANARY: Final = "s3cretCANARY"
SECRET: Final = f"orders of https://me:{CANARY}@api.example.com/u?api_key={CANARY}"


def tried(name: str) -> Any:
    attempt = TapedAttempt(0.0, 0.1, "ok", 200)
    return whatif(Tape((TapedCall("user", 0.0, 0.1, True, (attempt,)),)), {name: Policy(retry_count=1)})


def run(name: str) -> RunRecord:
    error = {"step": name, "type": "ValueError", "message": "no"}
    return RunRecord(name, name, "f1", SagaState.COMPENSATED, b"{}", None, error, "", 5, 6, 1, None, 0)


def runs(title: str | None, *names: str) -> RunsReport:
    made = RunsReport(title)
    for name in names:
        made.add(RunTold(run(name)))
    return made


def asked(name: str) -> Any:
    def condition(data: Any) -> bool:
        return True

    condition.__name__ = name
    return flow_picture(trip().children()[0].endpoint.model_copy(update={"condition": condition}))


PICTURES: Final[dict[str, Callable[[str], Any]]] = {
    "flow": lambda title: flow_picture(trip(), title=title),
    "condition": asked,
    "waterfall": lambda title: Waterfall(Timeline((), 0.0, 1.0), title),
    "marbles": lambda title: marbles(Recording(), title=title, caption=title),
    "what if": tried,
    "saga": lambda name: RunPicture(run(name), []),
    "runs": lambda title: runs(title, "a", "b"),
    "runs, untitled": lambda name: runs(None, name, f"{name}2"),
    "run": lambda name: runs(None, name),
}


TEXTS: Final = ["x" * 10_000, "word " * 2_000, "漢字" * 900, "🚀" * 900, "a\nb\x1b[31m\u202ec\x00"]


def forms(picture: Any) -> str:
    shown = [str(picture), repr(picture), *map(str, picture._repr_mimebundle_().values())]
    makers = (getattr(picture, name, None) for name in ("svg", "html", "mermaid", "dot"))
    return "\n".join([*shown, *(make() for make in makers if make)])


@pytest.mark.parametrize("kind", PICTURES)
def test_no_secret_stands_in_a_heading(kind: str) -> None:
    shown = forms(PICTURES[kind](SECRET))
    assert CANARY not in shown
    assert "api.example.com/u" in shown  # the rest does


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", [kind for kind in PICTURES if kind != "runs, untitled"])
def test_a_heading_finds_room_in_its_picture(kind: str, text: str) -> None:
    picture = PICTURES[kind](text)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", forms(picture))
    if not hasattr(picture, "svg"):
        return
    root = ElementTree.fromstring(picture.svg())
    assert float(root.get("width", "inf")) <= 1800
    title = next(each for each in root if each.get("font-size") == "16")
    assert title.text is not None
    assert 24 + text_width(title.text, 16) * BOLD <= float(root.get("width", "0")) - 20


def test_letters_that_are_as_wide_as_high_have_their_room() -> None:
    assert text_width("漢字", 10) == text_width("🚀🚀", 10) == text_width("漢字", 10, mono=True) == 20
    assert text_width("漢a", 10) == 10 + text_width("a", 10)
    assert text_width("é", 10) == text_width("e", 10)
