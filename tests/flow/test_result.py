"""What a run gives back: a read-only mapping with the facts beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rxorch import OrchestrationResult, Outcome, OutcomeStatus, parallel, pipeline, sequential
from rxorch.errors import ApiDependencyError
from rxorch_operators.testing import virtual_time
from tests.flow.spies import run
from tests.support.fake_transport import api, apis, in_turn


def mixed() -> OrchestrationResult:
    """One endpoint for each way to end."""
    gone = LookupError("gone")
    return OrchestrationResult(
        {
            "ok": Outcome(OutcomeStatus.OK, {"id": 7}),
            "handled": Outcome(OutcomeStatus.OK, "instead", LookupError(), degraded=True),
            "failed": Outcome(OutcomeStatus.FAILED, None, gone),
            "skipped": Outcome(OutcomeStatus.SKIPPED, reason="its condition does not hold"),
            "spoilt": Outcome(OutcomeStatus.SKIPPED, error=ApiDependencyError(), reason="'failed' failed"),
            "cancelled": Outcome(OutcomeStatus.CANCELLED),
            "unknown": Outcome(OutcomeStatus.UNKNOWN, None, TimeoutError()),
        },
        value="the last",
    )


def test_it_is_a_mapping_of_all_names_in_order() -> None:
    result = mixed()
    assert isinstance(result, Mapping)
    assert list(result) == ["ok", "handled", "failed", "skipped", "spoilt", "cancelled", "unknown"]
    assert list(result.values()) == [{"id": 7}, "instead", None, None, None, None, None]
    assert len(result) == 7
    assert "failed" in result and "nobody" not in result
    assert result.get("nobody", "x") == "x"
    assert {**result}["ok"] == {"id": 7}


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(KeyError, match="nobody"):
        mixed()["nobody"]


@pytest.mark.parametrize(
    "change", [lambda r: r.__setitem__("a", 1), lambda r: r.pop("ok"), lambda r: r.clear()]
)
def test_it_cannot_be_changed(change: Any) -> None:
    with pytest.raises(AttributeError):
        change(mixed())


def test_errors_are_those_that_nobody_handled() -> None:
    assert list(mixed().errors) == ["failed", "unknown"]
    assert isinstance(mixed().errors["unknown"], TimeoutError)


def test_skipped_gives_the_reasons() -> None:
    assert mixed().skipped == {"skipped": "its condition does not hold", "spoilt": "'failed' failed"}


@pytest.mark.parametrize(
    ("status", "ok"),
    [
        (OutcomeStatus.OK, True),
        (OutcomeStatus.SKIPPED, True),
        (OutcomeStatus.FAILED, False),
        (OutcomeStatus.CANCELLED, False),
        (OutcomeStatus.UNKNOWN, False),
    ],
)
def test_ok_means_that_nothing_was_lost(status: OutcomeStatus, ok: bool) -> None:
    assert OrchestrationResult({"a": Outcome(status)}).ok is ok


def test_an_empty_result_is_fine() -> None:
    empty = OrchestrationResult({})
    assert empty.ok and len(empty) == 0 and empty.value is None and empty.errors == {}


def test_its_picture_in_text_holds_no_values() -> None:
    result = OrchestrationResult(
        {"a": Outcome(OutcomeStatus.OK, "canary"), "b": Outcome(OutcomeStatus.FAILED)}, duration=0.0123
    )
    assert repr(result) == "<OrchestrationResult a=ok, b=failed; 12 ms>"
    assert "empty" in repr(OrchestrationResult({}))


def test_the_outcomes_are_its_own() -> None:
    outcomes = {"a": Outcome(OutcomeStatus.OK, 1)}
    result = OrchestrationResult(outcomes)
    outcomes.clear()
    assert result["a"] == 1


def test_an_outcome_is_ok_with_a_substitute_too() -> None:
    assert Outcome(OutcomeStatus.OK, 1, degraded=True).ok
    assert not Outcome(OutcomeStatus.SKIPPED).ok
    assert str(OutcomeStatus.OK) == "ok"


async def test_the_value_is_the_last_steps() -> None:
    assert (await run(sequential(*apis("ab")))).value == "<b>"
    assert (await run(parallel(api("a", depends_on=["b"]), api("b")))).value == "<b>"
    assert (await run(pipeline(*apis("ab")))).value == "<b>"


@virtual_time
async def test_times_are_seconds_from_the_start_of_the_run() -> None:
    waiting = {"retry_delay": 5.0, "retry_jitter": "none"}
    flow = sequential(api("a"), api("b", **waiting), api("c"))
    result = await run(flow, {}, {"b": in_turn(503, {})})
    times = [(outcome.started, outcome.duration, outcome.attempts) for outcome in result.outcomes.values()]
    assert times == [(0.0, 0.0, 1), (0.0, 5.0, 2), (5.0, 0.0, 1)]
    assert result.duration == 5.0
    assert result.run
