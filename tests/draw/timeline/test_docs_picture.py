"""The pictures in the docs are what their scripts draw."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"


def test_the_waterfall_is_up_to_date() -> None:
    _compare(_script("waterfall").draw().svg(), "waterfall")


def test_the_flow_after_it_ran_is_up_to_date() -> None:
    picture, page = _script("report").draw()
    _compare(picture.svg(), "flow_after", "report")
    assert "10 of 400 inputs failed" in page.html()


def _script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location("docs_picture", PICTURES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _compare(drawn: str, name: str, script: str | None = None) -> None:
    kept = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    same = _unstyled(drawn) == _unstyled(kept)
    assert same, f"draw it anew: python docs/pictures/{script or name}.py"


def _unstyled(svg: str) -> str:
    """Without the rules that all pictures share: another picture's colours change nothing of this one."""
    before, _, rest = svg.partition("<style>")
    return before + rest.partition("</style>")[2]
