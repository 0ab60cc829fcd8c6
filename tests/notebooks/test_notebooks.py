"""The notebooks run in a kernel of their own, and what is stored of them is what they give."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebooks.make import SOURCES, checked, notebook_of, run

ROOT = Path(__file__).parents[2]
MOST_BYTES = 300_000
STEMS = [path.stem for path in SOURCES]


def stored(source: Path) -> Any:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def codes(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(notebook: Any) -> dict[str, list[str]]:
    """By cell: what those say that say the same in every run."""
    return {
        cell.id: [output.get("text") or output["data"]["text/plain"] for output in cell.outputs]
        for cell in codes(notebook)
        if "same" in cell.metadata.get("tags", ())
    }


@pytest.mark.parametrize("source", SOURCES, ids=STEMS)
def test_it_runs_and_says_what_is_stored(source: Path, tmp_path: Path) -> None:
    notebook = run(checked(notebook_of(source)), tmp_path)

    outputs = [output for cell in codes(notebook) for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert said(notebook) == said(stored(source)), (
        "run `python3 dev.py notebooks`, and look at what has changed"
    )


@pytest.mark.parametrize("source", SOURCES, ids=STEMS)
def test_what_is_stored_is_its_source_with_outputs(source: Path) -> None:
    notebook, wanted = stored(source), notebook_of(source)
    nbformat.validate(notebook)
    assert notebook.metadata == wanted.metadata
    assert [(cell.id, cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.id, cell.cell_type, cell.source) for cell in wanted.cells
    ], "run `python3 dev.py notebooks`"
    assert [cell.execution_count for cell in codes(notebook)] == [*range(1, len(codes(notebook)) + 1)]
    assert said(notebook), "a cell with the tag `same` shows that it says the same in every run"


@pytest.mark.parametrize("source", SOURCES, ids=STEMS)
def test_it_is_small_and_says_nothing_of_the_machine_it_was_made_on(source: Path) -> None:
    text = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert (
        re.findall(r"Traceback|(?:/home/|/root/|/tmp/|/Users/|site-packages)\S*| object at 0x\w+", text) == []
    )


def test_none_is_stored_without_a_source() -> None:
    folder = ROOT / "notebooks"
    assert sorted(path.stem for path in folder.glob("*.ipynb")) == STEMS
    assert len(STEMS) == 6


@pytest.mark.parametrize("source", SOURCES, ids=STEMS)
def test_its_links_lead_somewhere(source: Path) -> None:
    texts = [cell.source for cell in notebook_of(source).cells if cell.cell_type == "markdown"]
    targets = re.findall(r"\]\(([^)#\s]+)", "\n".join(texts))
    assert targets
    assert [target for target in targets if not (source.parent / target).exists()] == []
