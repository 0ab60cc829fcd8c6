"""The score that `dev.py mutate` prints, from verdicts as mutmut leaves them. mutmut is not run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import mutation


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mutation, "STAGE", tmp_path / "mutation")
    mutation.stage()
    return tmp_path / "mutation"


def leave(stage: Path, engine: str, *codes: int | None) -> None:
    path = stage / "mutants" / mutation.ENGINES / f"{engine}.py.meta"
    path.parent.mkdir(parents=True, exist_ok=True)
    verdicts = {f"{engine}.{number}": code for number, code in enumerate(codes)}
    path.write_text(json.dumps({"exit_code_by_key": verdicts}))


def test_mutmut_finds_the_package_where_it_looks_for_it(stage: Path) -> None:
    engines = {path.name for path in (stage / mutation.ENGINES).glob("*.py")}
    assert {"circuit.py", "gcra.py"} <= engines


@pytest.mark.parametrize(("noticed", "code"), [(20, 0), (17, 0), (16, 1), (0, 1)])
def test_an_engine_below_the_least_score_fails(stage: Path, noticed: int, code: int) -> None:
    leave(stage, "good", 1, 1, 1)
    leave(stage, "other", *[1] * noticed, *[0] * (20 - noticed))
    assert mutation.report(["good", "other"]) == code


@pytest.mark.parametrize(("verdict", "code"), [(3, 0), (-24, 0), (33, 1), (None, 1), (2, 1)])
def test_an_endless_loop_is_noticed_and_a_change_without_tests_is_not(
    stage: Path, verdict: int | None, code: int
) -> None:
    leave(stage, "engine", verdict)
    assert mutation.report(["engine"]) == code


def test_what_was_not_noticed_is_named(stage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(stage, "engine", *[1] * 9, 0)
    leave(stage, "declarations")
    assert mutation.report(["engine", "declarations"]) == 0
    told = capsys.readouterr().out
    assert "90.0%" in told
    assert "engine.9" in told
    assert "declarations" not in told


def test_a_run_without_verdicts_is_no_success(stage: Path) -> None:
    leave(stage, "engine")
    assert mutation.report(["engine"]) == 1


def test_an_engine_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        mutation.main(["circiut"])
    assert "no such engine: circiut; there are backoff, " in capsys.readouterr().err
