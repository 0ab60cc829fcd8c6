"""The picture of a run: what it says of fixed records, and that it holds no more."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from rxorch import APIEndpoint
from rxorch.saga import (
    AuditEvent,
    MemoryJournal,
    RunPicture,
    RunRecord,
    Saga,
    SagaState,
    Step,
    StepRecord,
    StepStatus,
    run_picture,
    wait,
    wait_for,
)
from rxorch.saga.definition_svg import definition_svg

SPACE = "{http://www.w3.org/2000/svg}"


def run(state: SagaState = SagaState.COMPENSATED, **facts: Any) -> RunRecord:
    known: dict[str, Any] = {
        "run_id": "order-7",
        "saga": "order",
        "fingerprint": "f",
        "state": state,
        "input_json": b'{"card": "4242"}',
        "result_json": b'"4242"',
        "error": None,
        "trace_id": "",
        "began": 100.0,
        "changed": 103.2,
        "generation": 1,
        "owner": None,
        "leased_until": 0.0,
    }
    return RunRecord(**{**known, **facts})


def step(
    name: str, began: int, status: StepStatus = StepStatus.COMPLETED, took: float | None = 0.012, **facts: Any
) -> StepRecord:
    known: dict[str, Any] = {
        "undo": False,
        "attempt": 1,
        "key": f"order-7:{name}",
        "input_json": b'{"card": "4242"}',
        "output_json": b'"4242"',
        "began_at": 100.0,
        "ended_at": None if took is None else 100.0 + took,
    }
    return StepRecord(name, status=status, began=began, **{**known, **facts})


LOST = {"step": "ship", "type": "ApiNetworkError", "message": "the connection was lost"}
FAILED = [
    step("charge", 1, took=0.02),
    step("note", 3, StepStatus.SKIPPED, attempt=0),
    step("reserve", 4, took=1.3, attempt=3),
    step("ship", 6, StepStatus.UNKNOWN),
    step("ship", 8, undo=True, took=0.0042),
    step(
        "reserve",
        10,
        StepStatus.FAILED,
        took=75.0,
        undo=True,
        attempt=15,
        error={"type": "ApiHttpError", "message": "HTTP 500"},
    ),
    step("charge", 12, undo=True, attempt=2, took=0.008),
]


def test_steps_in_their_order_with_what_was_undone() -> None:
    assert run_picture(run(SagaState.FAILED, error=LOST), FAILED, ["charge", "mail"]).splitlines() == [
        "order · order-7 · failed · 3.2 s",
        "├─ charge   ✓  1x  20 ms                  ◀── undone               2x        8 ms",
        "├─ note     ·              skipped",
        "├─ reserve  ✓  3x  1.3 s                  ◀── could not be undone 15x  1 min 15 s",
        "├─ ship     ?  1x  12 ms   nobody knows   ◀── undone               1x      4.2 ms",
        "└─ mail     · not begun",
        "because of ship: ApiNetworkError: the connection was lost",
        "undoing reserve: ApiHttpError: HTTP 500",
    ]


def test_a_run_under_way() -> None:
    steps = [step("pay", 1, StepStatus.FAILED), step("go", 2, StepStatus.WAITING, None)]
    steps += [step("try", 3, StepStatus.STARTED, None), step("try", 4, StepStatus.STARTED, None, undo=True)]
    assert run_picture(run(SagaState.CANCEL_REQUESTED), steps).splitlines() == [
        "order · order-7 · cancel requested · not over",
        "├─ pay  ✗ 1x  12 ms   failed",
        "├─ go   … 1x          waiting",
        "└─ try  … 1x          under way   ◀── being undone 1x",
    ]


def test_a_run_that_has_not_begun_a_step() -> None:
    assert run_picture(run(SagaState.RUNNING), []) == "order · order-7 · running · not over"


@pytest.mark.parametrize(
    ("state", "says"),
    [(SagaState.RUNNING, "to be tried again"), (SagaState.COMPENSATED, "failed before")],
)
def test_a_step_that_failed_before_its_run_was_reopened(state: SagaState, says: str) -> None:
    failed = AuditEvent(1, "order-7", "order", 101.0, "step.failed", {"step": "ship"})
    assert f"ship  · {says}" in RunPicture(run(state), [], ["ship"], [failed]).text()


def test_ascii_alone() -> None:
    text = run_picture(run(SagaState.FAILED, error={"message": "é …"}), FAILED, ascii=True)
    assert text.isascii()
    assert text.splitlines()[1] == (
        "|- charge   +  1x  20 ms                  <-- undone               2x        8 ms"
    )
    assert text.splitlines()[-2] == "because of \\xe9 ~"


def test_colours_do_not_move_columns() -> None:
    picture = RunPicture(run(SagaState.FAILED, error=LOST), FAILED, ["mail"])
    colours: list[tuple[str, str]] = []

    def paint(text: str, colour: str) -> str:
        colours.append((text.strip(), colour))
        return f"<{colour}>{text}</>"

    painted = picture.text(paint=paint)
    assert re.sub(r"</?\w*>", "", painted) == picture.text()
    assert {("failed", "red"), ("✓", "green"), ("nobody knows", "yellow"), ("undone", "yellow")} <= set(
        colours
    )
    assert ("could not be undone", "red") in colours


def test_neither_input_nor_result_is_in_it() -> None:
    picture = RunPicture(run(SagaState.FAILED, error=LOST), FAILED)
    assert "4242" not in picture.text() + picture.svg() + repr(picture)


@pytest.mark.parametrize("name", ["\x1b[2Jorder", "order\n", "order\u202e"])
def test_no_name_or_message_rewrites_a_terminal(name: str) -> None:
    failure = {"step": name, "type": "ValueError", "message": f"{name} and\n{name}"}
    text = run_picture(run(run_id=name, saga=name, error=failure), [step(name, 1)])
    assert all(line.isprintable() for line in text.splitlines())
    assert len(text.splitlines()) == 3


def test_a_long_message_is_cut() -> None:
    text = run_picture(run(error={"type": "E", "message": "x" * 5_000}), [])
    assert len(text) < 400 and text.endswith("x…")


def test_the_svg_is_a_named_image_that_needs_nothing_else() -> None:
    picture = RunPicture(run(SagaState.FAILED, error=LOST), FAILED, ["mail"])
    svg = picture.svg()
    root = ElementTree.fromstring(svg)
    assert root.findtext(f"{SPACE}title") == "order · order-7"
    assert "prefers-color-scheme: dark" in svg
    assert set(re.findall(r"(?:url\(|href=|src=|@import|@font-face)[^;\"]*", svg)) == {"url(#a)"}
    titles = [title.text for title in root.iter(f"{SPACE}title")]
    assert titles[1:] == [
        "charge: done · 1x · 20 ms",
        "undone: 2x · 8 ms",
        "note: skipped",
        "reserve: done · 3x · 1.3 s",
        "could not be undone: 15x · 1 min 15 s",
        "ship: nobody knows · 1x · 12 ms",
        "undone: 1x · 4.2 ms",
        "mail: not begun",
    ]
    shown = "".join(root.itertext())
    assert "because of ship" in shown and "undoing reserve" in shown


def test_what_became_of_a_step_is_the_colour_of_its_card() -> None:
    root = ElementTree.fromstring(RunPicture(run(SagaState.FAILED, error=LOST), FAILED, ["mail"]).svg())
    kinds = {
        group.findtext(f"{SPACE}title", "").partition(" · ")[0]: group.find(f"{SPACE}rect").get("class")  # type: ignore[union-attr]
        for group in root.iter(f"{SPACE}g")
    }
    assert kinds == {
        "charge: done": "k-ok", "reserve: done": "k-ok", "note: skipped": "frame", "mail: not begun": "frame",
        "ship: nobody knows": "k-unknown", "undone: 1x": "k-degraded", "undone: 2x": "k-degraded",
        "could not be undone: 15x": "k-failed",
    }  # fmt: skip


def test_a_long_reason_goes_on_in_the_next_line_of_the_svg() -> None:
    words = [f"word{n}" for n in range(30)]
    long = {"step": "ship", "type": "E", "message": f"{' '.join(words)} https://x/yyy"}
    root = ElementTree.fromstring(RunPicture(run(error=long), FAILED).svg())
    lines = [text.text or "" for text in root.iter(f"{SPACE}text") if text.get("class") == "delete"]
    told = " ".join(lines[lines.index("15x · 1 min 15 s") + 1 :])
    assert len(lines) == 6 and told.startswith(f"because of ship: E: {' '.join(words)} https://x/yyy undoing")
    brief = RunPicture(run(error={**long, "message": "z" * 3_000}), FAILED).svg()
    assert brief.count('class="delete"') <= 6 and "zzz" in brief


def test_the_arrows_of_the_svg_lead_down_over_and_up() -> None:
    svg = RunPicture(run(SagaState.FAILED), FAILED).svg()
    ways = re.findall(r'class="wire" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', svg)
    moves = [(float(c) - float(a), float(d) - float(b)) for a, b, c, d in ways]
    down = [move for move in moves if move[0] == 0 and move[1] > 0]
    over = [move for move in moves if move[0] < 0 and move[1] == 0]
    up = [move for move in moves if move[0] == 0 and move[1] < 0]
    assert (len(down), len(over), len(up)) == (3, 3, 2)
    assert svg.count("stroke-dasharray") == 5


def test_nothing_that_was_written_into_records_breaks_the_svg() -> None:
    nasty = '</text><script>"&'
    failure = {"step": nasty, "type": nasty, "message": nasty}
    picture = RunPicture(run(run_id=nasty, saga=nasty, error=failure), [step(nasty, 1)])
    root = ElementTree.fromstring(picture.svg())
    assert not list(root.iter(f"{SPACE}script"))


def test_parts_of_the_svg_stay_on_its_sheet() -> None:
    root = ElementTree.fromstring(RunPicture(run(SagaState.FAILED, error=LOST), FAILED).svg())
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for card in root.iter(f"{SPACE}rect"):
        assert float(card.get("x", 0)) + float(card.get("width", "")) <= width
        assert float(card.get("y", 0)) + float(card.get("height", "")) <= height
    assert all(float(text.get("y", "")) < height for text in root.iter(f"{SPACE}text"))


def test_a_notebook_gets_text_html_and_svg() -> None:
    picture = RunPicture(run(), FAILED)
    forms = picture._repr_mimebundle_()
    assert list(forms) == ["text/plain", "text/html", "image/svg+xml"]
    assert forms["text/plain"] == str(picture)
    assert list(picture._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]
    assert "text/html" not in picture._repr_mimebundle_(exclude=["text/html"])
    assert repr(picture) == "<RunPicture of order · order-7 · compensated · 3.2 s>"


def test_the_same_records_give_the_same_bytes() -> None:
    assert RunPicture(run(), FAILED).svg() == RunPicture(run(), list(reversed(FAILED))).svg()


async def test_a_run_shows_itself_with_the_steps_that_were_not_begun() -> None:
    def fail(data: Any) -> None:
        raise ValueError("no")

    steps = [Step(lambda data: 1, name="a", compensation=lambda data: None), Step(fail, name="b")]
    async with Saga("s", [*steps, Step(lambda data: 2, name="c")], journal=MemoryJournal()) as saga:
        begun = await saga.start(run_id="one")
        await begun
        picture = await begun.show()
    lines = re.sub(r" +[\d.]+ ms", "", str(picture)).splitlines()
    assert lines == [
        "s · one · compensated ·",
        "├─ a  ✓ 1x   ◀── undone 1x",
        "├─ b  ✗ 1x   failed",
        "└─ c  · not begun",
        "because of b: ValueError: no",
    ]


def test_a_saga_before_any_run_of_it() -> None:
    def back(data: Any) -> None:
        """Undoes it."""

    paid = APIEndpoint(name="pay", url="https://secret.example.com/pay", method="POST")
    steps = [Step(paid, compensation=back), wait(5.0, name="pause"), wait_for("packed")]
    steps += [Step(back, name="close", pivot=True), Step(back, name="ship", retriable=True)]
    saga = Saga("order", steps)
    text = definition_svg(saga.definition, "orders <now>")
    labels = [label.text for label in ElementTree.fromstring(text).iter(f"{SPACE}text")]
    assert labels == [
        "orders <now>", "saga · 5 steps", "pay", "POST", "back", "undoes it", "pause", "wait", "packed",
        "waits for a signal", "close", "function · pivot", "ship", "function · retriable",
    ]  # fmt: skip
    assert "secret.example.com" not in text
