"""``rxorch saga`` as somebody types it, on journals that other processes have written."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from rxorch.cli.app import app
from rxorch.saga import NewRun, Saga, SagaState, SqliteJournal, StepRecord, StepStatus
from rxorch.saga.reading import reading
from tests.conftest import ServeLoopback

ROOT = Path(__file__).parents[2]
PATIENCE = 100

FLOW = """
import os
from rxorch import RetryPolicy
from rxorch.saga import Saga, Step, wait_for

def reserve(order):
    return {"card": "4242"}

def release(order):
    if os.environ.get("WAREHOUSE_IS_AWAY"):
        raise ConnectionError("the warehouse is away")

def charge(order):
    if order.get("poor"):
        raise ValueError("no money")
    return "paid"

def make(journal):
    return Saga("order", [Step(reserve, compensation=release), Step(charge)], journal=journal,
                undo=RetryPolicy(max_attempts=2, base=0.001))

order = make(None)
patient = Saga("patient", [Step(reserve, compensation=release), wait_for("never")])
number = 7

async def late(journal):
    return order

def with_more(journal, more):
    return order

def broken(journal):
    return 1 / 0

def other(journal):
    return number
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Done]


def environment(**more: str) -> dict[str, str]:
    known = {"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}", "PYTHONIOENCODING": "utf-8", "TZ": "UTC"}
    return {**os.environ, **known, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(FLOW)
    return tmp_path


@pytest.fixture
def command(folder: Path) -> Command:
    def run(*arguments: str, **more: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "rxorch", "saga", *arguments],
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env=environment(**more),
            timeout=PATIENCE,
        )
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same within this process, which is quicker: for commands that begin no loop of their own."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: str) -> Done:
        done = CliRunner().invoke(app, ["saga", *arguments], prog_name="rxorch")
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


def saga_in(folder: Path, attribute: str = "order") -> Saga:
    """The saga of the file, as the command loads it."""
    space: dict[str, Any] = {}
    exec(compile(FLOW, "shop.py", "exec"), space)
    found = space[attribute]
    assert isinstance(found, Saga)
    return found.with_journal(SqliteJournal(folder / "j.sqlite"))


async def leave(folder: Path, *names: str, attribute: str = "order", **data: Any) -> None:
    """Begins runs and leaves them to whoever comes."""
    saga = saga_in(folder, attribute)
    async with SqliteJournal(folder / "j.sqlite") as journal:
        for name in names:
            kept = json.dumps({"card": "4242", **data}).encode()
            new = NewRun(name, saga.name, saga.definition.fingerprint, kept, "ab" * 16)
            claim, _ = await journal.create(new, "somebody", 30)
            await journal.release(claim.lease)


@pytest.fixture
async def journal(folder: Path) -> Path:
    """A journal with a run that is completed and one that was undone."""
    async with saga_in(folder) as saga:
        await saga.execute({"card": "4242"}, run_id="good")
        await saga.execute({"card": "4242", "poor": True}, run_id="poor")
    return folder / "j.sqlite"


def state_of(folder: Path, run_id: str) -> SagaState:
    with reading(folder / "j.sqlite") as view:
        return view.run(run_id).state


def lines_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# -- reading -------------------------------------------------------------------------------------------


async def test_list_has_a_line_for_each_run(here: Command, folder: Path, journal: Path) -> None:
    await leave(folder, "left")
    done = here("list", "j.sqlite")
    rows = lines_of(done.out)
    assert (done.code, rows[0]) == (0, ["RUN", "SAGA", "STATE", "BEGAN", "TIME"])
    assert [row[:3] for row in rows[1:]] == [
        ["good", "order", "completed"],
        ["poor", "order", "compensated"],
        ["left", "order", "running"],
    ]
    assert rows[2][-4:] == ["charge:", "ValueError:", "no", "money"]
    assert rows[3][-3:] == ["nobody", "drives", "it"]
    assert done.err == "3 runs, 1 running, 1 completed, 1 compensated\n"


async def test_list_can_be_narrowed(here: Command, folder: Path, journal: Path) -> None:
    await leave(folder, "left")
    for options, names in (
        (["--saga", "order", "--state", "completed"], ["good"]),
        (["--saga", "other"], []),
        (["--limit", "2"], ["poor", "left"]),
    ):
        done = here("list", "j.sqlite", "--json", *options)
        assert [run["run_id"] for run in json.loads(done.out)] == names
    assert here("list", "j.sqlite", "--state", "lost").code == 2


def test_list_as_json_says_when_and_why(here: Command, journal: Path) -> None:
    done = here("list", "j.sqlite", "--json")
    (good, poor), err = json.loads(done.out), done.err
    assert (good["state"], good["error"], good["owner"], err) == ("completed", None, None, "")
    assert poor["error"] == {"step": "charge", "type": "ValueError", "message": "no money"}
    assert good["began"] <= good["changed"] and good["began"].endswith("+00:00")


