"""The notebooks run from top to bottom, and are stored without what running them left."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import execute

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))

CELL_KEYS = {
    "markdown": {"cell_type", "id", "metadata", "source"},
    "code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"},
}
"""What nbformat 4.5 asks of a cell, and nothing else."""


def load(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def sources(path: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in load(path)["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_a_clean_notebook(path: Path) -> None:
    notebook = load(path)
    cells = notebook["cells"]
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert all(set(cell) == CELL_KEYS[cell["cell_type"]] for cell in cells)
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert all(re.fullmatch(r"[\w-]{1,64}", cell["id"]) for cell in cells)
    assert all(isinstance(line, str) for cell in cells for line in cell["source"])
    ran = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in ran if cell["outputs"] or cell["execution_count"] is not None] == []


async def run(path: Path) -> tuple[dict[str, Any], str]:
    """The names that are there after the last cell, and what was printed."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for number, code in enumerate(sources(path, "code"), 1):
            await execute(code, f"{path.name}[{number}]", namespace)
    return namespace, printed.getvalue()


async def test_first_steps() -> None:
    namespace, printed = await run(ROOT / "notebooks" / "first_steps.ipynb")

    assert dict(namespace["result"]) == {
        "user": {"id": 1, "name": "Ada"},
        "posts": ["post 1 of 1", "post 2 of 1"],
    }
    assert namespace["found"] == {1: "Ada", 2: "Grace", 3: "Edsger"}
    assert "404 ['post 1 of 404', 'post 2 of 404']" in printed
    assert "10 requests, 90 % of the calls succeeded" in printed
    assert re.search(r"0\.0 ms  RunStarted", printed)
    assert printed.count("CallFinished") == 2


def test_every_notebook_has_a_test_that_runs_it() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first_steps.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_its_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", "\n".join(sources(path, "markdown")))
    assert [target for target in targets if ":" not in target and not (path.parent / target).exists()] == []
