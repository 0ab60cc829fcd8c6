"""The picture in the docs is what its script draws."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"


def test_it_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("docs_picture", PICTURES / "waterfall.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    drawn = script.draw().svg()
    kept = (PICTURES / "waterfall.svg").read_text(encoding="utf-8")
    assert _unstyled(drawn) == _unstyled(kept), "draw it anew: python docs/pictures/waterfall.py"


def _unstyled(svg: str) -> str:
    """Without the rules that all pictures share: another picture's colours change nothing of this one."""
    before, _, rest = svg.partition("<style>")
    return before + rest.partition("</style>")[2]