def test_show_has_the_picture_and_the_history(here: Command, journal: Path) -> None:
    done = here("show", "j.sqlite", "poor")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0].startswith("order · poor · compensated · ")
    assert lines[1].startswith("├─ reserve  ✓ 1x") and "◀── undone 1x" in lines[1]
    assert lines[2].startswith("└─ charge   ✗ 1x") and lines[2].endswith("failed")
    assert lines[3] == "because of charge: ValueError: no money"
    assert ["driven", "once"] in lines_of(done.out)
    events = [row[2] for row in lines_of(done.out) if row and row[0].startswith("+")]
    assert events == [
        *("run.started", "step.started", "step.completed", "step.started", "step.failed"),
        *("run.compensating", "undo.started", "undo.completed", "run.compensated"),
    ]


def test_show_keeps_values_to_itself_unless_asked(here: Command, journal: Path) -> None:
    for options in ([], ["--json"]):
        assert "4242" not in here("show", "j.sqlite", "good", *options).out
    done = here("show", "j.sqlite", "good", "--values")
    for line in ('input {"card": "4242"}', 'reserve, result {"card": "4242"}', 'result "paid"'):
        assert line.split() in lines_of(done.out)
    document = json.loads(here("show", "j.sqlite", "poor", "--json", "--values").out)
    assert (document["input"], document["result"]) == ({"card": "4242", "poor": True}, None)
    assert document["steps"][0]["result"] == {"card": "4242"}
    assert [step["undo"] for step in document["steps"]] == [False, False, True]
    assert document["history"][-1]["kind"] == "run.compensated"


def test_show_without_unicode_is_ascii(command: Command, journal: Path) -> None:
    done = command("show", "j.sqlite", "poor", PYTHONIOENCODING="ascii")
    assert (done.code, done.out.isascii()) == (0, True)
    assert "<-- undone 1x" in done.out


async def test_show_says_who_drives_it(command: Command, folder: Path) -> None:
    saga = saga_in(folder)
    async with SqliteJournal(folder / "j.sqlite") as journal:  # open meanwhile
        await journal.create(NewRun("mine", "order", saga.definition.fingerprint, b"{}"), "me:1", 1e6)
        done = await asyncio.to_thread(command, "show", "j.sqlite", "mine")
    assert "now by me:1 (lease: 11 d" in done.out


def test_dead_letters_have_their_reason_and_the_next_step(command: Command, folder: Path) -> None:
    asyncio.run(leave(folder, "stuck", poor=True))
    assert command("dead-letters", "j.sqlite").err == "0 dead letters\n"
    command("resume", "shop.py:order", "j.sqlite", WAREHOUSE_IS_AWAY="1")
    done = command("dead-letters", "j.sqlite")
    assert "'reserve' could not be undone: ConnectionError: " in done.out
    assert done.err == "1 dead letter; next: rxorch saga retry FLOW j.sqlite RUN_ID\n"
    assert [run["run_id"] for run in json.loads(command("dead-letters", "j.sqlite", "--json").out)] == [
        "stuck"
    ]


# -- going on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", ["shop.py:order", "shop:order", "shop.py:make", "shop:make"])
async def test_resume_brings_all_runs_to_their_end(command: Command, folder: Path, flow: str) -> None:
    await leave(folder, "a", "b", "c")
    await leave(folder, "poor", poor=True)
    done = command("resume", flow, "j.sqlite", "--max-concurrent", "2")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == "4 runs, 3 completed, 1 undone, 0 failed"
    assert "4/4" in done.err
    assert [state_of(folder, name) for name in ("a", "poor")] == [SagaState.COMPLETED, SagaState.COMPENSATED]
    again = command("resume", flow, "j.sqlite")
    assert (again.code, again.err) == (0, "0 runs, 0 completed, 0 undone, 0 failed\n")


async def test_resume_tells_of_dead_letters_and_retry_ends_them(command: Command, folder: Path) -> None:
    await leave(folder, "good")
    await leave(folder, "stuck", poor=True)
    away = {"WAREHOUSE_IS_AWAY": "1"}
    done = command("resume", "shop.py:order", "j.sqlite", "--quiet", **away)
    assert done.code == 1
    assert done.err.startswith("stuck: failed: 'reserve' could not be undone: ConnectionError: ")
    assert done.err.rstrip().endswith("because of charge: ValueError: no money")
    assert len(done.err.splitlines()) == 1
    again = command("retry", "shop.py:order", "j.sqlite", "stuck", **away)
    assert (again.code, again.out.partition(": 'reserve'")[0]) == (1, "stuck: failed")
    last = command("retry", "shop.py:make", "j.sqlite", "stuck")
    assert (last.code, last.out, last.err) == (0, "stuck: compensated\n", "")
    assert state_of(folder, "stuck") is SagaState.COMPENSATED


