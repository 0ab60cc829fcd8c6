"""The page about runs of sagas: what it says, what it holds back, and that it stays small."""

from __future__ import annotations

import base64
import re
from html import unescape
from pathlib import Path

import pytest

from rxorch import ApiConfigurationError
from rxorch.saga import AuditEvent, SagaState, StepStatus
from rxorch.saga.reporting import RunsReport, RunTold
from tests.draw.checked import Checked
from tests.saga.test_picture import run, step

SECRET = "s3cret-hunter2"
LOST = {
    "step": "ship",
    "type": "ApiHttpError",
    "message": f"HTTP 422 [endpoint 'ship', https://me:{SECRET}@api.example.com/x?token={SECRET}]",
}
STEPS = [
    step("charge", 1, attempt=2),
    step("ship", 3, StepStatus.FAILED, error=LOST),
    step("charge", 5, undo=True, attempt=3),
]


def event(number: int, kind: str, **data: object) -> AuditEvent:
    return AuditEvent(number, "order-7", "order", 100.0 + number, kind, data)


def told(state: SagaState = SagaState.COMPENSATED, number: int = 7, took: float = 3.2) -> RunTold:
    lost = state is not SagaState.COMPLETED
    history = [
        event(0, "run.started", generation=1),
        event(2, "step.failed", step="ship", attempt=1, error=LOST),
        event(3, "run.cancel_requested", reason=f"password={SECRET}"),
    ]
    made = run(state, run_id=f"order-{number}", error=LOST if lost else None, changed=100.0 + took)
    return RunTold(made, STEPS if lost else STEPS[:1], history, ("charge", "ship", "mail"))


def page_of(*runs: RunTold, title: str | None = None) -> str:
    page = RunsReport(title)
    for each in runs:
        page.add(each)
    return page.html()


def opened(card: str) -> str:
    """A card with its pictures as they are."""
    return re.sub(r'base64,([^"]+)"', lambda found: base64.b64decode(found[1]).decode(), card)


def words_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_one_run_is_told_from_its_picture_to_its_last_event() -> None:
    page = page_of(told())
    said = words_of(page)
    for part in (
        "it is undone, after 3.2 s",
        "2 steps begun",
        "1 steps undone",
        "6 attempts",
        "charge ✓ done + 0 ms 2 12 ms undone + 0 ms 3 12 ms",
        "ship ✗ failed + 0 ms 1 12 ms ApiHttpError: HTTP 422 [endpoint 'ship', https://***@api.example.com",
        "mail not begun",
        "+ 0 ms run.started lease 1",
        "+ 2 s step.failed ship 1 ship: ApiHttpError",
        "run.cancel_requested password=***",
    ):
        assert part in said, part
    assert page.count("<svg") == 1 and "Why runs were undone" not in said


def test_many_runs_are_summed_up_and_a_few_are_told() -> None:
    states = [SagaState.COMPLETED] * 6 + [SagaState.COMPENSATED] * 3 + [SagaState.FAILED]
    runs = [told(state, number, 1.0 + number) for number, state in enumerate(states)]
    said = words_of(page_of(*runs, title=f"orders token={SECRET}"))
    for part in (
        "orders token=*** ✗ of 10 runs 6 completed, 3 undone, 1 dead letter",
        "10 runs 6 completed 3 undone 1 dead letters 14 steps begun 4 steps undone",
        "cause runs of all ship: 422 4 40 %",
        "charge 10 10 20 12 ms 12 ms 4 12 ship 4 4 4 12 ms 12 ms mail 0",
        "Dead letters order · order-9 · failed · 10 s · ship: 422",
        "The first run that was undone for each cause order · order-6 · compensated · 7 s",
        "The slowest runs order · order-8 ·",
    ):
        assert part in said, part
    assert said.count("· order-9 · failed") == 1  # it is among the slowest, too


