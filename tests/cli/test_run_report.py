"""``rxorch run --report``: a page, however the run ends."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.cli.test_run import Command, Shop, command, inputs, server, shop, start
from tests.support.loopback import Loopback

__all__ = ["command", "server", "shop"]


async def test_with_records_on_standard_output(command: Command, tmp_path: Path) -> None:
    given = b'{"id": 1, "secret": "precious"}\n' + inputs(950, b"{broken", *range(10, 30))
    done = await command("run", "shop.py", "--report", "out.html", given=given)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert (done.code, len(done.records)) == (1, 23)
    assert "report: out.html" in done.err
    assert "2 of 23 inputs failed" in page and "shop.py" in page
    assert "precious" not in page and "404" in page


async def test_one_input_in_silence(command: Command, tmp_path: Path) -> None:
    done = await command("run", "shop.py", "-d", '{"id": 7}', "-q", "--report", "out.html")
    assert (done.code, done.err) == (0, "")
    assert "the input went well" in (tmp_path / "out.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("times", [1, 2])
async def test_ctrl_c(server: Loopback, shop: Shop, tmp_path: Path, times: int) -> None:
    shop.hold = asyncio.Event()
    running = await start(tmp_path, "run", "shop.py", "--max-concurrent", "3", "--report", "out.html")
    assert running.stdin is not None and running.stderr is not None
    running.stdin.write(inputs(*range(100)))
    await running.stdin.drain()
    await server.until_in_flight(3)
    running.send_signal(signal.SIGINT)
    while b"stopping" not in await running.stderr.readline():
        pass
    if times == 2:
        running.send_signal(signal.SIGINT)
        _, err = await running.communicate()
    shop.hold.set()
    if times == 1:
        _, err = await running.communicate()
    assert running.returncode == 130 and b"Traceback" not in err
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "stopped before its end" in page
    assert ("3 inputs went well" in page) == (times == 1)
    assert ("<span>cut off</span>" in page) == (times == 2)


async def test_a_run_that_too_many_failures_end(command: Command, tmp_path: Path) -> None:
    given = inputs(*range(900, 940))
    done = await command(
        "run",
        "shop.py",
        "--tolerated-failures",
        "3",
        "--max-concurrent",
        "1",
        "--report",
        "o.html",
        given=given,
    )
    assert done.code == 1
    assert "stopped before its end; 4 of 4 inputs failed" in (tmp_path / "o.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no/where.html", "cannot use 'no/where.html': No such file or directory"),
        ("out.pdf", "--report: it is an .html file, not 'out.pdf'"),
        (".", "--report: it is an .html file"),
        ("folder.html", "Is a directory"),
        ("in.html", "--report: it is 'in.html' itself"),
    ],
)
async def test_a_path_that_cannot_be_written(
    command: Command, shop: Shop, tmp_path: Path, path: str, message: str
) -> None:
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "in.html").write_bytes(inputs(1))
    done = await command(
        "run", "shop.py", "-i", "in.html", "--input-format", "jsonl", "-o", "out.jsonl", "--report", path
    )
    assert (done.code, shop.count) == (2, 0) and message in done.err
    assert not (tmp_path / "out.jsonl").exists() and not (tmp_path / "out.html").exists()
    assert (tmp_path / "in.html").read_bytes() == inputs(1)


async def test_what_was_there_is_kept_until_there_is_something_new(command: Command, tmp_path: Path) -> None:
    (tmp_path / "out.html").write_text("before")
    done = await command("run", "shop.py", "-d", "{", "--report", "out.html")
    assert done.code == 2 and (tmp_path / "out.html").read_text() == "before"
    done = await command("run", "shop.py", "-d", json.dumps({"id": 1}), "--report", "out.html")
    assert done.code == 0 and "the input went well" in (tmp_path / "out.html").read_text(encoding="utf-8")
