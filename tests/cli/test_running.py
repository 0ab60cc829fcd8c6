"""What runs beside the stream of a command does not outlive it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, signal, sys, threading
from rxorch import APIOrchestrationConfig, APIOrchestrator
from rxorch.cli.outputs import Output
from rxorch.cli.running import Job, carry_out

counting = threading.Event()

def count():
    counting.set()
    return len(open("fifo").readlines())  # nobody writes to it, and so it is never open

async def inputs():
    await asyncio.to_thread(counting.wait)
    yield 1
    END

orchestrator = APIOrchestrator(APIOrchestrationConfig())
job = Job(
    orchestrator=orchestrator, stream=lambda: orchestrator.stream(inputs()), output=Output("-"), total=count
)
sys.exit(carry_out(job))
"""


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("", 0, "1 input, 1 ok"),
        ("raise OSError('no inputs')", 1, "rxorch: no inputs"),
        ("signal.raise_signal(signal.SIGINT); await asyncio.Event().wait()", 130, "stopping"),
    ],
    ids=["all inputs are done", "the source fails", "Ctrl-C"],
)
def test_counting_that_never_ends_does_not_keep_the_program(
    tmp_path: Path, end: str, code: int, message: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("END", end)],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (code, 1)
    assert message in done.stderr and "Traceback" not in done.stderr
