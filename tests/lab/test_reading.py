"""From what was recorded to a tape."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rxorch import APIOrchestrator
from rxorch.draw import record
from rxorch.errors import ApiConfigurationError
from rxorch.events import CallStarted
from rxorch.http import Request, Response
from rxorch.lab import Tape, TapedAttempt, TapedCall, tape_of
from rxorch.ledger import Ledger
from rxorch_operators.testing import run_virtual
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


def test_calls_without_an_end_and_those_of_which_half_was_heard_are_counted() -> None:
    plan = {1: (0.1, 503), 2: (0.1, 200), 3: (0.1, 200), 4: (0.1, 200)}
    events = recorded(QUICK, lambda _, number: plan[number], calls=3)
    began = [place for place, event in enumerate(events) if isinstance(event, CallStarted)]

    late = tape_of(events[began[0] + 1 :])
    early = tape_of(events[: began[2] + 1])

    assert (len(late.calls), late.left_out) == (2, 1)
    assert (len(early.calls), early.left_out) == (2, 1)


def test_a_recording_is_one_too() -> None:
    async def made() -> Tape:
        async with APIOrchestrator(QUICK, transport=Planned(lambda _, __: (0.1, 503))) as orchestrator:
            with record(orchestrator) as recording:
                result = await orchestrator.execute({"id": 1})
            tape = tape_of(recording)
            assert tape_of(result) == tape_of(recording.timeline()) == tape
        return tape

    tape = run_virtual(made())
    assert tape_of(tape) is tape
    assert [each.status for each in tape.calls[0].attempts] == [503, 503]
    assert repr(tape) == "<Tape of 1 calls of user>"


def test_how_long_a_server_asked_to_wait() -> None:
    async def made() -> Tape:
        async with APIOrchestrator(QUICK, transport=Busy()) as orchestrator:
            return tape_of(await orchestrator.execute({"id": 1}))

    class Busy(Planned):
        def __init__(self) -> None:
            super().__init__(lambda _, __: (0.1, 200))

        async def send(self, request: Request) -> Response:
            if self.sends == 0:
                self.sends += 1
                return Response(429, headers={"Retry-After": "7"})
            return await super().send(request)

    first, second = run_virtual(made()).calls[0].attempts
    assert first.retry_after is not None
    assert 7.0 <= first.retry_after < 14.0  # by chance a little longer
    assert second.retry_after is None


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
        (7, "not int"),
        ("events", "not str"),
        ([1, 2], "not tuple"),
        ([], "no call in it"),
        ((), "no call in it"),
    ],
)
def test_what_is_no_recording(wrong: Any, told: str) -> None:
    with pytest.raises(ApiConfigurationError, match=told):
        tape_of(wrong)


def test_a_call_that_a_cache_answers_has_no_attempts() -> None:
    given = config(cache_ttl=60.0, transform_input=lambda _: {"id": 1})

    first, second = tape_of(recorded(given, lambda _, __: (0.1, 200), calls=2)).calls

    assert first == TapedCall(
        "user", 0.0, pytest.approx(0.1), True, (TapedAttempt(0.0, pytest.approx(0.1), "ok", 200),)
    )
    assert (second.ok, second.attempts, second.cached) == (True, (), True)
