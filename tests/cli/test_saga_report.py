"""``rxorch saga show --report``: a page about a run."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_saga import Command, folder, here, journal

__all__ = ["folder", "here", "journal"]


def test_show_writes_a_page(here: Command, folder: Path, journal: Path) -> None:
    done = here("show", "j.sqlite", "poor", "--report", "run.html")
    assert done.code == 0 and "undone" in done.out and "report: run.html" in done.err
    page = (folder / "run.html").read_text(encoding="utf-8")
    assert "it is undone" in page and "run.compensated" in page and "<svg" in page
    assert "4242" not in page
    done = here("show", "j.sqlite", "poor", "--report", "run.html", "--json")
    assert done.code == 0 and done.out.startswith("{")


def test_a_page_that_cannot_be_written_is_refused(here: Command, folder: Path, journal: Path) -> None:
    (folder / "j.html").write_bytes((folder / "j.sqlite").read_bytes())
    for path, said in (
        ("run.pdf", "--report: it is an .html file, not 'run.pdf'"),
        ("nowhere/run.html", "cannot use 'nowhere/run.html'"),
    ):
        refused = here("show", "j.sqlite", "poor", "--report", path)
        assert (refused.code, refused.out) == (2, "") and said in refused.err
    refused = here("show", "j.html", "poor", "--report", "j.html")
    assert refused.code == 2 and "--report: it is 'j.html' itself" in refused.err
