"""The picture on the front page: the flow of its example. `python -m tests.docs.front_page` draws it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rxorch import APIOrchestrator
from rxorch.draw import flow_picture
from tests.docs.pages import blocks_of

__all__ = ["PICTURE", "drawn"]

DOCS = Path(__file__).parents[2] / "docs"
PICTURE = DOCS / "pictures" / "flow.svg"


def drawn() -> str:
    """The picture as SVG. The example is carried out up to the line that runs it."""
    example = next(blocks_of((DOCS / "index.md").read_text()))
    names: dict[str, Any] = {}
    exec(example.code.partition("\nresult = ")[0], names)
    return flow_picture(APIOrchestrator(names["flow"], total_timeout=10)).svg()


if __name__ == "__main__":
    PICTURE.write_text(drawn())
