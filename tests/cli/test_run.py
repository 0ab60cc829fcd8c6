"""``rxorch run`` and ``retry-failed`` as somebody types them, against a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from rxorch.ledger import Ledger
from tests.conftest import ServeLoopback
from tests.support.loopback import Loopback

ROOT = Path(__file__).parents[2]
FLOW = """
from rxorch import APIEndpoint, APIOrchestrationConfig
flow = APIOrchestrationConfig(
    endpoints=[
        APIEndpoint(name="user", url="{url}/users/{{id}}", retry_delay=0.001),
        APIEndpoint(name="order", url="{url}/orders/{{id}}", method="POST", retry_delay=0.001),
    ],
    circuit_breaker_threshold=None,
)
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Shop:
    """Knows users below 900; is busy now and then."""

    def __init__(self) -> None:
        self.keys: dict[str, list[str]] = {}
        self.hold: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.count = 0

    async def user(self, request: web.Request) -> web.Response:
        self.count += 1
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.count % 10 == 0:
            return web.json_response({}, status=503)
        number = int(request.match_info["id"])
        return web.json_response({"id": number}, status=404 if number >= 900 else 200)

    async def order(self, request: web.Request) -> web.Response:
        self.keys.setdefault(request.match_info["id"], []).append(request.headers.get("Idempotency-Key", ""))
        return web.json_response({"ordered": True})


Command = Callable[..., Awaitable[Done]]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def server(loopback: ServeLoopback, shop: Shop, tmp_path: Path) -> Loopback:
    served = await loopback({"GET /users/{id}": shop.user, "POST /orders/{id}": shop.order})
    (tmp_path / "shop.py").write_text(FLOW.format(url=served.url))
    return served


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rxorch",
        *arguments,
        cwd=folder,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
def command(server: Loopback, tmp_path: Path) -> Command:
    async def run(*arguments: str, given: bytes = b"") -> Done:
        running = await start(tmp_path, *arguments)
        out, err = await running.communicate(given)
        assert running.returncode is not None
        assert b"Traceback" not in err
        return Done(running.returncode, out.decode(), err.decode())

    return run


def inputs(*numbers: Any) -> bytes:
    return b"".join(b"%s\n" % (json.dumps({"id": n}).encode() if isinstance(n, int) else n) for n in numbers)


# -- inputs, records, exit codes -----------------------------------------------------------------------


async def test_from_pipe_to_pipe(command: Command) -> None:
    done = await command("run", "shop.py", given=inputs(1, 2, 3))
    assert (done.code, sorted(record["input"]["id"] for record in done.records)) == (0, [1, 2, 3])
    assert done.records[0]["result"]["order"] == {"ordered": True}
    assert "3 inputs, 3 ok, 0 failed, 6 requests" in done.err


