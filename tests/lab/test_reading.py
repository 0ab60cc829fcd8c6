"""From what was recorded to a tape."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rxorch import APIOrchestrator
from rxorch.errors import ApiConfigurationError
from rxorch.events import CallStarted
from rxorch.lab import Tape, TapedAttempt, TapedCall, tape_of
from rxorch.ledger import Ledger
from tests.lab.recorded import Planned, config, recorded

QUICK = config(retry_count=1, retry_delay=0.5, retry_jitter="none", timeout=2.0)


def test_attempts_have_their_times_and_ends() -> None:
    plan = {1: (0.1, 200), 2: (0.2, 503), 3: (0.3, 200), 4: (9.0, 200), 5: (9.0, 200)}
    tape = tape_of(recorded(QUICK, lambda _, number: plan[number], calls=3, every=2.0))

    first, second, third = tape.calls
    assert (first.at, first.ok, [each.kind for each in first.attempts]) == (0.0, True, ["ok"])
    assert second.at == 2.0
    assert second.attempts[0] == TapedAttempt(2.0, pytest.approx(0.2), "status", 503)
    assert second.attempts[1].at == pytest.approx(2.0 + 0.2 + 0.5)
    assert (second.attempts[1].kind, second.attempts[1].duration) == ("ok", pytest.approx(0.3))
    assert (third.ok, [each.kind for each in third.attempts]) == (False, ["cut", "cut"])
    assert third.attempts[0].duration == pytest.approx(2.0)
    assert third.duration == pytest.approx(2.0 + 0.5 + 2.0)


def test_calls_without_a_beginning_or_an_end_are_counted() -> None:
    events = recorded(QUICK, lambda _, __: (0.1, 200), calls=3)
    began = [place for place, event in enumerate(events) if isinstance(event, CallStarted)]

    late = tape_of(events[began[0] + 1 :])
    early = tape_of(events[: began[2] + 1])

    assert (len(late.calls), late.left_out) == (2, 1)
    assert (len(early.calls), early.left_out) == (2, 1)


def test_a_recording_is_whatever_has_events() -> None:
    class Recording:
        events = recorded(QUICK, lambda _, __: (0.1, 200), calls=2)

    tape = tape_of(Recording())
    assert tape_of(tape) is tape
    assert repr(tape) == "<Tape of 2 calls of user>"


async def test_a_ledger_tells_how_many_attempts_there_were(tmp_path: Path) -> None:
    statuses = {1: 503, 2: 200, 3: 404}
    given = config(retry_count=1, retry_delay=0.0)
    upstream = Planned(lambda _, number: (0.0, statuses[number]))
    made = APIOrchestrator(given, transport=upstream)
    async with made, made.stream([{"id": 1}, {"id": 2}], max_concurrent=1, ledger=tmp_path / "l") as runs:
        assert [run.ok async for run in runs] == [True, False]
    with closing(Ledger(tmp_path / "l")) as ledger:
        tape = tape_of(ledger.records())

    assert [(call.ok, [each.kind for each in call.attempts]) for call in tape.calls] == [
        (True, ["status", "ok"]),
        (False, ["status"]),
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (7, "a int has no events"),
        ("events", "a str has no events"),
        ({"events": []}, "a dict has no events"),
        ([], "no call in it"),
        ([1, 2], "give events"),
        (Tape(()), None),
    ],
)
def test_what_is_no_recording(wrong: Any, told: str | None) -> None:
    if told is None:
        assert tape_of(wrong) is wrong
        return
    with pytest.raises(ApiConfigurationError, match=told):
        tape_of(wrong)


def test_a_call_that_a_cache_answers_has_no_attempts() -> None:
    given = config(cache_ttl=60.0, transform_input=lambda _: {"id": 1})

    first, second = tape_of(recorded(given, lambda _, __: (0.1, 200), calls=2)).calls

    assert first == TapedCall(
        "user", 0.0, pytest.approx(0.1), True, (TapedAttempt(0.0, pytest.approx(0.1), "ok", 200),)
    )
    assert (second.ok, second.attempts, second.cached) == (True, (), True)
