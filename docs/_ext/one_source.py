"""Lets the pages of docs/ serve GitHub and the site: what lies outside is found on both, tables are menus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

__all__ = ["setup"]

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files at the top of the repository, and the pages of the site that show them."""

MENUS = {"index", "operators", "api/index"}
"""Pages whose tables link others in their first column: these stand below them in the menu of the site."""

_ROW = re.compile(r"(?m)^\| \[[^\]]*\]\((?P<page>[\w/]+)\.(?:md|ipynb)\)")


def bring_notebooks(app: Sphinx) -> None:
    """Copy the notebooks to where Sphinx finds them."""
    folder = Path(app.srcdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    found = {path.name: path.read_bytes() for path in (folder.parents[1] / "notebooks").glob("*.ipynb")}
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in kept.keys() - found.keys():
        (folder / name).unlink()
    for name, notebook in found.items():
        if notebook != kept.get(name):
            (folder / name).write_bytes(notebook)


def lead_inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to those files, and to notebooks and from them, into links to their pages."""
    if page.startswith("notebooks/"):
        source[0] = source[0].replace("](../docs/", "](../")
    source[0] = source[0].replace("](../notebooks/", "](notebooks/")
    for file, shown_by in PAGES.items():
        source[0] = re.sub(rf"\]\(((?:\.\./)*)\.\./{re.escape(file)}", rf"](\1{shown_by}", source[0])


def add_menu(app: Sphinx, page: str, source: list[str]) -> None:
    """Add what the tables of a page link to the menu, on the front page with the headings above them."""
    if page in MENUS:
        source[0] += "\n".join(_menu(source[0], with_captions=page == app.config.root_doc))


def _menu(text: str, *, with_captions: bool) -> Iterator[str]:
    for section in re.split(r"(?m)^## ", text):
        pages = dict.fromkeys(_ROW.findall(section))
        if pages:
            heading = section.partition("\n")[0]
            caption = [f":caption: {heading}"] if with_captions else []
            yield from ("", "```{toctree}", ":hidden:", *caption, "", *pages, "```", "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", bring_notebooks)
    app.connect("source-read", lead_inside)
    app.connect("source-read", add_menu)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