async def test_every_line_is_accounted_for(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(inputs(1, b"{broken", 950, b"", 4))
    done = await command(
        "run", "shop:flow", "-i", "in.jsonl", "-o", "out.jsonl", "--ordered", "--max-concurrent", "2"
    )
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (done.code, [record["ok"] for record in records]) == (1, [True, False, False, True])
    assert records[1]["input"] == {"source": "in.jsonl", "line": 2}
    assert records[2]["error"]["type"] == "ApiHttpError"
    assert "4 inputs, 2 ok, 2 failed" in done.err and "4/5" in done.err


async def test_one_input_and_forms_of_files(command: Command, tmp_path: Path) -> None:
    done = await command("run", "shop.py", "--data", '{"id": 7}', "-q")
    assert (done.code, done.records[0]["result"]["user"], done.err) == (0, {"id": 7}, "")
    (tmp_path / "in.csv").write_text("id,name\n1,Ada\n2,Grace\n")
    done = await command("run", "shop.py", "-i", "in.csv", "-o", "out.csv.gz", "--ordered")
    table = gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode().splitlines()
    assert done.code == 0 and table[0].endswith("input.id,input.name,result.user,result.order")
    assert table[2].split(",")[8] == "Grace"
    done = await command("run", "shop.py", "--batch", "2", "-q", given=inputs(1))
    assert done.records[0]["input"] == [{"id": 1}] and done.code == 1  # a list has no id


async def test_stopping_when_too_many_fail(command: Command) -> None:
    given = inputs(*range(900, 940))
    done = await command("run", "shop.py", "--tolerated-failures", "3", "--max-concurrent", "1", given=given)
    assert done.code == 1 and len(done.records) == 4
    assert "4 of 4 inputs failed, more than tolerated_failures=3" in done.err
    done = await command("run", "shop.py", "--on-error", "fail_fast", "--max-concurrent", "1", given=given)
    assert (done.code, len(done.records)) == (1, 1) and "HTTP 404 [endpoint 'user'" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.py"], "there is no file 'none.py'"),
        (["run", "shop:none"], "there is no 'none'; there are 'flow'"),
        (["run", "shop.py", "-i", "none.jsonl"], "--input: there is no file 'none.jsonl'"),
        (["run", "shop.py", "-d", "{"], "--data: it is no JSON"),
        (["run", "shop.py", "-d", "[NaN]"], "--data: it is no JSON (there is no NaN in JSON)"),
        (["new", "flow.txt"], "a flow is a .yaml, .yml or .py file"),
        (["run", "shop.py", "-d", "1", "-i", "x"], "--data: it is the input"),
        (["run", "shop.py", "-d", "1", "--resume"], "--resume: it needs --ledger"),
        (["run", "shop.py", "-d", "1", "--key", "id"], "--key: it needs --ledger"),
        (["run", "shop.py", "-d", "1", "--key", "][", "--ledger", "x"], "--key"),
        (["run", "shop.py", "--follow"], "--follow: give the file to follow"),
        (["run", "shop.py", "-d", "1", "--rate", "many"], "a rate is a number and a time"),
        (
            ["run", "shop.py", "-d", "1", "--tolerated-failures", "some"],
            "--tolerated-failures: give a number",
        ),
        (["run", "shop.py", "-d", "1", "--tolerated-failures", "200%"], "tolerated_failures"),
        (["run", "shop.py", "-d", "1", "-o", "no/where.jsonl"], "No such file or directory"),
        (["run", "shop.py", "-d", "1", "--ledger", "no/where.sqlite"], "cannot be made"),
        (
            ["run", "shop.py", "-d", "1", "--report", "no/where.html"],
            "cannot use 'no/where.html'",
        ),
        (["retry-failed", "shop.py", "--ledger", "none.sqlite"], "there is no ledger 'none.sqlite'"),
        (["ledger", "shop.py"], "cannot be used"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_what_is_wrong_is_said_and_nothing_called(
    command: Command, shop: Shop, arguments: list[str], message: str
) -> None:
    done = await command(*arguments)
    assert (done.code, shop.count, done.out) == (2, 0, "")
    assert message in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "shop.py", "-i", "in.jsonl", "-o", "in.jsonl"],
        ["run", "shop.py", "-i", "in.jsonl", "-o", "./again.jsonl"],
        ["run", "shop.py", "-i", "in.jsonl", "-o", "shop.py"],
        ["run", "shop:flow", "-i", "in.jsonl", "--ledger", "run.sqlite", "--resume", "-o", "run.sqlite"],
        ["run", "shop.py", "-i", ".", "-o", "out.jsonl"],
        ["retry-failed", "shop.py", "--ledger", "run.sqlite", "-o", "run.sqlite"],
        ["ledger", "run.sqlite", "-o", "run.sqlite"],
    ],
    ids=" ".join,
)
async def test_an_output_is_not_written_over_what_is_used(
    command: Command, shop: Shop, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(inputs(1, 2))
    (tmp_path / "again.jsonl").symlink_to("in.jsonl")
    await command("run", "shop.py", "--ledger", "run.sqlite", "-q", given=inputs(1))
    kept, called = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}, shop.count
    done = await command(*arguments)
    assert (done.code, shop.count) == (2, called) and "rxorch: --output: " in done.err
    for name in ("in.jsonl", "shop.py", "run.sqlite"):
        assert (tmp_path / name).read_bytes() == kept[name]


