"""The pages of streams and flow files name everything that there is to set."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from typer.main import get_command

from rxorch import APIOrchestrationConfig, Run
from rxorch.cli.app import app
from rxorch.flowfile.endpoints import ENDPOINT_FIELDS
from rxorch.stream import StreamStatistics
from tests.docs.pages import Page, run_commands, steps_of

ROOT = Path(__file__).parents[2]
STREAMING = ROOT / "docs" / "streaming.md"
FLOW_FILES = ROOT / "docs" / "flow_files.md"


def first_cells(path: Path) -> set[str]:
    """What the tables of a page are about: the names in the first cells of their rows."""
    cells = re.findall(r"(?m)^\| (.*?) \|", path.read_text())
    return {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)}


def test_every_option_of_run_has_its_row() -> None:
    (run,) = (command for name, command in get_command(app).commands.items() if name == "run")  # type: ignore[attr-defined]
    options = {name for parameter in run.params for name in parameter.opts if name.startswith("-")}
    assert "--max-concurrent" in options
    assert options - {"--help"} - first_cells(STREAMING) == set()


def test_every_field_of_a_record_has_its_row() -> None:
    assert {each.name for each in dataclasses.fields(Run)} - first_cells(STREAMING) == set()


def test_every_count_is_named() -> None:
    text = STREAMING.read_text()
    assert [each.name for each in dataclasses.fields(StreamStatistics) if f"`{each.name}`" not in text] == []


@pytest.mark.parametrize(
    "fields", [ENDPOINT_FIELDS, {*APIOrchestrationConfig.model_fields, "defaults", "base_url", "rate"}]
)
def test_every_field_of_a_flow_file_has_its_row(fields: set[str]) -> None:
    assert set(fields) - first_cells(FLOW_FILES) == set()


def test_every_job_of_the_cookbook_is_a_program() -> None:
    text = (ROOT / "docs" / "cookbook.md").read_text()
    jobs = re.split(r"(?m)^## ", text)[1:]
    assert len(jobs) == 6
    assert all("async def main(" in job for job in jobs)


# The checks can fail


@pytest.mark.parametrize(
    ("printed", "is_wrong"), [("a b", False), ("a ...", False), ("a c", True), ("", True), ("...b", False)]
)
def test_a_wrong_output_of_a_command_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, is_wrong: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    file, commands = steps_of(
        "<!-- file: x.txt -->\n```text\na b\n```\n"
        f"<!-- run -->\n```console\n$ cat \\\n> x.txt\n{printed}\n```\n"
    )
    assert (file.file, file.code, file.language) == ("x.txt", "a b", "text")
    Path("x.txt").write_text(file.code)
    page = Page()
    run_commands(commands, Path("page.md"), "http://nowhere", page)
    assert (bool(page.failures), page.checked) == (is_wrong, 1)


def test_a_command_of_ours_is_the_one_of_this_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = steps_of(
        "<!-- run -->\n```console\n$ rxorch check none.yaml\nrxorch: there is no file 'none.yaml'\n```"
    )
    page = Page()
    run_commands(block, Path("page.md"), "http://nowhere", page)
    assert page.failures == []