async def test_resume_leaves_the_runs_of_other_steps_alone(command: Command, folder: Path) -> None:
    await leave(folder, "old-1", attribute="patient")
    async with SqliteJournal(folder / "j.sqlite") as journal:
        for number in range(3):
            claim, _ = await journal.create(NewRun(f"old-{number}", "order", "before", b"{}"), "me", 30)
            await journal.release(claim.lease)
    await leave(folder, "new-1", "new-2")
    done = command("resume", "shop.py:order", "j.sqlite", "--max-concurrent", "1")
    assert done.code == 1
    assert done.err.count("began with other steps") == 2
    assert done.err.splitlines()[-1] == "4 runs, 2 completed, 0 undone, 2 failed"
    assert state_of(folder, "new-2") is SagaState.COMPLETED
    assert state_of(folder, "old-2") is SagaState.RUNNING


async def test_resume_tells_of_runs_that_others_drive(command: Command, folder: Path) -> None:
    saga = saga_in(folder)
    async with SqliteJournal(folder / "j.sqlite") as journal:
        new = NewRun("theirs", "order", saga.definition.fingerprint, b"{}")
        claim, _ = await journal.create(new, "them", 1e6)
        done = await asyncio.to_thread(command, "resume", "shop.py:order", "j.sqlite")
        assert done.code == 1
        assert "1 driven by others (--wait goes on with them" in done.err
        assert state_of(folder, "theirs") is SagaState.RUNNING
        waiting = asyncio.create_task(
            asyncio.to_thread(command, "resume", "shop.py:order", "j.sqlite", "--wait")
        )
        await journal.release(claim.lease)
        done = await waiting
    assert (done.code, state_of(folder, "theirs")) == (0, SagaState.COMPLETED)


async def test_the_client_of_a_saga_is_closed(folder: Path, loopback: ServeLoopback) -> None:
    server = await loopback({"GET /a": {"ok": True}})
    code = "from rxorch import ApiClient, APIEndpoint\nfrom rxorch.saga import Saga\n"
    code += f"a = APIEndpoint(name='a', url='{server.url}/a')\nsaga = Saga('s', [a], client=ApiClient())\n"
    (folder / "calls.py").write_text(code)
    async with SqliteJournal(folder / "j.sqlite") as journal:
        space: dict[str, Any] = {}
        exec(code, space)
        new = NewRun("one", "s", space["saga"].definition.fingerprint, b"{}")
        await journal.release((await journal.create(new, "me", 30))[0].lease)
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-m", "rxorch", "saga", "resume", "calls.py:saga", "j.sqlite", "-q"),
        cwd=folder,
        env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await running.communicate()
    assert (running.returncode, server.hits["/a"]) == (0, 1)
    assert b"Unclosed" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_go_of_what_is_under_way(folder: Path, number: int) -> None:
    await leave(folder, "long", attribute="patient")
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rxorch", "saga", "resume", "shop.py:patient", "j.sqlite"),
        cwd=folder,
        env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    while b"in flight 1" not in (
        line := await running.stderr.readline()
    ):  # a line a second says how it stands
        assert line
    running.send_signal(number)
    _, err = await running.communicate()
    assert running.returncode == 128 + number
    assert b"stopping: what is under way can be resumed" in err
    assert b"Traceback" not in err
    with reading(folder / "j.sqlite") as view:
        run = view.run("long")
    assert (run.state, run.owner) == (SagaState.RUNNING, None)


# -- having one undone ---------------------------------------------------------------------------------


async def test_cancel_is_done_by_the_next_resume(command: Command, folder: Path, journal: Path) -> None:
    await leave(folder, "left")
    done = command("cancel", "j.sqlite", "left", "--reason", "a\x1bwrong size")
    assert (done.code, done.err) == (0, "")
    assert "asked for; the next 'rxorch saga resume' undoes it" in done.out
    assert command("cancel", "j.sqlite", "left").code == 0
    assert "a\ufffdwrong size" in command("show", "j.sqlite", "left").out
    assert command("resume", "shop.py:order", "j.sqlite", "-q").code == 0
    assert state_of(folder, "left") is SagaState.COMPENSATED


async def test_cancel_of_a_run_that_somebody_drives(command: Command, folder: Path) -> None:
    async with saga_in(folder, "patient") as saga:
        run = await saga.start({}, run_id="long")
        done = await asyncio.to_thread(command, "cancel", "j.sqlite", "long")
        assert done.code == 0
        assert ", who drives it, undoes it" in done.out
        await saga.cancel("long")  # it would hear of it, too, when it renews its lease
        assert (await run).state is SagaState.COMPENSATED


