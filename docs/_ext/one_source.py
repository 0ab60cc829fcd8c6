"""Lets the pages of docs/ serve GitHub and the site: what lies outside of docs/ is found on both."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

__all__ = ["setup"]

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files at the top of the repository, and the pages of the site that show them."""


def lead_inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to those files into links to their pages."""
    for file, shown_by in PAGES.items():
        source[0] = re.sub(rf"\]\(((?:\.\./)*)\.\./{re.escape(file)}", rf"](\1{shown_by}", source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", lead_inside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
