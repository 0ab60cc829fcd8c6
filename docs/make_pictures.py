"""Makes the pictures of the operators' pages from real runs: `python docs/make_pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / "operators" / "pictures"
ROOTS = [str(HERE.parent), str(HERE.parent / "operators")]


def picture_of(name: str) -> str:
    """The SVG of an operator: its scene, played in virtual time."""
    from docs.operator_scenes import SCENES
    from rxorch import operators as rxo
    from rxorch.draw import marbles
    from rxorch_operators.testing import run_virtual

    recording = rxo.Recording()
    run_virtual(SCENES[name](recording))
    caption = (SCENES[name].__doc__ or "").rstrip(".")
    return marbles(recording, title=name, caption=caption).svg()


def main() -> None:
    """Writes a file for each operator, and removes those of operators that are no more."""
    from docs.operator_scenes import SCENES

    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.svg"):
        if path.stem not in SCENES:
            path.unlink()
    for name in SCENES:
        (FOLDER / f"{name}.svg").write_text(picture_of(name), encoding="utf-8", newline="\n")
        print(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    sys.path[:0] = ROOTS
    main()