@pytest.mark.parametrize(("name", "code", "state"), [("good", 1, "completed"), ("poor", 0, "compensated")])
def test_cancel_of_what_is_over(command: Command, journal: Path, name: str, code: int, state: str) -> None:
    done = command("cancel", "j.sqlite", name)
    assert (done.code, done.out) == (code, "")
    assert done.err == f"rxorch: the run {name!r} is over: it is {state}\n"


# -- what is wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "none.sqlite"], "there is no journal 'none.sqlite'"),
        (["show", "none.sqlite", "good"], "there is no journal 'none.sqlite'"),
        (["cancel", "none.sqlite", "good"], "there is no journal 'none.sqlite'"),
        (["resume", "shop.py:order", "none.sqlite"], "there is no journal 'none.sqlite'"),
        (["list", "shop.py"], "the journal 'shop.py' cannot be used"),
        (["show", "j.sqlite", "none"], "there is no run 'none' in the journal 'j.sqlite'"),
        (["cancel", "j.sqlite", "none"], "there is no run 'none' in the journal 'j.sqlite'"),
        (["retry", "shop.py:order", "j.sqlite", "none"], "there is no run 'none'"),
        (["retry", "shop.py:order", "j.sqlite", "good"], "the run 'good' is no dead letter: it is completed"),
        (["retry", "shop.py:patient", "j.sqlite", "good"], "run 'good' is of saga 'order', not of 'patient'"),
        (["resume", "shop.py:none", "j.sqlite"], "there is no 'none'; there are 'order', 'patient'"),
        (["resume", "shop.py", "j.sqlite"], "which one? There are 'order', 'patient'"),
        (["resume", "none.py:order", "j.sqlite"], "there is no file 'none.py'"),
        (["resume", "order", "j.sqlite"], "'order' names no saga: give 'module:attribute' or"),
        (["resume", "shop.py:number", "j.sqlite"], "'shop.py:number' is a int; give a Saga, or a function"),
        (["resume", "shop.py:other", "j.sqlite"], "'shop.py:other' is a int; give a Saga, or a function"),
        (["resume", "shop.py:late", "j.sqlite"], "is an async function"),
        (["resume", "shop.py:with_more", "j.sqlite"], "cannot be called with a journal alone"),
        (["resume", "shop.py:broken", "j.sqlite"], "ZeroDivisionError: division by zero"),
    ],
)
def test_mistakes_are_one_line(here: Command, journal: Path, arguments: list[str], message: str) -> None:
    done = here(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("rxorch: ")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not (journal.parent / "none.sqlite").exists()


def test_show_writes_the_picture(here: Command, folder: Path, journal: Path) -> None:
    done = here("show", "j.sqlite", "poor", "--svg", "run.svg")
    assert done.code == 0 and "undone" in done.out
    assert (folder / "run.svg").read_text(encoding="utf-8").startswith("<svg")
    refused = here("show", "j.sqlite", "poor", "--svg", "nowhere/run.svg")
    assert (refused.code, refused.out) == (2, "")
    assert "cannot use 'nowhere/run.svg'" in refused.err


async def test_show_has_the_steps_of_a_dead_letter_that_is_to_be_tried_again(
    here: Command, folder: Path
) -> None:
    async with SqliteJournal(folder / "j.sqlite") as journal:
        claim, _ = await journal.create(NewRun("r", "order", "f", b"{}"), "me", 30)
        failed = StepRecord("ship", False, StepStatus.FAILED, 3, "r:ship", 1, 2)
        await journal.write(claim.lease, [failed], SagaState.FAILED)
        await journal.reopen("r")
    assert "ship  · to be tried again" in here("show", "j.sqlite", "r").out


def test_prune_deletes_what_is_over(here: Command, folder: Path, journal: Path) -> None:
    kept = here("prune", "j.sqlite", "--older-than", "0")
    assert kept.out == (
        "0 runs deleted; those with unpublished events stay (--unpublished deletes them, too)\n"
    )
    young = here("prune", "j.sqlite", "--older-than", "1", "--unpublished")
    assert young.out == "0 runs deleted\n"
    done = here("prune", "j.sqlite", "--older-than", "0", "--unpublished")
    assert (done.code, done.out) == (0, "2 runs deleted\n")
    with reading(folder / "j.sqlite") as view:
        assert not any(run.state in (SagaState.COMPLETED, SagaState.COMPENSATED) for run in view.latest())


def test_without_a_command_the_commands_are_told(here: Command) -> None:
    done = here("--help")
    assert done.code == 0
    for name in ("list", "show", "dead-letters", "resume", "cancel", "retry", "prune"):
        assert name in done.out


def test_sagas_cost_no_other_command_a_start(folder: Path) -> None:
    code = "import sys, rxorch.cli.app; print('rxorch.saga' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment())
    assert done.stdout == b"False\n"