@pytest.mark.parametrize("number", [1, 3])
def test_it_holds_no_secret_no_value_and_no_script_and_needs_nothing_else(number: int) -> None:
    page = page_of(*(told(number=each) for each in range(number)))
    assert SECRET not in page and "4242" not in page
    assert "<script" not in page and "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=\"?https?:", page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 0


def test_names_cannot_break_the_page() -> None:
    evil = '<img src=x onerror=alert(1)>"\x1b\u202e'
    lost = {"step": evil, "type": evil, "message": evil, "undo": evil}
    bad = run(SagaState.FAILED, run_id=evil, saga=evil, error=lost)
    steps = [step(evil, 1, StepStatus.FAILED, error=lost), step(evil, 2, undo=True, error=lost)]
    one = RunTold(bad, steps, [event(1, evil, step=evil, error=lost, name=evil, reason=evil)], (evil,))
    for page in (page_of(one, title=evil), page_of(one, one), page_of(one)):
        assert "<img" not in page and "\x1b" not in page and "\u202e" not in page


def test_it_does_not_grow_with_the_number_of_runs() -> None:
    few, many = (
        page_of(
            *(told(SagaState(state), each) for each in range(number) for state in ("compensated", "failed"))
        )
        for number in (50, 500)
    )
    assert len(many) < len(few) + 2_000
    steps = [step(f"step-{each}", each) for each in range(1_000)]
    told_long = RunTold(run(), steps, [event(each, "run.resumed") for each in range(5_000)])
    page = page_of(told_long, told_long)
    assert "4,800 earlier events are left out" in page and "… 950 more" in page


def test_no_run_and_runs_that_go_on() -> None:
    assert "there is no run" in page_of()
    assert "it is cancel requested" in page_of(told(SagaState.CANCEL_REQUESTED))
    said = words_of(page_of(told(SagaState.RUNNING, 1), told(SagaState.COMPLETED, 2)))
    assert "– of 2 runs 1 completed, 0 undone, 1 not over" in said  # noqa: RUF001 - a dash


def test_it_is_saved_as_html_alone(tmp_path: Path) -> None:
    page = RunsReport()
    page.add(told())
    assert page.save(tmp_path / "out.html").read_text(encoding="utf-8") == page.html()
    with pytest.raises(ApiConfigurationError, match=r"there are \.html"):
        page.save(tmp_path / "out.pdf")
    assert repr(page) == "<RunsReport of 1 runs>"


def test_a_notebook_shows_it_as_a_card_that_needs_no_trust() -> None:
    states = [SagaState.COMPLETED] * 6 + [SagaState.COMPENSATED] * 3 + [SagaState.FAILED]
    page = RunsReport(f"orders token={SECRET}")
    for number, state in enumerate(states):
        page.add(told(state, number, 1.0 + number))
    forms = page._repr_mimebundle_()
    card = Checked(forms["text/html"])
    assert (card.wrong, card.open) == ([], [])
    said = " ".join(card.text.split())
    assert "orders token=***" in said and "of 10 runs 6 completed, 3 undone, 1 dead letter" in said
    assert "ship: 422 4 40 %" in said and "order · order-9 · failed · 10 s" in said
    assert forms["text/html"].count("<img") == 3
    assert forms["text/plain"] == page.text() == str(page)
    assert (
        "✗ of 10 runs 6 completed" in page.text()
        and "order · order-9 · failed · 10 s\n├─ charge" in page.text()
    )
    assert SECRET not in page.text() and SECRET not in opened(forms["text/html"])
    assert list(page._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]


def test_the_card_of_one_run_has_its_picture_and_that_is_all() -> None:
    page = RunsReport()
    assert "there is no run" in page.text() and Checked(page._repr_mimebundle_()["text/html"]).wrong == []
    page.add(told())
    shown = page._repr_mimebundle_()["text/html"]
    assert shown.count("<img") == 1 and "<table" not in shown and SECRET not in opened(shown)
    assert page.text().splitlines()[:2] == ["order · order-7", "– it is undone, after 3.2 s"]  # noqa: RUF001