async def test_a_ledger_that_is_in_use_leaves_the_output_as_it_is(command: Command, tmp_path: Path) -> None:
    arguments = ["run", "shop.py", "-o", "out.jsonl", "--ledger", "run.sqlite"]
    await command(*arguments, given=inputs(1))
    before = (tmp_path / "out.jsonl").read_bytes()
    done = await command(*arguments, given=inputs(1))
    assert done.code == 2 and "give --resume to go on with it" in done.err
    assert before and (tmp_path / "out.jsonl").read_bytes() == before


async def test_what_failed_before_is_no_success(command: Command) -> None:
    arguments = ["run", "shop.py", "--ledger", "run.sqlite"]
    assert (await command(*arguments, given=inputs(1, 950))).code == 1
    done = await command(*arguments, "--resume", given=inputs(1, 950))
    assert done.code == 1 and "2 done before, 1 of them failed" in done.err


@pytest.mark.parametrize(
    ("closed", "code", "message"), [("<&-", 2, "Bad file"), (">&-", 1, "Bad file"), ("2>&-", 0, "")]
)
async def test_closed_standard_streams(
    server: Loopback, tmp_path: Path, closed: str, code: int, message: str
) -> None:
    (tmp_path / "in.jsonl").write_bytes(inputs(1))
    given = "-" if closed == "<&-" else "in.jsonl"
    running = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m rxorch run shop.py -i {given} {closed}",
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await running.communicate()
    assert running.returncode == code and len(out.splitlines()) == (code == 0)
    assert message in err.decode() and b"Traceback" not in err


async def test_a_full_standard_output(server: Loopback, tmp_path: Path) -> None:
    running = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m rxorch draw shop.py > /dev/full",
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await running.communicate()
    assert running.returncode == 1
    assert err.decode() == "rxorch: [Errno 28] No space left on device\n"


async def test_a_dry_run_of_batches(command: Command) -> None:
    done = await command("run", "shop.py", "--dry-run", "--batch", "2", given=inputs(1, b"{", 3))
    assert "the input is a list of 1" in done.err and "0 inputs can be run, 3 cannot" in done.out


async def test_a_key_that_an_input_lacks(command: Command) -> None:
    done = await command("run", "shop.py", "--ledger", "x.sqlite", "--key", "order.id", given=inputs(1))
    assert (done.code, done.records[0]["error"]["message"]) == (
        1,
        "key: 'order.id' finds nothing in the input",
    )


async def test_a_picture_of_no_known_form(command: Command) -> None:
    done = await command("draw", "shop.py", "-o", "x.png")
    assert (done.code, done.out) == (2, "") and "its name ends in .svg, .mmd, .dot or .txt" in done.err


async def test_a_dry_run_calls_nothing(command: Command, shop: Shop) -> None:
    done = await command("run", "shop.py", "--dry-run", given=inputs(1, b"{", 3, b'{"no": 1}'))
    assert (done.code, shop.count) == (1, 0)
    assert "user: GET http://127.0.0.1" in done.out and "/users/1" in done.out
    assert (
        "2 inputs can be run, 2 cannot" in done.out
        and "requests: 4 when all goes well, 12 at worst" in done.out
    )
    assert "standard input, line 2" in done.err and "nothing was called" in done.out


# -- the ledger ----------------------------------------------------------------------------------------


