"""``rxorch run --report``: a page, however the run ends."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from rxorch import ApiConfigurationError
from rxorch.cli.report_file import checked_report, written
from rxorch.draw import report
from tests.cli.test_run import Command, Shop, command, inputs, server, shop, start
from tests.support.fake_transport import api
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
    assert ("all 3 inputs went well" in page) == (times == 1)
    assert ("<span>cut off</span>" in page) == (times == 2)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("no/where.html", FileNotFoundError, "No such file"),
        ("out.pdf", ApiConfigurationError, r"--report: it is an .html file, not 'out\.pdf'"),
        ("folder.html", IsADirectoryError, "Is a directory"),
        ("used.html", ApiConfigurationError, "--report: it is 'used.html' itself"),
    ],
)
def test_a_path_that_cannot_be_written(
    path: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "used.html").write_text("before")
    with pytest.raises(error, match=message):
        checked_report(path, (None, "-", "used.html"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.html", "used.html"]


def test_what_was_there_is_kept_until_there_is_something_new(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    assert checked_report(None) is None
    assert checked_report(str(path)) == path and not path.exists()
    path.write_text("before")
    assert checked_report(str(path)) == path and path.read_text() == "before"


def test_a_disk_that_is_full_meanwhile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = report(api("a"), ())
    assert written(page, tmp_path / "out.html") and not written(page, tmp_path / "gone" / "out.html")
    told = capsys.readouterr().err
    assert f"report: {tmp_path}" in told and "--report: cannot write" in told


async def test_what_failed_before_is_run_again_with_a_page(command: Command, tmp_path: Path) -> None:
    used = ("--ledger", "run.sqlite", "--report", "out.html")
    await command("run", "shop.py", *used[:2], given=inputs(950, *range(10)))
    done = await command("retry-failed", "shop.py", *used)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert done.code == 1 and "report: out.html" in done.err
    assert "1 of 1 input failed" in page and "404" in page and "shop.py" in page
    for path, said in (("out.pdf", "it is an .html file"), ("no/where.html", "cannot use")):
        refused = await command("retry-failed", "shop.py", *used[:3], path)
        assert (refused.code, refused.out) == (2, "") and said in refused.err
