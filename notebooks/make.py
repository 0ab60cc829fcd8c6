"""Makes the notebooks from their sources, with outputs: `python notebooks/make.py [01 ...]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import jupytext
import nbformat
from nbclient import NotebookClient

__all__ = ["SOURCES", "checked", "main", "notebook_of", "run"]

HERE: Final = Path(__file__).parent
SOURCES: Final = sorted(HERE.glob("[0-9]*.py"))
_ROOTS: Final = [str(HERE.parent), str(HERE.parent / "operators")]
_PATIENCE: Final = 120
"""Seconds after which a cell counts as hanging."""
_METADATA: Final = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def notebook_of(source: Path) -> Any:
    """The notebook that a source describes, without outputs; the same source gives the same."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.nbformat, notebook.nbformat_minor, notebook.metadata = 4, 5, nbformat.from_dict(_METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"{source.stem[:2]}-{number:02}"
    return notebook


_BEFORE: Final = """import asyncio as _asyncio
_before = _asyncio.all_tasks()"""
_AFTER: Final = """_left = [task for task in _asyncio.all_tasks() - _before if "rxorch" in repr(task)]
assert not _left, _left"""


def checked(notebook: Any) -> Any:
    """A notebook that fails if it leaves a task of ours behind."""
    before, after = (nbformat.v4.new_code_cell(code) for code in (_BEFORE, _AFTER))
    notebook.cells = [before, *notebook.cells, after]
    return notebook


def run(notebook: Any, folder: Path) -> Any:
    """Runs all cells in a kernel of its own.

    Args:
        notebook: Gets the outputs.
        folder: An empty one, where the kernel works and keeps its files.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell has raised; its text and error are in the message.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*_ROOTS, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "PYTHONWARNINGS": "default",
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    client = NotebookClient(
        notebook,
        timeout=_PATIENCE,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)
    notebook.metadata = nbformat.from_dict(_METADATA)  # without the version of the Python that ran it
    return notebook


def main(names: list[str]) -> None:
    """Writes the notebooks whose names begin so; without names all."""
    for source in SOURCES:
        if names and not source.stem.startswith(tuple(names)):
            continue
        notebook, target = notebook_of(source), source.with_suffix(".ipynb")
        try:
            with TemporaryDirectory() as folder:
                run(notebook, Path(folder))
        finally:  # after an error, too: it stands in the notebook
            nbformat.write(notebook, target)
        print(f"{target}  {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