async def test_resuming_makes_the_output_whole(command: Command, shop: Shop, tmp_path: Path) -> None:
    whole = inputs(1, b"{", 950, 4)
    options = ("--ledger", "run.sqlite", "-o", "out.jsonl")
    (tmp_path / "in.jsonl").write_bytes(whole)
    first = await command("run", "shop.py", "-i", "in.jsonl", *options)
    again = await command("run", "shop.py", "-i", "in.jsonl", *options)
    assert (first.code, again.code) == (1, 2) and "holds a run already (4 inputs" in again.err
    asked = shop.count
    (tmp_path / "in.jsonl").write_bytes(whole + inputs(5))
    (tmp_path / "out.jsonl").unlink()
    resumed = await command("run", "shop.py", "-i", "in.jsonl", "--resume", *options)
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(record["index"] for record in records) == [0, 1, 2, 3, 4]
    assert shop.count == asked + 1 and "4 done before" in resumed.err
    status = await command("ledger", "run.sqlite")
    assert status.out == "5 inputs: 3 ok, 1 failed, 1 unreadable, 0 in flight\n"
    failed = await command("ledger", "run.sqlite", "--failed", "-o", "-")
    assert [record["input"] for record in failed.records] == [{"id": 950}]


async def test_what_failed_is_run_again_under_the_same_keys(command: Command, shop: Shop) -> None:
    given = inputs(*range(1, 20))
    shop.hold = None
    await command("run", "shop.py", "--ledger", "run.sqlite", "--key", "id", given=given)
    assert all(len(keys) == 1 and keys[0] for keys in shop.keys.values())
    done = await command("retry-failed", "shop.py", "--ledger", "run.sqlite")
    assert (done.code, done.records) == (0, []) and "0 inputs" in done.err


async def test_ctrl_c_lets_what_is_in_flight_end(server: Loopback, shop: Shop, tmp_path: Path) -> None:
    shop.hold = asyncio.Event()
    running = await start(tmp_path, "run", "shop.py", "--ledger", "run.sqlite", "--max-concurrent", "3")
    assert running.stdin is not None
    running.stdin.write(inputs(*range(100)))
    await running.stdin.drain()
    await server.until_in_flight(3)
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    seen = b""
    while b"stopping: 3 in flight end first" not in seen:
        seen += await running.stderr.readline()
    shop.hold.set()
    out, err = await running.communicate()
    assert running.returncode == 130 and b"Traceback" not in err
    assert len(out.splitlines()) == 3 and b"3 inputs, 3 ok" in err
    counts = Ledger(tmp_path / "run.sqlite").counts()
    assert (counts.ok, counts.in_flight) == (3, 0)


async def test_twice_stops_at_once(server: Loopback, shop: Shop, tmp_path: Path) -> None:
    shop.hold = asyncio.Event()
    running = await start(tmp_path, "run", "shop.py", "--ledger", "run.sqlite", "--max-concurrent", "3")
    assert running.stdin is not None and running.stderr is not None
    running.stdin.write(inputs(*range(100)))
    await running.stdin.drain()
    await server.until_in_flight(3)
    running.send_signal(signal.SIGINT)
    seen = b""
    while b"stopping" not in seen:
        seen += await running.stderr.readline()
    running.send_signal(signal.SIGINT)
    out, err = await running.communicate()
    shop.hold.set()
    assert (running.returncode, out) == (130, b"") and b"Traceback" not in err
    assert b"3 inputs, 0 ok, 0 failed, 3 cut off" in err
    assert Ledger(tmp_path / "run.sqlite").counts().in_flight == 3


async def test_a_reader_that_leaves(server: Loopback, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(inputs(*range(800)))
    running = await start(tmp_path, "run", "shop.py", "-i", "in.jsonl")
    assert running.stdout is not None and running.stderr is not None
    first = await running.stdout.readline()
    running._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined] # head -1
    err = await running.stderr.read()
    assert (await running.wait(), json.loads(first)["ok"]) == (141, True)
    assert b"Traceback" not in err and b"BrokenPipe" not in err and b"Exception ignored" not in err


async def test_following_a_file(server: Loopback, shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(inputs(1))
    running = await start(tmp_path, "run", "shop.py", "-i", "in.jsonl", "--follow", "-q")
    assert running.stdout is not None
    assert json.loads(await running.stdout.readline())["input"] == {"id": 1}
    with path.open("ab") as file:
        file.write(inputs(2))
    assert json.loads(await running.stdout.readline())["input"] == {"id": 2}
    running.send_signal(signal.SIGINT)
    await running.communicate()
    assert running.returncode == 130
