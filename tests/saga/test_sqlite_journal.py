"""The file of a journal: who may have it, what it is, and what happens when it cannot be written."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rxorch.errors import ApiConfigurationError
from rxorch.saga import Heard, JournalError, LeaseLostError, SagaState, SqliteJournal, StepStatus
from rxorch.saga.sqlite_schema import APPLICATION_ID, MIGRATIONS, OUTBOX, RUNS_OF_STATE, UNCLAIMED
from rxorch.storage import SqliteFile
from tests.saga.journals import begin, new, step, told

PROGRAM = """
import asyncio, sys
from rxorch.saga import JournalError, SqliteJournal
from tests.saga.journals import begin, step
path, name = sys.argv[1:]
def hear():
    return asyncio.to_thread(sys.stdin.readline)
def say(*words):
    print(*words, flush=True)
"""
"""What a program of a test begins with that talks with the test by lines."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sagas.sqlite"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(path, durable=False, busy_timeout=0.01) as made:
        yield made


class Program:
    """Another process."""

    def __init__(self, text: str, path: Path, name: str = "order-1") -> None:
        command = [sys.executable, "-c", PROGRAM + text, str(path), name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    async def line(self) -> str:
        """The next that it says."""
        assert self.process.stdout is not None
        return (await asyncio.to_thread(self.process.stdout.readline)).rstrip("\n")

    def tell(self) -> None:
        """Has it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    async def ended(self) -> int:
        """How it ended."""
        code = await asyncio.to_thread(self.process.wait)
        self.process.__exit__(None, None, None)
        return code


# -- several processes ---------------------------------------------------------------------------------


BUSY = """
async def main():
    say("ready")
    await hear()
    async with SqliteJournal(path, durable=False) as journal:
        lease = await begin(journal, name)
        for n in range(1, 101):
            await journal.write(lease, [step(attempt=n)])
asyncio.run(main())
"""


async def test_several_processes_make_and_write_one_file_at_once(path: Path) -> None:
    programs = [Program(BUSY, path, name) for name in ("one", "two", "three")]
    assert [await program.line() for program in programs] == ["ready"] * 3
    for program in programs:
        program.tell()
    async with SqliteJournal(path, durable=False) as journal:
        lease = await begin(journal)
        await asyncio.gather(*(journal.write(lease, [step(attempt=n)]) for n in range(1, 101)))
        for program in programs:
            assert await program.ended() == 0
        for run_id in ("one", "two", "three", "order-1"):
            attempts = [data["attempt"] for _, data in (await told(journal, run_id))[1:]]
            assert attempts == list(range(1, 101))
        numbers = [event.number for event in await journal.outbox(limit=1_000)]
        assert numbers == list(range(1, 405))


STAYS = """
async def main():
    async with SqliteJournal(path) as journal:
        lease = await begin(journal, name)
        await journal.write(lease, [step()])
        say("written")
        await hear()
asyncio.run(main())
"""


async def test_what_was_written_outlives_the_kill_of_its_process(path: Path) -> None:
    program = Program(STAYS, path)
    assert await program.line() == "written"
    async with SqliteJournal(path) as journal:  # while the other has it open
        assert await journal.steps("order-1") == [step()]
        program.process.kill()
        assert await program.ended() == -signal.SIGKILL
        claim = await journal.claim("order-1", "me", 30.0)
        assert claim is not None and claim.steps == (step(),)
        await journal.write(claim.lease, state=SagaState.COMPLETED)


async def test_the_lease_of_one_process_fences_another(path: Path) -> None:
    program = Program(STAYS, path)
    assert await program.line() == "written"
    async with SqliteJournal(path, now=lambda: 9e12) as journal:
        assert await journal.unclaimed("order") == ["order-1"]
        old, _ = await journal.create(new(), "me", 30.0)
        claim = await journal.claim("order-1", "you", 30.0)
        assert claim is not None
        with pytest.raises(LeaseLostError):
            await journal.write(old.lease)
        program.tell()
        assert await program.ended() == 0
        assert await journal.write(claim.lease) == Heard(SagaState.RUNNING, 0)


async def test_a_copy_of_the_process_is_told_that_the_journal_is_not_open(
    journal: SqliteJournal, path: Path
) -> None:
    lease = await begin(journal)
    child = os.fork()
    if child == 0:
        code = 0
        try:
            journal.post(lease, step())
        except JournalError:
            code = 7
        finally:
            os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert await journal.steps("order-1") == []


# -- which file ----------------------------------------------------------------------------------------


async def test_the_file_is_for_its_owner_alone_and_has_no_lock(journal: SqliteJournal, path: Path) -> None:
    await begin(journal)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(["sagas.sqlite", "sagas.sqlite-wal", "sagas.sqlite-shm"], 0o600)


async def test_a_file_says_what_it_is(journal: SqliteJournal, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0x7278_736A,)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()


async def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch()
    async with SqliteJournal(path) as journal:
        await begin(journal)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE mine (x)", "is no journal: it holds something else"),
        ("PRAGMA application_id=77", "is no journal: it holds something else"),
        (
            f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=99",
            "was written by a newer rxorch",
        ),
    ],
)
async def test_a_file_of_something_else_or_something_newer_is_left_alone(
    path: Path, statement: str, message: str
) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(statement)
    connection.close()
    before = path.read_bytes()
    journal = SqliteJournal(path)
    for _ in range(2):
        with pytest.raises(JournalError, match=message):
            await journal.open()
    assert path.read_bytes() == before
    with pytest.raises(JournalError, match="is not open"):
        await journal.run("order-1")


async def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("no database at all, " * 100)
    with pytest.raises(JournalError, match="it is damaged, or no SQLite file"):
        await SqliteJournal(path).open()


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"the journal .* cannot be made: No such file or directory"):
        await SqliteJournal(tmp_path / "nowhere" / "sagas.sqlite").open()


async def test_two_that_make_the_file_at_once_make_it_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SqliteFile(path, "journal", APPLICATION_ID, MIGRATIONS, shared=True).connect()
    for kind, name in other.execute("SELECT type, name FROM sqlite_master WHERE sql NOT NULL").fetchall():
        if kind == "table" and not name.startswith("sqlite_"):
            other.execute(f"DROP TABLE {name}")
    other.execute("PRAGMA user_version=0")
    is_at_it = threading.Event()
    migrate = SqliteFile._migrate

    def noted(file: SqliteFile, connection: sqlite3.Connection) -> None:
        is_at_it.set()
        migrate(file, connection)

    monkeypatch.setattr(SqliteFile, "_migrate", noted)
    other.execute("BEGIN IMMEDIATE")  # version 0 is what the journal finds, and then waits
    journal = SqliteJournal(path)
    opening = asyncio.ensure_future(journal.open())
    await asyncio.to_thread(is_at_it.wait)
    for statement in MIGRATIONS[0].split(";"):
        other.execute(statement)
    other.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
    other.execute("COMMIT")
    other.close()
    await opening
    await begin(journal)
    await journal.aclose()


FIRST_VERSION = """
    INSERT INTO runs (run_id, saga, fingerprint, trace_id, state, generation, owner, leased_until, signals,
        began, input) VALUES ('order-1', 'order', 'f1', '', 'running', 1, 'me', 0, 1, 5, '{"item":7}');
    INSERT INTO steps VALUES (1, 'reserve', 1, 'started', 2, 'k', 3, NULL, X'31', NULL, NULL, 6.5, NULL, 9.5);
    INSERT INTO steps VALUES
        (1, 'pay', 0, 'completed', 1, 'p', 1, 2, NULL, X'37', '{"type":"E"}', 5, 6, NULL);
    INSERT INTO signals VALUES (1, 'go', 0, 'true', 7);
    INSERT INTO events VALUES (3, 1, 5, 'run.started', '{"generation":1}', 1);
    INSERT INTO events VALUES (4, 1, 6, 'signal.received', '{"name":"go"}', 0);
    UPDATE sqlite_sequence SET seq = {last} WHERE name = 'events'
"""


@pytest.mark.parametrize("last", [4, 9])
async def test_a_file_of_the_first_version_is_gone_on_with(path: Path, last: int) -> None:
    SqliteFile(path, "journal", APPLICATION_ID, MIGRATIONS[:1], shared=True).connect().close()
    old = sqlite3.connect(path)
    old.executescript(FIRST_VERSION.replace("{last}", str(last)))  # 9: those up to there were pruned
    old.close()
    async with SqliteJournal(path) as journal:
        claim = await journal.claim("order-1", "you", 30.0)
        assert claim is not None and (claim.run.input, claim.run.generation) == ({"item": 7}, 2)
        assert claim.steps == (
            step("pay", StepStatus.COMPLETED, key="p", ended=2, output_json=b"7", error={"type": "E"},
                 began_at=5.0, ended_at=6.0),
            step("reserve", undo=True, attempt=2, key="k", began=3, input_json=b"1", began_at=6.5, due=9.5),
        )  # fmt: skip
        assert [each.name for each in claim.signals] == ["go"]
        events = [(event.number, event.kind) for event in await journal.history("order-1")]
        assert events == [(3, "run.started"), (4, "signal.received"), (last + 1, "run.resumed")]
        assert [event.number for event in await journal.outbox()] == [4, last + 1]


@pytest.mark.parametrize("path", ["", None, 7, "a\0b"])
def test_a_path_that_is_none(path: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="journal: give the path of its file"):
        SqliteJournal(path)


@pytest.mark.parametrize("seconds", [-1, float("nan"), 1e9])
def test_a_busy_timeout_that_is_none(path: Path, seconds: float) -> None:
    with pytest.raises(ApiConfigurationError, match="busy_timeout: give seconds"):
        SqliteJournal(path, busy_timeout=seconds)


def test_it_shows_its_path() -> None:
    assert repr(SqliteJournal("sagas.sqlite")) == "SqliteJournal('sagas.sqlite')"


# -- when it cannot be written -------------------------------------------------------------------------


async def connection_of(journal: SqliteJournal) -> sqlite3.Connection:
    """Its connection, to be used while it has nothing to do."""
    assert journal._writer is not None
    return await journal._writer.run(lambda connection: connection)


async def test_a_disk_that_is_full(journal: SqliteJournal) -> None:
    lease = await begin(journal)
    connection = await connection_of(journal)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}").fetchone()
    big = step(input_json=b"x" * 100_000)
    with pytest.raises(JournalError, match=r"sagas.sqlite' cannot be written: no space is left; make room"):
        await journal.write(lease, [big], SagaState.COMPENSATING)
    connection.execute("PRAGMA max_page_count=1000000").fetchone()
    assert await journal.steps("order-1") == [] and len(await journal.history("order-1")) == 1
    await journal.write(lease, [big], SagaState.COMPENSATING)
    assert await journal.steps("order-1") == [big]


LIMITED = """
import resource
async def main():
    async with SqliteJournal(path) as journal:
        lease = await begin(journal, name)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            await journal.write(lease, [step(input_json=b"x" * 1_000_000)])
        except JournalError as error:
            say(error)
        say(len(await journal.steps(name)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await journal.write(lease, [step(input_json=b"x" * 1_000_000)])
        say(len(await journal.steps(name)))
asyncio.run(main())
"""


async def test_a_file_that_may_grow_no_more(path: Path) -> None:
    program = Program(LIMITED, path)
    message = await program.line()
    assert "disk I/O error; see to the disk and the limits of the process, and resume" in message
    assert [await program.line(), await program.line()] == ["0", "1"]
    assert await program.ended() == 0


async def test_a_file_that_is_read_only(journal: SqliteJournal) -> None:
    lease = await begin(journal)
    connection = await connection_of(journal)
    connection.execute("PRAGMA query_only=1")
    with pytest.raises(JournalError, match="it, or its folder, is read-only; make it writable, and resume"):
        await journal.write(lease, [step()])
    connection.execute("PRAGMA query_only=0")
    await journal.write(lease, [step()])
    assert await journal.steps("order-1") == [step()]


async def test_a_file_that_another_program_holds(journal: SqliteJournal, path: Path) -> None:
    lease = await begin(journal)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="another program holds it locked; let go of it, and resume"):
        await journal.write(lease, [step()])
    async with SqliteJournal(path):  # to open it, nothing is written
        pass
    other.execute("ROLLBACK")
    other.close()
    await journal.write(lease, [step()])
    assert await journal.steps("order-1") == [step()]


async def test_a_writer_waits_for_another(path: Path) -> None:
    async with SqliteJournal(path, durable=False, busy_timeout=60) as journal:
        lease = await begin(journal)
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        was_there = threading.Event()
        connection = await connection_of(journal)
        connection.set_trace_callback(lambda text: was_there.set() if text.startswith("BEGIN") else None)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.ensure_future(journal.write(lease, [step()]))
        await asyncio.to_thread(was_there.wait)
        assert not writing.done()
        other.execute("COMMIT")
        other.close()
        assert await writing == Heard(SagaState.RUNNING, 0)


async def test_a_file_that_was_removed(journal: SqliteJournal, path: Path) -> None:
    lease = await begin(journal)
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    message = "was removed or replaced while it was written; put it back, or open it again"
    with pytest.raises(JournalError, match=message):
        await journal.write(lease, [step()])
    elsewhere.rename(path)
    await journal.write(lease, [step()])
    assert await journal.steps("order-1") == [step()]


@pytest.mark.parametrize("wrong", [{"began": 2**70}, {"step": "\ud800"}, {"attempt": None}])
async def test_what_cannot_be_kept_spoils_nothing_else(journal: SqliteJournal, wrong: dict[str, Any]) -> None:
    lease = await begin(journal)
    bad = step(**wrong) if "step" not in wrong else step(wrong["step"], key="k")
    journal.post(lease, bad)
    posted = asyncio.ensure_future(journal.write(lease, [step("good")]))
    with pytest.raises(JournalError, match=r"cannot keep what it was given \(\w+\): it is too large, or"):
        await journal.write(lease, [step("before", began=2), bad])
    await posted
    assert await journal.steps("order-1") == [step("good")]
    assert len(await journal.history("order-1")) == 2


async def test_text_that_utf_8_lacks_is_no_reason_to_lose_an_error(journal: SqliteJournal) -> None:
    lease = await begin(journal)
    await journal.write(lease, [step(error={"message": "a\ud800"})], SagaState.FAILED, error={"m": "\ud800"})
    assert (await journal.steps("order-1"))[0].error == {"message": "a?"}


async def test_a_call_that_is_cancelled_may_have_written(journal: SqliteJournal) -> None:
    lease = await begin(journal)
    writing = asyncio.ensure_future(journal.write(lease, [step()]))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    assert await journal.steps("order-1") == [step()]


# -- loops ---------------------------------------------------------------------------------------------


async def test_one_that_is_open_on_another_loop_says_so(journal: SqliteJournal) -> None:
    def elsewhere() -> None:
        for call in (journal.open(), journal.run("order-1")):
            with pytest.raises(JournalError, match="is open on another event loop: close it there"):
                asyncio.run(call)

    await asyncio.to_thread(elsewhere)
    assert await journal.run("order-1") is None


def test_one_whose_loop_ended_can_be_opened_on_the_next(path: Path) -> None:
    journal = SqliteJournal(path)

    async def first() -> None:
        await journal.open()
        lease = await begin(journal)
        journal.post(lease, step())

    async def second() -> None:
        await journal.open()
        assert await journal.steps("order-1") == [step()]
        await journal.aclose()

    asyncio.run(first())
    asyncio.run(second())


async def test_opening_one_that_is_open_disturbs_nobody(journal: SqliteJournal) -> None:
    lease = await begin(journal)
    opening = asyncio.ensure_future(journal.open())
    for n in range(1, 20):
        await asyncio.sleep(0)
        journal.post(lease, step(attempt=n))
    await opening
    assert (await journal.steps("order-1"))[0].attempt == 19


async def test_an_opening_that_is_cancelled_leaves_nothing(path: Path) -> None:
    journal = SqliteJournal(path)
    opening = asyncio.ensure_future(journal.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    async with journal:
        await begin(journal)


async def test_one_that_is_lost_writes_what_it_was_given(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    lease = await begin(journal)
    journal.post(lease, step())
    del journal
    gc.collect()
    async with SqliteJournal(path) as again:
        assert await again.steps("order-1") == [step()]


# -- how it finds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (UNCLAIMED, ("order", 1.0, 10), "SEARCH runs USING INDEX runs_not_over (saga=?)"),
        (RUNS_OF_STATE, ("failed", 0, None, None, 10), "SEARCH runs USING INDEX runs_of_state (state=?"),
        (OUTBOX, (10,), "SEARCH events USING INDEX outbox (acknowledged=?)"),
    ],
)
async def test_what_is_asked_often_is_found_by_an_index(
    journal: SqliteJournal, path: Path, statement: str, values: tuple[Any, ...], index: str
) -> None:
    connection = sqlite3.connect(path)
    plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    connection.close()
    assert plan[0].startswith(index) and "TEMP B-TREE" not in str(plan)


async def test_sqlite_is_loaded_by_who_uses_it() -> None:
    code = "import sys, rxorch.saga; print('sqlite3' in sys.modules); rxorch.saga.SqliteJournal('x')"
    code += "; print('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        import rxorch.saga

        rxorch.saga.nothing  # noqa: B018
