"""Texts without their secrets: by look, by name, in urls, and in the repr of records that have an error."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rxorch.events as ev
from rxorch import ApiHttpError, Outcome, OutcomeStatus
from rxorch.http.masking import error_text, masked, without_secrets
from rxorch.ledger.records import LedgerRecord
from rxorch.saga import SagaResult, SagaState
from rxorch.saga.records import RunRecord, StepRecord, StepStatus
from rxorch.stream import Run

SECRET = "s3cret-hunter2"
SAID = f"refused: token={SECRET} for https://me:{SECRET}@api.example.com/x?api_key={SECRET}"
ERROR = ValueError(SAID)
TOLD = {"type": "ValueError", "message": SAID}
AT: dict[str, Any] = {"at": 1.0, "run": "run-1", "endpoint": "pay", "call": 1}

RECORDS = [
    Run(7, {"id": SECRET}, False, None, ERROR, 0.5, key="order-7"),
    Outcome(OutcomeStatus.FAILED, SECRET, ERROR, 3),
    Outcome(OutcomeStatus.SKIPPED, reason=f"pay failed: {SAID}"),
    SagaResult("order-7", SagaState.FAILED, SECRET, TOLD),
    StepRecord("pay", False, StepStatus.FAILED, 3, "a-key", 1, 2, error=TOLD),
    RunRecord("order-7", "order", "f", SagaState.FAILED, b"", None, TOLD, "t", 1.0, 2.0, 1, None, 3.0),
    LedgerRecord("order-7", 7, SECRET, "failed", None, False, TOLD, {}, 3, 0.5, 1.0, 2.0, 1),
    ev.CallFinished(**AT, status="failed", duration=0.1, error=ERROR),
    ev.AttemptFailed(**AT, attempt=1, error=ERROR, duration=0.1),
    ev.RetryWaiting(**AT, attempt=1, wait=0.1, error=ERROR),
    ev.RetryBudgetExhausted(**AT, attempt=1, error=ERROR),
    ev.StepFinished(**AT, status="failed", duration=0.1, error=ERROR),
    ev.RunFinished(**AT, status="failed", duration=0.1, error=ERROR),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_no_record_shows_a_secret_of_its_error(record: Any) -> None:
    said = repr(record)
    assert said.startswith(f"{type(record).__name__}(") and "refused: token=***" in said
    assert SECRET not in said and SECRET not in f"{record}" and "api.example.com/x?api_key=***" in said


def test_a_record_is_printed_as_any_other() -> None:
    run = Run(7, {}, True, None, None, 0.5, key="order-7", started=1.5)
    assert repr(run) == "Run(index=7, ok=True, error=None, duration=0.5, key='order-7', started=1.5)"
    failed = Run(7, {}, False, None, ApiHttpError(404), key=(1, "a"))
    assert repr(failed) == (
        "Run(index=7, ok=False, error=ApiHttpError('HTTP 404'), duration=0.0, key=(1, 'a'), started=0.0)"
    )
    assert pickle.loads(pickle.dumps(run)) == run


def test_an_error_that_cannot_be_printed_spoils_no_record() -> None:
    class Mute(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    assert "error=Mute(...)" in repr(Run(0, {}, False, None, Mute()))
    assert error_text(Mute()) == "Mute"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"password='{SECRET} and more', id=7", "password='***', id=7"),
        (f'{{"token": "{SECRET}"}}', '{"token": "***"}'),
        (f"token='{SECRET} cut", "token='*** cut"),
        (f"(secret={SECRET})", "(secret=***)"),
        (f"token: Bearer {SECRET}, again", "token: ***, again"),
        (f"redis://:{SECRET}@cache/0 is gone", "redis://***@cache/0 is gone"),
        (f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END", "***"),
        ("oauth://login was refused", "oauth://login was refused"),
        ("the key to success", "the key to success"),
        ("user=7, id: 12 at\n 12:30", "user=7, id: 12 at\n 12:30"),
        ("https://api.example.com/users/7?page=2", "https://api.example.com/users/7?page=2"),
    ],
)
def test_secrets_go_and_all_else_stays(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@given(
    st.text(max_size=40),
    st.sampled_from(["token=", "'api_key': '", 'password="', "Authorization: Bearer ", "https://me:"]),
    st.sampled_from(["", "'", '"', "@host/x", " "]),
    st.text(max_size=40),
)
def test_whatever_stands_around_a_secret_it_is_hidden(before: str, name: str, close: str, after: str) -> None:
    if name == "https://me:":
        close = "@host/"
    text = f"{before} {name}{SECRET}{close} {after}"
    assert SECRET not in without_secrets(text) and SECRET not in masked(text)


def test_a_long_text_is_read_in_time_that_grows_with_it() -> None:
    for text in ("a=" * 50_000, "'" * 100_000, "token='" * 20_000, "x://" * 30_000, "." * 100_000):
        assert len(without_secrets(text)) <= 4 * len(text)


def test_who_prints_nothing_loads_none_of_it() -> None:
    code = "import sys, rxorch; sys.exit('rxorch.http.masking' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
