"""The command line, as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rxorch
from rxorch.demo import main as demo_main
from rxorch.demo import orders as orders_module
from rxorch.demo.shop.process import Shop, ShopError, _import_path

PATIENCE = 100

START_AND_TELL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
from rxorch.demo.shop.process import Shop
spawn = Shop._spawn
def telling(self, stderr):
    process = spawn(self, stderr)
    print("shop", process.pid, flush=True)
    return process
Shop._spawn = telling
from rxorch.cli import main
main()
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": _import_path(), "NO_COLOR": "1", "TERM": "dumb"}


def rxorch_command(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-m", "rxorch"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**environment(), "PYTHONIOENCODING": "utf-8"},
        timeout=PATIENCE,
    )


def test_the_demo_holds_and_says_so(tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    run = rxorch_command("demo", "--orders", "60", "--seed", "3", "--report", str(page))
    assert "60 orders" in page.read_text(encoding="utf-8")
    assert (run.returncode, run.stderr) == (0, "")
    for text in ("SEQUENTIAL", "HYBRID", "60 orders, 50 at a time", "60/60", "orders charged more than once"):
        assert text in run.stdout
    assert run.stdout.endswith("invariants hold\n")
    assert "\x1b" not in run.stdout


def test_json_is_one_document_on_standard_output_and_progress_on_standard_error() -> None:
    run = rxorch_command("demo", "--orders", "40", "--json")
    assert run.returncode == 0
    document = json.loads(run.stdout)
    assert (document["ok"], document["seed"], document["orders"]["orders"]) == (True, 7, 40)
    assert document["orders"]["requests"]["client"] == document["orders"]["requests"]["services"] > 40
    assert [each["mode"] for each in document["tour"]][-1] == "HYBRID"
    assert all(each["holds"] for each in document["invariants"])
    assert "40/40" in run.stderr


def test_version() -> None:
    assert rxorch_command("--version").stdout == f"rxorch {rxorch.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--saga", "--report", "x.pdf"],
        ["demo", "--saga", "--report", "no/where/x.html"],
        ["demo", "--orders", "0"],
        ["demo", "--orders", "many"],
        ["dem"],
    ],
)
def test_wrong_arguments_end_with_2_and_start_nothing(arguments: list[str]) -> None:
    run = rxorch_command(*arguments, code=START_AND_TELL)
    assert run.returncode == 2
    assert "shop" not in run.stdout
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_do(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from rxorch.cli import main; main()"
    run = rxorch_command("demo", code=code)
    assert run.returncode == 1
    assert run.stderr == f"rxorch: the command line needs {missing}: pip install 'rxorch[cli]'\n"


def test_typer_and_rich_are_not_imported_before_they_are_needed() -> None:
    code = "import sys, rxorch.cli, rxorch.demo.main; print({'typer', 'rich'} & set(sys.modules))"
    assert rxorch_command(code=code).stdout == "set()\n"


@pytest.mark.parametrize("shops", [1, 2], ids=["in the tour", "in the stream"])
def test_ctrl_c_ends_with_one_line_and_without_a_process_left(shops: int) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-c", START_AND_TELL, "demo", "--orders", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(),
    )
    assert demo.stdout is not None
    pids = []
    try:
        for line in demo.stdout:
            if line.startswith("shop"):
                pids.append(int(line.split()[1]))
            if len(pids) == shops and (shops == 1 or "/1,000,000  " in line):
                break
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=PATIENCE)
    finally:
        demo.kill()
    assert demo.returncode == 130
    assert len(errors.splitlines()) == 1
    assert errors.startswith("stopped after ")
    assert errors.endswith(" of 1,000,000 orders\n")
    assert len(pids) == shops
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_reader_that_leaves_is_no_error_worth_a_traceback() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "rxorch", "demo", "--orders", "20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert demo.stdout is not None
    assert demo.stderr is not None
    demo.stdout.readline()
    demo.stdout.close()
    with demo.stderr:
        errors = demo.stderr.read()
    assert demo.wait(PATIENCE) != 0
    assert errors == b""


def test_a_broken_invariant_ends_with_1_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = orders_module.sent_by_service
    monkeypatch.setattr(
        orders_module, "sent_by_service", lambda metrics: {**honest(metrics), "fraud": 100_000}
    )
    assert demo_main.run_demo(5) == 1
    output = capsys.readouterr().out
    assert "NO" in output or "✗" in output
    assert "requests to fraud: client, service" in output
    assert "2 of 27 invariants do not hold" in output


def test_a_shop_that_cannot_start_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def no_room(self: Shop, stderr: object) -> subprocess.Popen[bytes]:
        raise ShopError("the shop did not start: no room left")

    monkeypatch.setattr(Shop, "_spawn", no_room)
    assert demo_main.run_demo(5) == 1
    assert capsys.readouterr().err == "rxorch demo: the shop did not start: no room left\n"
